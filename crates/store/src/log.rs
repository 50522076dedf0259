//! The append log: records in order, each whole or not there, under the journal and the ledger.
//!
//! ```text
//!   append ──▶ written (survives kill -9) ──▶ sync ──▶ synced (survives a power cut)
//!      │ disk full: error, the half record is cut off, the log goes on
//!      └ sync fails: the bytes are kept in memory and written again before the next sync
//!   rewrite ─▶ a new file beside it, which takes its place whole or not at all
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{Files, OpenFile, beside, folder_of};
use crate::line::{self, u64_of};
use error::{first_record, io_error, stopped};

mod error;
mod rewrite;

pub use error::LogError;
pub use rewrite::{Rewrite, Swap, Swapped};

/// Most bytes that may be written and not yet synced. More means that the disk has been failing for long.
const UNSYNCED_LIMIT: usize = 32 << 20;

/// What opening a log found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn tail that were cut off. They were never synced.
    pub dropped: u64,
    /// True when there was no log yet.
    pub created: bool,
}

/// Whoever takes the records of a log while it is read: a log may be larger than what should be in memory at once.
pub trait Take {
    /// Why it does not want a record, or the whole log.
    type Error: From<LogError>;

    /// The next record, and the byte of the file its line begins at.
    ///
    /// # Errors
    /// Its own; the reading ends, and the file is left as it was.
    fn record(&mut self, offset: u64, record: &[u8]) -> Result<(), Self::Error>;

    /// There are no more, and `offset` is where the next one would begin. `torn` is how a torn tail begins, which has
    /// not been cut off yet.
    ///
    /// # Errors
    /// As [`Take::record`].
    fn end(&mut self, offset: u64, torn: &[u8]) -> Result<(), Self::Error>;
}

impl Take for Vec<Vec<u8>> {
    type Error = LogError;

    fn record(&mut self, _: u64, record: &[u8]) -> Result<(), LogError> {
        self.push(record.to_vec());
        Ok(())
    }

    fn end(&mut self, _: u64, _: &[u8]) -> Result<(), LogError> {
        Ok(())
    }
}

/// Reads a log without opening it: for whoever only looks, beside the one who writes. A torn tail is left
/// alone and not handed out.
///
/// # Errors
/// [`LogError::Io`], [`LogError::Foreign`] and [`LogError::Damaged`], as [`Log::open`]; and those of `taker`.
pub fn read<T: Take>(files: &dyn Files, path: &Path, taker: &mut T) -> Result<(), T::Error> {
    let content = files.read(path).map_err(|source| io_error(path, source))?;
    if !content.starts_with(line::HEADER) {
        return Err(LogError::Foreign { path: path.to_owned() }.into());
    }
    let piece = |bytes: &mut [u8], offset: u64| {
        let rest = content.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(count)
    };
    let take = |offset, record: &[u8]| taker.record(offset, record);
    let end = line::scan(piece, first_record(), take).map_err(|stop| stopped(path, stop))?;
    taker.end(end.good, &end.torn)
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
#[expect(clippy::struct_excessive_bools, reason = "each is a trouble that is there or not by itself")]
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
    /// The file took its name, and the folder has not been synced since: after a power cut another file may have it.
    unnamed: bool,
    /// A new file is taking its place.
    swapping: bool,
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
        let mut records = Vec::new();
        let (log, recovery) = Self::open_with(files, path, &mut records)?;
        Ok(Opened { log, records, recovery })
    }

    /// The same for whoever takes the records one by one.
    ///
    /// # Errors
    /// As [`Log::open`], and those of `taker`, which leave the file untouched too.
    pub fn open_with<T: Take>(
        files: Arc<dyn Files>,
        path: &Path,
        taker: &mut T,
    ) -> Result<(Self, Recovery), T::Error> {
        let fault = |source: io::Error| io_error(path, source);
        let file = files.open(path).map_err(fault)?;
        let whole = file.size().map_err(fault)?;
        let mut head = vec![0; line::HEADER.len()];
        let mut known = 0;
        while let count @ 1.. =
            file.read_at(head.get_mut(known..).unwrap_or_default(), u64_of(known)).map_err(fault)?
        {
            known += count;
        }
        head.truncate(known);
        let created = head != line::HEADER;
        let good = if created {
            // A header that never reached the disk whole: the log was being created when the power went.
            let torn = line::HEADER.starts_with(&head) || is_blank(file.as_ref()).map_err(fault)?;
            if !torn {
                return Err(LogError::Foreign { path: path.to_owned() }.into());
            }
            file.set_len(0).map_err(fault)?;
            file.write_at(line::HEADER, 0).map_err(fault)?;
            taker.end(first_record(), &[])?;
            first_record()
        } else {
            let take = |offset, record: &[u8]| taker.record(offset, record);
            let scanned = line::scan(|bytes, offset| file.read_at(bytes, offset), first_record(), take);
            let line::End { good, torn } = scanned.map_err(|stop| stopped(path, stop))?;
            taker.end(good, &torn)?;
            if good < whole {
                file.set_len(good).map_err(fault)?;
            }
            good
        };
        // What was read may still be only in memory, after a kill, and so may be the name of the file: promise both
        // before building on them.
        file.sync().map_err(fault)?;
        // A rewrite that did not come to its end left it.
        files.remove(&beside(path)).map_err(fault)?;
        files.sync_folder(folder_of(path)).map_err(fault)?;
        let dropped = if created { whole } else { whole - good };
        let log = Self {
            files,
            path: path.to_owned(),
            file,
            len: good,
            synced: good,
            unsynced: Vec::new(),
            suspect: false,
            ragged: false,
            unnamed: false,
            swapping: false,
            generation: 0,
            failures: 0,
        };
        Ok((log, Recovery { dropped, created }))
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
        if self.swapping {
            return Err(LogError::Swapping { path: self.path.clone() });
        }
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
            name: self.unnamed.then(|| (Arc::clone(&self.files), self.path.clone())),
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
                self.unnamed = false;
                Ok(())
            }
            Err(source) => {
                self.suspect = true;
                self.failures += 1;
                Err(io_error(&self.path, source))
            }
        }
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

    /// True while nothing of the log may be relied on after a power cut but what was in the file before it.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.unnamed
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
    /// The folder to sync, too.
    name: Option<(Arc<dyn Files>, PathBuf)>,
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
        let name = || self.name.map_or(Ok(()), |(files, path)| files.sync_folder(folder_of(&path)));
        Synced {
            outcome: again.and_then(|()| self.file.sync()).and_then(|()| name()),
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

/// True for a file of NULs alone.
fn is_blank(file: &dyn OpenFile) -> io::Result<bool> {
    let mut piece = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let count = file.read_at(&mut piece, at)?;
        if count == 0 {
            return Ok(true);
        }
        if piece.iter().take(count).any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += u64_of(count);
    }
}
