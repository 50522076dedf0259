//! The wipe itself: the strongest method that the disk offers, then every place that could tell, then reading back.
//!
//! ```text
//! label "begun" ─▶ discard all ─▶ overwrite heads ─▶ read back ─▶ label "wiped"
//!                     │ cannot, or lies
//!                     └─▶ overwrite secrets ─▶ overwrite heads ─▶ read back ─▶ …
//! ```
//! From the end of the disk to its start: tables go last, so that a wipe that is cut off can be done again as well.

use std::io;
use std::time::Instant;

use model::{Digest, DiskLabel, LabelState, WipeMethod, WipeReport};
use rustix::rand::{GetRandomFlags, getrandom};

use super::disk::{Disk, Range};
use super::plan::{Plan, around_label};
use super::{back, label};

/// Written at once.
const PIECE: usize = 1 << 20;
/// Discarded at once, so that there is progress to tell of.
const DISCARD: u64 = 1 << 30;
/// Smaller disks are none.
const SMALLEST: u64 = 4 << 20;

/// Why there was no wipe, or no whole one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Something was destroyed already.
    pub(super) touched: bool,
    /// For a person.
    pub(super) why: String,
}

/// Tells what is being done, and how far it is: a phrase, bytes done, bytes in all.
pub(super) type Tell<'a> = &'a dyn Fn(&str, u64, u64);

/// Wipes a disk and reads it back. `label` is what is written on it afterwards.
///
/// # Errors
/// [`Fault`]: it is not wiped, and whether something of it is gone.
pub(super) fn run(
    disk: &Disk,
    label: &DiskLabel,
    digest: Digest,
    tell: Tell<'_>,
) -> Result<WipeReport, Fault> {
    let began = Instant::now();
    tell("reading its tables", 0, 0);
    untouched(disk)?;
    let plan = Plan::of(disk);
    let touched = |why: String| Fault { touched: true, why };
    let begun = DiskLabel { state: LabelState::Begun, ..label.clone() };
    label::write(disk, &begun, digest)
        .map_err(|why| touched(format!("its label cannot be written: {why}")))?;
    let mut passed_over = Vec::new();
    let mut overwritten = 0;
    let method = match discard_all(disk, tell) {
        Ok(()) => WipeMethod::Discard,
        Err(why) => {
            passed_over.push(format!("{}: {why}", WipeMethod::Discard));
            overwritten += overwrite(disk, &plan.secrets, "overwriting partitions with secrets", tell)
                .map_err(touched)?;
            WipeMethod::Overwrite
        }
    };
    overwritten += overwrite(disk, &plan.heads, "overwriting headers", tell).map_err(touched)?;
    disk.settle().map_err(|why| touched(format!("what was written cannot be brought to the disk: {why}")))?;
    back::check(disk, &plan, &|done, of| tell("reading back", done, of)).map_err(touched)?;
    let samples = match method.is_whole() {
        true => back::sample(disk, random, &|done, of| tell("reading samples", done, of)).map_err(touched)?,
        false => 0,
    };
    label::write(disk, label, digest)
        .map_err(|why| touched(format!("its label cannot be written: {why}")))?;
    let written =
        disk.read(label::PLACE.at, label::PLACE.len).ok().and_then(|block| label::read(&block, digest));
    if written.as_ref() != Some(label) {
        return Err(touched(format!("byte {}: its label was written and is not there", label::PLACE.at)));
    }
    Ok(WipeReport {
        method,
        passed_over,
        overwritten,
        places: u32::try_from(plan.places()).unwrap_or(u32::MAX),
        samples,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// A disk that is to be touched must be large enough, and readable at its ends: else nobody can say that it is wiped.
fn untouched(disk: &Disk) -> Result<(), Fault> {
    let refuse = |why: String| Err(Fault { touched: false, why });
    if disk.bytes < SMALLEST {
        return refuse(format!("it has {} bytes, too few for a disk", disk.bytes));
    }
    for at in [0, disk.bytes - 512] {
        if let Err(why) = disk.read(at, 512) {
            return refuse(format!("byte {at}: cannot be read: {why}"));
        }
    }
    Ok(())
}

/// Discards everything but the label, and looks whether it happened.
fn discard_all(disk: &Disk, tell: Tell<'_>) -> Result<(), String> {
    let pieces = disk.bytes.div_ceil(DISCARD);
    for number in (0..pieces).rev() {
        let at = number * DISCARD;
        for range in around_label(Range { at, len: DISCARD.min(disk.bytes - at) }) {
            if range.len > 0 {
                disk.discard(range).map_err(|why| format!("byte {}: {why}", range.at))?;
            }
        }
        tell("discarding every block", disk.bytes - at, disk.bytes);
    }
    disk.settle().map_err(|why| why.to_string())?;
    match back::sample(disk, random, &|_, _| {}) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("the disk said that it was done, and {why}")),
    }
}

/// Writes zeros over these stretches, the last one first. How many bytes.
fn overwrite(disk: &Disk, ranges: &[Range], step: &str, tell: Tell<'_>) -> Result<u64, String> {
    let zeros = vec![0; PIECE];
    let of: u64 = ranges.iter().map(|range| range.len).sum();
    let mut done = 0;
    for range in ranges.iter().rev() {
        let mut end = range.end();
        while end > range.at {
            let length = usize::try_from(end - range.at).unwrap_or(PIECE).min(PIECE);
            let piece = zeros.get(..length).unwrap_or_default();
            end -= u64::try_from(length).unwrap_or_default();
            disk.write(end, piece).map_err(|why| format!("byte {end}: cannot be written: {why}"))?;
            done += u64::try_from(length).unwrap_or_default();
            tell(step, done, of);
        }
    }
    disk.settle()
        .map_err(|why: io::Error| format!("what was written cannot be brought to the disk: {why}"))?;
    Ok(done)
}

/// A number that nobody can foresee; the kernel's source is open long before this runs.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty()).unwrap_or_default();
    // Without randomness it is the same block in each stretch: still a sample.
    u64::from_ne_bytes(bytes) >> (8 * (bytes.len() - filled.min(bytes.len())).min(7))
}
