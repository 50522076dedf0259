//! The table of partitions of a medium (GPT; UEFI 2.10 section 5.3): written whole, and read back with every check.
//!
//! ```text
//! sector 0        1        2 … 33    34 ……………………………… last-33 … last-1   last
//!  protective MBR │ header │ entries │ partitions         │ entries copy  │ header copy
//! ```

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// Sectors before the first that a partition may have, and one more than the copies at the end take.
pub const HEAD: u64 = 34;
/// Sectors of the copies at the end.
pub const TAIL: u64 = 33;
/// Entries that are written.
const ENTRIES: usize = 128;
/// Bytes of an entry.
const ENTRY: usize = 128;
/// Bytes of a header.
const HEADER: usize = 92;
const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Revision 1.0.
const REVISION: u32 = 0x0001_0000;
/// Letters of a name.
const NAME: usize = 36;

/// A number that says of which kind a partition is, or which one, in the order of bytes of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// From the five groups in which it is written (the first three are turned around on the disk; RFC 9562 section 4).
    #[must_use]
    pub const fn of(first: u32, second: u16, third: u16, rest: [u8; 8]) -> Self {
        let ([a, b, c, d], [e, f], [g, h]) = (first.to_le_bytes(), second.to_le_bytes(), third.to_le_bytes());
        let [i, j, k, l, m, n, o, p] = rest;
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// One that follows from some bytes, such as a digest: version 8 (RFC 9562 section 5.8).
    #[must_use]
    pub const fn derived(mut bytes: [u8; 16]) -> Self {
        bytes[7] = bytes[7] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in [3, 2, 1, 0, 16, 5, 4, 16, 7, 6, 16, 8, 9, 16, 10, 11, 12, 13, 14, 15] {
            match self.0.get(at) {
                Some(byte) => write!(f, "{byte:02x}")?,
                None => f.write_str("-")?,
            }
        }
        Ok(())
    }
}

/// An EFI system partition, on which firmware finds programs (UEFI 2.10 table 5.7).
pub const SYSTEM: Guid =
    Guid::of(0xc12a_7328, 0xf81f, 0x11d2, [0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);
/// Where GRUB lies for a BIOS (GRUB manual 2.06, "BIOS installation"): `21686148-6449-6e6f-744e-656564454649`.
pub const BIOS_BOOT: Guid =
    Guid::of(0x2168_6148, 0x6449, 0x6e6f, [0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49]);
/// The cache of images, see [`cache`](super::cache). Our own number.
pub const CACHE: Guid =
    Guid::of(0x8f1d_6a52, 0x7c0e, 0x4b39, [0x9d, 0x24, 0x5a, 0x6c, 0x61, 0x62, 0x6e, 0x31]);

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of which kind.
    pub kind: Guid,
    /// Which one.
    pub id: Guid,
    /// Its first sector.
    pub first: u64,
    /// Its last sector.
    pub last: u64,
    /// For people; at most 36 letters.
    pub name: String,
}

impl Part {
    /// How many sectors it has.
    #[must_use]
    pub const fn sectors(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// A table to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Number of the disk.
    pub disk: Guid,
    /// Sectors of the disk.
    pub sectors: u64,
    /// Partitions, at most 128, within the disk and apart from each other.
    pub parts: Vec<Part>,
}

impl Table {
    /// The sectors at the beginning: protective MBR, header, entries.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let entries = self.entries();
        [self.protective(), self.header(&entries, (1, self.sectors - 1), 2), entries].concat()
    }

    /// The sectors at the end: entries, and the header that is read where the first is damaged.
    #[must_use]
    pub fn tail(&self) -> Vec<u8> {
        let entries = self.entries();
        let header = self.header(&entries, (self.sectors - 1, 1), self.sectors - TAIL);
        [entries, header].concat()
    }

    /// A table of the older kind that says: all of this is taken (UEFI 2.10 section 5.2.3).
    fn protective(&self) -> Vec<u8> {
        let mut sector = vec![0; 446];
        let count = u32::try_from(self.sectors - 1).unwrap_or(u32::MAX);
        // Not active; from the second sector to one that is past counting in cylinders; kind EE.
        sector.extend([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
        sector.extend(1_u32.to_le_bytes());
        sector.extend(count.to_le_bytes());
        sector.resize(SECTOR - 2, 0);
        sector.extend([0x55, 0xaa]);
        sector
    }

    fn entries(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(ENTRIES * ENTRY);
        for part in self.parts.iter().take(ENTRIES) {
            let end = all.len() + ENTRY;
            all.extend(part.kind.0);
            all.extend(part.id.0);
            all.extend(part.first.to_le_bytes());
            all.extend(part.last.to_le_bytes());
            all.extend(0_u64.to_le_bytes());
            all.extend(part.name.encode_utf16().take(NAME).flat_map(u16::to_le_bytes));
            all.resize(end, 0);
        }
        all.resize(ENTRIES * ENTRY, 0);
        all
    }

    fn header(&self, entries: &[u8], (own, other): (u64, u64), table: u64) -> Vec<u8> {
        let mut all = SIGNATURE.to_vec();
        let half = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        all.extend(REVISION.to_le_bytes());
        all.extend(half(HEADER));
        // Its sum, which is counted with zeros in its place, and a reserved field.
        all.extend([0; 8]);
        for number in [own, other, HEAD, self.sectors - TAIL - 1] {
            all.extend(number.to_le_bytes());
        }
        all.extend(self.disk.0);
        all.extend(table.to_le_bytes());
        all.extend(half(ENTRIES));
        all.extend(half(ENTRY));
        all.extend(crc32(entries).to_le_bytes());
        let sum = crc32(&all);
        if let Some(place) = all.get_mut(16..20) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        all.resize(SECTOR, 0);
        all
    }
}

/// Why a sector is no header, or what it names no entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GptError {
    /// It does not begin as one.
    NoHeader,
    /// Its sum, or that of the entries, is another one.
    Damaged,
    /// It has more entries, or others, than this reads.
    Odd,
}

impl fmt::Display for GptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "it has no table of partitions",
            Self::Damaged => "its table of partitions is damaged",
            Self::Odd => "its table of partitions is of an unknown form",
        })
    }
}

impl core::error::Error for GptError {}

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// First sector of the entries.
    pub table: u64,
    /// Sectors that the entries take.
    pub sectors: usize,
    entry: usize,
    count: usize,
    sum: u32,
}

impl Header {
    /// Reads the header in sector `own`.
    ///
    /// # Errors
    /// [`GptError`]; there may be a copy in the last sector of the disk.
    pub fn read(sector: &[u8], own: u64) -> Result<Self, GptError> {
        if !sector.starts_with(SIGNATURE) {
            return Err(GptError::NoHeader);
        }
        let mut header = sector.get(..HEADER).ok_or(GptError::NoHeader)?.to_vec();
        let half = |at: usize| number(sector, at, 4).ok_or(GptError::NoHeader);
        let sum = half(16)?;
        if let Some(place) = header.get_mut(16..20) {
            place.fill(0);
        }
        let is_long = half(12)? == u64::try_from(HEADER).unwrap_or_default();
        if !is_long || number(sector, 24, 8) != Some(own) {
            return Err(GptError::Odd);
        }
        if u64::from(crc32(&header)) != sum {
            return Err(GptError::Damaged);
        }
        let (count, entry) = (half(80)?, half(84)?);
        if !(1..=1024).contains(&count) || !matches!(entry, 128 | 256) {
            return Err(GptError::Odd);
        }
        let as_size = |number: u64| usize::try_from(number).map_err(|_| GptError::Odd);
        let (count, entry) = (as_size(count)?, as_size(entry)?);
        Ok(Self {
            table: number(sector, 72, 8).ok_or(GptError::NoHeader)?,
            sectors: (count * entry).div_ceil(SECTOR),
            entry,
            count,
            sum: u32::try_from(half(88)?).map_err(|_| GptError::Odd)?,
        })
    }

    /// The partitions, from the sectors of the entries.
    ///
    /// # Errors
    /// [`GptError::Damaged`].
    pub fn parts(&self, entries: &[u8]) -> Result<Vec<Part>, GptError> {
        Ok(self.numbered(entries)?.into_iter().map(|(_, part)| part).collect())
    }

    /// The same, each with its number: the place of its entry, from 1.
    ///
    /// # Errors
    /// [`GptError::Damaged`].
    pub fn numbered(&self, entries: &[u8]) -> Result<Vec<(u32, Part)>, GptError> {
        let entries = entries.get(..self.count * self.entry).ok_or(GptError::Odd)?;
        if crc32(entries) != self.sum {
            return Err(GptError::Damaged);
        }
        let all = (1..).zip(entries.chunks_exact(self.entry));
        Ok(all.filter_map(|(number, entry)| Some((number, part(entry)?))).collect())
    }
}

/// A partition; nothing for an entry that is not in use.
fn part(entry: &[u8]) -> Option<Part> {
    let guid = |at: usize| entry.get(at..).and_then(|rest| rest.first_chunk::<16>()).copied().map(Guid);
    let kind = guid(0).filter(|kind| kind.0 != [0; 16])?;
    let (first, last) = (number(entry, 32, 8)?, number(entry, 40, 8)?);
    let letters = entry.get(56..56 + NAME * 2)?.chunks_exact(2);
    let letters = letters.filter_map(|pair| pair.first_chunk::<2>()).map(|pair| u16::from_le_bytes(*pair));
    let name: Vec<u16> = letters.take_while(|letter| *letter != 0).collect();
    // What ends before it begins, or beyond counting, is none.
    (first <= last && last < u64::MAX).then(|| Part {
        kind,
        id: guid(16).unwrap_or(Guid([0; 16])),
        first,
        last,
        name: String::from_utf16_lossy(&name),
    })
}

/// A number of four or eight bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + size)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// CRC-32 as UEFI and Ethernet have it (reversed polynomial EDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let part = |kind, first, last, name: &str| Part {
            kind,
            id: Guid::derived([u8::try_from(first % 251).unwrap(); 16]),
            first,
            last,
            name: String::from(name),
        };
        let parts = vec![part(SYSTEM, 2048, 4095, "loader"), part(CACHE, 4096, 8000, "grün")];
        Table { disk: Guid::derived([7; 16]), sectors: 9000, parts }
    }

    fn read(sectors: &[u8], own: u64, from: u64) -> Result<Vec<Part>, GptError> {
        let at = |sector: u64| usize::try_from(sector - from).unwrap() * SECTOR;
        let header = Header::read(&sectors[at(own)..], own)?;
        header.parts(&sectors[at(header.table)..])
    }

    #[test]
    fn both_copies_are_read_back_and_lie_where_they_say() {
        let table = table();
        let (head, tail) = (table.head(), table.tail());
        assert_eq!((head.len(), tail.len()), (34 * SECTOR, 33 * SECTOR));
        assert_eq!(read(&head, 1, 0).as_ref(), Ok(&table.parts));
        assert_eq!(read(&tail, 8999, 9000 - 33), Ok(table.parts));
    }

    #[test]
    fn sums_are_those_of_others() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(SYSTEM.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    }

    #[test]
    fn every_flipped_bit_of_header_and_entries_is_seen() {
        let head = table().head();
        for byte in (SECTOR..SECTOR + HEADER).chain(2 * SECTOR..2 * SECTOR + 256) {
            let mut flipped = head.clone();
            flipped[byte] ^= 4;
            assert!(read(&flipped, 1, 0).is_err(), "byte {byte}");
        }
        assert_eq!(read(&head, 2, 0), Err(GptError::NoHeader));
    }
}
