//! Which stretches of a disk are overwritten: every place where something could say what was there.

use super::disk::{Disk, Range};
use super::{copies, label, signature, table};

/// Overwritten at the start of the disk and of each partition: as long as the longest header, LUKS2's.
const HEAD: u64 = 16 << 20;
/// Overwritten at the end: GPT, md and ZFS keep theirs within the last mebibyte.
const TAIL: u64 = 1 << 20;

/// What is overwritten and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The disk and its partitions.
    pub(super) parts: Vec<Range>,
    /// Heads, tails, and single blocks between, by place, apart from each other.
    pub(super) heads: Vec<Range>,
    /// Partitions that hold secrets, by place.
    pub(super) secrets: Vec<Range>,
}

impl Plan {
    /// Looks at the disk as it is now.
    pub(super) fn of(disk: &Disk) -> Self {
        let tables = table::read(disk);
        let mut parts = vec![Range { at: 0, len: disk.bytes }];
        parts.extend(tables.parts.iter().map(|part| part.range));
        let mut heads = tables.sectors.clone();
        for part in &parts {
            let (head, tail) = (part.len.min(HEAD), part.len.min(TAIL));
            heads.push(Range { at: part.at, len: head });
            heads.push(Range { at: part.end() - tail, len: tail });
            heads.extend(signature::places(*part));
            heads.extend(copies::of(disk, *part));
        }
        let secrets = joined(tables.secrets(), disk.bytes);
        Self { parts, heads: joined(heads, disk.bytes), secrets }
    }

    /// How many places of signatures it covers.
    pub(super) fn places(&self) -> usize {
        self.parts.iter().map(|part| signature::count(*part)).sum()
    }
}

/// By place, what touches or overlaps made one, and without the label's own place.
fn joined(mut ranges: Vec<Range>, end: u64) -> Vec<Range> {
    ranges.sort_unstable();
    let mut all: Vec<Range> = Vec::new();
    for range in ranges {
        let range = Range { at: range.at, len: range.end().min(end).saturating_sub(range.at) };
        match all.last_mut() {
            Some(last) if last.end() >= range.at => last.len = last.len.max(range.end() - last.at),
            _ => all.push(range),
        }
    }
    all.into_iter().flat_map(around_label).filter(|range| range.len > 0).collect()
}

/// The stretch before the label's place, and the one after it.
pub(super) fn around_label(range: Range) -> [Range; 2] {
    let place = label::PLACE;
    let before = range.end().min(place.at).saturating_sub(range.at);
    let from = range.at.max(place.end());
    [Range { at: range.at, len: before }, Range { at: from, len: range.end().saturating_sub(from) }]
}
