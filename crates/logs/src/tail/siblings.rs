//! Files beside a path that were rotated away from it: `app.log.1`, `app.log-20261128`.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::reading::{Id, Reading, Written, id};

/// Ends of names of files that are not lines any more.
const PACKED: [&str; 4] = ["gz", "xz", "zst", "bz2"];

/// When it was written last, and of one time the higher number first: logrotate counts up.
pub(super) type Age = (Written, Reverse<u64>);

#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) id: Id,
    pub(super) age: Age,
}

fn age(about: &fs::Metadata, name: &str) -> Age {
    let number = name.rsplit(['.', '-']).next().and_then(|end| end.parse().ok()).unwrap_or(0);
    ((about.mtime(), about.mtime_nsec()), Reverse(number))
}

/// The path's own file and those beside it, the oldest first.
pub(super) fn all(path: &Path) -> Vec<Sibling> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let entries = folder.into_iter().flatten().flatten();
    let mut found: Vec<Sibling> = entries
        .filter_map(|entry| {
            let own = entry.file_name().to_string_lossy().into_owned();
            let rest = own.strip_prefix(&name)?;
            let packed = own.rsplit('.').next().is_some_and(|end| PACKED.contains(&end));
            if packed || !(rest.is_empty() || rest.starts_with(['.', '-'])) {
                return None;
            }
            let about = fs::metadata(entry.path()).ok().filter(fs::Metadata::is_file)?;
            Some(Sibling { path: entry.path(), id: id(&about), age: age(&about, &own) })
        })
        .collect();
    found.sort_by_key(|one| one.age);
    found
}

/// Files that had the path after one of this age, and before the one that has it now.
pub(super) fn after(path: &Path, age: Age, known: &[Id]) -> Vec<(File, Id)> {
    let between = all(path).into_iter().filter(|one| one.path != path && !known.contains(&one.id));
    let opened = between.filter(|one| one.age > age).filter_map(|one| {
        let file = File::open(&one.path).ok()?;
        let id = id(&file.metadata().ok()?);
        Some((file, id))
    });
    opened.collect()
}

/// The age of an open file; one that was removed has no number any more.
pub(super) fn age_of(path: &Path, open: &Reading) -> Age {
    let named = all(path).into_iter().find(|one| one.id == open.id).map(|one| one.age);
    named.unwrap_or_else(|| (open.written(), Reverse(0)))
}
