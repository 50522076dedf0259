//! A disk as the wipe sees it: a block device that nobody else may claim meanwhile, or a file in tests.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, OFlags, SeekFrom, fadvise, fallocate, seek};

/// What reads past the kernel's cache must be aligned to: the largest block that disks have.
pub(super) const BLOCK: u64 = 4096;

/// A stretch of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) at: u64,
    pub(super) len: u64,
}

impl Range {
    pub(super) const fn end(self) -> u64 {
        self.at.saturating_add(self.len)
    }
}

/// An open disk.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    /// For reading back: past the kernel's cache where it is a device, so that the device itself answers.
    back: File,
    /// Size.
    pub(super) bytes: u64,
    /// What the disk of a test does wrong.
    #[cfg(test)]
    pub(super) faults: Faults,
}

/// What the disk of a test does wrong.
#[cfg(test)]
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// It takes no discard.
    pub(super) no_discard: bool,
    /// Writes here fail.
    pub(super) write_fails: Option<Range>,
    /// Reads here fail.
    pub(super) read_fails: Option<Range>,
    /// Here it says that it wrote or discarded, and did not.
    pub(super) lies: Option<Range>,
    /// It says that it discarded, and did nothing at all.
    pub(super) lies_of_discards: bool,
    /// Bytes that may be written before the power goes.
    pub(super) power_for: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl Disk {
    /// Opens it for nobody else: a device of which anything is mounted, or that is part of something, is refused by the
    /// kernel (`O_EXCL`, open(2)), and as long as this one is open nobody can mount it.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let device = std::fs::metadata(path)?.file_type().is_block_device();
        let flags = |on: OFlags| if device { i32::try_from(on.bits()).unwrap_or(0) } else { 0 };
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags(OFlags::EXCL)).open(path)?;
        let back = OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECT)).open(path)?;
        let bytes = seek(&file, SeekFrom::End(0))?;
        Ok(Self {
            file,
            back,
            bytes,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }

    /// Its size now: a disk that was told to erase itself may come back as another one.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(seek(&self.file, SeekFrom::End(0))?)
    }

    /// Reads a stretch from the device itself.
    ///
    /// # Errors
    /// As the device says, or that the disk ends before.
    pub(super) fn read(&self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        #[cfg(test)]
        if self.faults.read_fails.is_some_and(|bad| at < bad.end() && bad.at < at + len) {
            return Err(io::Error::other("the test's disk cannot read here"));
        }
        let end = at.checked_add(len).filter(|end| *end <= self.bytes);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let from = at / BLOCK * BLOCK;
        let to = end.next_multiple_of(BLOCK).min(self.bytes);
        let size = |bytes: u64| usize::try_from(bytes).map_err(io::Error::other);
        let (whole, block) = (size(to - from)?, size(BLOCK)?);
        let mut room = vec![0; whole + block];
        let skip = room.as_ptr().align_offset(block);
        let window = room.get_mut(skip..).and_then(|room| room.get_mut(..whole));
        let window = window.ok_or_else(|| io::Error::other("no aligned memory"))?;
        self.back.read_exact_at(window, from)?;
        let start = size(at - from)?;
        let wanted = window.get(start..).and_then(|rest| rest.get(..size(len).ok()?));
        wanted.map(<[u8]>::to_vec).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// Writes; it lies on the device only after [`Disk::settle`].
    ///
    /// # Errors
    /// As the device says.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if self.fault_on_write(Range { at, len: bytes.len() as u64 })? {
            return Ok(());
        }
        self.file.write_all_at(bytes, at)
    }

    /// Gives blocks back. The kernel does this for a device only where the device promises that they read as zeros
    /// afterwards (`FALLOC_FL_PUNCH_HOLE` of a block device, `block/fops.c`).
    ///
    /// # Errors
    /// As the kernel says; `EOPNOTSUPP` where the device promises nothing.
    pub(super) fn discard(&self, range: Range) -> io::Result<()> {
        #[cfg(test)]
        {
            if self.faults.no_discard {
                return Err(rustix::io::Errno::OPNOTSUPP.into());
            }
            if self.faults.lies_of_discards || self.fault_on_write(range)? {
                return Ok(());
            }
        }
        let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.file, how, range.at, range.len)?)
    }

    /// Brings all that was written to the device, out of its own cache too, and forgets what the kernel remembers of it.
    ///
    /// # Errors
    /// As the device says.
    pub(super) fn settle(&self) -> io::Result<()> {
        self.file.sync_all()?;
        // Where reading goes past the cache this changes nothing, and where it does not it is what can be done.
        Ok(fadvise(&self.back, 0, None, Advice::DontNeed)?)
    }

    /// True where a write is to be swallowed.
    #[cfg(test)]
    fn fault_on_write(&self, range: Range) -> io::Result<bool> {
        use std::sync::atomic::Ordering;
        let touches = |bad: &Range| range.at < bad.end() && bad.at < range.end();
        if let Some(left) = &self.faults.power_for {
            let had = left.load(Ordering::Relaxed);
            left.store(had.saturating_sub(range.len), Ordering::Relaxed);
            if had < range.len {
                return Err(io::Error::other("the power is gone"));
            }
        }
        if self.faults.write_fails.as_ref().is_some_and(touches) {
            return Err(io::Error::other("the test's disk cannot write here"));
        }
        Ok(self.faults.lies.as_ref().is_some_and(touches))
    }
}
