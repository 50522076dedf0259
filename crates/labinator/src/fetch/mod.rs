//! `labinator image fetch`: systems of other makers into the image folder, each file proven before it is used.
//!
//! ```text
//! catalogue ─▶ addresses ─▶ pin in images.lock? ─yes─▶ its digest ──┐
//!                             └no─▶ the distributor's own list ─────┴▶ download ─▶ verify ─▶ folder, by rename
//!                                                                      or copy     └▶ first time: pin written
//! ```
//! Signatures are not checked: the first fetch believes the list of digests as HTTPS delivers it, every later
//! one believes the pin. Where a maker writes no list (Talos's image factory), what comes first is pinned.

mod catalogue;
mod download;
mod error;
mod parts;
mod pins;
mod source;
mod sums;
pub(crate) mod talos;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use model::{Asset, Digest};
use sha2::{Digest as _, Sha256, Sha512};

use crate::image::ImageManifest;
use catalogue::{CATALOGUE, For, Recipe, Wanted};
use download::Client;
pub use error::FetchError;
use parts::{Part, Search};
pub use pins::{Pin, Pins};
use source::Source;
pub use sums::{Told, in_list, in_stream};

/// Bytes read at once when a file is hashed.
const CHUNK: usize = 256 << 10;

/// What to fetch, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// Name in the catalogue.
    pub name: String,
    /// Version; the catalogue's own when absent.
    pub version: Option<String>,
    /// Architecture, as Debian calls it.
    pub arch: String,
    /// What the image factory is to have built in, by its id; Talos alone has schematics.
    pub schematic: Option<String>,
    /// Another place with the same layout.
    pub mirror: Option<String>,
    /// A folder that has the files, instead of any place on the network.
    pub from: Option<PathBuf>,
    /// Files of that folder are taken although nobody says what they must be.
    pub unproven: bool,
    /// Folder of images.
    pub out: PathBuf,
    /// The pins.
    pub lock: PathBuf,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Name of the image, for `image:` of a scenario.
    pub image: String,
    /// What it consists of.
    pub manifest: ImageManifest,
    /// True when the pins were written now.
    pub pinned: bool,
    /// True when nobody said what the files must be: what came was pinned.
    pub unproven: bool,
}

/// How a fetch goes on: a file, bytes so far, size where it is known.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, Option<u64>);

/// Every system of the catalogue with one phrase and its version when nobody names one.
#[must_use]
pub fn systems() -> Vec<(&'static str, &'static str, &'static str)> {
    CATALOGUE.iter().map(|recipe| (recipe.name, recipe.about, recipe.version)).collect()
}

/// Fetches a system.
///
/// # Errors
/// [`FetchError`]: nothing in the image folder was changed, and what came so far is kept for the next try.
pub async fn fetch(order: &Order, progress: Progress<'_>) -> Result<Fetched, FetchError> {
    let (recipe, wanted) = chosen(order)?;
    let image = wanted.image(&recipe);
    let fault = |source| FetchError::Pins { path: order.lock.clone(), source };
    let mut pins = Pins::read(&order.lock).map_err(fault)?;
    let source = match &order.from {
        Some(folder) => Source::Folder(folder.clone()),
        None => Source::Web { client: Client::default(), mirror: order.mirror.clone() },
    };
    let pinned = pins.images.get(&image);
    let search = Search { recipe: &recipe, wanted: &wanted, source: &source, unproven: order.unproven };
    let parts = match pinned {
        Some(known) => search.by_pins(known, &order.lock.display().to_string()),
        None => search.by_lists().await?,
    };
    source.missing(&parts)?;
    let work = order.out.join(".fetching").join(&image);
    let home = order.out.join(&image);
    recover(&work, &home)?;
    fs::create_dir_all(&work).map_err(io_at(&work))?;
    let mut assets = Vec::new();
    for part in &parts {
        assets.push(take(&source, part, &work, progress).await?);
    }
    let manifest = describe(&recipe, &wanted, &parts, &assets, &work)?;
    place(&work, &home, &manifest)?;
    let fresh = pinned.is_none();
    if fresh {
        let pin = |(part, asset): (&Part, &Asset)| {
            let pin = Pin { url: part.canonical.clone(), size: asset.size, sha256: asset.digest };
            (part.name.clone(), pin)
        };
        pins.images.insert(image.clone(), parts.iter().zip(&assets).map(pin).collect());
        pins.write(&order.lock).map_err(fault)?;
    }
    let unproven = parts.iter().any(|part| part.told.is_none());
    Ok(Fetched { image, manifest, pinned: fresh, unproven })
}

/// What is asked for, of the catalogue.
fn chosen(order: &Order) -> Result<(Recipe, Wanted), FetchError> {
    let recipe = CATALOGUE
        .into_iter()
        .find(|recipe| recipe.name == order.name)
        .ok_or_else(|| FetchError::Unknown { asked: order.name.clone() })?;
    let version = order.version.as_deref().unwrap_or(recipe.version);
    if version.is_empty() {
        return Err(FetchError::NoVersion { name: recipe.name });
    }
    let wanted = Wanted {
        version: version.to_owned(),
        arch: order.arch.clone(),
        schematic: order.schematic.clone(),
        args: recipe.args.to_owned(),
    };
    talos::fill_in(recipe, wanted)
}

/// Fetches one file into the work folder and proves it. One that was resumed and is wrong is fetched once
/// more from its beginning: the maker may have changed it in between.
async fn take(
    source: &Source,
    part: &Part,
    work: &Path,
    progress: Progress<'_>,
) -> Result<Asset, FetchError> {
    let path = work.join(&part.name);
    let mut resumed = fs::metadata(&path).is_ok_and(|about| about.len() > 0);
    if resumed && part.told.is_none() {
        // Nobody could tell whether the rest belongs to it.
        fs::remove_file(&path).map_err(io_at(&path))?;
        resumed = false;
    }
    loop {
        let whole = resumed && prove(part, &path).is_ok();
        if !whole {
            source.file(&part.url, &path, |moved, size| progress(&part.name, moved, size)).await?;
        }
        match prove(part, &path) {
            Ok(asset) => return Ok(asset),
            Err(why) => {
                fs::remove_file(&path).map_err(io_at(&path))?;
                if !resumed {
                    return Err(why);
                }
                resumed = false;
            }
        }
    }
}

fn prove(part: &Part, path: &Path) -> Result<Asset, FetchError> {
    let mut file = File::open(path).map_err(io_at(path))?;
    let (mut short, mut long, mut size) = (Sha256::new(), Sha512::new(), 0_u64);
    let mut buffer = vec![0; CHUNK];
    let needs_long = matches!(part.told, Some(Told::Sha512(_)));
    loop {
        let count = file.read(&mut buffer).map_err(io_at(path))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        short.update(bytes);
        if needs_long {
            long.update(bytes);
        }
        size += u64::try_from(count).unwrap_or_default();
    }
    let digest = Digest(short.finalize().into());
    let asset = Asset { name: part.name.clone(), digest, size };
    let Some(told) = &part.told else { return Ok(asset) };
    let found = match told {
        Told::Sha256(_) => digest.to_string(),
        Told::Sha512(_) => long.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if found == told.digits() && part.size.is_none_or(|pinned| pinned == size) {
        return Ok(asset);
    }
    let expected = told.digits().to_owned();
    Err(FetchError::Mismatch { url: part.url.clone(), by: part.by.clone(), expected, found })
}

fn describe(
    recipe: &Recipe,
    wanted: &Wanted,
    parts: &[Part],
    assets: &[Asset],
    work: &Path,
) -> Result<ImageManifest, FetchError> {
    let mut args = wanted.args.clone();
    if let Some(part) = parts.iter().find(|part| part.role == For::Args) {
        let path = work.join(&part.name);
        args = talos::line(&part.url, &fs::read(&path).map_err(io_at(&path))?)?;
    }
    let of = |role: For| {
        let with_role = parts.iter().zip(assets).filter(move |(part, _)| part.role == role);
        with_role.map(|(_, asset)| asset.clone()).collect::<Vec<_>>()
    };
    let mut digests = Sha256::new();
    for asset in assets {
        digests.update(asset.digest.0);
    }
    let kernel = of(For::Kernel).into_iter().next().unwrap_or_else(|| Asset {
        name: String::new(),
        digest: Digest([0; 32]),
        size: 0,
    });
    let inputs = Digest(digests.finalize().into());
    let system = format!("{} {}", recipe.name, wanted.version);
    let uki = of(For::Uki).into_iter().next();
    Ok(ImageManifest::fetched(kernel, system, inputs).with(of(For::Initrd), uki, &args))
}

/// Puts the folder in its place: whole, or the old one stays.
fn place(work: &Path, home: &Path, manifest: &ImageManifest) -> Result<(), FetchError> {
    manifest
        .write(work)
        .map_err(|why| FetchError::Io { path: work.to_owned(), source: io::Error::other(why.to_string()) })?;
    let old = old(work);
    drop(fs::remove_dir_all(&old));
    if home.exists() {
        fs::rename(home, &old).map_err(io_at(home))?;
    }
    fs::rename(work, home).map_err(io_at(home))?;
    drop(fs::remove_dir_all(&old));
    Ok(())
}

/// Where the image that was there is, while the new one takes its place.
fn old(work: &Path) -> PathBuf {
    let mut name = work.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

/// Brings back an image whose replacement was cut off between its two steps.
fn recover(work: &Path, home: &Path) -> Result<(), FetchError> {
    let old = old(work);
    if home.exists() || !old.is_dir() {
        return Ok(());
    }
    fs::rename(&old, home).map_err(io_at(home))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FetchError + use<> {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}
