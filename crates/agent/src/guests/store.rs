//! What guests boot, fetched from the boss once for all of them, by its SHA-256.
//!
//! ```text
//! STORE/<64 hex>             a content, checked
//! STORE/partial/<64 hex>     what came so far; fetched on from there
//! STORE/joined/<64 hex>      several initramfs files in one, as QEMU takes them
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Asset, Digest, GuestBoot, GuestWish, Image};
use store::Summing;
use store::shelf::{Shelf, ShelfError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::judge::Have;

/// A boss that says nothing for this long is asked again.
const SILENCE: Duration = Duration::from_secs(10);
/// Pause before a content that could not be fetched is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// The same where the disk is full.
const AGAIN_FULL: Duration = Duration::from_secs(10);
/// How often progress is told.
const TOLD: Duration = Duration::from_millis(500);
const CHUNK: usize = 128 << 10;
/// Where an initramfs may begin behind another one.
const ALIGNED: u64 = 4;
const LARGEST_HEAD: usize = 8 << 10;

/// How it stands with one content.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Here,
    Coming(u64),
    Late(String),
    Bad(String),
    NoRoom(String),
}

type Shown = BTreeMap<Digest, Content>;

/// What is wanted, in order, and from whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    boss: Option<SocketAddr>,
    assets: Vec<Asset>,
    images: Vec<Vec<Digest>>,
    /// Another order is another try of what was bad.
    orders: u64,
}

/// The store, and the task that fills it.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    want: watch::Sender<Wanted>,
    shown: watch::Receiver<Shown>,
}

impl Store {
    /// Opens it in a folder, which need not exist, and leaves the task behind that fetches.
    pub(super) fn spawn(root: PathBuf) -> Self {
        let (want, wanted) = watch::channel(Wanted::default());
        let (show, shown) = watch::channel(Shown::new());
        tokio::spawn(fill(root.clone(), wanted, show));
        Self { root, want, shown }
    }

    /// Says what the guests of this list boot; what none of them does is removed before anything new comes.
    pub(super) fn want(&self, boss: Option<SocketAddr>, list: &[GuestWish]) {
        let orders = list.iter().fold(0_u64, |sum, wish| sum.wrapping_add(wish.order));
        let mut wanted = Wanted { boss, orders, ..Wanted::default() };
        for image in list.iter().filter_map(|wish| wish.image.as_deref()) {
            for asset in contents(image) {
                if !wanted.assets.iter().any(|other| other.digest == asset.digest) {
                    wanted.assets.push(asset.clone());
                }
            }
            wanted.images.push(image.initrd.iter().map(|asset| asset.digest).collect());
        }
        self.want.send_if_modified(|old| {
            let news = *old != wanted;
            *old = wanted;
            news
        });
    }

    /// Waits until something about the contents is new.
    pub(super) async fn changed(&mut self) {
        if self.shown.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// How it stands with what a guest boots.
    pub(super) fn have(&self, wish: &GuestWish) -> Have {
        if wish.spec.boot != GuestBoot::Kernel {
            return Have::Here;
        }
        let Some(image) = wish.image.as_deref() else { return Have::Undecided };
        if image.kernel.is_none() {
            return Have::Bad(
                "its image has no kernel that QEMU could start; `boot: network` starts its UKI".to_owned(),
            );
        }
        let shown = self.shown.borrow();
        let (mut got, mut size, mut late) = (0_u64, 0_u64, None);
        for asset in contents(image) {
            size = size.saturating_add(asset.size);
            match shown.get(&asset.digest) {
                Some(Content::Here) => got = got.saturating_add(asset.size),
                Some(Content::Coming(bytes)) => got = got.saturating_add(*bytes),
                Some(Content::Bad(why)) => return Have::Bad(why.clone()),
                Some(Content::NoRoom(why)) => return Have::NoRoom(why.clone()),
                Some(Content::Late(why)) => late = Some(why.clone()),
                None => {}
            }
        }
        let all_here = contents(image).all(|asset| shown.get(&asset.digest) == Some(&Content::Here));
        if all_here {
            return Have::Here;
        }
        let progress = format!("{} of {} MB", got / 1_000_000, size.div_ceil(1_000_000));
        Have::Coming(late.map_or_else(|| progress.clone(), |why| format!("{progress}: {why}")))
    }

    /// Kernel and initramfs of an image whose contents are here; several initramfs files become one.
    ///
    /// # Errors
    /// As the system says.
    pub(super) async fn files(&self, image: &Image) -> io::Result<(PathBuf, Option<PathBuf>)> {
        let path = |digest: Digest| self.root.join(digest.to_string());
        let kernel = image.kernel.as_ref().map(|asset| path(asset.digest)).ok_or(io::ErrorKind::NotFound)?;
        let digests: Vec<Digest> = image.initrd.iter().map(|asset| asset.digest).collect();
        let initrd = match digests.as_slice() {
            [] => None,
            [one] => Some(path(*one)),
            several => {
                let (folder, name) = (self.root.join("joined"), joined_name(several));
                let parts: Vec<PathBuf> = several.iter().map(|digest| path(*digest)).collect();
                let home = folder.join(name);
                let file = home.clone();
                spawn_blocking(move || join_files(&folder, &file, &parts)).await??;
                Some(home)
            }
        };
        Ok((kernel, initrd))
    }
}

fn contents(image: &Image) -> impl Iterator<Item = &Asset> {
    image.kernel.iter().chain(&image.initrd)
}

fn joined_name(parts: &[Digest]) -> String {
    let mut sum = Summing::default();
    parts.iter().for_each(|part| sum.add(&part.0));
    sum.finish().to_string()
}

fn join_files(folder: &Path, home: &Path, parts: &[PathBuf]) -> io::Result<()> {
    if home.is_file() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let draft = home.with_extension("new");
    let mut file = File::create(&draft)?;
    for part in parts {
        let size = io::copy(&mut File::open(part)?, &mut file)?;
        // Linux finds an archive behind another one only at a multiple of four bytes, and passes over zeroes before it
        // (its `Documentation/driver-api/early-userspace/buffer-format.rst`).
        let pad = usize::try_from(size.wrapping_neg() % ALIGNED).unwrap_or_default();
        file.write_all([0; 4].get(..pad).unwrap_or_default())?;
    }
    fs::rename(draft, home)
}

/// Fetches what is wanted, one content after the other, for good.
async fn fill(root: PathBuf, mut wanted: watch::Receiver<Wanted>, show: watch::Sender<Shown>) {
    loop {
        let want = wanted.borrow_and_update().clone();
        if want.boss.is_some() {
            tidy(&root, &want, &show);
        }
        tokio::select! {
            pause = fill_once(&root, &want, &show) => {
                let pause = async {
                    match pause {
                        Some(pause) => sleep(pause).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = pause => {}
                    changed = wanted.changed() => if changed.is_err() { return },
                }
            }
            // What came so far is kept.
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Tries everything that is not here once; says when to try again.
async fn fill_once(root: &Path, want: &Wanted, show: &watch::Sender<Shown>) -> Option<Duration> {
    let mut pause = None;
    let put = |digest, content: Content| {
        show.send_if_modified(|shown| shown.insert(digest, content.clone()) != Some(content));
    };
    for asset in &want.assets {
        let known = show.borrow().get(&asset.digest).cloned();
        if matches!(known, Some(Content::Here | Content::Bad(_))) {
            continue;
        }
        if is_whole(root, asset.digest).await {
            put(asset.digest, Content::Here);
            continue;
        }
        let Some(boss) = want.boss else {
            put(asset.digest, Content::Late("nobody has said where the boss is".to_owned()));
            continue;
        };
        let mut twice = 0;
        let state = loop {
            let progress = |bytes| put(asset.digest, Content::Coming(bytes));
            break match fetch_once(root, boss, asset, &progress).await {
                Ok(()) => Content::Here,
                // Once may be the wire; twice is what the boss has.
                Err(Trouble::Digest(_)) if twice == 0 => {
                    twice = 1;
                    continue;
                }
                Err(trouble @ (Trouble::Digest(_) | Trouble::Gone(_))) => Content::Bad(trouble.to_string()),
                Err(Trouble::Io(error)) if is_full(&error) => {
                    pause = Some(AGAIN_FULL);
                    let mb = asset.size.div_ceil(1_000_000);
                    Content::NoRoom(format!("{} of {mb} MB: {}: {error}", asset.name, root.display()))
                }
                Err(trouble) => {
                    pause = pause.or(Some(AGAIN));
                    Content::Late(format!("{} from {boss}: {trouble}; trying again", asset.name))
                }
            };
        };
        put(asset.digest, state);
    }
    pause
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

type Keep<'a> = &'a dyn Fn(&str) -> bool;

/// Removes what nobody wants any more, where anything new needs the room.
fn tidy(root: &Path, want: &Wanted, show: &watch::Sender<Shown>) {
    let wanted = |name: &str| want.assets.iter().any(|asset| asset.digest.to_string() == name);
    let joined: Vec<String> = want.images.iter().map(|parts| joined_name(parts)).collect();
    let folders: [(PathBuf, Keep<'_>); 4] = [
        (root.to_owned(), &wanted),
        (root.join("partial"), &wanted),
        (root.join("joined"), &|name| joined.iter().any(|joined| joined == name)),
        (root.join("damaged"), &|_| false),
    ];
    // A guest that is off for a while boots what is here already when it comes back.
    let comes = want.assets.iter().any(|asset| !root.join(asset.digest.to_string()).is_file());
    for (folder, keep) in folders.into_iter().filter(|_| comes) {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && !name.to_str().is_some_and(keep) {
                // What cannot be removed only takes room; the next round tries again.
                drop(fs::remove_file(entry.path()));
            }
        }
    }
    show.send_if_modified(|shown| {
        let before = shown.len();
        // What was bad may be another thing by now.
        shown.retain(|digest, content| wanted(&digest.to_string()) && !matches!(content, Content::Bad(_)));
        shown.len() != before
    });
}

/// True for a content that is here and reads as its name says.
pub(crate) async fn is_whole(root: &Path, digest: Digest) -> bool {
    let root = root.to_owned();
    let check = move || match Shelf::new(&root).verify(store::Digest(digest.0)) {
        Ok(_) => true,
        Err(ShelfError::Missing(_) | ShelfError::Damaged { .. } | ShelfError::OutOfRange { .. }) => false,
        Err(ShelfError::Io { .. }) => false,
    };
    spawn_blocking(check).await.unwrap_or(false)
}

/// Why a content did not come.
#[derive(Debug)]
pub(crate) enum Trouble {
    Io(io::Error),
    Silent,
    Status(u16),
    /// The boss does not have it.
    Gone(String),
    NotHttp,
    Short(u64, u64),
    Digest(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Silent => write!(f, "nothing came for {} s", SILENCE.as_secs()),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Gone(name) => write!(f, "the boss does not have {name}"),
            Self::NotHttp => f.write_str("no HTTP answer"),
            Self::Short(got, size) => write!(f, "it ended after {got} of {size} bytes"),
            Self::Digest(text) => f.write_str(text),
        }
    }
}

async fn soon<T>(what: impl Future<Output = io::Result<T>>) -> Result<T, Trouble> {
    timeout(SILENCE, what).await.map_err(|_| Trouble::Silent)?.map_err(Trouble::Io)
}

/// Fetches one content, on from where it stopped (RFC 9110 section 14.2), and keeps it when its digest is right.
pub(crate) async fn fetch_once(
    root: &Path,
    boss: SocketAddr,
    asset: &Asset,
    progress: &impl Fn(u64),
) -> Result<(), Trouble> {
    let folder = root.join("partial");
    fs::create_dir_all(&folder)?;
    let draft = folder.join(asset.digest.to_string());
    let have = draft.clone();
    let (mut sum, mut got) = spawn_blocking(move || sum_of(&have)).await.map_err(io::Error::from)?;
    let mut stream = soon(TcpStream::connect(boss)).await?;
    let range = if got > 0 { format!("Range: bytes={got}-\r\n") } else { String::new() };
    let request = format!(
        "GET /f/{}/{} HTTP/1.1\r\nHost: {boss}\r\nConnection: close\r\n{range}\r\n",
        asset.digest,
        plain_name(&asset.name)
    );
    soon(stream.write_all(request.as_bytes())).await?;
    let (status, mut rest) = head(&mut stream).await?;
    let mut file = File::options().append(true).create(true).open(&draft)?;
    match status {
        206 => {}
        200 => {
            file.set_len(0)?;
            (sum, got) = (Summing::default(), 0);
        }
        // What there is, is more than the whole: it cannot be right.
        416 => {
            file.set_len(0)?;
            return Err(Trouble::Status(status));
        }
        404 | 410 => return Err(Trouble::Gone(asset.name.clone())),
        status => return Err(Trouble::Status(status)),
    }
    let mut told = Instant::now();
    progress(got);
    rest.reserve(CHUNK);
    loop {
        if !rest.is_empty() {
            file.write_all(&rest)?;
            sum.add(&rest);
            got = got.saturating_add(u64::try_from(rest.len()).unwrap_or(u64::MAX));
            rest.clear();
            if told.elapsed() >= TOLD {
                told = Instant::now();
                progress(got);
            }
        }
        if got >= asset.size || soon(stream.read_buf(&mut rest)).await? == 0 {
            break;
        }
    }
    if got < asset.size {
        return Err(Trouble::Short(got, asset.size));
    }
    let found = sum.finish();
    if found.0 != asset.digest.0 || got != asset.size {
        drop(fs::remove_file(&draft));
        return Err(Trouble::Digest(format!(
            "{} from {boss} has the SHA-256 {found}, and {} was asked for",
            asset.name, asset.digest
        )));
    }
    fs::rename(draft, root.join(asset.digest.to_string()))?;
    Ok(())
}

/// Digest and size of what came so far; nothing where nothing came.
fn sum_of(path: &Path) -> (Summing, u64) {
    let (mut sum, mut size) = (Summing::default(), 0_u64);
    let Ok(mut file) = File::open(path) else { return (sum, size) };
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        sum.add(buffer.get(..count).unwrap_or_default());
        size = size.saturating_add(u64::try_from(count).unwrap_or_default());
    }
    (sum, size)
}

/// The status of an answer (RFC 9112 section 4), and what came behind its head.
async fn head(stream: &mut TcpStream) -> Result<(u16, Vec<u8>), Trouble> {
    let mut got = Vec::new();
    loop {
        if let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = got.split_off(end + 4);
            let line = String::from_utf8_lossy(&got);
            let status = line.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1)?.parse().ok());
            return Ok((status.ok_or(Trouble::NotHttp)?, rest));
        }
        if got.len() > LARGEST_HEAD {
            return Err(Trouble::NotHttp);
        }
        if soon(stream.read_buf(&mut got)).await? == 0 {
            return Err(Trouble::NotHttp);
        }
    }
}

/// A file name as the boss's paths have it.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
