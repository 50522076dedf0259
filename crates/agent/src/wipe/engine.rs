//! The wipe itself: the strongest method that the disk offers, then every place that could tell, then reading back.
//!
//! ```text
//! label "begun" ─▶ erases itself ─▶ label "begun" ─▶ overwrite heads ─▶ read back ─▶ label "wiped"
//!                     │ cannot, or lies               ▲
//!                     ├─▶ discard all ────────────────┤
//!                     │ cannot, or lies               │
//!                     └─▶ trim ─▶ overwrite secrets ──┘
//! ```
//! From the end of the disk to its start: tables go last, so that a wipe that is cut off can be done again as well.

use std::io;
use std::time::Instant;

use model::{Digest, DiskLabel, LabelState, WipeMethod, WipeReport};
use rustix::rand::{GetRandomFlags, getrandom};

use super::back::Before;
use super::disk::{Disk, Range};
use super::erase::{Stop, Target};
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
    target: &Target<'_>,
    label: &DiskLabel,
    digest: Digest,
    tell: Tell<'_>,
) -> Result<WipeReport, Fault> {
    let began = Instant::now();
    let disk = target.disk;
    tell("reading its tables", 0, 0);
    untouched(disk)?;
    let plan = Plan::of(disk);
    let begun = DiskLabel { state: LabelState::Begun, ..label.clone() };
    let mark =
        || label::write(disk, &begun, digest).map_err(|why| format!("its label cannot be written: {why}"));
    let mut passed_over = Vec::new();
    let mut wipe = || {
        mark()?;
        let (method, before, mut overwritten) = destroy(target, &plan, &mark, tell, &mut passed_over)?;
        overwritten += overwrite(disk, &plan.heads, "overwriting headers", tell)?;
        disk.settle().map_err(|why| format!("what was written cannot be brought to the disk: {why}"))?;
        back::check(disk, &plan, &|done, of| tell("reading back", done, of))?;
        let samples = |done, of| tell("reading samples", done, of);
        let samples = match before {
            Some(before) => back::changed(disk, &before, &samples)?,
            None if method.is_whole() => back::sample(disk, random, &samples)?,
            None => 0,
        };
        mark_as(disk, label, digest)?;
        Ok((method, overwritten, samples))
    };
    match wipe() {
        Ok((method, overwritten, samples)) => Ok(WipeReport {
            method,
            passed_over,
            overwritten,
            places: u32::try_from(plan.places()).unwrap_or(u32::MAX),
            samples,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }),
        Err(why) => Err(Fault { touched: true, why: with_past(why, &passed_over) }),
    }
}

/// What went wrong, and what was tried before that may be behind it.
fn with_past(why: String, passed_over: &[String]) -> String {
    match passed_over.iter().find(|past| past.contains("is not known")) {
        Some(past) => format!("{why}; before: {past}"),
        None => why,
    }
}

/// The label that says it all, and looks whether it is there.
fn mark_as(disk: &Disk, label: &DiskLabel, digest: Digest) -> Result<(), String> {
    label::write(disk, label, digest).map_err(|why| format!("its label cannot be written: {why}"))?;
    let written =
        disk.read(label::PLACE.at, label::PLACE.len).ok().and_then(|block| label::read(&block, digest));
    match written.as_ref() == Some(label) {
        true => Ok(()),
        false => Err(format!("byte {}: its label was written and is not there", label::PLACE.at)),
    }
}

/// Destroys what is on it by the strongest means that work: which, what lay there before where the disk did it by itself,
/// and bytes overwritten.
fn destroy(
    target: &Target<'_>,
    plan: &Plan,
    mark: &dyn Fn() -> Result<(), String>,
    tell: Tell<'_>,
    passed_over: &mut Vec<String>,
) -> Result<(WipeMethod, Option<Before>, u64), String> {
    let disk = target.disk;
    let ways = target.ways();
    let before = ways.iter().any(|(_, why)| why.is_none()).then(|| {
        tell("reading samples of what is there", 0, 0);
        Before::of(disk, random)
    });
    for (way, why) in ways {
        let (None, Some(before)) = (&why, &before) else {
            passed_over.extend(why.map(|why| format!("{way}: {why}")));
            continue;
        };
        match target.go(way, tell) {
            Ok(()) => {
                mark()?;
                match back::changed(disk, before, &|_, _| {}) {
                    Ok(_) => return Ok((way.method(), Some(before.clone()), 0)),
                    Err(why) => passed_over.push(format!("{way}: the disk said that it was done, and {why}")),
                }
            }
            Err(Stop::Passed(why)) => passed_over.push(format!("{way}: {why}")),
            Err(Stop::Lost(why)) => return Err(why),
        }
    }
    match discard_all(disk, tell) {
        Ok(()) => return Ok((WipeMethod::Discard, None, 0)),
        Err(why) => passed_over.push(format!("{}: {why}", WipeMethod::Discard)),
    }
    let trimmed = target.discards() && trim(target, tell, passed_over)?;
    // Without a promise of zeros a sample says little of the rest.
    let overwritten = overwrite(disk, &plan.secrets, "overwriting partitions with secrets", tell)?;
    Ok((if trimmed { WipeMethod::Trim } else { WipeMethod::Overwrite }, None, overwritten))
}

/// True where the device took it and all samples read as zeros.
fn trim(target: &Target<'_>, tell: Tell<'_>, passed_over: &mut Vec<String>) -> Result<bool, String> {
    let why = match target.trim(tell) {
        Ok(()) => match gone(target.disk) {
            Ok(()) => return Ok(true),
            Err(why) => why,
        },
        Err(Stop::Passed(why)) => why,
        Err(Stop::Lost(why)) => return Err(why),
    };
    passed_over.push(format!("{}: {why}", WipeMethod::Trim));
    Ok(false)
}

/// Looks whether everything was discarded.
fn gone(disk: &Disk) -> Result<(), String> {
    disk.settle().map_err(|why| why.to_string())?;
    match back::sample(disk, random, &|_, _| {}) {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("the disk said that it was done, and {why}")),
    }
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
    gone(disk)
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
