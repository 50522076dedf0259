//! What has to be on the boss itself: room on its disks, loaders, QEMU, and rights.

use std::fs;
use std::path::Path;

use api::{Aged, Check, Finding, Stock};
use model::{LabSpec, PowerDriver};

use super::{check, well_or};

/// Less free space than this on a folder's disk is a warning, in bytes.
const DISK_LOW: u64 = 256 << 20;
/// Fewer free files than this on a folder's disk is a warning.
const FILES_LOW: u64 = 1000;
/// Old things that one line names; `labinator image list` names all.
const AGED_TOLD: usize = 3;
/// Files a boot needs from the folder of loaders.
const LOADERS: [&str; 2] = ["undionly.kpxe", "snponly.efi"];

/// Room on the disks of state and shelf; one line when they are the same disk.
pub(super) fn disks(state: &Path) -> Vec<Check> {
    let shelf = state.join("shelf");
    let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev).ok();
    let apart = device(&shelf).is_some_and(|shelf| Some(shelf) != device(state));
    let mut folders = vec![state];
    folders.extend(apart.then_some(shelf.as_path()));
    folders.into_iter().map(disk).collect()
}

fn disk(folder: &Path) -> Check {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            // File systems such as btrfs make inodes as they need them and say 0 of 0.
            let files = (disk.f_files > 0).then_some(disk.f_favail);
            let told = files.map_or_else(String::new, |files| format!(" and room for {files} files"));
            let seen = format!("{} MiB free{told} under {}", free >> 20, folder.display());
            let well = free >= DISK_LOW && files.is_none_or(|files| files >= FILES_LOW);
            check("disk", well_or(well, Finding::Warning), seen, "make room, or `--state` elsewhere")
        }
        Err(why) => {
            check("disk", Finding::Broken, format!("{}: {why}", folder.display()), "make the folder writable")
        }
    }
}

/// The age of everything that machines boot from or that images are made of, in one line.
pub(super) fn ages(stock: &Stock) -> Check {
    let all = || stock.images.iter().map(|image| &image.aged).chain(&stock.others);
    let told = |aged: &Aged| format!("{} is {} days old", aged.name, aged.days);
    let old: Vec<&Aged> = all().filter(|aged| aged.old).collect();
    let Some(first) = old.first() else {
        let oldest =
            all().max_by_key(|aged| aged.days).map_or_else(|| "nothing is there to age".to_owned(), told);
        return check("age", Finding::Well, format!("images, loaders and caches: {oldest} at most"), "");
    };
    let named: Vec<String> = old.iter().copied().take(AGED_TOLD).map(told).collect();
    let more = match old.len().saturating_sub(AGED_TOLD) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    check("age", Finding::Warning, format!("{}{more}", named.join(", ")), &first.help)
}

pub(super) fn loaders(folder: &Path) -> Vec<Check> {
    LOADERS
        .iter()
        .map(|name| {
            let path = folder.join(name);
            let there = path.is_file();
            let seen = format!("{} {}", path.display(), if there { "is there" } else { "is missing" });
            check("loader", well_or(there, Finding::Broken), seen, "apt-get install ipxe, or `--loaders DIR`")
        })
        .collect()
}

/// What virtual machines need, where the lab has some.
pub(super) fn virtual_machines(spec: &LabSpec) -> Vec<Check> {
    if !spec.power.values().any(|driver| matches!(driver, PowerDriver::Virtual { .. })) {
        return Vec::new();
    }
    let found = ["/usr/bin/qemu-system-x86_64", "/usr/local/bin/qemu-system-x86_64"]
        .iter()
        .find(|path| Path::new(path).is_file());
    let seen = found.map_or_else(|| "QEMU is missing".to_owned(), |path| format!("{path} is there"));
    let help = "apt-get install --no-install-recommends qemu-system-x86 ovmf";
    let mut checks = vec![check("qemu", well_or(found.is_some(), Finding::Broken), seen, help)];
    checks.extend(namespaces());
    checks
}

/// Ubuntu since 23.10 lets a plain user make a user namespace only with an `AppArmor` profile.
fn namespaces() -> Option<Check> {
    let switch = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").ok()?;
    let shut = switch.trim() == "1" && !rustix::process::geteuid().is_root();
    let seen =
        if shut { "AppArmor keeps this user from namespaces of its own" } else { "namespaces may be made" };
    let help = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root";
    Some(check("namespaces", well_or(!shut, Finding::Warning), seen.to_owned(), help))
}
