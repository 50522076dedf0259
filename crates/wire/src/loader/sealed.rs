//! The seal: the lab's key names the key of its counter, and that one signs answers.
//!
//! ```text
//! labinator sealed 1
//! delegation BYTES SIGNATURE     of the lab's key
//! answer BYTES SIGNATURE         of the key that the delegation names
//!
//! …delegation……answer…
//! ```
//! The lab's key stays in the core. The counter, which answers while no core is there, makes a key of its own at each
//! start and forgets it when it ends.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use model::LabName;

use super::LONGEST_TEXT;
use super::lines::{Hex, Lines, TextError, digits, expected, line};

/// Purpose of the lab's signature of a delegation.
pub const DELEGATION_PURPOSE: &str = "loader delegation";
/// Purpose of a counter's signature of an answer.
pub const ANSWER_PURPOSE: &str = "boot answer";
const TITLE: &str = "labinator sealed 1";
const DELEGATION_TITLE: &str = "labinator delegation 1";

/// What is signed for a purpose: its length stands before it, so that no purpose and message read as another pair.
#[must_use]
pub fn signed_text(purpose: &str, message: &[u8]) -> Vec<u8> {
    let mut text = String::from("labinator signed 1\n");
    let _infallible = writeln!(text, "{} {purpose}", purpose.len());
    let mut text = text.into_bytes();
    text.extend_from_slice(message);
    text
}

/// The lab's word that a key may sign answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// For which lab.
    pub lab: LabName,
    /// The key (Ed25519, RFC 8032).
    pub key: [u8; 32],
    /// Greater in each delegation: a loader that remembers follows none that is older than one it has seen.
    pub number: u64,
}

impl Delegation {
    /// The delegation as it is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(DELEGATION_TITLE);
        text.push('\n');
        line(&mut text, "lab", &self.lab);
        line(&mut text, "key", Hex(&self.key));
        line(&mut text, "number", self.number);
        text
    }

    /// Reads a delegation.
    ///
    /// # Errors
    /// [`TextError`] names what is missing or wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, TextError> {
        let lines = Lines::of(bytes, DELEGATION_TITLE)?;
        Ok(Self {
            lab: lines.one("lab")?.parse().map_err(|_| expected("a lab's name"))?,
            key: digits(lines.one("key")?).ok_or(expected("a key of 64 hexadecimal digits"))?,
            number: lines.one("number")?.parse().map_err(|_| expected("a number"))?,
        })
    }
}

/// A text with its signature, both as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'a> {
    /// What was signed.
    pub text: &'a [u8],
    /// By whom, as far as the signature is right (Ed25519).
    pub signature: [u8; 64],
}

/// A sealed answer, taken apart and not yet believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// A [`Delegation`].
    pub delegation: Signed<'a>,
    /// An [`Answer`](super::Answer).
    pub answer: Signed<'a>,
}

impl<'a> Sealed<'a> {
    /// The two in one body.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = String::from(TITLE);
        head.push('\n');
        for (key, part) in [("delegation", self.delegation), ("answer", self.answer)] {
            let _infallible = writeln!(head, "{key} {} {}", part.text.len(), Hex(&part.signature));
        }
        head.push('\n');
        [head.as_bytes(), self.delegation.text, self.answer.text].concat()
    }

    /// Takes a body apart.
    ///
    /// # Errors
    /// [`TextError`] names what is missing or wrong.
    pub fn read(bytes: &'a [u8]) -> Result<Self, TextError> {
        if bytes.len() > LONGEST_TEXT {
            return Err(expected("a text of at most 64 KiB"));
        }
        let ends = |pair: &[u8]| pair == b"\n\n";
        let end = bytes.windows(2).position(ends).ok_or(expected("an empty line below the seal"))?;
        let (head, texts) = bytes.split_at_checked(end + 1).ok_or(expected("a seal"))?;
        let texts = texts.get(1..).unwrap_or_default();
        let lines = Lines::of(head, TITLE)?;
        let (count, delegated) = part(lines.one("delegation")?)?;
        let (length, signature) = part(lines.one("answer")?)?;
        let (delegation, answer) = texts.split_at_checked(count).ok_or(expected("the whole delegation"))?;
        if answer.len() != length {
            return Err(expected("the whole answer, and nothing after it"));
        }
        Ok(Self {
            delegation: Signed { text: delegation, signature: delegated },
            answer: Signed { text: answer, signature },
        })
    }
}

fn part(value: &str) -> Result<(usize, [u8; 64]), TextError> {
    let fault = expected("a length and a signature of 128 hexadecimal digits");
    let (length, signature) = value.split_once(' ').ok_or(fault)?;
    Ok((length.parse().map_err(|_| fault)?, digits(signature).ok_or(fault)?))
}
