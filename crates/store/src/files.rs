//! The file layer: the few operations durability is made of, so that a test can lose what was not synced.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

/// One open file. All methods take `&self`: a sync may run on another thread while records are written.
pub trait OpenFile: Send + Sync + fmt::Debug {
    /// Reads some bytes from `offset` on; how many. None are there behind the end.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// As the system says.
    fn size(&self) -> io::Result<u64>;

    /// Writes all bytes at `offset`, growing the file where needed.
    ///
    /// # Errors
    /// As the system says; some of the bytes may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts or extends the file to `len` bytes.
    ///
    /// # Errors
    /// As the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns when the content is on the medium (`fdatasync`).
    ///
    /// # Errors
    /// As the system says. After an error the system may have thrown the unwritten pages away.
    fn sync(&self) -> io::Result<()>;
}

/// Where files live: a disk, or a test's picture of one.
pub trait Files: Send + Sync + fmt::Debug {
    /// The whole content of a file.
    ///
    /// # Errors
    /// `NotFound` when there is none; otherwise as the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Opens a file for reading and writing, creating it when missing and leaving its content alone, and takes its lock.
    ///
    /// # Errors
    /// `ResourceBusy` when another process holds the file; otherwise as the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;

    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a name. A name that is not there is fine.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns when creations, renames and removals in this folder are on the medium.
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Replaces a small file so that after a power cut either the old or the new content is there.
    ///
    /// # Errors
    /// As the system says; the old content is untouched then.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let fresh = beside(path);
        let file = self.open(&fresh)?;
        file.set_len(0)?;
        file.write_at(content, 0)?;
        file.sync()?;
        self.rename(&fresh, path)?;
        self.sync_folder(folder_of(path))
    }
}

/// The folder a file stands in; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The name a new version is written under before it takes the place of the old one.
pub(crate) fn beside(path: &Path) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The real file layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between the two its owner may have put a new file in its place: that one is locked.
        let (named, opened) = (std::fs::metadata(path)?, file.metadata()?);
        if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl OpenFile for DiskFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
