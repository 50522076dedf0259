//! What is on a disk before it is wiped: its partitions, as far as their tables still tell.

use super::disk::{Disk, Range};

/// Logical partitions that are followed; a chain that goes on is a circle.
const LONGEST_CHAIN: usize = 128;
/// Entries of a GPT that are read; the standard's minimum is 128.
const MOST_ENTRIES: u64 = 1024;
/// `0657FD6D-A4AB-43C4-84E5-0933C84B4F4F` as it lies on the disk: Linux swap.
const SWAP: [u8; 16] =
    [0x6d, 0xfd, 0x57, 0x06, 0xab, 0xa4, 0xc4, 0x43, 0x84, 0xe5, 0x09, 0x33, 0xc8, 0x4b, 0x4f, 0x4f];
/// Partitions of Talos that start it and hold no secret. All others of its may.
const TALOS_STARTS: [&str; 3] = ["EFI", "BIOS", "BOOT"];

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: Range,
    /// Its name, in a GPT.
    pub(super) name: String,
    /// It is swap: pieces of memory lie in it.
    pub(super) swap: bool,
}

/// What the tables tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) parts: Vec<Part>,
    /// Sectors that hold tables themselves, beside those at the disk's ends.
    pub(super) sectors: Vec<Range>,
}

impl Tables {
    /// Partitions that hold secrets: swap, and where Talos was installed all but those that start it.
    pub(super) fn secrets(&self) -> Vec<Range> {
        let talos = self.parts.iter().any(|part| part.name == "STATE");
        let holds = |part: &&Part| part.swap || (talos && !TALOS_STARTS.contains(&part.name.as_str()));
        self.parts.iter().filter(holds).map(|part| part.range).collect()
    }
}

/// Reads both GPTs, and the MBR with its chain. What makes no sense is passed over: its places are wiped anyway.
pub(super) fn read(disk: &Disk) -> Tables {
    let mut tables = Tables::default();
    for sector in [512, 4096] {
        let last = disk.bytes.checked_sub(sector);
        for header in [Some(sector), last].into_iter().flatten() {
            gpt(disk, header, sector, &mut tables);
        }
    }
    mbr(disk, &mut tables);
    tables.parts.retain(|part| part.range.len > 0 && part.range.end() <= disk.bytes);
    tables.parts.sort_by_key(|part| (part.range, part.name.is_empty()));
    tables.parts.dedup_by_key(|part| part.range);
    tables
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..)?.get(..width)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// UEFI 2.10 section 5.3.2 and 5.3.3. Checksums are not asked for: a table that is damaged tells of secrets as well.
fn gpt(disk: &Disk, header: u64, sector: u64, tables: &mut Tables) -> Option<()> {
    let head = disk.read(header, 512).ok()?;
    if head.get(..8)? != b"EFI PART" {
        return None;
    }
    let (entries, count, size) = (number(&head, 72, 8)?, number(&head, 80, 4)?, number(&head, 84, 4)?);
    if !(128..=4096).contains(&size) {
        return None;
    }
    let list = Range { at: entries.checked_mul(sector)?, len: count.min(MOST_ENTRIES) * size };
    tables.sectors.push(Range { at: header, len: sector });
    tables.sectors.push(list);
    let bytes = disk.read(list.at, list.len).ok()?;
    for entry in bytes.chunks_exact(usize::try_from(size).ok()?) {
        let kind = entry.get(..16)?;
        let (first, last) = (number(entry, 32, 8)?, number(entry, 40, 8)?);
        let length = last.checked_sub(first).and_then(|n| n.checked_add(1)?.checked_mul(sector));
        let range = first.checked_mul(sector).zip(length).map(|(at, len)| Range { at, len });
        let (Some(range), false) = (range, kind.iter().all(|byte| *byte == 0)) else { continue };
        let units = entry.get(56..128)?.chunks_exact(2).filter_map(|pair| number(pair, 0, 2));
        let units: Vec<u16> =
            units.take_while(|unit| *unit != 0).filter_map(|unit| u16::try_from(unit).ok()).collect();
        tables.parts.push(Part { range, name: String::from_utf16_lossy(&units), swap: kind == SWAP });
    }
    Some(())
}

/// The four primary partitions, and the chain of logical ones in an extended partition.
fn mbr(disk: &Disk, tables: &mut Tables) -> Option<()> {
    let mut chain: Option<(u64, u64)> = None;
    for (kind, start, length) in records(&disk.read(0, 512).ok()?)? {
        match kind {
            0 | 0xee => {}
            0x05 | 0x0f | 0x85 => chain = Some((start, start)),
            kind => tables.parts.push(plain(kind, start, length)),
        }
    }
    let mut steps = 0;
    while let Some((base, at)) = chain.take().filter(|_| steps < LONGEST_CHAIN) {
        steps += 1;
        let sector = Range { at: at.checked_mul(512)?, len: 512 };
        tables.sectors.push(sector);
        for (kind, start, length) in records(&disk.read(sector.at, 512).ok()?)? {
            match kind {
                0 => {}
                0x05 | 0x0f | 0x85 => chain = Some((base, base.checked_add(start)?)),
                kind => tables.parts.push(plain(kind, at.checked_add(start)?, length)),
            }
        }
    }
    Some(())
}

fn plain(kind: u8, start: u64, length: u64) -> Part {
    let range = Range { at: start.saturating_mul(512), len: length.saturating_mul(512) };
    Part { range, name: String::new(), swap: kind == 0x82 }
}

/// Type, first sector and length of the four records of a sector.
fn records(sector: &[u8]) -> Option<Vec<(u8, u64, u64)>> {
    if sector.get(510..512)? != [0x55, 0xaa] {
        return None;
    }
    let records = sector.get(446..510)?.chunks_exact(16);
    records.map(|r| Some((*r.get(4)?, number(r, 8, 4)?, number(r, 12, 4)?))).collect()
}
