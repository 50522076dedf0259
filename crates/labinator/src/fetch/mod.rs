//! `labinator image fetch`: systems of other makers into the image folder, each file proven before it is used.
//!
//! ```text
//! catalogue ─▶ addresses ─▶ pin in images.lock? ─yes─▶ its digest ──┐
//!                             └no─▶ the distributor's own list ─────┴▶ download ─▶ verify ─▶ folder, by rename
//!                                                                                  └▶ first time: pin written
//! ```
//! Signatures are not checked: the first fetch believes the list of digests as HTTPS delivers it, every later
//! one believes the pin.

mod catalogue;
mod download;
mod pins;
mod sums;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use model::{Asset, Digest};
use sha2::{Digest as _, Sha256, Sha512};

use crate::image::ImageManifest;
use catalogue::{CATALOGUE, For, Recipe, Sums, Wanted};
use download::Client;
pub use pins::{Pin, Pins};
pub use sums::{Told, in_list, in_stream};

/// Bytes read at once when a file is hashed.
const CHUNK: usize = 256 << 10;

/// Why a system could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The catalogue has no such system.
    #[error("there is no system `{asked}` in the catalogue")]
    Unknown {
        /// As typed.
        asked: String,
    },
    /// It has no version that is always there.
    #[error("{name} needs a version")]
    NoVersion {
        /// Which system.
        name: &'static str,
    },
    /// Its maker has nothing for this architecture.
    #[error("{name} has no files for {arch}")]
    NoArchitecture {
        /// Which system.
        name: &'static str,
        /// As typed.
        arch: String,
    },
    /// Not an address this client can ask.
    #[error("`{url}` is not an http:// or https:// address")]
    Address {
        /// As it was put together.
        url: String,
    },
    /// The server said no.
    #[error("{url}: {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// What it said.
        status: http::StatusCode,
    },
    /// The transfer did not come to its end.
    #[error("{url}: {why}")]
    Broken {
        /// What was asked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// The server did not prove that it is who it is called.
    #[error("{url}: its certificate is not to be trusted: {why}")]
    Untrusted {
        /// What was asked for.
        url: String,
        /// What is wrong with the certificate.
        why: String,
        /// The certificates that are trusted.
        trusted: PathBuf,
    },
    /// No certificate to trust.
    #[error("{path}: {why}", path = path.display())]
    Trust {
        /// Where they were looked for.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The distributor's list does not name a file.
    #[error("{list} says nothing about {file}")]
    NotListed {
        /// Which list.
        list: String,
        /// Which file.
        file: String,
    },
    /// The file is not what was promised.
    #[error("{url} is not what {by} says: expected {expected}, found {found}")]
    Mismatch {
        /// Where it came from.
        url: String,
        /// Who promised: `images.lock` or the distributor's list.
        by: String,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
    },
    /// The pins cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Pins {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl FetchError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "fetch-unknown",
            Self::NoVersion { .. } => "fetch-version",
            Self::NoArchitecture { .. } => "fetch-architecture",
            Self::Address { .. } => "fetch-address",
            Self::Status { .. } => "fetch-refused",
            Self::Broken { .. } => "fetch-broken",
            Self::Untrusted { .. } => "fetch-untrusted",
            Self::Trust { .. } => "fetch-trust",
            Self::NotListed { .. } => "fetch-not-listed",
            Self::Mismatch { .. } => "fetch-mismatch",
            Self::Pins { .. } => "fetch-pins",
            Self::Io { .. } => "fetch-file",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unknown { .. } => {
                let names: Vec<&str> = CATALOGUE.iter().map(|recipe| recipe.name).collect();
                format!("there are: {}", names.join(", "))
            }
            Self::NoVersion { .. } => "name it with --version, such as v1.9.0".to_owned(),
            Self::NoArchitecture { .. } => "--arch is amd64 or arm64, as Debian calls them".to_owned(),
            Self::Address { .. } => "--mirror takes http://HOST/PATH or https://HOST/PATH".to_owned(),
            Self::Status { .. } => {
                "look whether the version exists; name another place with --mirror".to_owned()
            }
            Self::Broken { .. } => "start it again: it goes on where it broke off".to_owned(),
            Self::Untrusted { trusted, .. } => format!(
                "nothing was fetched. Look at the clock and at the name of the mirror; for an authority of your own, name a \
                 bundle with its certificate in SSL_CERT_FILE (now {})",
                trusted.display()
            ),
            Self::Trust { .. } => {
                "apt-get install -y ca-certificates, or name a bundle in SSL_CERT_FILE".to_owned()
            }
            Self::NotListed { .. } => {
                "look whether the version exists, and whether its files moved".to_owned()
            }
            Self::Mismatch { .. } => {
                "do not use it. If the maker changed the file on purpose, take its lines out of images.lock"
                    .to_owned()
            }
            Self::Pins { .. } => "mend the file, or take it away to pin anew".to_owned(),
            Self::Io { .. } => "look at the disk and the rights of the image folder".to_owned(),
        }
    }
}

/// What to fetch, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// Name in the catalogue.
    pub name: String,
    /// Version; the catalogue's own when absent.
    pub version: Option<String>,
    /// Architecture, as Debian calls it.
    pub arch: String,
    /// Another place with the same layout.
    pub mirror: Option<String>,
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
}

/// How a fetch goes on: a file, bytes so far, size where it is known.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, Option<u64>);

/// A file to fetch.
#[derive(Debug)]
struct Part {
    role: For,
    name: String,
    /// Where the maker keeps it.
    canonical: String,
    /// Where it is fetched.
    url: String,
    /// What it must be.
    told: Told,
    /// Who said so.
    by: String,
    /// Its size, where that was pinned.
    size: Option<u64>,
}

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
    let recipe = CATALOGUE
        .iter()
        .find(|recipe| recipe.name == order.name)
        .ok_or_else(|| FetchError::Unknown { asked: order.name.clone() })?;
    let version = order.version.as_deref().unwrap_or(recipe.version);
    if version.is_empty() {
        return Err(FetchError::NoVersion { name: recipe.name });
    }
    let wanted = Wanted { version: version.to_owned(), arch: order.arch.clone() };
    let image = format!("{}-{version}-{}", recipe.name, order.arch);
    let fault = |source| FetchError::Pins { path: order.lock.clone(), source };
    let mut pins = Pins::read(&order.lock).map_err(fault)?;
    let client = Client::default();
    let pinned = pins.images.get(&image);
    let parts = match pinned {
        Some(known) => by_pins(recipe, order, &wanted, known),
        None => by_lists(recipe, order, &wanted, &client).await?,
    };
    let work = order.out.join(".fetching").join(&image);
    fs::create_dir_all(&work).map_err(io_at(&work))?;
    let mut assets = Vec::new();
    for part in &parts {
        assets.push(take(&client, part, &work, progress).await?);
    }
    let manifest = describe(recipe, &wanted, &parts, &assets);
    place(&work, &order.out.join(&image), &manifest)?;
    let fresh = pinned.is_none();
    if fresh {
        let pin = |(part, asset): (&Part, &Asset)| {
            let pin = Pin { url: part.canonical.clone(), size: asset.size, sha256: asset.digest };
            (part.name.clone(), pin)
        };
        pins.images.insert(image.clone(), parts.iter().zip(&assets).map(pin).collect());
        pins.write(&order.lock).map_err(fault)?;
    }
    Ok(Fetched { image, manifest, pinned: fresh })
}

/// The same address at a mirror.
fn mirrored(recipe: &Recipe, order: &Order, canonical: &str) -> String {
    let Some(mirror) = &order.mirror else { return canonical.to_owned() };
    let mirror = mirror.trim_end_matches('/');
    if let Some(path) = canonical.strip_prefix(recipe.base) {
        return format!("{mirror}{path}");
    }
    // Stream metadata names files on any host: a mirror has them by their paths.
    let path =
        canonical.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    format!("{mirror}/{path}")
}

fn file_name(url: &str) -> String {
    url.rsplit('/').next().unwrap_or(url).to_owned()
}

fn by_pins(recipe: &Recipe, order: &Order, wanted: &Wanted, known: &BTreeMap<String, Pin>) -> Vec<Part> {
    let files = recipe.files_for(&wanted.arch);
    let role = |name: &str, at: usize| {
        let by_name = files.iter().find(|(_, path)| file_name(&wanted.fill(path)) == name);
        // Streams name their files by what they are for, in the order of the catalogue.
        by_name.or_else(|| files.iter().find(|(_, what)| name.contains(what))).or_else(|| files.get(at))
    };
    let order_of = |name: &str| {
        files
            .iter()
            .position(|(_, path)| file_name(&wanted.fill(path)) == name || name.contains(path))
            .unwrap_or(usize::MAX)
    };
    let mut names: Vec<(&String, &Pin)> = known.iter().collect();
    names.sort_by_key(|(name, _)| order_of(name));
    names
        .into_iter()
        .enumerate()
        .map(|(at, (name, pin))| Part {
            role: role(name, at).map_or(For::Beside, |(role, _)| *role),
            name: name.clone(),
            canonical: pin.url.clone(),
            url: mirrored(recipe, order, &pin.url),
            told: Told::Sha256(pin.sha256.to_string()),
            by: order.lock.display().to_string(),
            size: Some(pin.size),
        })
        .collect()
}

async fn by_lists(
    recipe: &Recipe,
    order: &Order,
    wanted: &Wanted,
    client: &Client,
) -> Result<Vec<Part>, FetchError> {
    let at = |path: &str| format!("{}/{}", recipe.base, wanted.fill(path));
    let mut parts = Vec::new();
    let part = |role, canonical: String, told, list: &str| Part {
        role,
        name: file_name(&canonical),
        url: mirrored(recipe, order, &canonical),
        canonical,
        told,
        by: list.to_owned(),
        size: None,
    };
    let missing =
        |list: &str, file: &str| FetchError::NotListed { list: list.to_owned(), file: file.to_owned() };
    let files = recipe.files_for(&wanted.arch);
    if files.is_empty() {
        return Err(FetchError::NoArchitecture { name: recipe.name, arch: wanted.arch.clone() });
    }
    match recipe.sums {
        Sums::List(list) => {
            let list = mirrored(recipe, order, &at(list));
            let text = client.text(&list).await?;
            for (role, path) in &files {
                let path = wanted.fill(path);
                let told = in_list(&text, &path).ok_or_else(|| missing(&list, &path))?;
                parts.push(part(*role, at(&path), told, &list));
            }
        }
        Sums::Beside(ending) => {
            for (role, path) in &files {
                let path = wanted.fill(path);
                let list = mirrored(recipe, order, &at(&format!("{path}{ending}")));
                let text = client.text(&list).await?;
                let told = in_list(&text, &path).ok_or_else(|| missing(&list, &path))?;
                parts.push(part(*role, at(&path), told, &list));
            }
        }
        Sums::Streams(list) => {
            let list = mirrored(recipe, order, &at(list));
            let text = client.text(&list).await?;
            let metadata = serde_json::from_str(&text)
                .map_err(|why| FetchError::Broken { url: list.clone(), why: why.to_string() })?;
            let cpu = wanted.fill("{cpu}");
            for (role, name) in &files {
                let (url, told) = in_stream(&metadata, &cpu, name).ok_or_else(|| missing(&list, name))?;
                parts.push(part(*role, url, told, &list));
            }
        }
    }
    Ok(parts)
}

/// Fetches one file into the work folder and proves it. One that was resumed and is wrong is fetched once
/// more from its beginning: the maker may have changed it in between.
async fn take(
    client: &Client,
    part: &Part,
    work: &Path,
    progress: Progress<'_>,
) -> Result<Asset, FetchError> {
    let path = work.join(&part.name);
    let mut resumed = fs::metadata(&path).is_ok_and(|about| about.len() > 0);
    loop {
        let whole = resumed && prove(part, &path).is_ok();
        if !whole {
            client.file(&part.url, &path, |moved, size| progress(&part.name, moved, size)).await?;
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
    let needs_long = matches!(part.told, Told::Sha512(_));
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
    let found = match &part.told {
        Told::Sha256(_) => digest.to_string(),
        Told::Sha512(_) => long.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let same_size = part.size.is_none_or(|pinned| pinned == size);
    if found == part.told.digits() && same_size {
        return Ok(Asset { name: part.name.clone(), digest, size });
    }
    let expected = part.told.digits().to_owned();
    Err(FetchError::Mismatch { url: part.url.clone(), by: part.by.clone(), expected, found })
}

fn describe(recipe: &Recipe, wanted: &Wanted, parts: &[Part], assets: &[Asset]) -> ImageManifest {
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
    ImageManifest::fetched(kernel, format!("{} {}", recipe.name, wanted.version), inputs).with(
        of(For::Initrd),
        of(For::Uki).into_iter().next(),
        recipe.args,
    )
}

/// Puts the folder in its place: whole, or the old one stays.
fn place(work: &Path, home: &Path, manifest: &ImageManifest) -> Result<(), FetchError> {
    manifest
        .write(work)
        .map_err(|why| FetchError::Io { path: work.to_owned(), source: io::Error::other(why.to_string()) })?;
    let old = work.with_extension("old");
    drop(fs::remove_dir_all(&old));
    if home.exists() {
        fs::rename(home, &old).map_err(io_at(home))?;
    }
    fs::rename(work, home).map_err(io_at(home))?;
    drop(fs::remove_dir_all(&old));
    Ok(())
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FetchError + use<> {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}
