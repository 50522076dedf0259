//! A record of the journal: one block that says all there is to say, with a sum over it.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use model::Digest;

use super::{BLOCK, SLOTS};
use crate::loader::answer::{Piece, Plan};
use crate::loader::lines::{Lines, TextError, expected, line};

const TITLE: &str = "labinator cache 1";
/// The kernel argument that names one boot to our agent.
const NONCE: &str = "labinator.nonce=";
/// Bytes of the sum at the end of the block.
const SUM: usize = 8;

/// What one slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its files, in order: the kernel first. Each begins at a block of its own.
    pub files: Vec<Piece>,
    /// Kernel arguments that it was started with last.
    pub args: String,
}

impl Held {
    /// What an answer names. The word by which one boot is told from another is left out: a boot without the controller
    /// is none of those that it knows.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let files = core::iter::once(&plan.kernel).chain(&plan.initrd).cloned().collect();
        let args: Vec<&str> = plan.args.split(' ').filter(|arg| !arg.starts_with(NONCE)).collect();
        Self { files, args: args.join(" ") }
    }

    /// What is started of it where nobody answers.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        let (kernel, initrd) = self.files.split_first()?;
        Some(Plan { kernel: kernel.clone(), initrd: initrd.to_vec(), args: self.args.clone() })
    }

    /// True when its files have these digests, in this order.
    #[must_use]
    pub fn is(&self, digests: &[Digest]) -> bool {
        self.files.len() == digests.len()
            && self.files.iter().zip(digests).all(|(file, digest)| file.digest == *digest)
    }

    /// True when it has the files of this answer, whatever their arguments.
    #[must_use]
    pub fn has(&self, plan: &Plan) -> bool {
        let same = |(own, wanted): (&Piece, &Piece)| own.size == wanted.size && own.digest == wanted.digest;
        self.files.len() == plan.initrd.len() + 1
            && self.files.iter().zip(core::iter::once(&plan.kernel).chain(&plan.initrd)).all(same)
    }
}

/// A record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Greater in each record.
    pub number: u64,
    /// Blocks written since the medium was made.
    pub worn: u64,
    /// The least number of a delegation that is followed: the greatest one seen.
    pub least: u64,
    /// What each slot holds; nothing while it is filled.
    pub slots: [Option<Held>; SLOTS],
    /// The slot whose image started well last.
    pub good: Option<usize>,
}

/// Why a block is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// Its sum is another one: it was torn, or is none.
    Torn,
    /// It was written whole, and says something that cannot be read.
    Garbled(TextError),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("it is torn"),
            Self::Garbled(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RecordError {}

impl Record {
    /// The block; none where it would not fit: names and arguments are too long.
    #[must_use]
    pub fn block(&self) -> Option<[u8; BLOCK]> {
        let mut text = String::from(TITLE);
        text.push('\n');
        line(&mut text, "number", self.number);
        line(&mut text, "worn", self.worn);
        line(&mut text, "least", self.least);
        if let Some(good) = self.good {
            line(&mut text, "good", good);
        }
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(held) = slot else { continue };
            line(&mut text, "slot", alloc::format!("{at} {}", held.args));
            for file in &held.files {
                line(&mut text, &alloc::format!("file{at}"), file);
            }
        }
        let room = BLOCK - SUM;
        if text.len() >= room {
            return None;
        }
        let mut block = [0; BLOCK];
        for (to, from) in block.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        let (body, end) = block.split_at_mut_checked(room)?;
        end.copy_from_slice(&sum(body).to_be_bytes());
        Some(block)
    }

    /// Reads a block.
    ///
    /// # Errors
    /// [`RecordError`]; it does not count.
    pub fn read(block: &[u8; BLOCK]) -> Result<Self, RecordError> {
        let (body, end) = block.split_at_checked(BLOCK - SUM).ok_or(RecordError::Torn)?;
        if sum(body).to_be_bytes() != end {
            return Err(RecordError::Torn);
        }
        let length = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
        Self::of(body.get(..length).unwrap_or_default()).map_err(RecordError::Garbled)
    }

    fn of(text: &[u8]) -> Result<Self, TextError> {
        let lines = Lines::of(text, TITLE)?;
        let number =
            |key| -> Result<u64, TextError> { lines.one(key)?.parse().map_err(|_| expected("a number")) };
        let mut slots: [Option<Held>; SLOTS] = Default::default();
        for slot in lines.all("slot") {
            let (at, args) = slot.split_once(' ').ok_or(expected("a slot and its arguments"))?;
            let key = match at {
                "0" => "file0",
                "1" => "file1",
                _ => return Err(expected("slot 0 or 1")),
            };
            let files: Vec<Piece> = lines.all(key).map(Piece::read).collect::<Result<_, _>>()?;
            let at: usize = at.parse().map_err(|_| expected("a slot"))?;
            let held = slots.get_mut(at).filter(|slot| slot.is_none() && !files.is_empty());
            *held.ok_or(expected("each slot once, with files"))? =
                Some(Held { files, args: args.to_owned() });
        }
        let good = lines.maybe("good")?.map(|good| good.parse().map_err(|_| expected("a slot")));
        let good: Option<usize> = good.transpose()?;
        if good.is_some_and(|good| good >= SLOTS) {
            return Err(expected("slot 0 or 1"));
        }
        Ok(Self { number: number("number")?, worn: number("worn")?, least: number("least")?, slots, good })
    }

    /// What is left where a slot was found to be something else than its record says.
    #[must_use]
    pub fn without(&self, slot: usize) -> Self {
        let mut left = self.clone();
        if let Some(place) = left.slots.get_mut(slot) {
            *place = None;
        }
        left.good = left.good.filter(|good| *good != slot);
        left
    }

    /// The slot that an answer names, its files at least.
    #[must_use]
    pub fn slot_of(&self, plan: &Plan) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|held| held.has(plan)))
    }

    /// The slot whose files have these digests.
    #[must_use]
    pub fn slot_with(&self, digests: &[Digest]) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|held| held.is(digests)))
    }

    /// How worn the medium is, for people.
    #[must_use]
    pub fn wear(&self, blocks: u64) -> String {
        let rounds = self.worn.checked_div(blocks).unwrap_or(0);
        match rounds {
            0 => "less than once over".to_owned(),
            rounds => alloc::format!("{rounds} times over"),
        }
    }
}

/// FNV-1a of 64 bits: it finds torn blocks. What is started is found right or wrong by its SHA-256.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
