//! What happened, on disk: one event a line. Intents are synced before anything is done about them.
//!
//! ```text
//!   append ─▶ begin_sync / finish_sync        each event
//!   is_worn ─▶ begin_compaction ─▶ run ─▶ goes_on ─┬─▶ run again: more was appended meanwhile
//!                                                  └─▶ swap, finish_swap: the new file has the name
//! ```

mod checkpoint;
mod error;
mod past;

use std::path::Path;
use std::sync::Arc;

use model::{Event, Keeping, LabSpec};
use store::Files;
use store::log::{Log, Recovery, Rewrite, Swap, Swapped, Syncing};

pub use checkpoint::Checkpoint;
pub use error::JournalError;
use past::Reader;
pub use past::{EVENTS_KEPT, Past};

/// How much may be written before a checkpoint takes the place of what was: so many bytes, and no less than the
/// checkpoint takes itself. So what is written twice is never more than what is written once.
const GROWTH: u64 = 4 << 20;
/// For a core that begins, a part of that is enough.
const AT_START: u64 = 4;
/// Bytes that may be appended while a new file takes its place: they are copied while nothing else can be written.
const LEFT_FOR_SWAP: u64 = 64 << 10;
/// Times that a compaction tries to come near the end before it copies the rest, however much it is.
const FOLLOWS: u32 = 8;

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    log: Log,
    /// True while events are written that no sync has covered.
    unsynced: bool,
    /// True when one of them is an intent.
    intent: bool,
    /// A record the disk would not take and without which the later ones say nothing: written before the next.
    owed: Option<Vec<u8>>,
    /// Bytes that may be appended at least before a checkpoint.
    growth: u64,
    /// Bytes at which one is due.
    worn_at: u64,
}

impl Journal {
    /// Opens or creates the journal and hands out what it tells.
    ///
    /// # Errors
    /// [`JournalError`]; the file is left as it was.
    pub fn open(files: Arc<dyn Files>, path: &Path) -> Result<(Self, Past, Recovery), JournalError> {
        Self::open_with(files, path, GROWTH)
    }

    /// The same with so many bytes between two checkpoints.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(
        files: Arc<dyn Files>,
        path: &Path,
        growth: u64,
    ) -> Result<(Self, Past, Recovery), JournalError> {
        let mut reader = Reader::new(path);
        let (log, recovery) = Log::open_with(files, path, &mut reader)?;
        let checkpoint = reader.checkpoint_end;
        let worn_at = checkpoint + growth.max(checkpoint) / AT_START;
        let journal = Self { log, unsynced: false, intent: false, owed: None, growth, worn_at };
        Ok((journal, reader.past, recovery))
    }

    /// Writes an event behind the others as carefully as [`lifecycle::keeping`] says, unless it is fleeting.
    ///
    /// # Errors
    /// [`JournalError::Log`], most likely a full disk; the event is not in the journal.
    pub fn append(&mut self, event: &Event, keeping: Keeping) -> Result<(), JournalError> {
        if keeping == Keeping::Fleeting {
            return Ok(());
        }
        let record = form(event)?;
        self.pay()?;
        self.log.append(&record)?;
        self.unsynced = true;
        self.intent |= keeping == Keeping::Intent;
        Ok(())
    }

    /// Writes an event, at the latest before the next one: nothing is kept behind a gap in its place.
    ///
    /// # Errors
    /// As [`Journal::append`]; the event is owed then.
    pub fn append_owed(&mut self, event: &Event) -> Result<(), JournalError> {
        self.owed = Some(form(event)?);
        self.pay()
    }

    fn pay(&mut self) -> Result<(), JournalError> {
        if let Some(owed) = &self.owed {
            self.log.append(owed)?;
            self.owed = None;
            (self.unsynced, self.intent) = (true, true);
        }
        Ok(())
    }

    /// True when an intent waits for a sync: nothing may be done about it before.
    #[must_use]
    pub fn holds_intent(&self) -> bool {
        self.intent
    }

    /// True when anything waits for a sync.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Begins a sync that can run on another thread; give its outcome to [`Journal::finish_sync`].
    #[must_use]
    pub fn begin_sync(&self) -> Syncing {
        self.log.begin_sync()
    }

    /// Takes the outcome of a sync. Events that were appended since it began wait for the next one.
    ///
    /// # Errors
    /// [`JournalError::Log`]: nothing that waited may be relied on yet.
    pub fn finish_sync(&mut self, synced: store::log::Synced) -> Result<(), JournalError> {
        self.log.finish_sync(synced)?;
        self.unsynced = self.log.unsynced() > 0 || self.log.is_unnamed();
        self.intent &= self.unsynced;
        Ok(())
    }

    /// True when so much was written since the last checkpoint that another one is due.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.owed.is_none() && self.log.size() > self.worn_at
    }

    /// Begins to write a checkpoint in place of all that is in the journal now. What is appended until it is finished
    /// is in both.
    #[must_use]
    pub fn begin_compaction(&self, checkpoint: Checkpoint) -> Compaction {
        Compaction {
            rewrite: self.log.begin_rewrite(),
            work: Work::Write(Box::new(checkpoint)),
            follows: 0,
            end: 0,
        }
    }

    /// What is to be done after a step of a compaction.
    #[must_use]
    pub fn goes_on(&mut self, mut done: Compaction) -> Next {
        let near = self.log.ahead_of(&done.rewrite) <= LEFT_FOR_SWAP;
        if near || done.follows >= FOLLOWS {
            return Next::Swap(self.log.begin_swap(done.rewrite), done.end);
        }
        done.follows += 1;
        done.work = Work::Follow(self.log.size());
        Next::Again(done)
    }

    /// Takes the outcome of the last step. All that the journal held is on the medium then.
    ///
    /// # Errors
    /// [`JournalError::Log`]: the journal is as it was, or its new file waits for a sync of the folder.
    pub fn finish_swap(&mut self, swapped: Swapped, checkpoint: u64) -> Result<(), JournalError> {
        let before = self.log.size();
        let outcome = self.log.finish_swap(swapped);
        let unnamed = self.log.is_unnamed();
        if outcome.is_ok() || unnamed {
            tracing::debug!("a checkpoint took the place of {before} bytes: {checkpoint} bytes");
            self.worn_at = checkpoint + self.growth.max(checkpoint);
            self.unsynced = unnamed;
            self.intent &= unnamed;
        }
        Ok(outcome?)
    }
}

/// A compaction on its way: each step may run on another thread.
#[derive(Debug)]
pub struct Compaction {
    rewrite: Rewrite,
    work: Work,
    follows: u32,
    /// Bytes of the checkpoint.
    end: u64,
}

#[derive(Debug)]
enum Work {
    Write(Box<Checkpoint>),
    /// What was appended, up to this byte.
    Follow(u64),
}

/// What comes after a step of a compaction.
#[derive(Debug)]
pub enum Next {
    /// Another one.
    Again(Compaction),
    /// The last one, beside which nothing can be appended; and the bytes of the checkpoint.
    Swap(Swap, u64),
}

impl Compaction {
    /// Takes the step. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`JournalError`], most likely a full disk: the journal is as it was, and goes on.
    pub fn run(mut self) -> Result<Self, JournalError> {
        let done = match std::mem::replace(&mut self.work, Work::Follow(0)) {
            Work::Write(checkpoint) => checkpoint.write(&mut self.rewrite).and_then(|()| {
                self.end = self.rewrite.settle()?;
                Ok(())
            }),
            Work::Follow(upto) => self.rewrite.follow(upto).map_err(JournalError::Log),
        };
        match done {
            Ok(()) => Ok(self),
            Err(error) => {
                self.rewrite.abandon();
                Err(error)
            }
        }
    }
}

fn form(event: &Event) -> Result<Vec<u8>, JournalError> {
    serde_json::to_vec(event).map_err(JournalError::Unwritable)
}

/// All that a journal still tells in words.
#[derive(Debug)]
pub struct Told {
    /// Number of the last event that only the checkpoint contains; 0 where every event is told.
    pub before: u64,
    /// The lab as it was described when the checkpoint was written.
    pub spec: Option<Arc<LabSpec>>,
    /// The events, oldest first.
    pub events: Vec<Event>,
}

/// Reads a journal without opening it, such as that of a running core.
///
/// # Errors
/// [`JournalError`].
pub fn read(files: &dyn Files, path: &Path) -> Result<Told, JournalError> {
    let mut reader = Reader::new(path);
    reader.all = Some(Vec::new());
    store::log::read(files, path, &mut reader)?;
    let events = reader.all.unwrap_or_default();
    let first = events.first().map_or(u64::MAX, |event| event.seq);
    let before = reader.past.folded.min(first.saturating_sub(1));
    Ok(Told { before, spec: reader.spec, events })
}
