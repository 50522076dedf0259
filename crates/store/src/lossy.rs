//! A file layer in memory that forgets what was not synced when its power is cut: the judge of every durable room.
//!
//! It is stricter than most file systems: a synced file whose folder was not synced is gone after the cut.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Files, OpenFile, folder_of};

/// What of the unsynced operations reaches the medium when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// None.
    Nothing,
    /// The first so many bytes of them, in the order they were made; a rename or a creation counts as one byte.
    First(u64),
    /// Any of them, chosen by this seed: whole, in part, or not, in no order. What lies before a kept byte and was
    /// not kept reads as NULs.
    Scattered(u64),
    /// All.
    Everything,
}

type FileId = u64;

#[derive(Debug, Clone)]
enum Operation {
    Write { file: FileId, offset: u64, bytes: Vec<u8> },
    SetLen { file: FileId, len: u64 },
    Name { path: PathBuf, file: FileId },
    Unname { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
}

impl Operation {
    fn concerns_file(&self, wanted: FileId) -> bool {
        matches!(self, Self::Write { file, .. } | Self::SetLen { file, .. } if *file == wanted)
    }

    fn concerns_folder(&self, folder: &Path) -> bool {
        match self {
            Self::Write { .. } | Self::SetLen { .. } => false,
            Self::Name { path, .. } | Self::Unname { path } => folder_of(path) == folder,
            Self::Rename { to, .. } => folder_of(to) == folder,
        }
    }

    fn is_content(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::SetLen { .. })
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::SetLen { .. } | Self::Name { .. } | Self::Unname { .. } | Self::Rename { .. } => 1,
        }
    }
}

/// One picture of a disk: what is on it by name and content.
#[derive(Debug, Clone, Default)]
struct Picture {
    names: BTreeMap<PathBuf, FileId>,
    contents: BTreeMap<FileId, Vec<u8>>,
}

impl Picture {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { file, offset, bytes } => {
                let content = self.contents.entry(*file).or_default();
                let from = usize::try_from(*offset).unwrap_or(usize::MAX);
                let end = from.saturating_add(bytes.len());
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(target) = content.get_mut(from..end) {
                    target.copy_from_slice(bytes);
                }
            }
            Operation::SetLen { file, len } => {
                let len = usize::try_from(*len).unwrap_or(usize::MAX);
                self.contents.entry(*file).or_default().resize(len, 0);
            }
            Operation::Name { path, file } => {
                self.names.insert(path.clone(), *file);
            }
            Operation::Unname { path } => {
                self.names.remove(path);
            }
            Operation::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
        }
    }

    fn content(&self, path: &Path) -> Option<&Vec<u8>> {
        self.names.get(path).and_then(|file| self.contents.get(file))
    }
}

#[derive(Debug, Default)]
struct State {
    /// What programs see.
    seen: Picture,
    /// What is on the medium.
    durable: Picture,
    /// What was done and not synced, oldest first.
    pending: Vec<Operation>,
    next_file: FileId,
    /// Bytes the disk still has room for; `None` is no limit.
    space: Option<u64>,
    /// Operations until the power goes; `None` is never.
    power: Option<u64>,
    /// Syncs that will fail.
    failing_syncs: u32,
    /// The same of folders.
    failing_folder_syncs: u32,
    operations: u64,
    syncs: u64,
}

impl State {
    fn spend_power(&mut self) -> io::Result<()> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("the power is off")),
            Some(left) => {
                *left -= 1;
                self.operations += 1;
                Ok(())
            }
            None => {
                self.operations += 1;
                Ok(())
            }
        }
    }

    /// What has this name takes no room any more.
    fn give_room_of(&mut self, path: &Path) {
        let freed = self.seen.content(path).map_or(0, Vec::len);
        if let Some(space) = &mut self.space {
            *space += u64::try_from(freed).unwrap_or(u64::MAX);
        }
    }

    fn act(&mut self, operation: Operation) {
        self.seen.apply(&operation);
        self.pending.push(operation);
    }

    fn settle(&mut self, concerns: impl Fn(&Operation) -> bool) -> io::Result<()> {
        self.spend_power()?;
        if self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            // As Linux does: the pages are dropped from what will be written, yet readers still see them. Names are not
            // pages: they wait in the file system's own journal.
            self.pending.retain(|operation| !operation.is_content() || !concerns(operation));
            return Err(io::Error::other("the medium refused"));
        }
        self.syncs += 1;
        let durable = &mut self.durable;
        self.pending.retain(|operation| {
            let now = concerns(operation);
            if now {
                durable.apply(operation);
            }
            !now
        });
        Ok(())
    }
}

/// The lossy file layer. Clones show the same disk.
#[derive(Clone, Default)]
pub struct LossyFiles(Arc<Mutex<State>>);

impl fmt::Debug for LossyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LossyFiles").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

impl LossyFiles {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves room for so many more bytes; a write beyond it is done in part and fails with "disk full".
    pub fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    /// Lets the next syncs fail, losing what they should have written.
    pub fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    /// Lets the next syncs of folders fail. The names in them are not lost by it.
    pub fn fail_folder_syncs(&self, count: u32) {
        self.state().failing_folder_syncs = count;
    }

    /// Cuts the power after so many more operations (writes, syncs, renames): the rest fail.
    pub fn cut_power_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    /// Operations done so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Syncs that succeeded so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Bytes and names that a power cut now could lose.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.state().pending.iter().map(Operation::bytes).sum()
    }

    /// The disk as a machine finds it when the power is back. The old one is left as it was, so that one run can be
    /// cut in many ways.
    #[must_use]
    pub fn after_power_cut(&self, kept: Kept) -> Self {
        let state = self.state();
        let mut disk = state.durable.clone();
        let mut budget = match kept {
            Kept::Nothing | Kept::Scattered(_) => 0,
            Kept::First(bytes) => bytes,
            Kept::Everything => u64::MAX,
        };
        let mut dice = Dice(match kept {
            Kept::Scattered(seed) => seed,
            Kept::Nothing | Kept::First(_) | Kept::Everything => 0,
        });
        for operation in &state.pending {
            let size = operation.bytes();
            let part = if let Kept::Scattered(_) = kept {
                dice.below(size * 2 + 1).min(size)
            } else {
                budget.min(size)
            };
            budget -= part.min(budget);
            match operation {
                Operation::Write { file, offset, bytes } if part > 0 => {
                    let part = usize::try_from(part).unwrap_or(usize::MAX);
                    let bytes = bytes.get(..part).unwrap_or(bytes).to_vec();
                    disk.apply(&Operation::Write { file: *file, offset: *offset, bytes });
                }
                _ if part > 0 => disk.apply(operation),
                _ => {}
            }
        }
        let next_file = state.next_file;
        Self(Arc::new(Mutex::new(State { seen: disk.clone(), durable: disk, next_file, ..State::default() })))
    }
}

/// A small generator (xorshift): the same seed scatters in the same way.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        let mut x = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        (x >> 11) % limit.max(1)
    }
}

impl Files for LossyFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.state().seen.content(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.state();
        let file = if let Some(file) = state.seen.names.get(path).copied() {
            file
        } else {
            state.spend_power()?;
            state.next_file += 1;
            let file = state.next_file;
            state.seen.contents.insert(file, Vec::new());
            state.durable.contents.insert(file, Vec::new());
            state.act(Operation::Name { path: path.to_owned(), file });
            file
        };
        Ok(Arc::new(LossyFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend_power()?;
        if !state.seen.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.give_room_of(to);
        state.act(Operation::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.spend_power()?;
        state.give_room_of(path);
        state.act(Operation::Unname { path: path.to_owned() });
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.failing_folder_syncs > 0 {
            state.spend_power()?;
            state.failing_folder_syncs -= 1;
            return Err(io::Error::other("the medium refused"));
        }
        state.settle(|operation| operation.concerns_folder(folder))
    }
}

#[derive(Debug)]
struct LossyFile {
    disk: LossyFiles,
    file: FileId,
}

impl OpenFile for LossyFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let content = state.seen.contents.get(&self.file).map(Vec::as_slice).unwrap_or_default();
        let rest = content.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        Ok(u64::try_from(state.seen.contents.get(&self.file).map_or(0, Vec::len)).unwrap_or(u64::MAX))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.spend_power()?;
        let size = state.seen.contents.get(&self.file).map_or(0, Vec::len);
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let growth = (offset + count).saturating_sub(size);
        let fits = state.space.is_none_or(|space| growth <= space);
        let missing = state.space.map_or(0, |space| growth.saturating_sub(space));
        if let Some(space) = &mut state.space {
            *space -= growth.min(*space);
        }
        let part = usize::try_from(count.saturating_sub(missing)).unwrap_or(usize::MAX);
        let bytes = bytes.get(..part).unwrap_or(bytes).to_vec();
        state.act(Operation::Write { file: self.file, offset, bytes });
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.spend_power()?;
        let size = state.seen.contents.get(&self.file).map_or(0, Vec::len);
        let freed = u64::try_from(size).unwrap_or(u64::MAX).saturating_sub(len);
        if let Some(space) = &mut state.space {
            *space += freed;
        }
        state.act(Operation::SetLen { file: self.file, len });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().settle(|operation| operation.concerns_file(self.file))
    }
}
