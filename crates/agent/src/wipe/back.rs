//! Reading back: what must be zeros is, no signature is left, and what was promised holds all over the disk.

use std::io;

use super::disk::{BLOCK, Disk, Range};
use super::plan::Plan;
use super::signature;

/// Read at once.
const PIECE: u64 = 1 << 20;
/// A stretch up to this long is read back whole; of a longer one both ends, and samples between.
const WHOLE: u64 = 64 << 20;
/// Of a long stretch, one block in this many bytes.
const EVERY: u64 = 16 << 20;
/// Samples over a whole disk.
const SAMPLES: u64 = 4096;
/// Bytes shown of what was found.
const SHOWN: usize = 8;

/// A block with nothing in it.
const NONE: &[u8] = &[0; 4096];

/// Why reading back failed, for a person.
pub(super) type Why = String;

/// Reads back all that was overwritten, and looks for every signature that is known.
///
/// # Errors
/// The first byte that is not as it must be, or cannot be read.
pub(super) fn check(disk: &Disk, plan: &Plan, tell: &dyn Fn(u64, u64)) -> Result<(), Why> {
    let pieces: Vec<Range> =
        plan.heads.iter().chain(&plan.secrets).flat_map(|range| read_of(*range)).collect();
    let of: u64 = pieces.iter().map(|piece| piece.len).sum();
    let mut done = 0;
    for piece in pieces {
        zeros(disk, piece)?;
        done += piece.len;
        tell(done, of);
    }
    for part in &plan.parts {
        match signature::first(disk, *part) {
            Ok(None) => {}
            Ok(Some(found)) => {
                return Err(format!("byte {}: still the signature of {}", found.at, found.name));
            }
            Err((at, why)) => return Err(unreadable(at, &why)),
        }
    }
    Ok(())
}

/// Reads blocks spread over the whole disk, one at random in each stretch: whoever lies cannot know which. How many.
///
/// # Errors
/// As [`check`].
pub(super) fn sample(disk: &Disk, random: impl FnMut() -> u64, tell: &dyn Fn(u64, u64)) -> Result<u32, Why> {
    let spots = spots(disk, random);
    let of = u64::try_from(spots.len()).unwrap_or(u64::MAX);
    let mut read = 0;
    for range in spots {
        zeros(disk, range)?;
        read += 1;
        tell(u64::from(read), of);
    }
    Ok(read)
}

/// What lay in blocks all over the disk before it erased itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Before(Vec<(Range, store::Digest)>);

impl Before {
    /// Reads one block at random in each stretch. What cannot be read, or holds nothing, is not waited for afterwards.
    pub(super) fn of(disk: &Disk, random: impl FnMut() -> u64) -> Self {
        let held = |range: Range| {
            let bytes = disk.read(range.at, range.len).ok()?;
            (!is_empty(&bytes)).then(|| (range, store::Digest::of(&bytes)))
        };
        Self(spots(disk, random).into_iter().filter_map(held).collect())
    }
}

/// Reads the same blocks again: none may hold what it held. What else is there nobody promised: a drive with a new key
/// shows noise. How many blocks.
///
/// # Errors
/// As [`check`].
pub(super) fn changed(disk: &Disk, before: &Before, tell: &dyn Fn(u64, u64)) -> Result<u32, Why> {
    let mut read = 0;
    let of = u64::try_from(before.0.len()).unwrap_or(u64::MAX);
    for (range, held) in &before.0 {
        let bytes = disk.read(range.at, range.len).map_err(|why| unreadable(range.at, &why))?;
        if !is_empty(&bytes) && store::Digest::of(&bytes) == *held {
            return Err(format!("byte {}: still holds what it held before", range.at));
        }
        read += 1;
        tell(u64::from(read), of);
    }
    Ok(read)
}

/// Nothing but zeros or nothing but ones: what drives show where nothing is (DLFEAT, NVM command set 1.0 figure 97).
fn is_empty(bytes: &[u8]) -> bool {
    [0, 0xff].iter().any(|nothing| bytes.iter().all(|byte| byte == nothing))
}

/// One block at random in each of some thousand stretches, but for the label's.
fn spots(disk: &Disk, mut random: impl FnMut() -> u64) -> Vec<Range> {
    let blocks = disk.bytes / BLOCK;
    let count = blocks.min(SAMPLES);
    let stretch = blocks.checked_div(count).unwrap_or(1).max(1);
    let spot = |number: u64| Range { at: (number * stretch + random() % stretch) * BLOCK, len: BLOCK };
    (0..count).map(spot).filter(|range| *range != super::label::PLACE).collect()
}

/// What is read of a stretch.
fn read_of(range: Range) -> Vec<Range> {
    if range.len <= WHOLE {
        return cut(range);
    }
    let end = WHOLE / 4;
    let (first, last) = (Range { len: end, ..range }, Range { at: range.end() - end, len: end });
    let step = usize::try_from(EVERY).unwrap_or(usize::MAX);
    let between = (first.end()..last.at).step_by(step).map(|at| Range { at, len: BLOCK.min(last.at - at) });
    cut(first).into_iter().chain(between).chain(cut(last)).collect()
}

fn cut(range: Range) -> Vec<Range> {
    let starts = (0..range.len.div_ceil(PIECE)).map(|n| range.at + n * PIECE);
    starts.map(|at| Range { at, len: PIECE.min(range.end() - at) }).collect()
}

fn zeros(disk: &Disk, range: Range) -> Result<(), Why> {
    let bytes = disk.read(range.at, range.len).map_err(|why| unreadable(range.at, &why))?;
    // Whole blocks are compared before single bytes are.
    let Some(block) = bytes.chunks(NONE.len()).position(|block| Some(block) != NONE.get(..block.len()))
    else {
        return Ok(());
    };
    let from = block * NONE.len();
    let first =
        bytes.get(from..).unwrap_or_default().iter().position(|byte| *byte != 0).unwrap_or_default() + from;
    let found = bytes.get(first..).unwrap_or_default().iter().take(SHOWN);
    let found: Vec<String> = found.map(|byte| format!("{byte:02x}")).collect();
    let at = range.at + u64::try_from(first).unwrap_or_default();
    Err(format!("byte {at}: found {}, where zeros must be", found.join(" ")))
}

fn unreadable(at: u64, why: &io::Error) -> Why {
    format!("byte {at}: cannot be read back: {why}")
}
