//! Where a file lies on a FAT32 volume, for somebody who writes over its bytes and changes nothing else there.
//!
//! Microsoft, "FAT File System Specification" (fatgen103). Names of eight letters at most, without an extension, in
//! capitals: their entries have the whole name, whatever long names stand beside them.

use alloc::vec::Vec;

/// Bytes of a sector.
const SECTOR: usize = 512;
/// Bytes of an entry of a folder.
const ENTRY: usize = 32;
/// What an entry's attributes say: part of a long name or a volume's name, and a folder.
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
/// Clusters of a folder or file that are followed: no more than the largest folder has in clusters of a sector. A chain
/// that goes on is a circle, or nothing that is looked for here.
const LONGEST: usize = 4096;
/// From here on an entry of the table is an end (or a bad cluster), not a next cluster.
const END: u32 = 0x0fff_fff7;

/// A volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fat {
    per_cluster: u32,
    reserved: u32,
    /// First sector of clusters.
    data: u32,
    /// One past the last cluster's number.
    end: u32,
    root: u32,
    label: [u8; 11],
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub size: u32,
    /// Its sectors in order, from the volume's first.
    pub sectors: Vec<u32>,
}

impl Fat {
    /// Reads a volume's first sector; nothing where it is none of FAT32 with sectors of 512 bytes.
    #[must_use]
    pub fn read(sector: &[u8; SECTOR]) -> Option<Self> {
        let half = |at: usize| number(sector, at, 2);
        let whole = |at: usize| number(sector, at, 4);
        let per_cluster = number(sector, 13, 1)?;
        let is_wide = half(17)? == 0 && half(19)? == 0 && half(22)? == 0;
        let is_sound = half(510)? == 0xaa55 && half(11)? == 512 && per_cluster.is_power_of_two();
        if !is_wide || !is_sound {
            return None;
        }
        let (reserved, tables) = (half(14)?, number(sector, 16, 1)?.checked_mul(whole(36)?)?);
        let data = reserved.checked_add(tables)?;
        let clusters = whole(32)?.checked_sub(data)? / per_cluster;
        let end = clusters.checked_add(2)?;
        let in_table = whole(36)?.checked_mul(128)?;
        let root = whole(44)?;
        let label = sector.get(71..)?.first_chunk::<11>().copied()?;
        ((2..end).contains(&root) && end <= in_table.min(END) && reserved > 0).then_some(Self {
            per_cluster,
            reserved,
            data,
            end,
            root,
            label,
        })
    }

    /// True when its first sector has this name.
    #[must_use]
    pub fn is_called(&self, label: &str) -> bool {
        self.label.as_slice() == padded::<11>(label)
    }

    /// Where a file lies, by names in capitals that are parted by `/`; nothing where it is not there, or its chain makes
    /// no sense. `read` gives the bytes of a sector of the volume.
    pub fn find(&self, path: &str, mut read: impl FnMut(u32) -> Option<[u8; SECTOR]>) -> Option<File> {
        let mut at = (self.root, FOLDER, 0);
        for name in path.split('/') {
            let (first, kind, _) = at;
            if kind & FOLDER == 0 {
                return None;
            }
            let sectors = self.chain(first, &mut read)?;
            at = sectors.into_iter().find_map(|sector| entry(&read(sector)?, name))?;
        }
        let (first, kind, size) = at;
        let sectors = self.chain(first, &mut read)?;
        let holds = u64::try_from(sectors.len() * SECTOR).ok()? >= u64::from(size);
        (kind & FOLDER == 0 && holds).then_some(File { size, sectors })
    }

    /// The sectors of a chain that begins with this cluster.
    fn chain(&self, first: u32, read: &mut impl FnMut(u32) -> Option<[u8; SECTOR]>) -> Option<Vec<u32>> {
        let mut sectors = Vec::new();
        let mut cluster = first;
        for _ in 0..LONGEST {
            if !(2..self.end).contains(&cluster) {
                return None;
            }
            let begin = self.data + (cluster - 2) * self.per_cluster;
            sectors.extend(begin..begin + self.per_cluster);
            let table = read(self.reserved + cluster / 128)?;
            let next = number(&table, usize::try_from(cluster % 128).ok()? * 4, 4)? & 0x0fff_ffff;
            if next >= END {
                return Some(sectors);
            }
            cluster = next;
        }
        None
    }
}

/// First cluster, attributes and bytes of what has this name in a sector of a folder.
fn entry(sector: &[u8; SECTOR], name: &str) -> Option<(u32, u8, u32)> {
    let wanted = padded::<11>(name);
    // After one that begins with a zero there is none.
    let mut used = sector.chunks_exact(ENTRY).take_while(|entry| entry.first() != Some(&0));
    let it = used.find(|it| it.starts_with(&wanted) && it.get(11).is_some_and(|kind| kind & LABEL == 0))?;
    let first = number(it, 20, 2)? << 16 | number(it, 26, 2)?;
    Some((first, *it.get(11)?, number(it, 28, 4)?))
}

/// A name with the blanks that FAT puts behind it.
fn padded<const N: usize>(name: &str) -> [u8; N] {
    let mut padded = [b' '; N];
    padded.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    padded
}

/// A number, low byte first.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + size)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}
