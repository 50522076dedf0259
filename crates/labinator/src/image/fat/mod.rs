//! A FAT file system that depends on nothing but what is put into it: no clock, no names of the machine it was made on. Same
//! content, same bytes.
//!
//! Microsoft, "FAT File System Specification" (fatgen103); what firmware wants of it, UEFI 2.10, section 13.3.

mod layout;
mod names;
mod stamp;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};

use layout::Layout;
use names::Short;

/// The largest file, in bytes: its size has 32 bits.
const LARGEST: u64 = 0xffff_ffff;
/// Entries of the largest folder (fatgen103, "FAT Directory Structure": 2 MiB).
const ENTRIES: usize = 65_536;

/// Why a volume cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// A path has a name that FAT cannot hold.
    #[error("`{path}`: FAT cannot hold the name `{name}`: {why}")]
    Name {
        /// The whole path.
        path: String,
        /// The part of it.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Two things in a folder have one name.
    #[error("`{path}` and `{known}` are one name: FAT does not tell capitals from small letters")]
    Twice {
        /// What was to be put in.
        path: String,
        /// What is there.
        known: String,
    },
    /// A label is none.
    #[error("`{0}` is no label of a volume")]
    Label(String),
    /// No volume has this size.
    #[error("a volume cannot have {0} bytes")]
    Size(u64),
    /// The content does not fit.
    #[error("the volume has room for {room} bytes, and its content takes {needed}")]
    TooMuch {
        /// What its files and folders take, whole clusters.
        needed: u64,
        /// What it has.
        room: u64,
    },
    /// A folder has more entries than one can have.
    #[error("the folder `/{path}` has {entries} entries, and {most} is the most")]
    Folder {
        /// Which.
        path: String,
        /// A name takes one for each 13 letters, and one more.
        entries: usize,
        /// What it can have.
        most: usize,
    },
    /// A file is larger than one can be.
    #[error("`{path}` has {size} bytes, and 4294967295 is the most")]
    File {
        /// Which.
        path: String,
        /// In bytes.
        size: u64,
    },
    /// A file did not have as many bytes as was said.
    #[error("`{path}` was to have {told} bytes, and it has {found}")]
    Content {
        /// Which.
        path: String,
        /// What was said.
        told: u64,
        /// `fewer` or `more`.
        found: &'static str,
    },
    /// A file could not be read.
    #[error("`{path}`: {source}")]
    Read {
        /// Which.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The volume could not be written.
    #[error("the volume could not be written: {0}")]
    Write(#[source] io::Error),
}

impl FatError {
    /// Stable word for logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "fat-name",
            Self::Twice { .. } => "fat-name-twice",
            Self::Label(_) => "fat-label",
            Self::Size(_) => "fat-size",
            Self::TooMuch { .. } => "fat-full",
            Self::Folder { .. } => "fat-folder-full",
            Self::File { .. } => "fat-file-too-large",
            Self::Content { .. } => "fat-content",
            Self::Read { .. } => "fat-read",
            Self::Write(_) => "fat-write",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Name { .. } => "give it another name",
            Self::Twice { .. } => "give one of them another name",
            Self::Label(_) => "one to eleven capitals, digits and signs such as `-` and `_`",
            Self::Size(_) => "whole sectors of 512 bytes, 36 at least and 2^32 - 1 at most",
            Self::TooMuch { .. } => "make the volume larger, or leave something out",
            Self::Folder { .. } => "put some of it into folders below",
            Self::File { .. } => "split it, or use another file system",
            Self::Content { .. } => "it changed while it was read: try again",
            Self::Read { .. } => "see that the file is there and can be read",
            Self::Write(_) => "see that there is room where the volume is written",
        }
    }
}

/// What a volume is beside its files.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its size in bytes, which decides its type: FAT12 up to 4.1 MiB, FAT16 up to 512 MiB, FAT32 above.
    pub size: u64,
    /// Its name, up to eleven capitals; it stands in the boot sector and in the root.
    pub label: Option<String>,
    /// Its number, which tells volumes of one label apart.
    pub serial: u32,
    /// When all of it was made, in seconds since 1970. FAT knows 1980 to 2107; anything else is the nearest of these.
    pub time: u64,
}

/// A volume being put together.
#[derive(Debug)]
pub struct Volume<'a> {
    settings: Settings,
    layout: Layout,
    label: Option<Short>,
    root: Folder<'a>,
}

/// By name as FAT compares names; the order of a map is the order of the volume.
#[derive(Debug, Default)]
struct Folder<'a>(BTreeMap<String, (String, Node<'a>)>);

enum Node<'a> {
    Folder(Folder<'a>),
    File { size: u32, content: Box<dyn Read + 'a> },
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.fmt(f),
            Self::File { size, .. } => write!(f, "{size} bytes"),
        }
    }
}

impl<'a> Volume<'a> {
    /// An empty volume.
    ///
    /// # Errors
    /// [`FatError::Size`] and [`FatError::Label`].
    pub fn new(settings: Settings) -> Result<Self, FatError> {
        let layout = Layout::of(settings.size).ok_or(FatError::Size(settings.size))?;
        Self::laid_out(settings, layout)
    }

    /// An empty volume that is FAT32 also where it is small, as a system partition should be: 33 MiB at least.
    ///
    /// # Errors
    /// [`FatError::Size`] and [`FatError::Label`].
    pub fn wide(settings: Settings) -> Result<Self, FatError> {
        let layout = Layout::wide(settings.size).ok_or(FatError::Size(settings.size))?;
        Self::laid_out(settings, layout)
    }

    fn laid_out(settings: Settings, layout: Layout) -> Result<Self, FatError> {
        let label = settings.label.as_deref();
        let label = label.map(|text| names::label(text).ok_or_else(|| FatError::Label(text.to_owned())));
        Ok(Self { layout, label: label.transpose()?, settings, root: Folder::default() })
    }

    /// Adds a folder, with those above it; one that is there stays. Its parts are separated by `/`.
    ///
    /// # Errors
    /// [`FatError::Name`], and [`FatError::Twice`] where a file has its name.
    pub fn folder(&mut self, path: &str) -> Result<(), FatError> {
        self.root.below(path, path).map(drop)
    }

    /// Adds a file of `size` bytes, with the folders above it. It is read while the volume is written.
    ///
    /// # Errors
    /// [`FatError::Name`], [`FatError::Twice`], and [`FatError::File`] for 4 GiB and more.
    pub fn file(&mut self, path: &str, size: u64, content: impl Read + 'a) -> Result<(), FatError> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let too_large = || FatError::File { path: path.to_owned(), size };
        let short = u32::try_from(size.min(LARGEST)).map_err(|_| too_large())?;
        if size > LARGEST {
            return Err(too_large());
        }
        let folder =
            if above.is_empty() && name == path { &mut self.root } else { self.root.below(above, path)? };
        let key = judged(name, path)?;
        if let Some((known, _)) = folder.0.get(&key) {
            let known = path.strip_suffix(name).unwrap_or_default().to_owned() + known;
            return Err(FatError::Twice { path: path.to_owned(), known });
        }
        let file = Node::File { size: short, content: Box::new(content) };
        folder.0.insert(key, (name.to_owned(), file));
        Ok(())
    }

    /// Writes the volume from its first byte to its last.
    ///
    /// # Errors
    /// [`FatError::TooMuch`] and [`FatError::Folder`] before anything is written; what reading and writing say.
    pub fn write(self, out: &mut impl Write) -> Result<(), FatError> {
        write::written(self, out)
    }
}

impl<'a> Folder<'a> {
    /// The folder of this path below it, made where it is missing. `whole` is what the caller asked for.
    fn below(&mut self, path: &str, whole: &str) -> Result<&mut Self, FatError> {
        let mut here = self;
        for name in path.split('/') {
            let key = judged(name, whole)?;
            let new = || (name.to_owned(), Node::Folder(Self::default()));
            let (known, node) = here.0.entry(key).or_insert_with(new);
            match node {
                Node::Folder(folder) if known == name => here = folder,
                Node::Folder(_) | Node::File { .. } => {
                    return Err(FatError::Twice { path: whole.to_owned(), known: known.clone() });
                }
            }
        }
        Ok(here)
    }
}

/// By which a name is found in its folder.
fn judged(name: &str, path: &str) -> Result<String, FatError> {
    match names::wrong(name) {
        None => Ok(names::folded(name)),
        Some(why) => Err(FatError::Name { path: path.to_owned(), name: name.to_owned(), why }),
    }
}
