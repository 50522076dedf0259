//! A medium to boot from, written whole: partitions, our loader with the lab's key in it, what a person may set, and a cache
//! of images. Nothing but the loader and its settings is needed: all the rest can be lost.
//!
//! ```text
//! 0        1 MiB                    37 MiB                                        end
//! │ GPT │GRUB│ EFI system partition │ cache: journal │ slot 0 │ slot 1 │  │ GPT's copy │
//!            │ EFI/BOOT/BOOTX64.EFI, BOOTAA64.EFI
//!            │ EFI/LABINATOR/SETTINGS.TXT
//!            │ GRUB/
//! ```
//! The same content makes the same bytes: no clock and no randomness is asked.

mod bios;
mod holes;
mod seeds;

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddrV4};

use model::{LabSpec, NodeName};
use sha2::{Digest as _, Sha256};
use wire::loader::bios::{self as texts, Cached, ENV, FOLDER, LABEL, SYSTEM_NAME};
use wire::loader::cache::{BLOCK, Layout, LayoutError};
use wire::loader::gpt::{self, Guid, Part, SECTOR, Table};
use wire::loader::{KEYS_PATH, Processor, SETTINGS_PATH, Seed, SeedError, Settings, StaticAddress, plant};

use crate::image::fat::{self, FatError, Volume};

pub use bios::{Bios, BiosError, GRUB_FOLDER, LKRN};
pub use holes::Holes;
pub use seeds::Seeded;

const MIB: u64 = 1 << 20;
const SECTOR_SIZE: u64 = SECTOR as u64;
const BLOCK_SIZE: u64 = BLOCK as u64;
/// Where partitions begin: at what suits every stick and disk.
const ALIGNED: u64 = MIB;
/// Bytes of the system partition: the smallest that is FAT32 beyond doubt, with room for other loaders.
const SYSTEM: u64 = 36 * MIB;
/// The smallest medium.
const SMALLEST: u64 = 48 * MIB;

/// Why a medium cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// It is too small, or ends within a MiB.
    #[error("a medium of {0} bytes cannot be made")]
    Size(u64),
    /// The loader is none.
    #[error("{0}")]
    Loader(SeedError),
    /// The system partition.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// An image does not fit into the cache.
    #[error("the image `{name}`: {why}")]
    Image {
        /// Which.
        name: String,
        /// Why.
        why: LayoutError,
    },
    /// There is no room for GRUB.
    #[error("GRUB takes {wanted} sectors, and there is room for {room}")]
    Grub {
        /// What it takes.
        wanted: u64,
        /// What there is.
        room: u64,
    },
    /// iPXE has no address to ask.
    #[error("iPXE is told whom to ask, and no boss is known")]
    NoBoss,
    /// There are more images than slots.
    #[error("{0} images were named, and the cache has two places")]
    TooMany(usize),
    /// A file of an image is not what its description says.
    #[error("the image `{name}`: {} is not what its description says", path.display())]
    Content {
        /// Which image.
        name: String,
        /// Which file.
        path: std::path::PathBuf,
    },
    /// A file could not be read.
    #[error("{}: {why}", path.display())]
    Read {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The medium could not be written.
    #[error("the medium could not be written: {0}")]
    Write(#[source] io::Error),
}

impl MediaError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Size(_) => "media-size",
            Self::Loader(_) => "media-loader",
            Self::Fat(error) => error.code(),
            Self::Grub { .. } => "media-grub-too-large",
            Self::NoBoss => "media-no-boss",
            Self::Image { why, .. } => why.code(),
            Self::TooMany(_) => "media-too-many-images",
            Self::Content { .. } => "media-image-changed",
            Self::Read { .. } => "media-read",
            Self::Write(_) => "media-write",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Size(_) => "whole MiB, 48 at least",
            Self::Loader(_) => "build it with `cargo xtask loader`, and name its folder with --loaders",
            Self::Fat(error) => error.advice(),
            Self::Grub { .. } => "take Debian's grub-common and grub-pc-bin of one release",
            Self::NoBoss => "name the boss in the settings",
            Self::Image { why: LayoutError::TooWordy, .. } => "leave it out: it is fetched at each start",
            Self::Image { .. } => "make the medium larger with --size, or leave the image out",
            Self::TooMany(_) => "name two at most; others are cached as they are booted",
            Self::Content { .. } => "labinator image verify",
            Self::Read { .. } => "see that the file is there and can be read",
            Self::Write(_) => "see that there is room where it is written",
        }
    }
}

/// What a medium is made of.
#[derive(Debug, Clone)]
pub struct Medium {
    /// Our loaders as they were built; or with this seed in them and signed, which writing the same seed does not change.
    pub loaders: Vec<(Processor, Vec<u8>)>,
    /// Whose answers it follows, and where it asks.
    pub seed: Seed,
    /// What a person may change afterwards.
    pub settings: Settings,
    /// Images that are in the cache from the start, two at most.
    pub images: Vec<Seeded>,
    /// Bytes of the medium; it may be copied onto a larger one.
    pub size: u64,
    /// What starts machines with a BIOS; without it the medium is for UEFI alone.
    pub bios: Option<Bios>,
    /// Keys for Secure Boot that the loader writes into firmware in setup mode, by file name; none on most media.
    pub keys: Vec<(String, Vec<u8>)>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of one of the two places of the cache.
    pub room: u64,
    /// Images of the cache that a BIOS can start.
    pub for_bios: Vec<String>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cache for two images of up to {} MB", self.room / 1_000_000)
    }
}

impl Medium {
    /// Writes it, from its first byte to its last. `out` is empty, or all zeros.
    ///
    /// # Errors
    /// [`MediaError`].
    pub fn write(&self, out: &mut (impl Write + Seek)) -> Result<Written, MediaError> {
        let table = self.table()?;
        let planted =
            |(processor, loader): &(Processor, Vec<u8>)| Ok((*processor, plant(loader, &self.seed)?));
        let loaders: Vec<_> =
            self.loaders.iter().map(planted).collect::<Result<_, _>>().map_err(MediaError::Loader)?;
        let (Some(system), Some(cache)) = (table.parts.first(), table.parts.get(1)) else {
            return Err(MediaError::Size(self.size));
        };
        let blocks = cache.sectors() * SECTOR_SIZE / BLOCK_SIZE;
        let layout = Layout::of(blocks).map_err(|_| MediaError::Size(self.size))?;
        let cached = seeds::write(&self.images, (layout, cache.first * SECTOR_SIZE), out)?;
        self.head(&table, out)?;
        out.seek(SeekFrom::Start(system.first * SECTOR_SIZE)).map_err(MediaError::Write)?;
        self.system(&loaders, &cached)?.write(out)?;
        put(out, (table.sectors - gpt::TAIL) * SECTOR_SIZE, &table.tail()).map_err(MediaError::Write)?;
        out.flush().map_err(MediaError::Write)?;
        let for_bios = cached.into_iter().map(|image| image.name).collect();
        Ok(Written { room: layout.room(), for_bios })
    }

    /// The table, with GRUB's code before it and GRUB behind it.
    fn head(&self, table: &Table, out: &mut (impl Write + Seek)) -> Result<(), MediaError> {
        let mut head = table.head();
        if let (Some(grub), Some(part)) = (&self.bios, table.parts.get(2)) {
            let (wanted, room) = (grub.sectors(), part.sectors());
            if wanted > room {
                return Err(MediaError::Grub { wanted, room });
            }
            head.iter_mut().zip(grub.code(part.first)).for_each(|(to, from)| *to = from);
            put(out, part.first * SECTOR_SIZE, &grub.image(part.first)).map_err(MediaError::Write)?;
        }
        put(out, 0, &head).map_err(MediaError::Write)
    }

    fn table(&self) -> Result<Table, MediaError> {
        if self.size < SMALLEST || !self.size.is_multiple_of(MIB) {
            return Err(MediaError::Size(self.size));
        }
        let part = |kind, word: &str, from: u64, to: u64, name: &str| Part {
            kind,
            id: self.number(word),
            first: from / SECTOR_SIZE,
            last: to / SECTOR_SIZE - 1,
            name: name.to_owned(),
        };
        let begin = ALIGNED + SYSTEM;
        // The last MiB has the copy of the table.
        let mut parts = vec![
            part(gpt::SYSTEM, "system", ALIGNED, begin, SYSTEM_NAME),
            part(gpt::CACHE, "cache", begin, self.size - ALIGNED, "Labinator cache"),
        ];
        if self.bios.is_some() {
            let (first, last) = bios::free(ALIGNED);
            let range = (first * SECTOR_SIZE, (last + 1) * SECTOR_SIZE);
            parts.push(part(gpt::BIOS_BOOT, "bios", range.0, range.1, "Labinator GRUB"));
        }
        Ok(Table { disk: self.number("disk"), sectors: self.size / SECTOR_SIZE, parts })
    }

    fn system<'a>(
        &'a self,
        loaders: &'a [(Processor, Vec<u8>)],
        cached: &[Cached],
    ) -> Result<Volume<'a>, MediaError> {
        let [a, b, c, d, ..] = self.number("volume").0;
        let settings = fat::Settings {
            size: SYSTEM,
            label: Some(LABEL.to_owned()),
            serial: u32::from_be_bytes([a, b, c, d]),
            time: 0,
        };
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut volume = Volume::wide(settings)?;
        for (processor, loader) in loaders {
            volume.file(processor.removable_path(), length(loader), loader.as_slice())?;
        }
        let text = self.settings.text().into_bytes();
        volume.file(SETTINGS_PATH, length(&text), io::Cursor::new(text))?;
        for (name, bytes) in &self.keys {
            volume.file(&format!("{KEYS_PATH}/{name}"), length(bytes), bytes.as_slice())?;
        }
        if let Some(grub) = &self.bios {
            volume.file(&format!("{FOLDER}/{LKRN}"), length(&grub.ipxe), grub.ipxe.as_slice())?;
            for (name, bytes) in self.texts(cached)? {
                volume.file(&format!("{FOLDER}/{name}"), length(&bytes), io::Cursor::new(bytes))?;
            }
        }
        Ok(volume)
    }

    /// Files that GRUB and iPXE read, and the one that GRUB writes.
    fn texts(&self, cached: &[Cached]) -> Result<Vec<(String, Vec<u8>)>, MediaError> {
        let Settings { boss, address, .. } = self.settings;
        let boss = boss.or(self.seed.boss).ok_or(MediaError::NoBoss)?;
        let mut files = vec![
            ("grub.cfg".to_owned(), texts::config().into_bytes()),
            ("cache.cfg".to_owned(), texts::cache_config(cached).into_bytes()),
            ("boot.ipxe".to_owned(), texts::script(boss, address, self.settings.patience()).into_bytes()),
            (ENV.to_owned(), texts::Env::default().block().to_vec()),
        ];
        let sums = cached.iter().enumerate().map(|(number, image)| texts::sums(number, image));
        files.extend(sums.map(|(name, text)| (name, text.into_bytes())));
        Ok(files)
    }

    /// A number of this medium alone, that follows from what it is made of.
    fn number(&self, word: &str) -> Guid {
        let mut all = Sha256::new();
        let seed = format!("{word} {} {:?}\n{}", self.size, self.seed, self.settings.text());
        all.update(seed.as_bytes());
        self.loaders.iter().for_each(|(_, loader)| all.update(loader));
        self.keys.iter().for_each(|(_, bytes)| all.update(bytes));
        self.bios.iter().flat_map(Bios::all).for_each(|bytes| all.update(bytes));
        for image in &self.images {
            image.files.iter().for_each(|(asset, _)| all.update(asset.digest.0));
        }
        let mut number = [0; 16];
        number.iter_mut().zip(all.finalize()).for_each(|(to, from)| *to = from);
        Guid::derived(number)
    }
}

/// Port of the controller's boot HTTP.
const HTTP: u16 = 80;

/// What a loader of this lab has in it: its key, and where to ask.
#[must_use]
pub const fn seed_of(lab: &LabSpec, key: [u8; 32]) -> Seed {
    Seed { lab_key: key, boss: Some(SocketAddrV4::new(lab.network.boss, HTTP)) }
}

/// The address that the lab file has for a machine, with the router of its segment; nothing for one that is not in it.
#[must_use]
pub fn address_of(lab: &LabSpec, node: &NodeName) -> Option<StaticAddress> {
    let spec = lab.board.nodes.get(node)?;
    let network = &lab.network;
    let inside = |subnet: Ipv4Addr, prefix: u8| {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        u32::from(spec.ip) & mask == u32::from(subnet) & mask
    };
    let relay = network.relays.iter().find(|relay| inside(relay.subnet, relay.prefix));
    let (prefix, gateway) = relay.map_or((network.prefix, network.gateway), |r| (r.prefix, Some(r.gateway)));
    Some(StaticAddress { address: spec.ip, prefix, gateway })
}

fn put(out: &mut (impl Write + Seek), at: u64, bytes: &[u8]) -> io::Result<()> {
    out.seek(SeekFrom::Start(at))?;
    out.write_all(bytes)
}
