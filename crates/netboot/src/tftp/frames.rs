//! DATA packets built once: runs of them as they go out, header and block in turn, shared by all who ask for the same
//! file with the same block size.
//!
//! A run is sent by one system call where the kernel cuts it up (`UDP_SEGMENT`), and a fleet that boots the same loader
//! copies its bytes once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::Range;

use bytes::Bytes;
use wire::tftp::Blocks;

use super::files::{Kept, Source};

/// Bytes of one run, about.
const RUN: u64 = 128 << 10;
/// Bytes of all runs that are kept.
const KEPT: usize = 16 << 20;

/// Names a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RunName {
    /// Of which file.
    pub(super) file: Kept,
    /// With which block size.
    pub(super) block: u16,
    /// Which one, from 0.
    pub(super) number: u64,
}

/// Blocks of one run: the same for all runs of a block size.
pub(super) fn blocks_in_run(block: u16) -> u64 {
    (RUN / (u64::from(block) + 4)).max(1)
}

/// The runs that are kept; the oldest goes first.
#[derive(Debug, Default)]
pub(super) struct Runs {
    kept: HashMap<RunName, Bytes>,
    order: VecDeque<RunName>,
    bytes: usize,
}

impl Runs {
    pub(super) fn get(&self, name: &RunName) -> Option<Bytes> {
        self.kept.get(name).cloned()
    }

    pub(super) fn keep(&mut self, name: RunName, run: Bytes) {
        self.bytes += run.len();
        if let Some(old) = self.kept.insert(name.clone(), run) {
            self.bytes -= old.len();
        } else {
            self.order.push_back(name);
        }
        while self.bytes > KEPT {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.kept.remove(&oldest).map_or(0, |run| run.len());
        }
    }
}

/// Where block `number` (from 1) begins in its run.
pub(super) fn place_in_run(number: u64, block: u16) -> (u64, usize) {
    let many = blocks_in_run(block);
    let (run, place) = ((number - 1) / many, (number - 1) % many);
    let frame = usize::from(block) + 4;
    (run, usize::try_from(place).unwrap_or(usize::MAX).saturating_mul(frame))
}

/// Builds the packets of these blocks; reads them from the disk where they lie there.
pub(super) fn build(source: &Source, blocks: Blocks) -> io::Result<Bytes> {
    let Range { start, end } = blocks.range();
    match source {
        Source::Memory(bytes) => {
            let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
            Ok(framed(blocks, start, bytes.get(at(start)..at(end)).unwrap_or_default()))
        }
        Source::Shelf(content) => {
            let mut data = vec![0; usize::try_from(end - start).unwrap_or_default()];
            let mut filled = 0;
            while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                let at = start + u64::try_from(filled).unwrap_or(u64::MAX);
                match content.read_at(rest, at)? {
                    // Shorter than it was when it was opened.
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => filled += count,
                }
            }
            Ok(framed(blocks, start, &data))
        }
    }
}

fn framed(blocks: Blocks, start: u64, data: &[u8]) -> Bytes {
    let count = blocks.size_hint().0;
    let mut out = Vec::with_capacity(data.len() + 4 * count);
    for block in blocks {
        let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
        out.extend_from_slice(&block.header);
        out.extend_from_slice(data.get(at(block.range.start)..at(block.range.end)).unwrap_or_default());
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_put_together_are_all_packets_of_the_file() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_be_bytes()[3]).collect();
        let source = Source::Memory(bytes.clone().into());
        let many = blocks_in_run(512);
        let mut content = Vec::new();
        for number in 0.. {
            let run = build(&source, Blocks::of_file(1_000_000, 512, number * many + 1, many)).unwrap();
            if run.is_empty() {
                break;
            }
            for (index, frame) in run.chunks(516).enumerate() {
                let block = number * many + 1 + u64::try_from(index).unwrap();
                assert_eq!(frame[..4], [0, 3, block.to_be_bytes()[6], block.to_be_bytes()[7]]);
                let (run, place) = place_in_run(block, 512);
                assert_eq!((run, place), (number, index * 516));
                content.extend_from_slice(&frame[4..]);
            }
        }
        assert!(content == bytes);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut runs = Runs::default();
        let name = |number| RunName { file: Kept::Loader("a".into(), false), block: 512, number };
        for number in 0..1000 {
            runs.keep(name(number), vec![0; 128 << 10].into());
            assert!(runs.bytes <= KEPT);
        }
        assert!(runs.get(&name(999)).is_some() && runs.get(&name(0)).is_none());
        assert_eq!(runs.kept.len(), runs.order.len());
    }
}
