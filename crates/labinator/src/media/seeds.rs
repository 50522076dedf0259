//! Images that are in a medium's cache from the start, written by the steps by which a loader writes them.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::{Asset, Digest};
use sha2::{Digest as _, Sha256};
use wire::loader::bios::{Cached, CachedFile};
use wire::loader::cache::{Held, Layout, Record, SLOTS, Step, Store};
use wire::loader::{Piece, Plan};

use super::{BLOCK_SIZE, MediaError, SECTOR_SIZE, put};
use crate::image::{ImageManifest, life};

/// An image that is put into the cache.
#[derive(Debug, Clone)]
pub struct Seeded {
    /// Its name.
    pub name: String,
    /// Its files, the kernel first, and where they are.
    pub files: Vec<(Asset, PathBuf)>,
    /// Its own kernel arguments.
    pub args: String,
}

impl Seeded {
    /// The generation of an image that is in use.
    ///
    /// # Errors
    /// There is none, or it has no program for UEFI.
    pub fn of(images: &Path, name: &str) -> Result<Self, crate::image::ImageError> {
        let folder = life::in_use(images, name);
        let manifest = ImageManifest::read(&folder)?;
        let image = manifest.image();
        let files = image.for_efi().map(|asset| (asset.clone(), folder.join(&asset.name))).collect();
        Ok(Self { name: name.to_owned(), files, args: manifest.args })
    }

    fn plan(&self) -> Option<Plan> {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
        let piece = |(asset, _): &(Asset, PathBuf)| Piece {
            size: asset.size,
            digest: asset.digest,
            path: format!("/f/{}/{}", asset.digest, asset.name.chars().map(plain).collect::<String>()),
        };
        let (kernel, initrd) = self.files.split_first()?;
        Some(Plan {
            kernel: piece(kernel),
            initrd: initrd.iter().map(piece).collect(),
            args: self.args.clone(),
        })
    }
}

/// What Linux's kernel has at 0x202 where a BIOS's boot loader can start it (Linux, "The Linux/x86 Boot Protocol").
const LINUX: (usize, &[u8]) = (0x202, b"HdrS");

/// Writes images into the cache that begins at this byte. None of them is said to start well: that is for the controller
/// to say, which sees it. Gives back those that a BIOS can start, and where they lie.
pub(super) fn write(
    images: &[Seeded],
    (layout, base): (Layout, u64),
    out: &mut (impl Write + Seek),
) -> Result<Vec<Cached>, MediaError> {
    if images.len() > SLOTS {
        return Err(MediaError::TooMany(images.len()));
    }
    let mut now = Record::default();
    let mut cached = Vec::new();
    for image in images {
        let Some(plan) = image.plan() else { continue };
        let held = Held::of(&plan);
        let store = Store::of(layout, &now, held.clone())
            .map_err(|why| MediaError::Image { name: image.name.clone(), why })?;
        now = store.after().clone();
        for step in store {
            match step {
                Step::Journal { at, block } => {
                    put(out, base + at * BLOCK_SIZE, &*block).map_err(MediaError::Write)?;
                }
                Step::Fill { slot } => {
                    let mut files = Vec::new();
                    for ((first, size), (asset, path)) in layout.files(slot, &held).zip(&image.files) {
                        out.seek(SeekFrom::Start(base + first * BLOCK_SIZE)).map_err(MediaError::Write)?;
                        let digest = copy(&image.name, asset, path, out)?;
                        let sectors = size.div_ceil(SECTOR_SIZE);
                        files.push(CachedFile { first: first * BLOCK_SIZE / SECTOR_SIZE, sectors, digest });
                    }
                    cached.extend(for_bios(image, files)?);
                }
                // It is one file until it is whole.
                Step::Flush => {}
            }
        }
    }
    Ok(cached)
}

/// The image as a BIOS starts it; nothing where its first file is no kernel for one.
fn for_bios(image: &Seeded, files: Vec<CachedFile>) -> Result<Option<Cached>, MediaError> {
    let Some((_, path)) = image.files.first() else { return Ok(None) };
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1024).read_to_end(&mut head));
    read.map_err(|why| MediaError::Read { path: path.clone(), why })?;
    let is_linux = head.get(LINUX.0..).is_some_and(|rest| rest.starts_with(LINUX.1));
    let mut files = files.into_iter();
    let kernel = files.next().filter(|_| is_linux);
    let (name, args) = (image.name.clone(), image.args.clone());
    Ok(kernel.map(|kernel| Cached { name, kernel, initrd: files.collect(), args }))
}

/// Writes a file, and gives back the digest of its sectors: of it and the zeros that fill the last one.
fn copy(name: &str, asset: &Asset, path: &Path, out: &mut impl Write) -> Result<Digest, MediaError> {
    let read = |why: io::Error| MediaError::Read { path: path.to_owned(), why };
    let mut file = File::open(path).map_err(read)?.take(asset.size);
    let mut piece = vec![0; 1 << 20];
    let mut hash = Sha256::new();
    loop {
        let count = file.read(&mut piece).map_err(read)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        out.write_all(bytes).map_err(MediaError::Write)?;
    }
    let mut whole = hash.clone();
    let got: [u8; 32] = hash.finalize().into();
    if got != asset.digest.0 {
        return Err(MediaError::Content { name: name.to_owned(), path: path.to_owned() });
    }
    let short = asset.size.next_multiple_of(SECTOR_SIZE) - asset.size;
    whole.update(vec![0; usize::try_from(short).unwrap_or_default()]);
    Ok(Digest(whole.finalize().into()))
}
