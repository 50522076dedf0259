//! What forbids to wipe a disk: it is mounted, part of something, write-protected, or not of the box.

use std::fs;
use std::path::{Path, PathBuf};

/// Why this disk of the machine whose file system starts at `root` must be left alone; `None` when nothing is seen that
/// speaks against it.
pub(super) fn why_not(root: &Path, name: &str) -> Option<String> {
    let folder = root.join("sys/block").join(name);
    if let Some(why) = comes_and_goes(root, name) {
        return Some(why);
    }
    if word(&folder.join("ro")) == "1" {
        return Some("it is write-protected".to_owned());
    }
    let parts = entries(&folder).into_iter().filter(|part| folder.join(part).join("partition").exists());
    let mut all = vec![(name.to_owned(), folder.clone())];
    all.extend(parts.map(|part| (part.clone(), folder.join(part))));
    all.iter().find_map(|(name, folder)| used(root, name, folder))
}

/// Why this disk is none of the box: it may be pulled, and be another one tomorrow.
pub(super) fn comes_and_goes(root: &Path, name: &str) -> Option<String> {
    let folder = root.join("sys/block").join(name);
    if word(&folder.join("removable")) == "1" {
        return Some("it is removable".to_owned());
    }
    let on_usb =
        |path: PathBuf| path.components().any(|part| part.as_os_str().to_string_lossy().starts_with("usb"));
    fs::canonicalize(&folder).is_ok_and(on_usb).then(|| "it hangs on USB".to_owned())
}

/// What uses this disk or partition.
fn used(root: &Path, name: &str, folder: &Path) -> Option<String> {
    if let Some(holder) = entries(&folder.join("holders")).first() {
        return Some(format!("{name} is part of {holder}"));
    }
    let device = format!("/dev/{name}");
    let number = word(&folder.join("dev"));
    // proc_pid_mountinfo(5): the third field is the device's number, the fifth the place; after a lone hyphen come type
    // and source. A file system over several devices shows a number of its own.
    let mounts = text(&root.join("proc/self/mountinfo"));
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let source = fields.iter().position(|field| *field == "-").and_then(|at| fields.get(at + 2));
        let it_is = fields.get(2).is_some_and(|it| *it == number && !number.is_empty())
            || source == Some(&device.as_str());
        if let (true, Some(place)) = (it_is, fields.get(4)) {
            return Some(format!("{name} is mounted at {place}"));
        }
    }
    let swaps = text(&root.join("proc/swaps"));
    if swaps.lines().any(|line| line.split_ascii_whitespace().next() == Some(&device)) {
        return Some(format!("{name} is swap in use"));
    }
    entries(&root.join("sys/block")).into_iter().find_map(|other| {
        let backing = word(&root.join("sys/block").join(&other).join("loop/backing_file"));
        (backing == device).then(|| format!("{name} is under {other}"))
    })
}

fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn word(path: &Path) -> String {
    text(path).trim().to_owned()
}

fn entries(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = listed.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
