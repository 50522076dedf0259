//! How an agent seals what it says: the key of its boot, and the header that goes with a report or a heartbeat.
//!
//! ```text
//! labinator-seal: COUNT WORD SIGNATURE
//! ```
//! `COUNT` is decimal and greater in each seal of a boot. `WORD` is what the counter's last answer told, `-` before the
//! first. `SIGNATURE` is the Ed25519 signature (RFC 8032) of [`Seal::text`], 128 hexadecimal digits.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

/// Name of the header that carries a [`Seal`].
pub const AGENT_SEAL_HEADER: &str = "labinator-seal";
/// What stands for no word.
const NO_WORD: &str = "-";
/// Longest word that is read.
const LONGEST_WORD: usize = 64;

/// An Ed25519 public key (RFC 8032 section 5.1.5) that an agent made in this boot. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey(pub [u8; 32]);

impl AgentKey {
    /// Its first 12 digits, which are enough for a person to compare.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{self}").chars().take(12).collect()
    }
}

impl fmt::Display for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest(self.0), f)
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentKeyError;

impl fmt::Display for AgentKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an agent's key is 64 hexadecimal digits")
    }
}

impl core::error::Error for AgentKeyError {}

impl FromStr for AgentKey {
    type Err = AgentKeyError;
    fn from_str(text: &str) -> Result<Self, AgentKeyError> {
        Digest::from_str(text).map(|Digest(bytes)| Self(bytes)).map_err(|_| AgentKeyError)
    }
}

impl Serialize for AgentKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AgentKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for AgentKey {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "AgentKey".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// What goes with a report or a heartbeat and shows who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Greater in each seal of a boot.
    pub count: u64,
    /// What the counter's last answer told; empty before the first.
    pub word: String,
    /// The signature of [`Seal::text`].
    pub signature: [u8; 64],
}

impl Seal {
    /// What is signed: a line each for purpose, path, boot id, count and word, then the body as it is sent.
    #[must_use]
    pub fn text(path: &str, boot_id: &str, (count, word): (u64, &str), body: &[u8]) -> Vec<u8> {
        let mut text = format!("labinator agent seal 1\n{path}\n{boot_id}\n{count}\n{word}\n").into_bytes();
        text.extend_from_slice(body);
        text
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.word.is_empty() { NO_WORD } else { &self.word };
        write!(f, "{} {word} ", self.count)?;
        self.signature.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The header is no seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealError;

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a seal is a number, a word and 128 hexadecimal digits")
    }
}

impl core::error::Error for SealError {}

impl FromStr for Seal {
    type Err = SealError;
    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut parts = text.split(' ');
        let (Some(count), Some(word), Some(digits), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError);
        };
        let is_plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if word.is_empty() || word.len() > LONGEST_WORD || !is_plain || !digits.is_ascii() {
            return Err(SealError);
        }
        let (first, second) = digits.split_at_checked(64).ok_or(SealError)?;
        let half = |digits: &str| Digest::from_str(digits).map(|Digest(bytes)| bytes).map_err(|_| SealError);
        let mut signature = [0; 64];
        for (to, from) in signature.iter_mut().zip(half(first)?.into_iter().chain(half(second)?)) {
            *to = from;
        }
        let word = if word == NO_WORD { String::new() } else { word.to_owned() };
        Ok(Self { count: count.parse().map_err(|_| SealError)?, word, signature })
    }
}

/// Two keys in one boot: somebody who is not the machine had its nonce, and nobody can tell who came first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentClash {
    /// The key that was claimed first.
    pub claimed: AgentKey,
    /// The address that it came from, where the ledger has it.
    #[schemars(with = "Option<String>")]
    pub claimed_from: Option<IpAddr>,
    /// The key that was shown afterwards; absent where none was.
    pub shown: Option<AgentKey>,
    /// The address that it came from.
    #[schemars(with = "String")]
    pub from: IpAddr,
}

impl fmt::Display for AgentClash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.claimed.short())?;
        if let Some(from) = self.claimed_from {
            write!(f, " of {from}")?;
        }
        f.write_str(" claimed this boot, and ")?;
        match &self.shown {
            Some(shown) => write!(f, "key {} of {}", shown.short(), self.from)?,
            None => write!(f, "{} without a key", self.from)?,
        }
        f.write_str(" had its nonce too")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn a_seal_is_read_as_it_was_written() {
        let mut signature = [7; 64];
        signature[63] = 0xfe;
        for word in ["", "3f2a"] {
            let seal = Seal { count: 17, word: word.to_owned(), signature };
            assert_eq!(seal.to_string().parse(), Ok(seal));
        }
        for wrong in ["", "1", "1 -", "1 - 00", "x - 00", "1  00", "1 a.b 00"] {
            assert_eq!(wrong.parse::<Seal>(), Err(SealError), "{wrong}");
        }
        let long = std::format!("1 - {}", "0".repeat(130));
        assert_eq!(long.parse::<Seal>(), Err(SealError));
    }
}
