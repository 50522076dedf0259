//! Virtual machines as the system shows them, whoever started them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::ground::until;
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

/// The demo with everything it writes in this folder.
pub(crate) fn in_folder(mut demo: Command, folder: &Path) -> Command {
    demo.env("TMPDIR", folder).env("LABINATOR_SOCKET", folder.join("api.sock"));
    demo.env("HOME", folder).env("XDG_RUNTIME_DIR", folder).env("XDG_STATE_HOME", folder);
    demo.stdin(Stdio::null());
    demo
}

/// Waits until nothing is left of a demo: no file in its folder, and no machine.
pub(crate) fn swept(folder: &Path, limit: Duration) {
    until(limit, "the demo's files are swept up", || {
        let left: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
        left.is_empty().then_some(())
    });
    assert_eq!(machines_below(folder), []);
}
