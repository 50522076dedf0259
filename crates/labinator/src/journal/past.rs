//! What a journal tells: the lab as it was, and the events that happened last.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use lifecycle::{Lab, absorb};
use model::{Event, Fact, LabSpec};
use store::log::Take;

use super::JournalError;
use super::checkpoint::{self, Head, MachineRecord};

/// Events kept in memory for readers that come back or fall behind.
pub const EVENTS_KEPT: usize = 8192;

/// What was known and what happened last.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The lab as it was; absent when no core ever began in it.
    pub lab: Option<Lab>,
    /// Number of the last event.
    pub through: u64,
    /// The last events, oldest first, at most [`EVENTS_KEPT`].
    pub events: VecDeque<Arc<Event>>,
    /// Number of the last event that the checkpoint contains; 0 without one.
    pub folded: u64,
}

impl Past {
    /// The past that these events tell.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut past = Self::default();
        events.into_iter().for_each(|event| past.take(event));
        past
    }

    /// The next event. One that the checkpoint contains is only told again.
    pub fn take(&mut self, event: Event) {
        if event.seq > self.folded {
            if let (None, Fact::CoreStarted { spec, .. }) = (&self.lab, &event.fact) {
                self.lab = Some(Lab::new((**spec).clone()));
            }
            if let Some(lab) = &mut self.lab {
                absorb(lab, &event);
            }
        }
        self.through = self.through.max(event.seq);
        if self.events.len() >= EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(event));
    }
}

/// Where in a journal the reader is.
#[derive(Debug)]
enum Place {
    /// Before the first record.
    Beginning,
    /// In the checkpoint: so many machines, and then so many events, are still to come.
    Checkpoint { machines: u64, events: u64 },
    /// Behind it.
    Events,
}

/// Reads the records of a journal into a past.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    path: &'a Path,
    place: Place,
    pub(super) past: Past,
    /// Where the checkpoint ended.
    pub(super) checkpoint_end: u64,
    /// The lab as the checkpoint describes it.
    pub(super) spec: Option<Arc<LabSpec>>,
    /// Every event, for whoever wants all of them and not only the last.
    pub(super) all: Option<Vec<Event>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self {
            path,
            place: Place::Beginning,
            past: Past::default(),
            checkpoint_end: 0,
            spec: None,
            all: None,
        }
    }

    fn form(&self, offset: u64, source: serde_json::Error) -> JournalError {
        JournalError::Form { path: self.path.display().to_string(), offset, source }
    }

    fn head(&mut self, offset: u64, record: &[u8]) -> Result<(), JournalError> {
        let form = checkpoint::form_of(record).map_err(|source| self.form(offset, source))?;
        if form != checkpoint::FORM {
            let path = self.path.display().to_string();
            return Err(JournalError::Later { path, offset, form, known: checkpoint::FORM });
        }
        let head: Head = checkpoint::head_of(record).map_err(|source| self.form(offset, source))?;
        self.spec = Some(Arc::clone(&head.lab.spec));
        self.past.lab = Some(Lab::without_machines(head.lab));
        self.past.folded = head.through;
        self.past.through = head.through;
        self.place = Place::Checkpoint { machines: head.machines, events: head.events };
        Ok(())
    }

    fn machine(&mut self, offset: u64, record: &[u8]) -> Result<(), JournalError> {
        let record: MachineRecord =
            serde_json::from_slice(record).map_err(|source| self.form(offset, source))?;
        if let Some(lab) = &mut self.past.lab {
            lab.put_back(record.machine);
        }
        Ok(())
    }

    fn event(&mut self, offset: u64, record: &[u8]) -> Result<(), JournalError> {
        let event: Event = serde_json::from_slice(record).map_err(|source| self.form(offset, source))?;
        if let Some(all) = &mut self.all {
            all.push(event.clone());
        }
        self.past.take(event);
        Ok(())
    }
}

impl Take for Reader<'_> {
    type Error = JournalError;

    fn record(&mut self, offset: u64, record: &[u8]) -> Result<(), JournalError> {
        match self.place {
            Place::Beginning if checkpoint::begins(record) => self.head(offset, record),
            Place::Checkpoint { machines: machines @ 1.., events } => {
                self.place = Place::Checkpoint { machines: machines - 1, events };
                self.machine(offset, record)
            }
            Place::Checkpoint { machines: 0, events: events @ 1.. } => {
                self.place = Place::Checkpoint { machines: 0, events: events - 1 };
                self.event(offset, record)
            }
            Place::Checkpoint { machines: 0, events: 0 } => {
                (self.place, self.checkpoint_end) = (Place::Events, offset);
                self.event(offset, record)
            }
            Place::Beginning | Place::Events => {
                self.place = Place::Events;
                self.event(offset, record)
            }
        }
    }

    fn end(&mut self, offset: u64, torn: &[u8]) -> Result<(), JournalError> {
        let path = || self.path.display().to_string();
        if matches!(self.place, Place::Beginning) && checkpoint::begins_line(torn) {
            return Err(JournalError::Short { path: path(), offset, missing: 1 });
        }
        if let Place::Checkpoint { machines, events } = self.place {
            let missing = machines.saturating_add(events);
            if missing > 0 {
                return Err(JournalError::Short { path: path(), offset, missing });
            }
            self.checkpoint_end = offset;
        }
        Ok(())
    }
}
