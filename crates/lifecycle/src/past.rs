//! What is kept of boots that are over: how long each stage took, for medians, and the last few boots themselves.
//!
//! | of one machine | bytes |
//! |---|---|
//! | stages of 20 boots that became ready | 60 each |
//! | its last three boots before the present one | packed, 200 to 400 each; together at most [`Room::earlier`] |
//!
//! Which is why a fleet of thousands keeps what a lab of six keeps, in a few megabytes.

use alloc::string::String;
use alloc::vec::Vec;

use model::{BOOTS_KEPT, Boot, ClientKind, LOG_KEPT, Stage};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use crate::packed::{PackedBoot, Packer, Unpacker, bytes_of, hexadecimal};

/// Earlier boots kept with all their marks.
const EARLIER_KEPT: usize = 3;
/// Bytes that the earlier boots of all machines together may take.
const EARLIER_OF_ALL: usize = 24 << 20;
/// Of one machine at least so many, and at most so many.
const EARLIER_EACH: (usize, usize) = (1 << 10, 64 << 10);
/// Lines of iPXE's log that the present boots of all machines together may have, at about 200 bytes each.
const LINES_OF_ALL: usize = 100_000;
/// The least that one may have.
const LINES_EACH: usize = 8;
/// No time was taken, since the stage was not seen.
const NONE: u32 = u32::MAX;
/// Stages that the times of a boot had before those of Talos were kept, too.
const FEWER: usize = 9;
/// Where a boot's number would be, which is never 0: what follows has the times of all stages. Older versions wrote those of
/// the first few only, and of a board without Talos they are all there is to write.
const ALL_STAGES: u32 = 0;
/// The stages of a boot, in the order in which their times are kept.
const STAGES: [Stage; 12] = [
    Stage::Power,
    Stage::Firmware,
    Stage::Dhcp,
    Stage::Loader,
    Stage::Ipxe,
    Stage::Wait,
    Stage::Image,
    Stage::Kernel,
    Stage::Agent,
    Stage::Maintenance,
    Stage::Installing,
    Stage::Joining,
];

/// How much may be kept of one machine, on a board of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of earlier boots.
    pub(crate) earlier: usize,
    /// Lines of iPXE's log in one boot.
    pub(crate) lines: usize,
}

impl Room {
    pub(crate) fn of(machines: usize) -> Self {
        let each = |all: usize| all.checked_div(machines).unwrap_or(all);
        let (least, most) = EARLIER_EACH;
        Self {
            earlier: each(EARLIER_OF_ALL).clamp(least, most),
            lines: each(LINES_OF_ALL).clamp(LINES_EACH, LOG_KEPT),
        }
    }
}

/// Keeps a boot that is over. The last one is always kept, on a large board without the lines of its log that tell no
/// error; older ones go where there is no room.
pub(crate) fn keep_boot(earlier: &mut Vec<PackedBoot>, mut boot: Boot, room: Room) {
    let mut packed = PackedBoot::of(&boot);
    if packed.size() > room.earlier {
        let before = boot.log.len();
        boot.log.retain(|line| line.error.is_some());
        let gone = u32::try_from(before.saturating_sub(boot.log.len())).unwrap_or(u32::MAX);
        boot.unrecorded = boot.unrecorded.saturating_add(gone);
        packed = PackedBoot::of(&boot);
    }
    earlier.reserve_exact(1);
    earlier.push(packed);
    let size = |earlier: &[PackedBoot]| earlier.iter().map(PackedBoot::size).sum::<usize>();
    while earlier.len() > EARLIER_KEPT || earlier.len() > 1 && size(earlier) > room.earlier {
        earlier.remove(0);
    }
}

/// The length of each stage of an earlier boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastBoot {
    /// Which of the machine's boots it was.
    pub number: u32,
    /// Compared only with boots of the same firmware.
    pub firmware: Option<ClientKind>,
    /// Milliseconds in all.
    pub total_ms: u32,
    /// Milliseconds of each stage, in the order of [`STAGES`].
    took_ms: [u32; STAGES.len()],
}

impl PastBoot {
    /// A boot of these stages, with their milliseconds.
    pub(crate) fn new(
        (number, firmware, total_ms): (u32, Option<ClientKind>, u64),
        stages: impl IntoIterator<Item = (Stage, u64)>,
    ) -> Self {
        let mut took_ms = [NONE; STAGES.len()];
        for (stage, ms) in stages {
            let place = STAGES.iter().zip(&mut took_ms).find(|(of, _)| **of == stage);
            place.into_iter().for_each(|(_, took)| *took = milliseconds(ms));
        }
        Self { number, firmware, total_ms: milliseconds(total_ms), took_ms }
    }

    /// How long a stage took, in milliseconds; absent when it was not seen.
    #[must_use]
    pub fn took(&self, stage: Stage) -> Option<u64> {
        let took = STAGES.iter().zip(&self.took_ms).find(|(of, _)| **of == stage).map(|(_, took)| *took);
        took.filter(|took| *took != NONE).map(u64::from)
    }
}

impl PastBoot {
    /// True for one that has a time of a stage of Talos.
    fn is_talos(&self) -> bool {
        self.took_ms.iter().skip(FEWER).any(|took| *took != NONE)
    }
}

/// Seven weeks are long enough for any stage.
fn milliseconds(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(NONE).min(NONE - 1)
}

/// Keeps the times of a boot that became ready.
pub(crate) fn keep_times(past: &mut Vec<PastBoot>, boot: PastBoot) {
    if past.len() >= BOOTS_KEPT {
        past.remove(0);
    }
    past.reserve_exact(1);
    past.push(boot);
}

/// Writes the times as packed numbers in hexadecimal.
pub(crate) fn write<S: Serializer>(past: &[PastBoot], to: S) -> Result<S::Ok, S::Error> {
    let mut packer = Packer::default();
    let written = if past.iter().any(PastBoot::is_talos) { STAGES.len() } else { FEWER };
    if written > FEWER {
        packer.number(ALL_STAGES);
    }
    for boot in past {
        packer.number(boot.number);
        packer.word(boot.firmware);
        packer.number(boot.total_ms);
        // What was not seen is 0.
        boot.took_ms.iter().take(written).for_each(|took| packer.number(u64::from(took.wrapping_add(1))));
    }
    to.serialize_str(&hexadecimal(&packer.bytes))
}

/// Reads them back.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PastBoot>, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = bytes_of(&text).unwrap_or_default();
    let mut unpacker = Unpacker::new(&bytes);
    let mut past = Vec::new();
    let mut written = FEWER;
    let mut rest = Unpacker::new(&bytes);
    if rest.number::<u32>() == Some(ALL_STAGES) {
        (written, unpacker) = (STAGES.len(), rest);
    }
    while !unpacker.bytes.is_empty() {
        let boot = read_one(&mut unpacker, written).ok_or_else(|| D::Error::custom("times of past boots"))?;
        keep_times(&mut past, boot);
    }
    Ok(past)
}

fn read_one(from: &mut Unpacker<'_>, written: usize) -> Option<PastBoot> {
    let (number, firmware, total_ms) = (from.number()?, from.word()?, from.number()?);
    let mut took_ms = [NONE; STAGES.len()];
    for took in took_ms.iter_mut().take(written) {
        *took = from.number::<u32>()?.wrapping_sub(1);
    }
    Some(PastBoot { number, firmware, total_ms, took_ms })
}

#[cfg(test)]
mod tests {
    use model::{LabTime, LogLine, Moment};

    use super::*;

    fn boot(number: u32, lines: usize) -> Boot {
        let line = |n: usize| LogLine {
            at: LabTime(1_000 + u64::try_from(n).unwrap()),
            severity: 6,
            text: std::format!("{n:>100}"),
            error: n.is_multiple_of(10).then(|| String::from("no route")),
            source: model::LogSource::Ipxe,
        };
        Boot {
            number,
            began: Moment::default(),
            powered: true,
            firmware: None,
            ipxe: String::new(),
            marks: Vec::new(),
            transfers: Vec::new(),
            log: (0..lines).map(line).collect(),
            unrecorded: 0,
            files: Vec::new(),
            packets: None,
        }
    }

    fn kept(machines: usize, lines: usize) -> Vec<Boot> {
        let mut earlier = Vec::new();
        (1..=6).for_each(|n| keep_boot(&mut earlier, boot(n, lines), Room::of(machines)));
        earlier.iter().map(|packed| packed.boot().unwrap()).collect()
    }

    #[test]
    fn a_small_lab_keeps_its_last_boots_whole_and_a_fleet_what_there_is_room_for() {
        assert_eq!(kept(6, 64), [boot(4, 64), boot(5, 64), boot(6, 64)]);
        assert_eq!(kept(13_500, 2), [boot(4, 2), boot(5, 2), boot(6, 2)]);
        let fleet = kept(13_500, 64);
        assert_eq!(fleet.last().map(|last| (last.number, last.log.len(), last.unrecorded)), Some((6, 7, 57)));
        let bytes: usize = fleet.iter().map(|boot| PackedBoot::of(boot).size()).sum();
        assert!(bytes <= Room::of(13_500).earlier, "{bytes}");
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Times(#[serde(serialize_with = "write", deserialize_with = "read")] Vec<PastBoot>);

    #[test]
    fn times_of_talos_are_kept_and_those_that_older_versions_wrote_are_read() {
        let plain = PastBoot::new((1, None, 9), [(Stage::Power, 2), (Stage::Agent, 7)]);
        let talos =
            PastBoot::new((2, None, 60), [(Stage::Kernel, 9), (Stage::Installing, 40), (Stage::Joining, 11)]);
        for past in [vec![plain.clone()], vec![plain.clone(), talos.clone()], vec![talos], vec![]] {
            let text = serde_json::to_string(&Times(past.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Times>(&text).unwrap().0, past, "{text}");
        }
        // As the version before wrote it: nine stages, and no mark before them.
        let mut packer = Packer::default();
        packer.number(1_u32);
        packer.word(None::<ClientKind>);
        packer.number(9_u32);
        [3_u64, 0, 0, 0, 0, 0, 0, 0, 8].into_iter().for_each(|took| packer.number(took));
        let old = serde_json::to_string(&hexadecimal(&packer.bytes)).unwrap();
        assert_eq!(serde_json::from_str::<Times>(&old).unwrap().0, std::slice::from_ref(&plain));
        assert_eq!(
            serde_json::to_string(&Times(vec![plain])).unwrap(),
            old,
            "a board without Talos writes it so still"
        );
    }

    #[test]
    fn the_last_boot_is_kept_even_where_it_alone_has_no_room() {
        let mut earlier = Vec::new();
        let room = Room { earlier: 100, lines: 64 };
        (1..=3).for_each(|n| keep_boot(&mut earlier, boot(n, 20), room));
        assert_eq!(earlier.iter().map(PackedBoot::number).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_stage_that_was_not_seen_is_not_one_that_took_no_time() {
        let boot = PastBoot::new((1, None, u64::MAX), [(Stage::Power, 0), (Stage::Agent, 7)]);
        assert_eq!((boot.took(Stage::Power), boot.took(Stage::Agent)), (Some(0), Some(7)));
        assert_eq!(boot.took(Stage::Image), None);
        assert_eq!(boot.total_ms, u32::MAX - 1);
    }
}
