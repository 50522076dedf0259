//! The ring: the last lines in memory, numbered without a gap, in blocks that are used again and again.
//!
//! ```text
//!  oldest block                                    newest block
//! ┌─────────────────┬─────────────────┬─── ─ ─ ───┬──────────────┐
//! │ first, records… │ first, records… │           │ first, rec…  │ ◀── a record is appended, never moved
//! └─────────────────┴─────────────────┴─── ─ ─ ───┴──────────────┘
//!   goes as a whole when the room is used up
//! ```

use std::collections::VecDeque;

/// Bytes of a block. Blocks are the unit in which old lines go.
const BLOCK: usize = 256 * 1024;
/// Bytes before a record's text.
const HEAD: usize = 32;
/// Longest text kept of one record, in bytes.
pub(crate) const LONGEST_TEXT: usize = 8 * 1024;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line.
    Line,
    /// So many more lines like an earlier one, beyond what one template may have.
    Folded,
    /// So many lines are missing here.
    Lost,
}

/// One thing in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is.
    pub kind: Kind,
    /// 0 emergency to 7 debug.
    pub severity: u8,
    /// Where it came in, or for lost lines where they went: a number of [`crate::Source`] or [`crate::Stage`].
    pub source: u8,
    /// Number of the node's name.
    pub node: u16,
    /// Number of the program's name.
    pub program: u16,
    /// Number of the node's boot; 0 unknown.
    pub boot: u32,
    /// Number of its template.
    pub template: u32,
    /// How many lines it stands for.
    pub count: u32,
    /// When, in milliseconds since 1970 by the boss's clock.
    pub at: u64,
    /// What it says, as it came.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let text = self.text.get(..LONGEST_TEXT).unwrap_or(self.text);
        let mut head = [0; HEAD];
        let kind = match self.kind {
            Kind::Line => 0,
            Kind::Folded => 1,
            Kind::Lost => 2,
        };
        let length = u16::try_from(text.len()).unwrap_or_default();
        put(&mut head, 0, &length.to_le_bytes());
        put(&mut head, 2, &[kind, self.severity, self.source]);
        put(&mut head, 6, &self.node.to_le_bytes());
        put(&mut head, 8, &self.program.to_le_bytes());
        put(&mut head, 12, &self.boot.to_le_bytes());
        put(&mut head, 16, &self.template.to_le_bytes());
        put(&mut head, 20, &self.count.to_le_bytes());
        put(&mut head, 24, &self.at.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(text);
    }

    /// The record that begins `bytes`, and what follows it.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let [l0, l1, kind, severity, source, _, n0, n1, p0, p1, _, _, rest_of_head @ ..] = head;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([*l0, *l1])))?;
        let (words, _) = rest_of_head.as_chunks::<4>();
        let [boot, template, count, at @ ..] = words else { return None };
        let at: [u8; 8] = at.as_flattened().try_into().ok()?;
        let record = Self {
            kind: match kind {
                0 => Kind::Line,
                1 => Kind::Folded,
                _ => Kind::Lost,
            },
            severity: *severity,
            source: *source,
            node: u16::from_le_bytes([*n0, *n1]),
            program: u16::from_le_bytes([*p0, *p1]),
            boot: u32::from_le_bytes(*boot),
            template: u32::from_le_bytes(*template),
            count: u32::from_le_bytes(*count),
            at: u64::from_le_bytes(at),
            text,
        };
        Some((record, rest))
    }
}

fn put(head: &mut [u8; HEAD], at: usize, bytes: &[u8]) {
    if let Some(place) = head.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[derive(Debug, Default)]
struct Block {
    /// Number of its first record.
    first: u64,
    count: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn records(&self) -> impl Iterator<Item = (u64, Record<'_>)> {
        let mut rest = self.bytes.as_slice();
        let records = std::iter::from_fn(move || {
            let (record, after) = Record::read(rest)?;
            rest = after;
            Some(record)
        });
        (self.first..).zip(records)
    }
}

/// The last records, oldest first.
#[derive(Debug)]
pub struct Ring {
    blocks: VecDeque<Block>,
    most: usize,
    next: u64,
}

impl Ring {
    /// A ring of so many bytes, in whole blocks, at least two.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { blocks: VecDeque::new(), most: (bytes / BLOCK).max(2), next: 1 }
    }

    /// Appends a record and gives its number; the first is 1.
    pub fn push(&mut self, record: &Record<'_>) -> u64 {
        let room = self.blocks.back().map_or(0, |block| BLOCK.saturating_sub(block.bytes.len()));
        if room < HEAD + record.text.len().min(LONGEST_TEXT) {
            self.begin_block();
        }
        let number = self.next;
        if let Some(block) = self.blocks.back_mut() {
            record.write(&mut block.bytes);
            block.count += 1;
            self.next += 1;
        }
        number
    }

    fn begin_block(&mut self) {
        let used = if self.blocks.len() < self.most { None } else { self.blocks.pop_front() };
        let mut block =
            used.unwrap_or_else(|| Block { bytes: Vec::with_capacity(BLOCK), ..Block::default() });
        block.bytes.clear();
        (block.first, block.count) = (self.next, 0);
        self.blocks.push_back(block);
    }

    /// Number of the oldest record kept.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.blocks.front().map_or(self.next, |block| block.first)
    }

    /// Number that the next record will have.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Bytes that are used.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.capacity()).sum()
    }

    /// Records from number `from` on that are still kept, oldest first.
    pub fn from(&self, from: u64) -> impl Iterator<Item = (u64, Record<'_>)> {
        let first = self.blocks.partition_point(|block| block.first + block.count <= from);
        self.blocks.range(first..).flat_map(move |block| {
            let skip = usize::try_from(from.saturating_sub(block.first)).unwrap_or(usize::MAX);
            block.records().skip(skip)
        })
    }

    /// Everything kept in pieces: the newest piece first, in each the oldest record first.
    pub fn newest_first(&self) -> impl Iterator<Item = impl Iterator<Item = (u64, Record<'_>)>> {
        self.blocks.iter().rev().map(Block::records)
    }

    /// Number of the first record at or after a time, in milliseconds; the next one's where all are older. Times of
    /// neighbours may be out of order by a little, and so may be what this gives.
    #[must_use]
    pub fn at(&self, time: u64) -> u64 {
        let from = self
            .blocks
            .partition_point(|block| Record::read(&block.bytes).is_some_and(|(first, _)| first.at < time));
        let from = self.blocks.get(from.saturating_sub(1)).map_or(self.next, |block| block.first);
        self.from(from).find(|(_, record)| record.at >= time).map_or(self.next, |(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8], at: u64) -> Record<'_> {
        Record {
            kind: Kind::Line,
            severity: 4,
            source: 2,
            node: 300,
            program: 301,
            boot: 70_000,
            template: 70_001,
            count: 70_002,
            at,
            text,
        }
    }

    #[test]
    fn what_goes_in_comes_out_under_its_number_and_the_oldest_goes_first() {
        let mut ring = Ring::new(3 * BLOCK);
        let mut texts = Vec::new();
        for number in 0..4_000_u64 {
            let text = vec![b'x'; usize::try_from(number * 7 % 700).unwrap()];
            assert_eq!(ring.push(&line(&text, number)), number + 1);
            texts.push(text);
        }
        assert!(ring.bytes() <= 3 * BLOCK, "{} bytes", ring.bytes());
        assert!(ring.oldest() > 1 && ring.next() == 4_001, "{} to {}", ring.oldest(), ring.next());
        for from in [0, ring.oldest() - 1, ring.oldest(), ring.oldest() + 1, 3_000, 4_000, 4_001, 9_999] {
            let mut expected = from.max(ring.oldest());
            for (number, record) in ring.from(from) {
                assert_eq!(number, expected, "from {from}");
                let index = usize::try_from(number - 1).unwrap();
                assert_eq!(record, line(&texts[index], number - 1));
                expected += 1;
            }
            assert_eq!(expected.max(4_001), 4_001.max(from), "from {from} to the end");
        }
    }

    #[test]
    fn a_moment_is_found() {
        let mut ring = Ring::new(3 * BLOCK);
        for number in 1..=5_000_u64 {
            ring.push(&line(&[b'x'; 200], number * 10));
        }
        for time in [ring.oldest() * 10, 40_000, 40_001, 49_999, 50_000] {
            assert_eq!(ring.at(time), time.div_ceil(10), "{time}");
        }
        assert_eq!((ring.at(0), ring.at(50_001)), (ring.oldest(), 5_001));
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let mut ring = Ring::new(0);
        ring.push(&line(&vec![b'x'; 100_000], 1));
        assert_eq!(ring.from(0).next().unwrap().1.text.len(), LONGEST_TEXT);
    }
}
