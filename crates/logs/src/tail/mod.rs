//! Files that others write: every line once, over rotation, truncation and restarts.
//!
//! ```text
//!  path ──the same file──▶ newest: read on from where it was
//!    │ └──shorter, or other first bytes──▶ a mark, and from its beginning
//!    ├──another file──▶ newest is leaving: its writer may not know yet; the files between, and then the new one
//!    └──nothing there──▶ newest is still read: perhaps it is being renamed
//! ```

mod keep;
mod reading;
mod siblings;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use keep::follow;
pub use reading::Position;
use reading::{Id, Reading, id};
use siblings::Age;

/// How long a file that was rotated away may be silent before it is let go, in milliseconds.
const GRACE: u64 = 60_000;
/// Files that are leaving at once; the oldest is let go for another one.
const LEAVING: usize = 8;

/// What a look at a file finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// The beginning of a line that is too long.
    Cut(&'a [u8]),
    /// Here lines may be missing: the file was cut short, or rotated away and gone before it was read.
    Gap,
}

/// One file, by its path.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    newest: Option<Reading>,
    leaving: VecDeque<Reading>,
    /// A file that appears from now on is new, and read from its beginning.
    begun: bool,
    kept: Vec<Position>,
    /// How old the newest was, when it could not be found again.
    gone: Option<Age>,
}

impl Tail {
    /// Of a path; `kept` is how far it was read before. Without that, reading begins at the end of what is there.
    #[must_use]
    pub const fn new(path: PathBuf, kept: Vec<Position>) -> Self {
        Self { path, newest: None, leaving: VecDeque::new(), begun: false, kept, gone: None }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How far it is read: of files that are leaving, and of the newest last.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        if !self.begun {
            return self.kept.clone();
        }
        let readings = self.leaving.iter().chain(&self.newest).map(Reading::position);
        let gone = self.gone.filter(|_| self.newest.is_none()).map(|(written, _)| Position::gone(written));
        readings.chain(gone).collect()
    }

    /// Reads what is new; `now` is in milliseconds, of any clock that only goes on. True when there is more.
    pub fn look(&mut self, now: u64, mut each: impl FnMut(Found<'_>)) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            self.resume(now, &mut each);
        }
        let mut more = false;
        for reading in &mut self.leaving {
            more |= reading.read_on(now, &mut each);
        }
        while self.leaving.front().is_some_and(|one| now.saturating_sub(one.heard) > GRACE) {
            self.let_go(&mut each);
        }
        if let Some(newest) = &mut self.newest {
            more |= newest.read_on(now, &mut each);
        }
        let there = fs::metadata(&self.path).ok().filter(fs::Metadata::is_file).map(|about| id(&about));
        let ours = self.newest.as_ref().map(|newest| newest.id);
        if there.is_none() || there == ours {
            return more;
        }
        // Its last lines come before the first of the next.
        if self.newest.as_mut().is_some_and(|newest| newest.read_on(now, &mut each)) {
            return true;
        }
        self.rotated(now, &mut each);
        true
    }

    /// Another file has the path.
    fn rotated(&mut self, now: u64, each: &mut impl FnMut(Found<'_>)) {
        let old = self.newest.take();
        let age = old.as_ref().map(|old| siblings::age_of(&self.path, old)).or(self.gone);
        if let Some(old) = old {
            self.leave(old, each);
        }
        if let Some(age) = age {
            let known: Vec<Id> = self.leaving.iter().map(|one| one.id).collect();
            for file in siblings::after(&self.path, age, &known) {
                let mut reading = Reading::new(file, 0, now);
                while reading.read_on(now, each) {}
                self.leave(reading, each);
            }
        }
        let Some(reading) = File::open(&self.path).ok().and_then(|file| Reading::of(file, 0, now)) else {
            return;
        };
        // One that was renamed back goes on where it was.
        let back = self.leaving.iter().position(|one| one.id == reading.id);
        self.newest = back.and_then(|at| self.leaving.remove(at)).or(Some(reading));
    }

    fn leave(&mut self, reading: Reading, each: &mut impl FnMut(Found<'_>)) {
        self.leaving.push_back(reading);
        if self.leaving.len() > LEAVING {
            self.let_go(each);
        }
    }

    fn let_go(&mut self, each: &mut impl FnMut(Found<'_>)) {
        if let Some(mut gone) = self.leaving.pop_front() {
            gone.finish(each);
        }
    }

    /// Goes on where the positions say, or at the end.
    fn resume(&mut self, now: u64, each: &mut impl FnMut(Found<'_>)) {
        let kept = std::mem::take(&mut self.kept);
        let Some(last) = kept.last() else {
            self.newest = File::open(&self.path).ok().and_then(|file| Reading::at_end(file, now));
            // Whatever is written from now on is new, whoever reads it.
            let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let since = (i64::try_from(passed.as_secs()).unwrap_or(i64::MAX), passed.subsec_nanos().into());
            self.gone = Some((since, Reverse(0)));
            return;
        };
        let files = siblings::all(&self.path);
        let found = |position: &Position| {
            let same = files.iter().filter(|one| position.fits(one.id)).map(|one| one.path.as_path());
            let mut readings = same.filter_map(|path| {
                let reading = Reading::of(File::open(path).ok()?, position.offset, now)?;
                position.begins(&reading).then_some(reading)
            });
            readings.next()
        };
        for position in &kept {
            match found(position) {
                Some(reading) if position == last => self.newest = Some(reading),
                Some(reading) => self.leaving.push_back(reading),
                None if position == last => {
                    if !position.is_gone() {
                        each(Found::Gap);
                    }
                    // The same file, cut short: what it has now was written since.
                    let same = files.iter().find(|one| position.fits(one.id));
                    let file = same.and_then(|one| File::open(&one.path).ok());
                    self.newest = file.and_then(|file| Reading::of(file, 0, now));
                    self.gone = Some((position.written, Reverse(0)));
                }
                // It had been read to its end, and is gone.
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
