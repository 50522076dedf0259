//! The shelf: content by SHA-256. A content is on it whole or not at all, and never under another's name.
//!
//! ```text
//! ROOT/<64 hex>            a content
//! ROOT/incoming/<name>     being written; swept at the next put
//! ROOT/damaged/<64 hex>    its bytes no longer match its name
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::Digest;

/// Bytes read at once when a content is hashed or copied.
const CHUNK: usize = 256 << 10;

/// Why a content cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// There is no such content.
    #[error("no content {0} on the shelf")]
    Missing(Digest),
    /// The content no longer matches its name and was put aside.
    #[error("content {wanted} reads as {found}; it was put aside as {}", aside.display())]
    Damaged {
        /// The name it stood under.
        wanted: Digest,
        /// What its bytes hash to.
        found: Digest,
        /// Where it lies now.
        aside: PathBuf,
    },
    /// The range does not lie inside the content.
    #[error("bytes {from}+{len} do not lie in content {digest} of {size} bytes")]
    OutOfRange {
        /// The content.
        digest: Digest,
        /// First byte asked for.
        from: u64,
        /// Bytes asked for.
        len: u64,
        /// Bytes there are.
        size: u64,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ShelfError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "content-missing",
            Self::Damaged { .. } => "content-damaged",
            Self::OutOfRange { .. } => "content-range",
            Self::Io { .. } => "content-io",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Missing(_) => "fetch the image again",
            Self::Damaged { .. } => "fetch the image again, and look at the disk",
            Self::OutOfRange { .. } => "ask for a range inside the content",
            Self::Io { .. } => "look at the disk and the rights of the store folder",
        }
    }
}

/// One content on the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The shelf in a folder. Opening touches nothing, so that a reader without rights to write can use it.
#[derive(Debug)]
pub struct Shelf {
    root: PathBuf,
}

/// Of all shelves of this process: several may be of one folder.
static SERIAL: AtomicU64 = AtomicU64::new(0);

impl Shelf {
    /// The shelf in this folder, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.root.join(digest.to_string())
    }

    /// Reads a content to its end and keeps it, on the medium when this returns. A content that is there already is
    /// read and not written twice.
    ///
    /// # Errors
    /// [`ShelfError::Io`]: nothing was kept.
    pub fn put(&self, mut content: impl Read) -> Result<Digest, ShelfError> {
        let draft = self.draft()?;
        let fault = |source| io_error(&draft.0, source);
        let mut file = File::create_new(&draft.0).map_err(fault)?;
        let digest = copy_and_hash(&mut content, |bytes| file.write_all(bytes)).map_err(fault)?;
        file.sync_all().map_err(fault)?;
        self.keep(&draft, digest)
    }

    /// Takes a file that lies on the machine: by a second name where the file system can, by a copy otherwise.
    /// The file must not be changed afterwards (replacing it is fine).
    ///
    /// # Errors
    /// [`ShelfError::Io`]: nothing was kept.
    pub fn adopt(&self, path: &Path) -> Result<Digest, ShelfError> {
        let fault = |source| io_error(path, source);
        let source = File::open(path).map_err(fault)?;
        let draft = self.draft()?;
        if fs::hard_link(path, &draft.0).is_err() {
            return self.put(&source);
        }
        let linked = File::open(&draft.0).map_err(|source| io_error(&draft.0, source))?;
        let digest = copy_and_hash(&mut &linked, |_| Ok(())).map_err(fault)?;
        linked.sync_all().map_err(fault)?;
        self.keep(&draft, digest)
    }

    /// A name for a content that is still being written; the file is removed when it is not kept.
    fn draft(&self) -> Result<Draft, ShelfError> {
        let folder = self.root.join("incoming");
        fs::create_dir_all(&folder).map_err(|source| io_error(&folder, source))?;
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let draft = folder.join(format!("{}-{serial}", std::process::id()));
        // A process with our number may have died here before.
        drop(fs::remove_file(&draft));
        Ok(Draft(draft))
    }

    fn keep(&self, draft: &Draft, digest: Digest) -> Result<Digest, ShelfError> {
        let home = self.path(digest);
        fs::rename(&draft.0, &home).map_err(|source| io_error(&home, source))?;
        let synced = File::open(&self.root).and_then(|root| root.sync_all());
        synced.map(|()| digest).map_err(|source| io_error(&self.root, source))
    }

    /// Opens a content for reading at any place.
    ///
    /// # Errors
    /// [`ShelfError::Missing`], or [`ShelfError::Io`].
    pub fn open(&self, digest: Digest) -> Result<Content, ShelfError> {
        let path = self.path(digest);
        let file = File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ShelfError::Missing(digest),
            _ => io_error(&path, source),
        })?;
        let about = file.metadata().map_err(|source| io_error(&path, source))?;
        let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Content { file, digest, size: about.size(), modified })
    }

    /// Opens `len` bytes of a content from byte `from` on.
    ///
    /// # Errors
    /// [`ShelfError::OutOfRange`] when they do not lie inside it; otherwise as [`Shelf::open`].
    pub fn open_range(&self, digest: Digest, from: u64, len: u64) -> Result<Slice, ShelfError> {
        let content = self.open(digest)?;
        let size = content.size;
        if from.checked_add(len).is_none_or(|end| end > size) {
            return Err(ShelfError::OutOfRange { digest, from, len, size });
        }
        Ok(Slice { content, at: from, left: len })
    }

    /// True when the content is there (its bytes are not looked at).
    #[must_use]
    pub fn has(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Reads a content and compares it with its name. One that does not match is put aside.
    ///
    /// # Errors
    /// [`ShelfError::Damaged`] when it was put aside; otherwise as [`Shelf::open`].
    pub fn verify(&self, digest: Digest) -> Result<u64, ShelfError> {
        let path = self.path(digest);
        let content = self.open(digest)?;
        let found =
            copy_and_hash(&mut &content.file, |_| Ok(())).map_err(|source| io_error(&path, source))?;
        if found == digest {
            return Ok(content.size);
        }
        let folder = self.root.join("damaged");
        fs::create_dir_all(&folder).map_err(|source| io_error(&folder, source))?;
        let aside = folder.join(digest.to_string());
        fs::rename(&path, &aside).map_err(|source| io_error(&aside, source))?;
        Err(ShelfError::Damaged { wanted: digest, found, aside })
    }

    /// All contents, by name. A shelf whose folder does not exist is empty.
    ///
    /// # Errors
    /// [`ShelfError::Io`].
    pub fn list(&self) -> Result<Vec<Item>, ShelfError> {
        let fault = |source| io_error(&self.root, source);
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(fault)?,
        };
        let mut items = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name();
            if let Some(digest) = name.to_str().and_then(|name| name.parse().ok()) {
                items.push(Item { digest, size: entry.metadata().map_err(fault)?.size() });
            }
        }
        items.sort_unstable();
        Ok(items)
    }

    /// Takes off the shelf what was neither put nor adopted since `before`, and gives the bytes of it. Who renews
    /// what is needed (a content that is there already counts as put) loses nothing but what is not.
    ///
    /// # Errors
    /// [`ShelfError::Io`]: some of it may be gone already.
    pub fn sweep(&self, before: SystemTime) -> Result<u64, ShelfError> {
        let mut bytes = 0;
        for item in self.list()? {
            let path = self.path(item.digest);
            let about = match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                about => about.map_err(|source| io_error(&path, source))?,
            };
            // A second name and its end change the status, not the content: its time is that of the last adoption.
            let seconds = u64::try_from(about.ctime()).unwrap_or(0);
            let rest = u32::try_from(about.ctime_nsec()).unwrap_or(0);
            if SystemTime::UNIX_EPOCH + Duration::new(seconds, rest) < before {
                self.remove(item.digest)?;
                bytes += item.size;
            }
        }
        Ok(bytes)
    }

    /// Takes a content off the shelf. One that is not there is fine.
    ///
    /// # Errors
    /// [`ShelfError::Io`].
    pub fn remove(&self, digest: Digest) -> Result<(), ShelfError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&path, error)),
            _ => Ok(()),
        }
    }
}

struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Kept contents have moved away, so this finds nothing.
        drop(fs::remove_file(&self.0));
    }
}

/// An open content. Reading at a place needs no position, so many readers may share one.
#[derive(Debug)]
pub struct Content {
    file: File,
    digest: Digest,
    size: u64,
    modified: SystemTime,
}

impl Content {
    /// Its name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When it was put here.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        self.modified
    }

    /// Reads into `buffer` from byte `offset` on (`pread`); 0 at the end.
    ///
    /// # Errors
    /// As the system says.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

impl AsFd for Content {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A part of a content, read from its start to its end.
#[derive(Debug)]
pub struct Slice {
    content: Content,
    at: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.content.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        let count64 = u64::try_from(count).unwrap_or(u64::MAX);
        self.at += count64;
        self.left -= count64.min(self.left);
        Ok(count)
    }
}

/// Reads to the end, hashing and handing on each piece.
fn copy_and_hash(from: &mut impl Read, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Digest> {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        if count == 0 {
            return Ok(Digest(sum.finalize().into()));
        }
        let piece = buffer.get(..count).unwrap_or_default();
        sum.update(piece);
        to(piece)?;
    }
}

fn io_error(path: &Path, source: io::Error) -> ShelfError {
    ShelfError::Io { path: path.to_owned(), source }
}
