//! Files with keys in them: mode 0600 from their first byte, whole or not at all.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

/// What happens to a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It is replaced.
    Anew,
    /// It stays, and writing fails.
    Never,
}

/// Refuses when something is there.
pub(super) fn absent(path: &Path, advice: &str) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::with_advice(format!("{} is there already", path.display()), advice)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) => Err(failed(path, &why)),
    }
}

/// Writes a file beside its place, synced, and puts it there.
pub(super) fn write(path: &Path, content: &str, over: Written) -> Result<(), Failure> {
    write_bytes(path, content.as_bytes(), over)
}

/// The same for what is no text.
pub(super) fn write_bytes(path: &Path, content: &[u8], over: Written) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let done = written(&beside, content).and_then(|()| match over {
        Written::Anew => std::fs::rename(&beside, path),
        // A link fails where a rename would replace.
        Written::Never => std::fs::hard_link(&beside, path),
    });
    if over == Written::Never || done.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    done.and_then(|()| synced(path)).map_err(|why| failed(path, &why))
}

fn written(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The name in its folder is on the disk too.
fn synced(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.map_or_else(|| PathBuf::from("."), Path::to_owned);
    std::fs::File::open(folder)?.sync_all()
}

fn failed(path: &Path, why: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {why}", path.display()))
}
