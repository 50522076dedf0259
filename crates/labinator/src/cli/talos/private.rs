//! Files with keys in them: mode 0600 from their first byte, whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

/// What happens to a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Written {
    /// It is replaced.
    Anew,
    /// It stays, and writing fails.
    Never,
}

/// Refuses when something is there.
pub(in crate::cli) fn absent(path: &Path, advice: &str) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::with_advice(format!("{} is there already", path.display()), advice)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) => Err(failed(path, &why)),
    }
}

/// Writes a file beside its place, synced, and puts it there.
pub(in crate::cli) fn write(path: &Path, content: &str, over: Written) -> Result<(), Failure> {
    write_bytes(path, content.as_bytes(), over)
}

/// The same for what is no text.
pub(in crate::cli) fn write_bytes(path: &Path, content: &[u8], over: Written) -> Result<(), Failure> {
    let mut beside = Beside::of(path)?;
    beside.put(content).map_err(|why| failed(path, &why))?;
    beside.done(over)
}

/// A file that is written piece by piece beside its place; what is not done is gone when this is dropped.
pub(in crate::cli) struct Beside {
    path: PathBuf,
    beside: PathBuf,
    file: File,
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After a rename there is none.
        drop(std::fs::remove_file(&self.beside));
    }
}

impl Beside {
    pub(in crate::cli) fn of(path: &Path) -> Result<Self, Failure> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let beside = path.with_file_name(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = opened.map_err(|why| failed(path, &why))?;
        Ok(Self { path: path.to_owned(), beside, file })
    }

    pub(in crate::cli) fn put(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.file.write_all(piece)
    }

    /// Puts it into its place.
    pub(in crate::cli) fn done(self, over: Written) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| match over {
            Written::Anew => std::fs::rename(&self.beside, &self.path),
            // A link fails where a rename would replace.
            Written::Never => std::fs::hard_link(&self.beside, &self.path),
        });
        done.and_then(|()| synced(&self.path)).map_err(|why| failed(&self.path, &why))
    }
}

/// The name in its folder is on the disk too.
fn synced(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.map_or_else(|| PathBuf::from("."), Path::to_owned);
    File::open(folder)?.sync_all()
}

fn failed(path: &Path, why: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {why}", path.display()))
}
