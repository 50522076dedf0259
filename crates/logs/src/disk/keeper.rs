//! What goes to disk, and how much of it a day: values in, bytes out.

use super::form::Kept;
use crate::ring::{Kind, Record};
use crate::store::{Source, Stage, Store};

/// Milliseconds of a day.
const DAY: u64 = 24 * 3600 * 1000;
/// Lines this bad or worse go to disk (RFC 5424 table 2: warning).
const BAD: u8 = 4;
/// Bytes written at once, about.
const BATCH: usize = 256 * 1024;

/// How much may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wear {
    /// Bytes a day (UTC); 0 writes nothing.
    pub a_day: u64,
    /// Bytes that all segments may take; the oldest go first.
    pub in_all: u64,
    /// Bytes of one segment.
    pub segment: u64,
}

impl Default for Wear {
    /// 50 MB a day, 256 MB in all, in segments of 4 MB.
    fn default() -> Self {
        Self { a_day: 50_000_000, in_all: 256_000_000, segment: 4_000_000 }
    }
}

/// What the disk has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Bytes written today (UTC).
    pub today: u64,
    /// Bytes that may be written a day.
    pub a_day: u64,
    /// Bytes of all segments.
    pub in_all: u64,
    /// Writes that failed.
    pub failures: u64,
}

/// How far the disk is.
#[derive(Debug)]
pub(super) struct Keeper {
    next: u64,
    day: u64,
    today: u64,
    limit: u64,
    /// Lines that were worth it and are not on disk; the next record says so.
    missed: u64,
}

/// Bytes on their way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Lines in it.
    pub(super) lines: u64,
    /// Lines that it says are missing.
    told: u64,
    /// There is more.
    pub(super) more: bool,
}

pub(super) const fn day(now: u64) -> u64 {
    now / DAY
}

fn worth(record: &Record<'_>) -> bool {
    let lab = record.kind == Kind::Line && record.source == Source::Lab.number();
    record.severity <= BAD || lab
}

impl Keeper {
    /// From the first record of a store on. So much was written on that day before.
    pub(super) const fn new(limit: u64, (day, today): (u64, u64)) -> Self {
        Self { next: 1, day, today, limit, missed: 0 }
    }

    /// What is to be written now; what goes beyond the day's share is missed.
    pub(super) fn batch(&mut self, store: &mut Store, now: u64) -> Batch {
        if day(now) != self.day {
            (self.day, self.today) = (day(now), 0);
        }
        let mut batch = Batch::default();
        let oldest = store.oldest();
        if self.next < oldest {
            self.miss(store, oldest - self.next);
            self.next = oldest;
        }
        let (mut missed, mut full) = (0, false);
        let mut bytes = Vec::new();
        for (number, record) in store.ring.from(self.next) {
            if batch.bytes.len() >= BATCH {
                batch.more = true;
                break;
            }
            self.next = number + 1;
            if !worth(&record) {
                continue;
            }
            bytes.clear();
            if batch.bytes.is_empty() && self.missed > 0 {
                mark(self.missed, (number, record.at)).write(&mut bytes);
            }
            let (node, program) = (store.nodes.name(record.node), store.programs.name(record.program));
            Kept { number, node, program, record }.write(&mut bytes);
            let size = u64::try_from(batch.bytes.len() + bytes.len()).unwrap_or(u64::MAX);
            // A shorter one would still have room, but what is missing has one place.
            full |= self.today.saturating_add(size) > self.limit;
            if full {
                missed += 1;
                continue;
            }
            batch.told += std::mem::take(&mut self.missed);
            batch.bytes.extend_from_slice(&bytes);
            batch.lines += 1;
        }
        self.miss(store, missed);
        batch
    }

    /// It is on disk, with what else was written for it.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.today = self.today.saturating_add(bytes);
    }

    /// It is not, and never will be.
    pub(super) fn failed(&mut self, batch: &Batch, store: &mut Store) {
        self.missed += batch.told;
        self.miss(store, batch.lines);
    }

    fn miss(&mut self, store: &mut Store, lines: u64) {
        self.missed += lines;
        store.add_lost(Stage::Disk, lines);
    }

    pub(super) const fn today(&self) -> u64 {
        self.today
    }
}

fn mark(lines: u64, (number, at): (u64, u64)) -> Kept<'static> {
    let record = Record {
        kind: Kind::Lost,
        severity: BAD,
        source: Stage::Disk.number(),
        node: 0,
        program: 0,
        boot: 0,
        template: 0,
        count: u32::try_from(lines).unwrap_or(u32::MAX),
        at,
        text: &[],
    };
    Kept { number, node: "", program: "", record }
}
