//! What the kernel says of the machine.

use std::fs;
use std::path::PathBuf;

/// Its SMBIOS UUID; zeros where the firmware tells none.
pub(crate) fn uuid() -> String {
    let told = fs::read_to_string("/sys/class/dmi/id/product_uuid").unwrap_or_default();
    let told = told.trim().to_lowercase();
    if told.is_empty() { "00000000-0000-0000-0000-000000000000".to_owned() } else { told }
}

/// Its disks, without those that are memory, files or discs.
pub(crate) fn disks() -> Vec<PathBuf> {
    let names = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let real =
        |name: &String| !["loop", "ram", "zram", "sr", "fd", "dm-"].iter().any(|no| name.starts_with(no));
    let mut disks: Vec<PathBuf> =
        names.filter(real).map(|name| PathBuf::from("/dev").join(name.replace('!', "/"))).collect();
    disks.sort();
    disks
}

/// Its processors.
pub(crate) fn cores() -> u32 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(count).unwrap_or(1)
}

/// Its memory in MiB.
pub(crate) fn memory_mib() -> u32 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kib = line.split_ascii_whitespace().next().and_then(|number| number.parse::<u32>().ok());
    kib.unwrap_or_default() / 1024
}
