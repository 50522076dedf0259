//! Our loader on the machine's own disk, put there or taken away when the core orders it.
//!
//! ```text
//! order over the channel ─▶ system partitions by the disks' tables ─▶ which one? ─▶ mounted ─▶ change.rs ─▶ how it is now
//!                              └ of another lab, read-only, no room: refused, and nothing was written
//! ```
//! Nothing is formatted and no table is changed: where a disk has no system partition, there is no place.

mod change;
mod mounts;
mod partitions;
mod variables;
mod volume;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use model::{
    AgentBuild, AgentKey, Asset, DiskLoaderOrder, DiskLoaders, FirmwareEntry, LOADER_PROGRAM, SystemPartition,
};
use tokio::task::spawn_blocking;
use wire::loader::{Settings, planted};

use crate::guests::fetch_once;
use change::Wanted;
use mounts::Mounted;
use partitions::Found;
use variables::{Boot, Variables};
use volume::Volume;

/// Where a loader lies that is fetched: in memory on a live image.
const FOLDER: &str = "/run/labinator/loader";
/// Room that stays free, for what the system on that disk puts there.
const SPARE: u64 = 256 << 10;

/// Carries out orders, one after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct DiskLoader(Arc<Mutex<()>>);

impl DiskLoader {
    /// Does what is ordered, and tells how it is then. `boss` is where files are fetched.
    ///
    /// # Errors
    /// A sentence for the person who asked.
    pub(crate) async fn carry_out(
        &self,
        order: DiskLoaderOrder,
        boss: Option<SocketAddr>,
    ) -> Result<DiskLoaders, String> {
        if std::process::id() != 1 {
            return Err(
                "this agent is a program of another system, which starts its machine its own way".to_owned()
            );
        }
        let program = match &order {
            DiskLoaderOrder::Install { program, .. } => fetched(program, boss).await?,
            DiskLoaderOrder::Look | DiskLoaderOrder::Remove { .. } => Vec::new(),
        };
        let turn = Arc::clone(&self.0);
        let work = move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let variables = Variables::new(&mounts::variables()?);
            let place = Place { root: Path::new("/"), mount: &mounts::partition };
            carry_out(&place, &variables, &order, &program)
        };
        spawn_blocking(work).await.map_err(|why| format!("the agent broke off: {why}"))?
    }
}

/// Fetches the loader.
async fn fetched(program: &AgentBuild, boss: Option<SocketAddr>) -> Result<Vec<u8>, String> {
    let boss = boss.ok_or("nobody said where the boss is")?;
    let asset = Asset { name: LOADER_PROGRAM.to_owned(), digest: program.digest, size: program.size };
    let folder = Path::new(FOLDER);
    let late = |why: String| format!("the loader cannot be fetched from {boss}: {why}");
    std::fs::create_dir_all(folder).map_err(|why| late(why.to_string()))?;
    fetch_once(folder, boss, &asset, &|_| {}).await.map_err(|why| late(why.to_string()))?;
    let place = folder.join(program.digest.to_string());
    let bytes = std::fs::read(&place).map_err(|why| late(why.to_string()))?;
    // It lies on the disk soon, or nowhere.
    drop(std::fs::remove_file(place));
    Ok(bytes)
}

/// The machine's disks, and how one of their partitions is reached.
struct Place<'a> {
    root: &'a Path,
    mount: &'a dyn Fn(&str) -> Result<Mounted, String>,
}

fn carry_out(
    place: &Place<'_>,
    variables: &Variables,
    order: &DiskLoaderOrder,
    program: &[u8],
) -> Result<DiskLoaders, String> {
    let mut done = Vec::new();
    let mut step = |what: &str| {
        done.push(what.to_owned());
        Ok(())
    };
    let all = partitions::all(place.root);
    match order {
        DiskLoaderOrder::Look => {}
        DiskLoaderOrder::Install { program: build, lab_key, settings, disk, force } => {
            let seed = planted(program).map_err(|why| why.to_string())?;
            if seed.map(|seed| AgentKey(seed.lab_key)) != Some(*lab_key) {
                return Err("the loader has another key in it than the lab's".to_owned());
            }
            Settings::read(settings.as_bytes()).map_err(|why| format!("its settings: {why}"))?;
            let there = chosen(place, &all, disk.as_deref())?;
            let volume = there.volume();
            ours_alone(&volume, lab_key, *force)?;
            let size = u64::try_from(program.len()).unwrap_or(u64::MAX);
            let free = volume.free().map_err(|why| why.to_string())?;
            let file = Volume::name_of(build.digest);
            if !volume.has(&file, program) && free < size.saturating_add(SPARE) {
                let (kib, wanted) = (free >> 10, (size + SPARE) >> 10);
                return Err(format!(
                    "{} has {kib} KiB free, and {wanted} KiB are wanted: remove what is not needed there",
                    there.found.partition
                ));
            }
            let drive = there.found.drive;
            let wanted = Wanted { drive, file: &file, loader: program, settings };
            change::install((&volume, variables), &wanted, &mut step)?;
        }
        DiskLoaderOrder::Remove { lab_key, disk, force } => {
            let is_meant = |found: &Found| disk.as_ref().is_none_or(|disk| found.is_on(disk));
            let (mut opened, mut stays) = (Vec::new(), Vec::new());
            for found in all.iter().filter(|found| !found.is_medium) {
                if !is_meant(found) {
                    stays.push(found.drive);
                    continue;
                }
                opened.push(There { found, mounted: (place.mount)(&found.partition)? });
            }
            if let Some(disk) = disk.as_ref().filter(|_| opened.is_empty()) {
                return Err(none_on(disk, &all));
            }
            let volumes: Vec<Volume> = opened.iter().map(There::volume).collect();
            volumes.iter().try_for_each(|volume| ours_alone(volume, lab_key, *force))?;
            change::remove((&volumes, variables), &stays, &mut step)?;
        }
    }
    Ok(told(place, &all, &variables.read()?, done))
}

/// A partition that is mounted.
struct There<'a> {
    found: &'a Found,
    mounted: Mounted,
}

impl There<'_> {
    fn volume(&self) -> Volume {
        Volume::at(self.mounted.place())
    }
}

/// The partition that is meant.
fn chosen<'a>(place: &Place<'_>, all: &'a [Found], disk: Option<&str>) -> Result<There<'a>, String> {
    let fits = |found: &&Found| match disk {
        Some(disk) => found.is_on(disk),
        None => found.comes_and_goes.is_none(),
    };
    let mut opened = Vec::new();
    for found in all.iter().filter(|found| !found.is_medium).filter(fits) {
        opened.push(There { found, mounted: (place.mount)(&found.partition)? });
    }
    // One that has a loader of ours is the one that is meant again.
    let has_ours = |there: &There<'_>| there.volume().loaders().is_ok_and(|loaders| !loaders.is_empty());
    if opened.len() > 1 && opened.iter().filter(|there| has_ours(there)).count() == 1 {
        opened.retain(has_ours);
    }
    let names: Vec<String> = opened.iter().map(|there| there.found.partition.clone()).collect();
    match (opened.pop(), opened.is_empty(), disk) {
        (Some(only), true, _) => Ok(only),
        (Some(_), false, None) => Err(format!(
            "there are several EFI system partitions, {}: name the disk with --disk",
            names.join(", ")
        )),
        (Some(_), false, Some(disk)) => Err(format!(
            "{disk} has several EFI system partitions, {}: firmware expects one",
            names.join(", ")
        )),
        (None, _, Some(disk)) => Err(none_on(disk, all)),
        (None, _, None) => Err(format!(
            "no disk of this machine has an EFI system partition{}; a system that is installed makes one, and so does \
             `sgdisk -n 1:0:+64M -t 1:ef00` with `mkfs.vfat -F 32` on an empty disk",
            others_of(all)
        )),
    }
}

/// Partitions that were passed over, for a person.
fn others_of(all: &[Found]) -> String {
    let why = |found: &Found| {
        let medium = found.is_medium.then(|| "it is a medium of ours, which starts by itself".to_owned());
        let why = medium.or_else(|| found.comes_and_goes.clone())?;
        Some(format!("{}: {why}", found.partition))
    };
    match all.iter().filter_map(why).collect::<Vec<_>>() {
        others if others.is_empty() => String::new(),
        others => format!(" ({})", others.join("; ")),
    }
}

fn none_on(disk: &str, all: &[Found]) -> String {
    let mut disks: Vec<&str> =
        all.iter().filter(|found| !found.is_medium).map(|found| found.disk.as_str()).collect();
    disks.dedup();
    match disks.as_slice() {
        [] => format!("{disk} has no EFI system partition, and no other disk has one"),
        disks => format!("{disk} has no EFI system partition; {} has", disks.join(", ")),
    }
}

/// Refuses to touch what another lab put there.
fn ours_alone(volume: &Volume, lab_key: &AgentKey, force: bool) -> Result<(), String> {
    let loaders = volume.loaders().map_err(|why| format!("its folder cannot be read: {why}"))?;
    let other = loaders.iter().filter_map(|loader| loader.lab_key).find(|key| key != lab_key);
    match other.filter(|_| !force) {
        Some(key) => Err(format!(
            "the loader of another lab is there, with key {}: --force takes its place",
            key.short()
        )),
        None => Ok(()),
    }
}

/// How it is.
fn told(place: &Place<'_>, all: &[Found], boot: &Boot, done: Vec<String>) -> DiskLoaders {
    let places = all.iter().filter(|found| !found.is_medium).map(|found| {
        let seen = (place.mount)(&found.partition).and_then(|mounted| {
            let volume = Volume::at(mounted.place());
            let told = |why: std::io::Error| why.to_string();
            Ok((volume.free().map_err(told)?, volume.loaders().map_err(told)?))
        });
        let (disk, partition) = (found.disk.clone(), found.partition.clone());
        match seen {
            Ok((free, loaders)) => {
                SystemPartition { disk, partition, free: Some(free), loaders, fault: String::new() }
            }
            Err(fault) => SystemPartition { disk, partition, free: None, loaders: Vec::new(), fault },
        }
    });
    let entry = |number: u16, is_tried: bool| {
        let entry = boot.entries.get(&number)?;
        let is_tried = is_tried && entry.is_active();
        Some(FirmwareEntry { number, name: entry.name.clone(), is_ours: entry.is_ours(), is_tried })
    };
    let tried = boot.order.0.iter().filter_map(|number| entry(*number, true));
    let rest = boot.entries.keys().filter(|number| !boot.order.0.contains(number));
    let entries = tried.chain(rest.filter_map(|number| entry(*number, false))).collect();
    DiskLoaders { places: places.collect(), entries, done }
}

#[cfg(test)]
mod tests;
