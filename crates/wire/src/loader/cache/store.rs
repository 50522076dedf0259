//! Where things lie on the medium, and the steps by which an image gets into a slot.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use super::record::{Held, Record};
use super::{BLOCK, JOURNAL, SLOTS};

const BLOCK_SIZE: u64 = BLOCK as u64;

/// How the blocks of a medium are parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Blocks of one slot.
    slot: u64,
}

/// Why an image does not get onto a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutError {
    /// The medium has no room for a journal and two slots.
    TooSmall,
    /// The image has more bytes than a slot.
    TooLarge {
        /// Bytes that it takes, in whole blocks.
        wanted: u64,
        /// Bytes of a slot.
        room: u64,
    },
    /// Its names and arguments do not fit into a record.
    TooWordy,
}

impl LayoutError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooSmall => "cache-too-small",
            Self::TooLarge { .. } => "image-too-large-for-cache",
            Self::TooWordy => "image-too-wordy-for-cache",
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall => f.write_str("the medium is too small for a cache"),
            Self::TooLarge { wanted, room } => {
                write!(
                    f,
                    "the image takes {wanted} bytes, and a slot of the cache has {room}: it is fetched each time"
                )
            }
            Self::TooWordy => {
                f.write_str("the names and arguments of the image do not fit into the cache's journal")
            }
        }
    }
}

impl core::error::Error for LayoutError {}

impl Layout {
    /// That of a medium with so many blocks.
    ///
    /// # Errors
    /// [`LayoutError::TooSmall`].
    pub fn of(blocks: u64) -> Result<Self, LayoutError> {
        let slot = blocks.saturating_sub(JOURNAL) / 2;
        if slot == 0 { Err(LayoutError::TooSmall) } else { Ok(Self { slot }) }
    }

    /// First block of a slot.
    #[must_use]
    pub const fn slot(self, at: usize) -> u64 {
        match at {
            0 => JOURNAL,
            _ => JOURNAL + self.slot,
        }
    }

    /// Bytes of a slot.
    #[must_use]
    pub const fn room(self) -> u64 {
        self.slot * BLOCK_SIZE
    }

    /// First block and bytes of each file of a slot.
    pub fn files(self, at: usize, held: &Held) -> impl Iterator<Item = (u64, u64)> {
        held.files.iter().scan(self.slot(at), |next, file| {
            let first = *next;
            *next += file.size.div_ceil(BLOCK_SIZE);
            Some((first, file.size))
        })
    }
}

/// The record that counts, of all blocks of the journal.
pub fn newest<'a>(journal: impl Iterator<Item = &'a [u8; BLOCK]>) -> Option<Record> {
    journal.filter_map(|block| Record::read(block).ok()).max_by_key(|record| record.number)
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this block of the journal.
    Journal {
        /// Which block of the medium.
        at: u64,
        /// With this.
        block: Box<[u8; BLOCK]>,
    },
    /// Write the files of the image to their places, [`Layout::files`] of this slot.
    Fill {
        /// Which.
        slot: usize,
    },
    /// Have the medium write down what it holds back: what comes after must not overtake what came before.
    Flush,
}

/// What a boot learned that is to be remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// The slot whose image started well.
    pub good: Option<usize>,
    /// A slot whose image is not to be started without the controller any more.
    pub not_good: Option<usize>,
    /// Number of the delegation that was followed.
    pub least: u64,
    /// Arguments with which the image of a slot is started now.
    pub args: Option<(usize, String)>,
}

/// An image on its way into a slot.
#[derive(Debug)]
pub struct Store {
    steps: alloc::vec::IntoIter<Step>,
    after: Record,
}

impl Store {
    /// The steps that put an image on the medium, from the record that counts now.
    ///
    /// # Errors
    /// [`LayoutError`]: it does not fit, and nothing is written.
    pub fn of(layout: Layout, now: &Record, held: Held) -> Result<Self, LayoutError> {
        let blocks: u64 = held.files.iter().map(|file| file.size.div_ceil(BLOCK_SIZE)).sum();
        if blocks > layout.slot {
            return Err(LayoutError::TooLarge { wanted: blocks * BLOCK_SIZE, room: layout.room() });
        }
        let slot = victim(now);
        let mut given_up = now.clone();
        given_up.number += 1;
        given_up.worn += 1;
        if let Some(place) = given_up.slots.get_mut(slot) {
            *place = None;
        }
        let mut filled = given_up.clone();
        filled.number += 1;
        filled.worn += blocks + 1;
        if let Some(place) = filled.slots.get_mut(slot) {
            *place = Some(held);
        }
        let steps = alloc::vec![
            journal(&given_up)?,
            Step::Flush,
            Step::Fill { slot },
            Step::Flush,
            journal(&filled)?,
            Step::Flush,
        ];
        Ok(Self { steps: steps.into_iter(), after: filled })
    }

    /// The steps that note what was learned; nothing where all of it is known, so that a boot like the last one writes
    /// nothing.
    ///
    /// # Errors
    /// [`LayoutError::TooWordy`].
    pub fn note(now: &Record, note: &Note) -> Result<Option<Self>, LayoutError> {
        let mut noted = now.clone();
        noted.least = noted.least.max(note.least);
        let holds = |slot: &usize| now.slots.get(*slot).is_some_and(Option::is_some);
        let before = noted.good.filter(|good| Some(*good) != note.not_good);
        noted.good = note.good.filter(holds).or(before);
        if let Some((slot, args)) = &note.args
            && let Some(Some(held)) = noted.slots.get_mut(*slot)
        {
            held.args.clone_from(args);
        }
        if noted == *now {
            return Ok(None);
        }
        noted.number += 1;
        noted.worn += 1;
        let steps = alloc::vec![journal(&noted)?, Step::Flush];
        Ok(Some(Self { steps: steps.into_iter(), after: noted }))
    }

    /// The record that counts once all steps were taken.
    #[must_use]
    pub const fn after(&self) -> &Record {
        &self.after
    }
}

impl Iterator for Store {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        self.steps.next()
    }
}

/// The slot that is given up: never the one that started well last.
fn victim(now: &Record) -> usize {
    match now.good {
        Some(good) => (good + 1) % SLOTS,
        None => now.slots.iter().position(Option::is_none).unwrap_or(0),
    }
}

fn journal(record: &Record) -> Result<Step, LayoutError> {
    let block = record.block().ok_or(LayoutError::TooWordy)?;
    Ok(Step::Journal { at: record.number % JOURNAL, block: Box::new(block) })
}
