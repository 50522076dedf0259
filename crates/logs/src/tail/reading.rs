//! An open file and how far it is read.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::UNIX_EPOCH;

use super::Found;

/// Longest line kept, in bytes.
const LONGEST: usize = 8 * 1024;
/// Bytes read in one go, and how often before others have their turn.
const PIECE: usize = 64 * 1024;
const TURN: usize = 16;
/// First bytes by which a file is known again.
const HEAD: usize = 32;

/// Device and number of a file, and when it was made, in nanoseconds since 1970: a number is given again. 0 where the file
/// system does not tell.
pub(super) type Id = (u64, u64, u64);

pub(super) fn id(about: &Metadata) -> Id {
    let born = about.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let born = born.and_then(|at| u64::try_from(at.as_nanos()).ok()).unwrap_or(0);
    (about.dev(), about.ino(), born)
}

/// When a file was written last: seconds and nanoseconds since 1970.
pub(super) type Written = (i64, i64);

/// How far a file is read: which file, by number and first bytes, where its next line begins, and how old it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    id: Id,
    pub(super) offset: u64,
    pub(super) written: Written,
    head: Vec<u8>,
}

impl Position {
    pub(super) fn fits(&self, id: Id) -> bool {
        self.id == id
    }

    /// No file is known; those written since are new.
    pub(super) const fn gone(written: Written) -> Self {
        Self { id: (0, 0, 0), offset: 0, written, head: Vec::new() }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.id == (0, 0, 0)
    }

    pub(super) fn begins(&self, reading: &Reading) -> bool {
        reading.length().is_some_and(|length| length >= self.offset) && reading.has_head(&self.head)
    }

    /// As text: `device:number:made:offset:seconds:nanoseconds:first bytes in hexadecimal`.
    #[must_use]
    pub fn text(&self) -> String {
        let head: String = self.head.iter().map(|byte| format!("{byte:02x}")).collect();
        let ((device, number, made), (seconds, nanoseconds)) = (self.id, self.written);
        format!("{device}:{number}:{made}:{}:{seconds}:{nanoseconds}:{head}", self.offset)
    }

    /// Reads that text.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (device, number, made) = (parts.next()?, parts.next()?, parts.next()?);
        let offset = parts.next()?;
        let written = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let head = parts.next()?.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        Some(Self {
            id: (device.parse().ok()?, number.parse().ok()?, made.parse().ok()?),
            offset: offset.parse().ok()?,
            written,
            head: head.collect::<Option<Vec<u8>>>()?,
        })
    }
}

#[derive(Debug)]
pub(super) struct Reading {
    file: File,
    pub(super) id: Id,
    /// Where the next byte is.
    at: u64,
    /// Where the line begins that is not complete.
    line: u64,
    partial: Vec<u8>,
    /// The rest of a line that is too long, or was begun before this one came.
    skipping: bool,
    head: Vec<u8>,
    /// When it was written last, as it was looked at last.
    seen: Written,
    /// When there was something new, in milliseconds.
    pub(super) heard: u64,
}

impl Reading {
    pub(super) fn new(file: (File, Id), at: u64, now: u64) -> Self {
        let (file, id) = file;
        Self {
            file,
            id,
            at,
            line: at,
            partial: Vec::new(),
            skipping: false,
            head: Vec::new(),
            seen: (0, 0),
            heard: now,
        }
        .with_head()
    }

    pub(super) fn of(file: File, at: u64, now: u64) -> Option<Self> {
        let about = file.metadata().ok().filter(Metadata::is_file)?;
        Some(Self::new((file, id(&about)), at, now))
    }

    /// From the end on; a line that is half written is not begun.
    pub(super) fn at_end(file: File, now: u64) -> Option<Self> {
        let end = file.metadata().ok()?.len();
        let mut reading = Self::of(file, end, now)?;
        let mut last = [b'\n'];
        if let Some(before) = end.checked_sub(1) {
            reading.file.read_exact_at(&mut last, before).ok()?;
        }
        reading.skipping = last != [b'\n'];
        Some(reading)
    }

    fn with_head(mut self) -> Self {
        self.learn_head();
        self
    }

    fn learn_head(&mut self) {
        let wanted = usize::try_from(self.at).unwrap_or(HEAD).min(HEAD);
        let mut head = vec![0; wanted];
        if self.head.len() < wanted && self.file.read_exact_at(&mut head, 0).is_ok() {
            self.head = head;
        }
    }

    fn has_head(&self, head: &[u8]) -> bool {
        let mut now = vec![0; head.len()];
        self.file.read_exact_at(&mut now, 0).is_ok() && now == head
    }

    pub(super) fn length(&self) -> Option<u64> {
        self.file.metadata().ok().map(|about| about.len())
    }

    pub(super) fn written(&self) -> Written {
        self.file.metadata().map_or((0, 0), |about| (about.mtime(), about.mtime_nsec()))
    }

    pub(super) fn position(&self) -> Position {
        Position { id: self.id, offset: self.line, written: self.written(), head: self.head.clone() }
    }

    /// Reads on. True when there is more.
    pub(super) fn read_on(&mut self, now: u64, each: &mut impl FnMut(Found<'_>)) -> bool {
        let Ok(about) = self.file.metadata() else { return false };
        let (length, written) = (about.len(), (about.mtime(), about.mtime_nsec()));
        // One that was cut short and is as long again was written meanwhile.
        if length == self.at && std::mem::replace(&mut self.seen, written) == written {
            return false;
        }
        self.seen = written;
        if length < self.at || !self.has_head(&self.head) {
            each(Found::Gap);
            (self.at, self.line, self.skipping) = (0, 0, false);
            self.partial.clear();
            self.head.clear();
        }
        let mut piece = vec![0; PIECE];
        for _ in 0..TURN {
            // A disk that cannot be read now is read later.
            let count = self.file.read_at(&mut piece, self.at).unwrap_or(0);
            if count == 0 {
                return false;
            }
            self.heard = now;
            self.take(piece.get(..count).unwrap_or_default(), each);
            self.learn_head();
        }
        true
    }

    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(Found<'_>)) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            self.keep(line, each);
            if !std::mem::take(&mut self.skipping) {
                each(Found::Line(&self.partial));
            }
            self.partial.clear();
            rest = after.get(1..).unwrap_or_default();
            self.at += 1;
            self.line = self.at;
        }
        self.keep(rest, each);
    }

    fn keep(&mut self, bytes: &[u8], each: &mut impl FnMut(Found<'_>)) {
        self.at += u64::try_from(bytes.len()).unwrap_or_default();
        if self.skipping {
            return;
        }
        let room = LONGEST.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if bytes.len() > room {
            each(Found::Cut(&self.partial));
            self.partial.clear();
            self.skipping = true;
        }
    }

    /// Nobody writes it any more: what has no end is its last line.
    pub(super) fn finish(&mut self, each: &mut impl FnMut(Found<'_>)) {
        if !self.partial.is_empty() && !self.skipping {
            each(Found::Line(&self.partial));
        }
        self.partial.clear();
    }
}
