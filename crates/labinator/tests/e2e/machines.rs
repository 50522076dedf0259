//! Virtual machines as the system shows them, whoever started them.

use std::fs;
use std::path::Path;

use super::processes::lives;

/// Every QEMU whose working folder lies below this one: process id and name of the folder.
pub(crate) fn machines_below(folder: &Path) -> Vec<(u32, String)> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        let ours = name.starts_with("qemu-system") && works_in.starts_with(folder) && lives(pid);
        ours.then(|| (pid, works_in.file_name().unwrap_or_default().to_string_lossy().into_owned()))
    })
    .collect()
}
