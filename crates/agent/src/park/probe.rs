//! Whether this machine can start another kernel without firmware, as far as can be told before it is tried.

use std::fs;
use std::path::Path;

use model::Kexec;
use rustix::mount::{MountFlags, mount};

use super::jump::TOOL;
use crate::wipe::tool::Tools;

/// Where a kernel tells what it forbids its own root (`Documentation/security/lsm.rst`, `security/lockdown/lockdown.c`).
const SECURITY: &str = "sys/kernel/security";

/// Looks at this machine. What can be read only through a mount is mounted: a live image is the agent's own.
pub(crate) fn probe() -> Kexec {
    let is_first = std::process::id() == 1;
    if is_first && !Path::new("/").join(SECURITY).join("lockdown").exists() {
        // A kernel without it has no lockdown either.
        _ = mount("securityfs", Path::new("/").join(SECURITY), "securityfs", MountFlags::empty(), None);
    }
    match against(Path::new("/"), is_first) {
        None => Kexec::Possible,
        Some(why) => Kexec::Impossible { why },
    }
}

/// What stands against it on the machine whose file system starts at `root`.
fn against(root: &Path, is_first: bool) -> Option<String> {
    let text = |path: &str| fs::read_to_string(root.join(path)).ok().map(|text| text.trim().to_owned());
    if !is_first {
        return Some("this agent is not process 1 of a live image".to_owned());
    }
    if text("sys/kernel/kexec_loaded").is_none() {
        return Some("its kernel was built without kexec (CONFIG_KEXEC_FILE)".to_owned());
    }
    match text("proc/sys/kernel/kexec_load_disabled").as_deref() {
        Some("0") | None => {}
        Some(_) => return Some("kernel.kexec_load_disabled is set, until it starts again".to_owned()),
    }
    let lockdown = text(&format!("{SECURITY}/lockdown"));
    if let Some(told) = lockdown.filter(|told| !told.contains("[none]")) {
        return Some(format!("its kernel is locked down ({told}), as Secure Boot asks for"));
    }
    (!Tools::of(root).has(TOOL)).then(|| format!("`{TOOL}` is not in this image (package kexec-tools)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that can.
    fn machine(name: &str) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("labinator-kexec-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        for (path, text) in [
            ("sys/kernel/kexec_loaded", "0\n"),
            ("proc/sys/kernel/kexec_load_disabled", "0\n"),
            ("sys/kernel/security/lockdown", "[none] integrity confidentiality\n"),
            ("usr/sbin/kexec", ""),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        root
    }

    #[test]
    fn each_thing_that_stands_against_it_is_named() {
        let root = machine("against");
        assert_eq!(against(&root, true), None);
        assert!(against(&root, false).unwrap().contains("process 1"));
        for (path, text, why) in [
            ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n", "locked down"),
            ("proc/sys/kernel/kexec_load_disabled", "1\n", "kexec_load_disabled"),
        ] {
            let before = fs::read_to_string(root.join(path)).unwrap();
            fs::write(root.join(path), text).unwrap();
            assert!(against(&root, true).unwrap().contains(why), "{path}");
            fs::write(root.join(path), before).unwrap();
        }
        for (path, why) in
            [("usr/sbin/kexec", "not in this image"), ("sys/kernel/kexec_loaded", "without kexec")]
        {
            fs::remove_file(root.join(path)).unwrap();
            assert!(against(&root, true).unwrap().contains(why), "{path}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
