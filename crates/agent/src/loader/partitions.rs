//! The EFI system partitions of the machine's disks, found by the disks' own tables: `/sys` does not say of which kind a
//! partition is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use model::Disk;
use wire::loader::entry::HardDrive;
use wire::loader::gpt::{self, Header, Part, SECTOR};

use crate::inventory;
use crate::wipe;

/// A system partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Kernel name of the disk.
    pub(super) disk: String,
    /// Its serial number; empty where it has none.
    pub(super) serial: String,
    /// Kernel name of the partition.
    pub(super) partition: String,
    /// How a boot entry names it.
    pub(super) drive: HardDrive,
    /// Why it is none of the box: it may be gone tomorrow. Taken where it is named.
    pub(super) comes_and_goes: Option<String>,
    /// It is on a medium of ours, which starts by itself.
    pub(super) is_medium: bool,
}

/// All of the machine whose file system starts at `root`, by name of the disk.
pub(super) fn all(root: &Path) -> Vec<Found> {
    let disks = inventory::disks(root);
    disks.iter().flat_map(|disk| of_disk(root, disk).unwrap_or_default()).collect()
}

impl Found {
    /// True where a person who says this means its disk.
    pub(super) fn is_on(&self, disk: &str) -> bool {
        self.disk == disk || (!self.serial.is_empty() && self.serial == disk)
    }
}

fn of_disk(root: &Path, Disk { name: disk, serial, .. }: &Disk) -> Option<Vec<Found>> {
    let folder = root.join("sys/block").join(disk);
    let block = word(&folder.join("queue/logical_block_size")).and_then(|size| size.parse::<u64>().ok());
    let parts = parts(&root.join("dev").join(disk), block.unwrap_or(512))?;
    let is_medium = parts.iter().any(|(_, part)| part.kind == gpt::CACHE);
    let comes_and_goes = wipe::comes_and_goes(root, disk);
    let systems = parts.into_iter().filter(|(_, part)| part.kind == gpt::SYSTEM);
    let found = systems.filter_map(|(number, part)| {
        let partition = called(&folder, number)?;
        let drive = HardDrive { number, first: part.first, blocks: part.sectors(), id: part.id };
        let (disk, serial) = (disk.clone(), serial.clone());
        Some(Found { disk, serial, partition, drive, comes_and_goes: comes_and_goes.clone(), is_medium })
    });
    Some(found.collect())
}

/// The partitions of a disk with blocks of this size, by number in its table.
fn parts(device: &Path, block: u64) -> Option<Vec<(u32, Part)>> {
    let disk = File::open(device).ok()?;
    let read = |at: u64, size: usize| {
        let mut bytes = vec![0; size];
        disk.read_exact_at(&mut bytes, at.checked_mul(block)?).ok().map(|()| bytes)
    };
    let header = Header::read(&read(1, SECTOR)?, 1).ok()?;
    let entries = read(header.table, header.sectors.checked_mul(SECTOR)?)?;
    header.numbered(&entries).ok()
}

/// The kernel's name of a partition.
fn called(disk: &Path, number: u32) -> Option<String> {
    let mut below = fs::read_dir(disk).ok()?.flatten();
    let is_it = |entry: &fs::DirEntry| word(&entry.path().join("partition")) == Some(number.to_string());
    below.find(is_it)?.file_name().into_string().ok()
}

fn word(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
