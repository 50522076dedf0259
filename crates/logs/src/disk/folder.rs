//! Segments as files of one folder: appended to, read, and taken off when there are too many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::Semaphore;

use super::form::{self, Piece};
use super::keeper::{Keeper, Spent, Wear, day};
use crate::stream::{Stream, wall};

/// How long lines may be in memory only.
const PERIOD: Duration = Duration::from_secs(5);
/// Viewers that read segments at once; more wait.
const READERS: usize = 2;

/// Segments on disk.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    wear: Wear,
    epoch: String,
    state: Mutex<State>,
    pub(crate) seats: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    spent: Spent,
    /// Ascending by number; the last may be the one that is written.
    segments: Vec<Segment>,
    open: Option<File>,
}

#[derive(Debug, Clone)]
struct Segment {
    number: u64,
    day: u64,
    bytes: u64,
}

impl Segment {
    fn name(&self) -> String {
        format!("{:08}.{}", self.number, self.day)
    }
}

/// Writes what is worth it from now on, on a thread of its own, and lets viewers read it. The thread ends with the process.
///
/// # Errors
/// The folder cannot be made or read.
pub fn keep(stream: &Stream, path: &Path, wear: Wear) -> io::Result<()> {
    let folder = Arc::new(Folder::open(path, wear, stream.epoch().to_owned())?);
    stream.read_from(Arc::clone(&folder));
    let stream = stream.clone();
    std::thread::Builder::new().name("logs-disk".to_owned()).spawn(move || {
        let mut keeper = folder.keeper(wall());
        loop {
            if !folder.write_once(&stream, &mut keeper) {
                std::thread::park_timeout(PERIOD);
            }
        }
    })?;
    Ok(())
}

impl Folder {
    pub(super) fn open(path: &Path, wear: Wear, epoch: String) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            let parts = name.to_str().and_then(|name| name.split_once('.'));
            let Some((Ok(number), Ok(day))) = parts.map(|(number, day)| (number.parse(), day.parse())) else {
                continue;
            };
            segments.push(Segment { number, day, bytes: entry.metadata()?.len() });
        }
        segments.sort_by_key(|segment| segment.number);
        let in_all = segments.iter().map(|segment| segment.bytes).sum();
        let spent = Spent { in_all, a_day: wear.a_day, ..Spent::default() };
        let state = Mutex::new(State { spent, segments, open: None });
        Ok(Self { path: path.to_owned(), wear, epoch, state, seats: Semaphore::new(READERS) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the disk has had.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.state().spent
    }

    /// Who decides what goes here: it knows what was written today before.
    pub(super) fn keeper(&self, now: u64) -> Keeper {
        let today = day(now);
        let of_today = self.state().segments.iter().filter(|one| one.day == today).map(|one| one.bytes).sum();
        self.state().spent.today = of_today;
        Keeper::new(self.wear.a_day, (today, of_today))
    }

    /// Writes what is new. True when there is more.
    pub(super) fn write_once(&self, stream: &Stream, keeper: &mut Keeper) -> bool {
        let (batch, now) = stream.give(|intake, now| (keeper.batch(&mut intake.store, now), now));
        let mut failed = 0;
        if !batch.bytes.is_empty() {
            match self.append(&batch.bytes, day(now)) {
                Ok(bytes) => keeper.wrote(bytes),
                Err(why) => {
                    tracing::debug!("lines are not kept on disk: {why}");
                    failed = 1;
                    stream.give(|intake, _| keeper.failed(&batch, &mut intake.store));
                }
            }
        }
        let mut state = self.state();
        state.spent.today = keeper.today();
        state.spent.failures += failed;
        batch.more
    }

    /// Appends to the newest segment, or begins one; gives how many bytes that took. What failed leaves nothing.
    fn append(&self, bytes: &[u8], today: u64) -> io::Result<u64> {
        let mut state = self.state();
        let goes_on =
            state.segments.last().is_some_and(|one| one.day == today && one.bytes < self.wear.segment);
        let mut before = 0;
        if state.open.is_none() || !goes_on {
            if let Some(old) = state.open.take() {
                old.sync_data()?;
            }
            before = self.begin(&mut state, today)?;
        }
        let State { open, segments, spent } = &mut *state;
        let (Some(file), Some(segment)) = (open.as_mut(), segments.last_mut()) else { return Ok(before) };
        if let Err(why) = file.write_all(bytes) {
            // A record that is there in part would hide all that come behind it.
            if file.set_len(segment.bytes).is_err() {
                *open = None;
            }
            return Err(why);
        }
        let added = u64::try_from(bytes.len()).unwrap_or_default();
        segment.bytes += added;
        spent.in_all += added;
        self.shrink(&mut state);
        Ok(before + added)
    }

    fn begin(&self, state: &mut State, day: u64) -> io::Result<u64> {
        let number = state.segments.last().map_or(1, |last| last.number + 1);
        let head = form::begin(&self.epoch);
        let segment = Segment { number, day, bytes: u64::try_from(head.len()).unwrap_or_default() };
        let path = self.path.join(segment.name());
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(why) = file.write_all(&head) {
            drop(fs::remove_file(&path));
            return Err(why);
        }
        state.spent.in_all += segment.bytes;
        let bytes = segment.bytes;
        state.segments.push(segment);
        state.open = Some(file);
        Ok(bytes)
    }

    /// Takes the oldest off until all have room.
    fn shrink(&self, state: &mut State) {
        while state.spent.in_all > self.wear.in_all && state.segments.len() > 1 {
            let oldest = state.segments.remove(0);
            // A file that somebody else took off is off.
            drop(fs::remove_file(self.path.join(oldest.name())));
            state.spent.in_all = state.spent.in_all.saturating_sub(oldest.bytes);
        }
    }

    /// Reads what is there now, oldest first, but segments that were written before `since`. Ends when `each` says so.
    pub(crate) fn read(&self, since: u64, mut each: impl FnMut(&str, Piece<'_>) -> bool) {
        // The newest may grow meanwhile: only what is whole now is read.
        let segments = self.state().segments.clone();
        for segment in segments {
            let Ok(file) = File::open(self.path.join(segment.name())) else { continue };
            let written = file.metadata().and_then(|about| about.modified()).ok();
            let written = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.as_millis());
            if written.is_some_and(|at| at < u128::from(since)) {
                continue;
            }
            let mut bytes = Vec::new();
            if file.take(segment.bytes).read_to_end(&mut bytes).is_err() {
                continue;
            }
            let Some((epoch, mut pieces)) = form::read(&bytes) else { continue };
            if !pieces.all(|piece| each(epoch, piece)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
