//! A new file in the place of a log's: written beside it while records are appended, then renamed over it.
//!
//! ```text
//!   begin_rewrite ─▶ write.. ─▶ follow ─▶ begin_swap ─▶ run ─▶ finish_swap
//!   the log goes on │ any thread, in pieces │ nothing is appended │ the log goes on in the new file
//! ```
//!
//! A power cut at any point leaves the old file, or the new one with all that was in the old one when it took its place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::{io_error, stopped};
use super::{Log, LogError};
use crate::files::{Files, OpenFile, beside, folder_of};
use crate::line::{self, u64_of};

/// Bytes written before they are synced. A file system that orders its writes makes the sync of one small record wait for
/// all that was written before it: this is the most it waits for.
const PIECE: usize = 1 << 20;

/// A new file for a log, not yet in its place.
#[derive(Debug)]
pub struct Rewrite {
    files: Arc<dyn Files>,
    path: PathBuf,
    old: Arc<dyn OpenFile>,
    /// Counts rewrites: whose records it stands for.
    generation: u64,
    /// Bytes of the old file that the new one stands for.
    covered: u64,
    fresh: Option<Arc<dyn OpenFile>>,
    /// Bytes in the new file, and on the medium.
    len: u64,
    /// Lines that are not in the new file yet.
    piece: Vec<u8>,
}

impl Rewrite {
    /// Writes one record behind those written before.
    ///
    /// # Errors
    /// [`LogError::Io`], most likely a full disk, and [`LogError::Unwritable`]. The log is as before; give up.
    pub fn write(&mut self, record: &[u8]) -> Result<(), LogError> {
        if line::forbidden(record) {
            return Err(LogError::Unwritable);
        }
        line::write(&mut self.piece, record);
        if self.piece.len() >= PIECE { self.settle().map(drop) } else { Ok(()) }
    }

    /// Writes what was appended to the log since, up to byte `upto` of it, and syncs.
    ///
    /// # Errors
    /// As [`Rewrite::write`], and [`LogError::Damaged`] when the old file cannot be read back.
    pub fn follow(&mut self, upto: u64) -> Result<(), LogError> {
        let old = Arc::clone(&self.old);
        let read = |bytes: &mut [u8], offset: u64| {
            let most = usize::try_from(upto.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
            old.read_at(bytes.get_mut(..most).unwrap_or_default(), offset)
        };
        let from = self.covered;
        let reached = line::scan(read, from, |_, record| self.write(record));
        let path = self.path.clone();
        let reached = reached.map_err(|stop| stopped(&path, stop))?.good;
        if reached < upto {
            return Err(LogError::Damaged { path, offset: reached });
        }
        self.covered = upto;
        self.settle().map(drop)
    }

    /// Puts what is written on the medium. Bytes in the new file.
    ///
    /// # Errors
    /// As [`Rewrite::write`].
    pub fn settle(&mut self) -> Result<u64, LogError> {
        let path = self.path.clone();
        self.settle_once().map_err(|source| io_error(&path, source))?;
        Ok(self.len)
    }

    fn settle_once(&mut self) -> io::Result<()> {
        let fresh = match &self.fresh {
            Some(fresh) => fresh,
            None => {
                let file = self.files.open(&beside(&self.path))?;
                file.set_len(0)?;
                file.write_at(line::HEADER, 0)?;
                self.len = u64_of(line::HEADER.len());
                self.fresh.insert(file)
            }
        };
        fresh.write_at(&self.piece, self.len)?;
        fresh.sync()?;
        self.len += u64_of(self.piece.len());
        self.piece.clear();
        Ok(())
    }

    /// Gives up: the new file is removed. It would only take room; the next rewrite would begin it anew.
    pub fn abandon(self) {
        drop(self.files.remove(&beside(&self.path)));
    }
}

impl Log {
    /// Begins a new file for this log. Nothing is done to a disk yet: let another thread write what stands for all the
    /// records that are in the log now, and follow what is appended meanwhile.
    #[must_use]
    pub fn begin_rewrite(&self) -> Rewrite {
        Rewrite {
            files: Arc::clone(&self.files),
            path: self.path.clone(),
            old: Arc::clone(&self.file),
            generation: self.generation,
            covered: self.len,
            fresh: None,
            len: 0,
            piece: Vec::new(),
        }
    }

    /// Bytes that were appended and that the new file does not stand for yet.
    #[must_use]
    pub fn ahead_of(&self, rewrite: &Rewrite) -> u64 {
        self.len.saturating_sub(rewrite.covered)
    }

    /// The new file shall take this one's place. Nothing can be appended until [`Log::finish_swap`].
    #[must_use]
    pub fn begin_swap(&mut self, rewrite: Rewrite) -> Swap {
        self.swapping = true;
        let stale = rewrite.generation != self.generation;
        Swap { rewrite, upto: self.len, stale }
    }

    /// Takes the outcome of a swap. All that the log held is on the medium then.
    ///
    /// # Errors
    /// [`LogError::Io`], most likely a full disk: the log goes on in the old file. Where only the folder could not be
    /// synced, it goes on in the new one, and nothing new may be relied on until the next sync.
    pub fn finish_swap(&mut self, swapped: Swapped) -> Result<(), LogError> {
        self.swapping = false;
        let Swapped { rewrite, outcome, named } = swapped;
        let Some(file) = rewrite.fresh.as_ref().filter(|_| named) else {
            rewrite.abandon();
            return outcome;
        };
        self.file = Arc::clone(file);
        self.len = rewrite.len;
        self.synced = self.len;
        self.unsynced.clear();
        self.suspect = false;
        self.ragged = false;
        self.unnamed = outcome.is_err();
        self.generation += 1;
        outcome
    }

    /// Replaces all records by these, on the medium when it returns. After a power cut the log is the old or the new
    /// one, never a mixture.
    ///
    /// # Errors
    /// As [`Log::finish_swap`].
    pub fn rewrite<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) -> Result<(), LogError> {
        let mut rewrite = self.begin_rewrite();
        if let Err(error) = records.into_iter().try_for_each(|record| rewrite.write(record)) {
            rewrite.abandon();
            return Err(error);
        }
        let swapped = self.begin_swap(rewrite).run();
        self.finish_swap(swapped)
    }
}

/// A new file about to take its place; see [`Log::begin_swap`].
#[derive(Debug)]
pub struct Swap {
    rewrite: Rewrite,
    upto: u64,
    /// Another file took the place of the one it stands for.
    stale: bool,
}

impl Swap {
    /// Follows to the end, renames and syncs the folder. Blocks for as long as the disk takes.
    #[must_use]
    pub fn run(mut self) -> Swapped {
        let path = self.rewrite.path.clone();
        let fault = |source| io_error(&path, source);
        let mut named = false;
        if self.stale {
            let outcome = Err(fault(io::Error::other("another new file took its place meanwhile")));
            return Swapped { rewrite: self.rewrite, outcome, named };
        }
        let outcome = self.rewrite.follow(self.upto).and_then(|()| {
            self.rewrite.files.rename(&beside(&path), &path).map_err(fault)?;
            named = true;
            self.rewrite.files.sync_folder(folder_of(&path)).map_err(fault)
        });
        Swapped { rewrite: self.rewrite, outcome, named }
    }
}

/// How a swap ended; see [`Log::finish_swap`].
#[derive(Debug)]
pub struct Swapped {
    rewrite: Rewrite,
    outcome: Result<(), LogError>,
    /// True once the new file has the name.
    named: bool,
}
