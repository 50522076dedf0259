//! The lab as it is, written at the head of a journal in place of the events that led to it.
//!
//! ```text
//! {"checkpoint":{"form":1,"through":4711,"machines":2,"events":1,"lab":{..}}}
//! {"machine":{..}}                    so many, one a line
//! {"machine":{..}}
//! {"seq":4711,"at":..,"fact":..}      the last events before it: for people, the lab contains them
//! {"seq":4712,"at":..,"fact":..}      what happened since
//! ```
//!
//! Why the state and not the fewest facts that lead to it: what `absorb` makes of twenty boots (medians, tries, marks that
//! made room for others) cannot be turned back into facts without inventing some, and "the same lab" is an equality that
//! a property can check. It is written whole or not at all, by [`store::log::Rewrite`]; one that breaks off is damage.

use std::collections::VecDeque;
use std::sync::Arc;

use lifecycle::{Lab, Machine};
use model::Event;
use serde::{Deserialize, Serialize};
use store::log::Rewrite;

use super::JournalError;

/// Number of the form. A version that reads another one refuses this, see [`JournalError::Later`].
pub(super) const FORM: u32 = 1;
/// Bytes of events that are told again behind the machines.
const HISTORY: usize = 2 << 20;

/// What a checkpoint is made of. Making one copies no machine.
#[derive(Debug)]
pub struct Checkpoint {
    /// The lab.
    pub lab: Lab,
    /// Number of the last event it contains.
    pub through: u64,
    /// The last events, oldest first.
    pub events: Vec<Arc<Event>>,
}

/// First record, as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) through: u64,
    pub(super) machines: u64,
    pub(super) events: u64,
    pub(super) lab: Lab,
}

#[derive(Debug, Deserialize)]
struct HeadRecord<T> {
    checkpoint: T,
}

#[derive(Debug, Deserialize)]
struct FormOnly {
    form: u32,
}

/// One machine, as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct MachineRecord {
    pub(super) machine: Machine,
}

#[derive(Serialize)]
struct HeadWritten<'a> {
    form: u32,
    through: u64,
    machines: usize,
    events: usize,
    lab: &'a Lab,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Written<'a> {
    Checkpoint(HeadWritten<'a>),
    Machine(&'a Machine),
}

/// How the first record begins.
const BEGINNING: &[u8] = b"{\"checkpoint\":";

/// True for the first record of a checkpoint.
pub(super) fn begins(record: &[u8]) -> bool {
    record.starts_with(BEGINNING)
}

/// True for the first bytes of its line, which has the sum and a space before the record.
pub(super) fn begins_line(line: &[u8]) -> bool {
    line.get(9..).is_some_and(begins)
}

/// The number of its form, which is read before anything else of it.
pub(super) fn form_of(record: &[u8]) -> serde_json::Result<u32> {
    serde_json::from_slice::<HeadRecord<FormOnly>>(record).map(|record| record.checkpoint.form)
}

pub(super) fn head_of(record: &[u8]) -> serde_json::Result<Head> {
    serde_json::from_slice::<HeadRecord<Head>>(record).map(|record| record.checkpoint)
}

impl Checkpoint {
    /// Writes it into a new file.
    pub(super) fn write(&self, rewrite: &mut Rewrite) -> Result<(), JournalError> {
        let history = self.history()?;
        let head = HeadWritten {
            form: FORM,
            through: self.through,
            machines: self.lab.machines.len(),
            events: history.len(),
            lab: &self.lab,
        };
        let mut record = Vec::new();
        let mut write = |what: &Written<'_>| {
            record.clear();
            serde_json::to_writer(&mut record, what).map_err(JournalError::Unwritable)?;
            rewrite.write(&record).map_err(JournalError::Log)
        };
        write(&Written::Checkpoint(head))?;
        self.lab.machines.values().try_for_each(|machine| write(&Written::Machine(machine)))?;
        history.iter().try_for_each(|event| rewrite.write(event).map_err(JournalError::Log))
    }

    /// The last events that have room, oldest first.
    fn history(&self) -> Result<VecDeque<Vec<u8>>, JournalError> {
        let (mut records, mut bytes) = (VecDeque::new(), 0);
        for event in self.events.iter().rev().filter(|event| event.seq <= self.through) {
            let record = serde_json::to_vec(&**event).map_err(JournalError::Unwritable)?;
            bytes += record.len();
            if bytes > HISTORY {
                break;
            }
            records.push_front(record);
        }
        Ok(records)
    }
}
