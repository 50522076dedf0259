//! The last boot table on the counter's own disk: whole, then change after change behind it.
//!
//! A change is in the file before it is in force, so `kill -9` forgets none. It is synced within a second: after a
//! power cut every machine is off, and the core publishes anew from its journal.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::{BootTable, TableChange};
use serde::{Deserialize, Serialize};
use store::Files;
use store::log::{Log, LogError, Synced, Syncing};

/// Changes may take this many times the place of the whole table, and this many bytes in any case, before the
/// table is written whole again.
const CHANGES: (u64, u64) = (2, 256 << 10);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "one at a time, and never kept")]
enum Record<'a> {
    Table(std::borrow::Cow<'a, BootTable>),
    Change(std::borrow::Cow<'a, TableChange>),
}

/// The file.
#[derive(Debug)]
pub(crate) struct KeptTable {
    log: Log,
    /// Bytes of the log when it held the table alone.
    whole: u64,
}

impl KeptTable {
    /// Opens the file and reads the table; `None` when there is none, or only another release's.
    ///
    /// # Errors
    /// As the system says. A file that cannot be understood is begun anew: the core publishes as soon as it comes.
    pub(crate) fn open(files: &Arc<dyn Files>, path: &Path) -> Result<(Self, Option<BootTable>), LogError> {
        let opened = match Log::open(Arc::clone(files), path) {
            Err(LogError::Damaged { .. } | LogError::Foreign { .. }) => {
                tracing::warn!("{} is damaged: it is begun anew", path.display());
                files.remove(path).map_err(|source| LogError::Io { path: path.to_owned(), source })?;
                Log::open(Arc::clone(files), path)?
            }
            outcome => outcome?,
        };
        let mut table: Option<BootTable> = None;
        for record in &opened.records {
            table = match (serde_json::from_slice(record), table) {
                (Ok(Record::Table(whole)), _) => Some(whole.into_owned()),
                (Ok(Record::Change(change)), Some(before)) => before.changed(&change),
                (Ok(Record::Change(_)), None) => None,
                (Err(error), _) => {
                    tracing::warn!("{} says nothing to this version: {error}", path.display());
                    None
                }
            };
        }
        if let Some(table) = &mut table {
            table.share_images();
        }
        let whole = opened.log.size();
        Ok((Self { log: opened.log, whole }, table))
    }

    /// Keeps a whole table in place of all that was there.
    ///
    /// # Errors
    /// As the system says; the file holds what it held.
    pub(crate) fn replace(&mut self, table: &BootTable) -> io::Result<()> {
        let text = serde_json::to_vec(&Record::Table(std::borrow::Cow::Borrowed(table)))?;
        self.log.rewrite([text.as_slice()]).map_err(io::Error::other)?;
        self.whole = self.log.size();
        Ok(())
    }

    /// Keeps a change, which led to `table`.
    ///
    /// # Errors
    /// As the system says; the file holds what it held.
    pub(crate) fn amend(&mut self, change: &TableChange, table: &BootTable) -> io::Result<()> {
        let (times, bytes) = CHANGES;
        if self.log.size() > self.whole.saturating_mul(times).saturating_add(bytes) {
            return self.replace(table);
        }
        let text = serde_json::to_vec(&Record::Change(std::borrow::Cow::Borrowed(change)))?;
        self.log.append(&text).map_err(io::Error::other)
    }

    /// The first half of a sync, if one is due; the second runs on another thread.
    pub(crate) fn begin_sync(&self) -> Option<Syncing> {
        (self.log.unsynced() > 0).then(|| self.log.begin_sync())
    }

    /// Takes the outcome of a sync that ran elsewhere.
    ///
    /// # Errors
    /// As the system says; the next one tries again.
    pub(crate) fn finish_sync(&mut self, synced: Synced) -> Result<(), LogError> {
        self.log.finish_sync(synced)
    }
}
