//! Modules for the devices that are there, found by the names that devices give themselves (`modalias`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Devices that appear behind devices (a disk behind a controller behind PCI) are found in the next round.
const ROUNDS: usize = 5;
/// Names handed over at once: a command line has room for some thousands.
const AT_ONCE: usize = 200;
/// Deeper than any device of `/sys/devices`.
const DEEPEST: usize = 24;

/// Name of the service that loads them.
const SERVICE: &str = "modules";

/// It was not done yet in this boot: a device may still appear.
static COMING: AtomicBool = AtomicBool::new(false);

/// The root of an image is entered that lists these services.
pub(super) fn expect(services: &str) {
    let begins = format!("once {SERVICE} ");
    COMING.store(services.lines().any(|line| line.starts_with(&begins)), Ordering::Relaxed);
}

/// A service ended, well or not.
pub(super) fn note_end(service: &str) {
    if service == SERVICE {
        COMING.store(false, Ordering::Relaxed);
    }
}

/// True while modules are still to be loaded, so that what is missing may come.
pub(crate) fn are_coming() -> bool {
    COMING.load(Ordering::Relaxed)
}

/// Loads what the devices ask for, until no device appears that was not there before.
///
/// # Errors
/// There is no `modprobe` to ask.
pub(crate) fn load_for_devices() -> Result<(), String> {
    let mut known = BTreeSet::new();
    for _ in 0..ROUNDS {
        let mut names = BTreeSet::new();
        names_below(Path::new("/sys/devices"), DEEPEST, &mut names);
        let new: Vec<String> = names.difference(&known).cloned().collect();
        if new.is_empty() {
            break;
        }
        for some in new.chunks(AT_ONCE) {
            // A name that no module answers to is no fault: most are built in or of no use here.
            let told = Command::new("modprobe").args(["-abq", "--"]).args(some).output();
            told.map_err(|why| format!("modprobe: {why}"))?;
        }
        known = names;
    }
    Ok(())
}

fn names_below(folder: &Path, deep: usize, names: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Symlinks lead back up.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && deep > 0 {
            names_below(&entry.path(), deep - 1, names);
        } else if kind.is_file()
            && entry.file_name() == "modalias"
            && let Ok(name) = fs::read_to_string(entry.path())
            && !name.trim().is_empty()
        {
            names.insert(name.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_coming_from_when_the_root_lists_them_until_their_service_ends() {
        assert!(!are_coming(), "an image without a root loads its own before anything else");
        expect("once sysctl true\nkeep modules true\n");
        assert!(!are_coming());
        expect("once modules exec agent modules\nonce zram true\n");
        assert!(are_coming());
        note_end("zram");
        assert!(are_coming());
        note_end("modules");
        assert!(!are_coming());
    }

    #[test]
    fn names_are_found_however_deep_and_each_once() {
        let root = std::env::temp_dir().join(format!("labinator-modalias-{}", std::process::id()));
        for (path, name) in
            [("pci/a", "pci:v1\n"), ("pci/a/usb/b", "usb:v2\n"), ("c", "pci:v1\n"), ("d", "\n")]
        {
            fs::create_dir_all(root.join(path)).unwrap();
            fs::write(root.join(path).join("modalias"), name).unwrap();
        }
        std::os::unix::fs::symlink(&root, root.join("c/subsystem")).unwrap();
        let mut names = BTreeSet::new();
        names_below(&root, DEEPEST, &mut names);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["pci:v1", "usb:v2"]);
        fs::remove_dir_all(root).unwrap();
    }
}
