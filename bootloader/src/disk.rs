//! The stick or disk that this program was started from: its settings, and its partition for the cache.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use uefi::boot::{self, ScopedProtocol};
use uefi::proto::device_path::{DevicePath, DeviceSubType, DeviceType};
use uefi::proto::loaded_image::LoadedImage;
use uefi::proto::media::block::BlockIO;
use uefi::proto::media::file::{File as _, FileAttribute, FileMode};
use uefi::proto::media::fs::SimpleFileSystem;
use uefi::{CString16, Handle, Result, Status};
use wire::loader::gpt::{CACHE, GptError, HEAD, Header, Part, SECTOR, TAIL};
use wire::loader::{SETTINGS_PATH, Settings, TextError};

use crate::lease::looked_at;
use crate::start::Pages;

/// Bytes that are read or written at once: large enough for the pace of a stick, small enough for a line that moves.
pub(crate) const CHUNK: usize = 256 << 10;
/// Longest small file that is read: settings, and keys for Secure Boot.
const SMALL: usize = 8 << 10;
const SECTOR_SIZE: u64 = SECTOR as u64;

/// Why there is no cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCache {
    /// The firmware does not show the disk below the partition.
    NoDisk,
    /// Its sectors are not of 512 bytes.
    Sectors(u32),
    /// The firmware does not read it.
    Unread(Status),
    /// It has no table of partitions that could be read, also at its end.
    Table(GptError),
    /// It has no partition for a cache.
    NoPart,
}

impl fmt::Display for NoCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDisk => f.write_str("the firmware does not show the disk of this program"),
            Self::Sectors(size) => write!(f, "its sectors have {size} bytes, and 512 are expected"),
            Self::Unread(status) => write!(f, "the firmware does not read it: {status}"),
            Self::Table(error) => error.fmt(f),
            Self::NoPart => f.write_str("it has no partition for one"),
        }
    }
}

/// The partition that this program was started from, if it was one.
pub(crate) fn own_partition() -> Option<Handle> {
    let device = looked_at::<LoadedImage>(boot::image_handle())?.device()?;
    looked_at::<DevicePath>(device)?.node_iter().any(|node| node.full_type() == PARTITION).then_some(device)
}

const PARTITION: (DeviceType, DeviceSubType) = (DeviceType::MEDIA, DeviceSubType::MEDIA_HARD_DRIVE);

/// What a person set, in a file beside this program; nothing where there is no such file.
pub(crate) fn settings(partition: Handle) -> core::result::Result<Settings, TextError> {
    file(partition, SETTINGS_PATH).map_or(Ok(Settings::default()), |text| Settings::read(&text))
}

/// A small file of the partition.
pub(crate) fn file(partition: Handle, path: &str) -> Option<Vec<u8>> {
    let name = CString16::try_from(path.replace('/', "\\").as_str()).ok()?;
    let mut root = looked_at::<SimpleFileSystem>(partition)?.open_volume().ok()?;
    let file = root.open(&name, FileMode::Read, FileAttribute::empty()).ok()?;
    let mut file = file.into_regular_file()?;
    let mut text = vec![0; SMALL];
    let count = file.read(&mut text).ok()?;
    text.truncate(count);
    Some(text)
}

/// The whole disk, read and written by bytes.
#[derive(Debug)]
pub(crate) struct Disk {
    io: ScopedProtocol<BlockIO>,
    /// Firmware wants memory at places that suit the device: pages always do.
    room: Pages,
}

impl Disk {
    /// The disk with this partition.
    ///
    /// # Errors
    /// [`NoCache`].
    pub(crate) fn below(partition: Handle) -> core::result::Result<Self, NoCache> {
        let handle = whole(partition).ok_or(NoCache::NoDisk)?;
        let io = looked_at::<BlockIO>(handle).ok_or(NoCache::NoDisk)?;
        let size = io.media().block_size();
        if usize::try_from(size) != Ok(SECTOR) {
            return Err(NoCache::Sectors(size));
        }
        let room = Pages::new(CHUNK).map_err(|error| NoCache::Unread(error.status()))?;
        Ok(Self { io, room })
    }

    /// Its partition for the cache.
    ///
    /// # Errors
    /// [`NoCache`].
    pub(crate) fn cache(&mut self) -> core::result::Result<Part, NoCache> {
        let last = self.io.media().last_block();
        let parts = match self.parts(1) {
            // The copy is where the table says that the disk ends, which is not so on a stick larger than its image.
            Err(NoCache::Table(first)) => self.parts(last).map_err(|_| NoCache::Table(first)),
            parts => parts,
        }?;
        let fits = |part: &Part| part.kind == CACHE && part.first >= HEAD && part.last <= last;
        parts.into_iter().find(fits).ok_or(NoCache::NoPart)
    }

    fn parts(&mut self, own: u64) -> core::result::Result<Vec<Part>, NoCache> {
        let unread = |error: uefi::Error| NoCache::Unread(error.status());
        let header = self.read(own * SECTOR_SIZE, SECTOR).map_err(unread)?;
        let header = Header::read(header, own).map_err(NoCache::Table)?;
        let end = self.io.media().last_block().saturating_sub(TAIL);
        let is_there = header.table <= end + TAIL && header.sectors * SECTOR <= CHUNK;
        if !is_there {
            return Err(NoCache::Table(GptError::Odd));
        }
        let entries = self.read(header.table * SECTOR_SIZE, header.sectors * SECTOR).map_err(unread)?;
        header.parts(entries).map_err(NoCache::Table)
    }

    /// True where nothing can be written on it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.io.media().is_read_only()
    }

    /// Reads whole sectors, at most [`CHUNK`] bytes.
    ///
    /// # Errors
    /// As the firmware says.
    pub(crate) fn read(&mut self, at: u64, size: usize) -> Result<&[u8]> {
        let id = self.io.media().media_id();
        let room = self.room.bytes().get_mut(..size).ok_or(Status::BAD_BUFFER_SIZE)?;
        self.io.read_blocks(id, at / SECTOR_SIZE, room)?;
        Ok(room)
    }

    /// Writes at most [`CHUNK`] bytes, and zeros up to a multiple of `unit`.
    ///
    /// # Errors
    /// As the firmware says.
    pub(crate) fn write(&mut self, at: u64, bytes: &[u8], unit: usize) -> Result {
        let id = self.io.media().media_id();
        let size = bytes.len().next_multiple_of(unit);
        let room = self.room.bytes().get_mut(..size).ok_or(Status::BAD_BUFFER_SIZE)?;
        let (content, rest) = room.split_at_mut_checked(bytes.len()).ok_or(Status::BAD_BUFFER_SIZE)?;
        content.copy_from_slice(bytes);
        rest.fill(0);
        self.io.write_blocks(id, at / SECTOR_SIZE, room)
    }

    /// Has it write down what it holds back.
    ///
    /// # Errors
    /// As the firmware says.
    pub(crate) fn flush(&mut self) -> Result {
        self.io.flush_blocks()
    }
}

/// The handle of the disk of a partition: the one whose path is the partition's without its last node.
fn whole(partition: Handle) -> Option<Handle> {
    let path = looked_at::<DevicePath>(partition)?;
    let above = || path.node_iter().take_while(|node| node.full_type() != PARTITION);
    let is_above = |handle: &Handle| {
        looked_at::<DevicePath>(*handle).is_some_and(|other| {
            let same = |(one, another): (&_, &_)| one == another;
            other.node_iter().count() == above().count()
                && other.node_iter().zip(above()).all(|(a, b)| same((a, b)))
        })
    };
    boot::find_handles::<BlockIO>().ok()?.into_iter().find(is_above)
}
