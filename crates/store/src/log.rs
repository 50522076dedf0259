//! The append log: records in order, each whole or not there, under the journal and the ledger.
//!
//! ```text
//!   append ──▶ written (survives kill -9) ──▶ sync ──▶ synced (survives a power cut)
//!      │ disk full: error, the half record is cut off, the log goes on
//!      └ sync fails: the bytes are kept in memory and written again before the next sync
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{Files, OpenFile, beside, folder_of};
use crate::line;

/// Most bytes that may be written and not yet synced. More means that the disk has been failing for long.
const UNSYNCED_LIMIT: usize = 32 << 20;

/// Why a log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused. The log is as before.
    #[error("{}: {source}", path.display())]
    Io {
        /// The log's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the log open.
    #[error("{}: another process writes this log", path.display())]
    Busy {
        /// The log's file.
        path: PathBuf,
    },
    /// A record inside the log is wrong. Nothing was changed on disk.
    #[error("{}: the record at byte {offset} is damaged, and records follow it", path.display())]
    Damaged {
        /// The log's file.
        path: PathBuf,
        /// Bytes from the start of the file to the start of the wrong line.
        offset: u64,
    },
    /// The file is not a log, or its form is from a later release.
    #[error("{}: not a log of form v1", path.display())]
    Foreign {
        /// The log's file.
        path: PathBuf,
    },
    /// The record holds a line break or a NUL, which the form cannot carry.
    #[error("a record holds a line break or a NUL byte")]
    Unwritable,
    /// Too much waits to be synced: the disk has been failing.
    #[error("{}: {waiting} bytes wait for a disk that does not take them", path.display())]
    Stuck {
        /// The log's file.
        path: PathBuf,
        /// Bytes written and not synced.
        waiting: usize,
    },
}

impl LogError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } if self.is_full() => "log-disk-full",
            Self::Io { .. } => "log-io",
            Self::Busy { .. } => "log-busy",
            Self::Damaged { .. } => "log-damaged",
            Self::Foreign { .. } => "log-foreign",
            Self::Unwritable => "log-record-unwritable",
            Self::Stuck { .. } => "log-stuck",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Io { .. } if self.is_full() => "make room on the disk that holds the state folder",
            Self::Io { .. } => "look at the disk and the rights of the state folder",
            Self::Busy { .. } => "stop the other labinator that uses this state folder",
            Self::Damaged { .. } => "restore the file from a backup, or move it away to start without it",
            Self::Foreign { .. } => "use the release that wrote the file, or move the file away",
            Self::Unwritable => "report this as a fault of the program",
            Self::Stuck { .. } => "look at the disk: writes do not arrive",
        }
    }

    /// True when the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// What opening a log found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn tail that were cut off. They were never synced.
    pub dropped: u64,
    /// True when there was no log yet.
    pub created: bool,
}

/// Reads a log without opening it: for whoever only looks, beside the one who writes. A torn tail is left
/// alone and not returned.
///
/// # Errors
/// [`LogError::Io`], [`LogError::Foreign`] and [`LogError::Damaged`], as [`Log::open`].
pub fn read(files: &dyn Files, path: &Path) -> Result<Vec<Vec<u8>>, LogError> {
    let content = files.read(path).map_err(|source| io_error(path, source))?;
    let Some(body) = content.strip_prefix(line::HEADER) else {
        return Err(LogError::Foreign { path: path.to_owned() });
    };
    let scan = line::scan(body).map_err(|line::Damage(offset)| LogError::Damaged {
        path: path.to_owned(),
        offset: u64_of(line::HEADER.len() + offset),
    })?;
    Ok(scan.records)
}

/// A log with what it held.
#[derive(Debug)]
pub struct Opened {
    /// The log, ready to append.
    pub log: Log,
    /// Its records, oldest first.
    pub records: Vec<Vec<u8>>,
    /// What opening had to repair.
    pub recovery: Recovery,
}

/// An open log. One process, one writer.
#[derive(Debug)]
pub struct Log {
    files: Arc<dyn Files>,
    path: PathBuf,
    file: Arc<dyn OpenFile>,
    /// Good bytes in the file.
    len: u64,
    /// Of these, bytes known to be on the medium.
    synced: u64,
    /// The bytes between `synced` and `len`, for the case that the system forgets them in a failed sync.
    unsynced: Vec<u8>,
    /// The last sync failed: write `unsynced` again before the next.
    suspect: bool,
    /// Bytes behind `len` may exist from a failed append.
    ragged: bool,
    /// Counts rewrites, so that a sync of the old file says nothing about the new one.
    generation: u64,
    /// Counts failed syncs: of two that run at once the system tells only one that it failed.
    failures: u64,
}

impl Log {
    /// Opens the log at `path`, creating it when missing, and cuts off a torn tail.
    ///
    /// # Errors
    /// [`LogError::Damaged`] and [`LogError::Foreign`] leave the file untouched.
    pub fn open(files: Arc<dyn Files>, path: &Path) -> Result<Opened, LogError> {
        let fault = |source: io::Error| io_error(path, source);
        let file = files.open(path).map_err(fault)?;
        let content = files.read(path).map_err(fault)?;
        let whole = u64_of(content.len());
        let log = |files, synced| Self {
            files,
            path: path.to_owned(),
            file: Arc::clone(&file),
            len: synced,
            synced,
            unsynced: Vec::new(),
            suspect: false,
            ragged: false,
            generation: 0,
            failures: 0,
        };
        let Some(body) = content.strip_prefix(line::HEADER) else {
            // A header that never reached the disk whole: the log was being created when the power went.
            let torn = line::HEADER.starts_with(&content) || content.iter().all(|byte| *byte == 0);
            if !torn {
                return Err(LogError::Foreign { path: path.to_owned() });
            }
            file.set_len(0).map_err(fault)?;
            file.write_at(line::HEADER, 0).map_err(fault)?;
            file.sync().map_err(fault)?;
            files.sync_folder(folder_of(path)).map_err(fault)?;
            let recovery = Recovery { dropped: whole, created: true };
            return Ok(Opened { log: log(files, u64_of(line::HEADER.len())), records: Vec::new(), recovery });
        };
        let scan = line::scan(body).map_err(|line::Damage(offset)| LogError::Damaged {
            path: path.to_owned(),
            offset: u64_of(line::HEADER.len() + offset),
        })?;
        let good = u64_of(line::HEADER.len() + scan.good);
        if good < whole {
            file.set_len(good).map_err(fault)?;
        }
        // What was read may still be only in memory, after a kill: promise it before building on it.
        file.sync().map_err(fault)?;
        let recovery = Recovery { dropped: whole - good, created: false };
        Ok(Opened { log: log(files, good), records: scan.records, recovery })
    }

    /// Writes one record behind the others. It survives `kill -9` when this returns, a power cut after [`Log::sync`].
    ///
    /// # Errors
    /// [`LogError::Io`], most likely a full disk: the record is not in the log, and the log goes on.
    /// [`LogError::Unwritable`] when the record holds a line break or a NUL.
    pub fn append(&mut self, record: &[u8]) -> Result<(), LogError> {
        self.append_all([record])
    }

    /// The same for many records with one write of the system's. All of them are in the log when this returns.
    ///
    /// # Errors
    /// As [`Log::append`]: none of them is in the log.
    pub fn append_all<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) -> Result<(), LogError> {
        if self.unsynced.len() > UNSYNCED_LIMIT {
            return Err(LogError::Stuck { path: self.path.clone(), waiting: self.unsynced.len() });
        }
        if self.ragged {
            self.file.set_len(self.len).map_err(|source| io_error(&self.path, source))?;
            self.ragged = false;
        }
        let from = self.unsynced.len();
        for record in records {
            if line::forbidden(record) {
                self.unsynced.truncate(from);
                return Err(LogError::Unwritable);
            }
            line::write(&mut self.unsynced, record);
        }
        let bytes = self.unsynced.get(from..).unwrap_or_default();
        match self.file.write_at(bytes, self.len) {
            Ok(()) => {
                self.len += u64_of(bytes.len());
                Ok(())
            }
            Err(source) => {
                self.unsynced.truncate(from);
                self.ragged = self.file.set_len(self.len).is_err();
                Err(io_error(&self.path, source))
            }
        }
    }

    /// Returns when all records are on the medium. One call serves any number of appends (group commit).
    ///
    /// # Errors
    /// [`LogError::Io`]: nothing new may be relied on; the records are kept and a later sync tries them again.
    pub fn sync(&mut self) -> Result<(), LogError> {
        let synced = self.begin_sync().run();
        self.finish_sync(synced)
    }

    /// The first half of a sync, for callers that must not wait: run the result on another thread, then give its
    /// outcome to [`Log::finish_sync`]. Records may be appended meanwhile; they belong to the next sync.
    #[must_use]
    pub fn begin_sync(&self) -> Syncing {
        Syncing {
            file: Arc::clone(&self.file),
            again: self.suspect.then(|| (self.synced, self.unsynced.clone())),
            upto: self.len,
            generation: self.generation,
            failures: self.failures,
        }
    }

    /// Takes the outcome of a sync that ran elsewhere.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn finish_sync(&mut self, synced: Synced) -> Result<(), LogError> {
        if synced.generation != self.generation {
            return Ok(()); // A rewrite came in between and synced everything itself.
        }
        match synced.outcome {
            Ok(()) if synced.failures != self.failures => {
                Err(io_error(&self.path, io::Error::other("another sync failed at the same time")))
            }
            Ok(()) => {
                let done = usize::try_from(synced.upto.saturating_sub(self.synced)).unwrap_or(usize::MAX);
                self.unsynced.drain(..done.min(self.unsynced.len()));
                self.synced = self.synced.max(synced.upto);
                self.suspect = false;
                Ok(())
            }
            Err(source) => {
                self.suspect = true;
                self.failures += 1;
                Err(io_error(&self.path, source))
            }
        }
    }

    /// Replaces all records by these, on the medium when it returns. After a power cut the log is the old or the new
    /// one, never a mixture.
    ///
    /// # Errors
    /// [`LogError::Io`], most likely a full disk: the old log stays and goes on.
    pub fn rewrite<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) -> Result<(), LogError> {
        let mut content = line::HEADER.to_vec();
        for record in records {
            if line::forbidden(record) {
                return Err(LogError::Unwritable);
            }
            line::write(&mut content, record);
        }
        let fresh = beside(&self.path);
        let written = self.write_fresh(&fresh, &content);
        let file = written.map_err(|source| {
            // The half-written file only takes room; the next rewrite would overwrite it anyway.
            drop(self.files.remove(&fresh));
            io_error(&self.path, source)
        })?;
        self.file = file;
        self.len = u64_of(content.len());
        self.synced = self.len;
        self.unsynced.clear();
        self.suspect = false;
        self.ragged = false;
        self.generation += 1;
        self.files.sync_folder(folder_of(&self.path)).map_err(|source| io_error(&self.path, source))
    }

    fn write_fresh(&self, fresh: &Path, content: &[u8]) -> io::Result<Arc<dyn OpenFile>> {
        let file = self.files.open(fresh)?;
        file.set_len(0)?;
        file.write_at(content, 0)?;
        file.sync()?;
        self.files.rename(fresh, &self.path)?;
        Ok(file)
    }

    /// Bytes in the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Bytes written and not yet synced.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Where the log lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A sync about to run; see [`Log::begin_sync`].
#[derive(Debug)]
pub struct Syncing {
    file: Arc<dyn OpenFile>,
    again: Option<(u64, Vec<u8>)>,
    upto: u64,
    generation: u64,
    failures: u64,
}

impl Syncing {
    /// Syncs. Blocks for as long as the disk takes.
    #[must_use]
    pub fn run(self) -> Synced {
        // After a failed fdatasync Linux marks the lost pages clean: a second one would lie. Dirty them again.
        let again = self.again.map_or(Ok(()), |(offset, bytes)| self.file.write_at(&bytes, offset));
        Synced {
            outcome: again.and_then(|()| self.file.sync()),
            upto: self.upto,
            generation: self.generation,
            failures: self.failures,
        }
    }
}

/// How a sync ended; see [`Log::finish_sync`].
#[derive(Debug)]
pub struct Synced {
    outcome: io::Result<()>,
    upto: u64,
    generation: u64,
    failures: u64,
}

fn io_error(path: &Path, source: io::Error) -> LogError {
    match source.kind() {
        io::ErrorKind::ResourceBusy => LogError::Busy { path: path.to_owned() },
        _ => LogError::Io { path: path.to_owned(), source },
    }
}

fn u64_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
