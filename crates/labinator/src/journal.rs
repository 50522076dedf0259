//! What happened, on disk: one event a line. Intents are synced before anything is done about them.

use std::path::Path;
use std::sync::Arc;

use lifecycle::{Lab, absorb};
use model::{Event, Fact, Keeping};
use store::Files;
use store::log::{Log, LogError, Recovery, Syncing};

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The log under it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record is whole, but not an event this version knows.
    #[error("{path}, record {number}: {source}")]
    Form {
        /// The journal's file.
        path: String,
        /// Counted from 1.
        number: usize,
        /// What the reader expected.
        source: serde_json::Error,
    },
}

impl JournalError {
    /// Stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Form { .. } => "journal-form",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Log(error) => error.advice(),
            Self::Form { .. } => {
                "use the release that wrote the journal, or move the file away to start anew"
            }
        }
    }
}

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
}

impl Journal {
    /// Opens or creates the journal and hands out what it holds.
    ///
    /// # Errors
    /// [`JournalError`]; the file is left as it was.
    pub fn open(files: Arc<dyn Files>, path: &Path) -> Result<(Self, Vec<Event>, Recovery), JournalError> {
        let opened = Log::open(files, path)?;
        let events = events_of(&opened.records, path)?;
        Ok((Self { log: opened.log, unsynced: false, intent: false, owed: None }, events, opened.recovery))
    }

    /// Writes an event behind the others, unless it is fleeting.
    ///
    /// # Errors
    /// [`JournalError::Log`], most likely a full disk; the event is not in the journal.
    pub fn append(&mut self, event: &Event) -> Result<(), JournalError> {
        let keeping = event.fact.keeping();
        if keeping == Keeping::Fleeting {
            return Ok(());
        }
        let record = self.form(event)?;
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
        self.owed = Some(self.form(event)?);
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

    fn form(&self, event: &Event) -> Result<Vec<u8>, JournalError> {
        serde_json::to_vec(event).map_err(|source| JournalError::Form {
            path: self.log.path().display().to_string(),
            number: 0,
            source,
        })
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
        self.unsynced = self.log.unsynced() > 0;
        self.intent &= self.unsynced;
        Ok(())
    }
}

/// Reads a journal without opening it, such as that of a running core.
///
/// # Errors
/// [`JournalError`].
pub fn read(files: &dyn Files, path: &Path) -> Result<Vec<Event>, JournalError> {
    events_of(&store::log::read(files, path)?, path)
}

fn events_of(records: &[Vec<u8>], path: &Path) -> Result<Vec<Event>, JournalError> {
    let event = |(i, record): (usize, &Vec<u8>)| {
        serde_json::from_slice(record).map_err(|source| JournalError::Form {
            path: path.display().to_string(),
            number: i + 1,
            source,
        })
    };
    records.iter().enumerate().map(event).collect()
}

/// The lab as it was after `events`: the one who opens an old journal sees what was known then.
/// None when no core ever began in it.
#[must_use]
pub fn rebuild<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Lab> {
    let mut lab: Option<Lab> = None;
    for event in events {
        if let (None, Fact::CoreStarted { spec, .. }) = (&lab, &event.fact) {
            lab = Some(Lab::new((**spec).clone()));
        }
        if let Some(lab) = &mut lab {
            absorb(lab, event);
        }
    }
    lab
}
