//! What is in stock, and how old it is: images with their generations, loaders, and the cache of packages.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use api::{Aged, AgedKind, Generation, GenerationState, Stock, StoredImage, TrialProgress};
use model::WallTime;

use super::life::{Generations, Home};
use super::manifest::{ImageManifest, MANIFEST};
use super::node::{NAME as NODE, SIMULATED_TALOS};
use super::signed::Keys;
use super::{ImageError, Live};

/// What is older is to be renewed: packages get their fixes within a month.
const OLD_DAYS: u32 = 30;
const DAY_MS: u64 = 24 * 3600 * 1000;
/// Beginnings of names of files that machines are given to boot by.
const LOADERS: [&str; 5] = ["undionly.kpxe", "snponly", "ipxe.efi", "ipxe.pxe", "grub"];

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Places {
    /// Folder of images.
    pub images: PathBuf,
    /// Folder of network boot programs.
    pub loaders: PathBuf,
    /// Folder of fetched packages.
    pub cache: PathBuf,
}

/// Everything in stock, as of `now`. What cannot be read is left out of the list, and told by `image verify`.
#[must_use]
pub fn stock(places: &Places, now: WallTime) -> Stock {
    let mut images: Vec<StoredImage> = names(&places.images)
        .into_iter()
        .filter_map(|name| stored(&places.images, &name, now).ok().flatten())
        .collect();
    images.sort_by(|a, b| a.name.cmp(&b.name));
    let mut others = loaders(&places.loaders, now);
    others.extend(cache(&places.cache, now));
    Stock { images, others }
}

/// Names of the folders that may be images.
#[must_use]
pub fn names(images: &Path) -> Vec<String> {
    let entries = fs::read_dir(images).into_iter().flatten().flatten();
    let mut all: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .filter(|name| Home::of(images, name).known().is_ok_and(|all| all.is_some()))
        .collect();
    all.sort();
    all
}

fn stored(images: &Path, name: &str, now: WallTime) -> Result<Option<StoredImage>, ImageError> {
    let home = Home::of(images, name);
    let Some(all) = home.known()? else { return Ok(None) };
    let keys = Keys::of(images);
    let numbers = all.kept();
    let mut generations: Vec<Generation> = numbers
        .into_iter()
        .rev()
        .filter_map(|number| one(&home, &all, (name, number), (&keys, now)).ok())
        .collect();
    generations.sort_by_key(|generation| std::cmp::Reverse(generation.number));
    let Some(good) = generations.iter().find(|generation| generation.number == all.good) else {
        return Ok(None);
    };
    let aged = aged((AgedKind::Image, name), good.since, now, help(name));
    Ok(Some(StoredImage { name: name.to_owned(), generations, aged }))
}

fn one(
    home: &Home,
    all: &Generations,
    (name, number): (&str, u32),
    (keys, now): (&Keys, WallTime),
) -> Result<Generation, ImageError> {
    let folder = home.folder_of(number);
    let manifest = ImageManifest::read(&folder)?;
    let seal = keys.check(&folder, name)?;
    let since = seal.signer().map(|signer| signer.at).or_else(|| changed(&folder.join(MANIFEST)));
    let candidate = all.candidate.as_ref().filter(|candidate| candidate.generation == number);
    let refused = all.refused.as_ref().filter(|refused| refused.generation == number);
    Ok(Generation {
        number,
        state: state(all, number),
        since: since.unwrap_or_default(),
        days: days(since.unwrap_or_default(), now),
        size: manifest.files().map(|file| file.size).sum(),
        packages: u32::try_from(manifest.packages.len()).unwrap_or(u32::MAX),
        kernel: manifest.kernel_version,
        signed: seal.to_string(),
        trial: candidate.map(|candidate| TrialProgress {
            starts: candidate.starts,
            after: candidate.after,
            node: candidate.node.clone(),
        }),
        because: refused.map(|refused| refused.because.clone()),
    })
}

fn state(all: &Generations, number: u32) -> GenerationState {
    if number == all.good {
        GenerationState::Good
    } else if all.last_good == Some(number) {
        GenerationState::LastGood
    } else if all.candidate.as_ref().is_some_and(|candidate| candidate.generation == number) {
        GenerationState::Candidate
    } else {
        GenerationState::Refused
    }
}

/// The command that renews an image.
fn help(name: &str) -> String {
    match name {
        _ if Live::named(name).is_some() => format!("labinator image update {name}"),
        NODE | SIMULATED_TALOS => format!("labinator image build {name}"),
        _ => "labinator image fetch NAME --version V, a later one".to_owned(),
    }
}

/// The programs that machines are started with.
fn loaders(folder: &Path, now: WallTime) -> Vec<Aged> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<(String, WallTime)> = entries
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            LOADERS.iter().any(|begin| name.starts_with(begin)).then_some(())?;
            // The date in it is its maker's; what counts is when it came here, which a rename or copy sets.
            Some((name, came(&entry.path())?))
        })
        .collect();
    all.sort();
    let help = format!(
        "apt-get update && apt-get install --reinstall ipxe, or put later ones into {}",
        folder.display()
    );
    all.into_iter().map(|(name, since)| aged((AgedKind::Loader, &name), since, now, help.clone())).collect()
}

/// The cache is as old as the last package that came into it.
fn cache(folder: &Path, now: WallTime) -> Option<Aged> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let packages =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "deb"));
    let newest = packages.filter_map(|path| changed(&path)).max()?;
    let help = "apt-get update && labinator image build node".to_owned();
    Some(aged((AgedKind::Cache, &folder.display().to_string()), newest, now, help))
}

fn aged((kind, name): (AgedKind, &str), since: WallTime, now: WallTime, help: String) -> Aged {
    let days = days(since, now);
    Aged { kind, name: name.to_owned(), since, days, old: days > OLD_DAYS, help }
}

/// When a file came to its place, by the clock of this computer.
fn came(path: &Path) -> Option<WallTime> {
    let seconds = fs::metadata(path).ok()?.ctime();
    Some(WallTime(u64::try_from(seconds).ok()?.saturating_mul(1000)))
}

fn days(since: WallTime, now: WallTime) -> u32 {
    u32::try_from(now.0.saturating_sub(since.0) / DAY_MS).unwrap_or(u32::MAX)
}

fn changed(path: &Path) -> Option<WallTime> {
    let changed = fs::metadata(path).ok()?.modified().ok()?;
    let since = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Some(WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sample::Images;

    #[test]
    fn what_is_older_than_thirty_days_is_told_with_the_command_that_helps() {
        let images = Images::new("stock");
        let folder = images.image("rescue", "kernel");
        images.image("node", "kernel");
        Keys::of(images.folder()).sign(&folder, "rescue").unwrap();
        let loaders = images.folder().join("loaders");
        fs::create_dir(&loaders).unwrap();
        fs::write(loaders.join("snponly.efi"), "x").unwrap();
        fs::write(loaders.join("README"), "x").unwrap();
        let cache = images.folder().join("cache");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("linux_1_amd64.deb"), "x").unwrap();
        let places = Places { images: images.folder().to_owned(), loaders, cache };
        let later = |days: u64| WallTime(crate::image::now().0 + days * DAY_MS + 1000);
        let told = |days: u64| -> Vec<String> {
            let stock = stock(&places, later(days));
            let all = stock.images.iter().map(|image| &image.aged).chain(&stock.others);
            all.filter(|aged| aged.old)
                .map(|aged| format!("{} {}: {}", aged.name, aged.days, aged.help))
                .collect()
        };
        assert_eq!(told(30), Vec::<String>::new());
        let [node, rescue, loader, cache] = told(31).try_into().unwrap();
        assert_eq!(node, "node 31: labinator image build node");
        assert_eq!(rescue, "rescue 31: labinator image update rescue");
        assert!(loader.starts_with("snponly.efi 31: apt-get update"), "{loader}");
        assert!(cache.ends_with("/cache 31: apt-get update && labinator image build node"), "{cache}");
        // The date of the signature counts, not that of the files.
        let stock = stock(&places, later(0));
        assert!(stock.images[1].generations[0].signed.starts_with("signed here"));
        assert_eq!(stock.images[0].generations[0].signed, "not signed");
    }
}
