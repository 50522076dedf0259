//! The serial console of a virtual machine, kept in a file that cannot grow without bound.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

/// Name of the console's file in a machine's folder; what was before it is in the same name with `.old`.
pub const CONSOLE_FILE: &str = "console.log";
/// Size at which the file becomes the old one. Both together keep the last 256 KiB at least.
const FULL: u64 = 256 * 1024;

/// Follows the console of a QEMU until it ends. A console nobody can write down is read all the same:
/// a full socket would stop the machine.
pub(super) async fn follow(folder: PathBuf, socket: &'static str) -> io::Result<()> {
    let mut stream = UnixStream::connect(folder.join(socket)).await?;
    let mut page = Page::open(&folder);
    let mut buffer = vec![0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        if let Err(error) = page.write(&folder, bytes) {
            tracing::debug!(%error, folder = %folder.display(), "console not written");
        }
    }
}

struct Page {
    file: Option<File>,
    size: u64,
}

impl Page {
    fn open(folder: &Path) -> Self {
        let file = File::options().create(true).append(true).open(folder.join(CONSOLE_FILE)).ok();
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
        Self { file, size }
    }

    fn write(&mut self, folder: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.size >= FULL {
            let path = folder.join(CONSOLE_FILE);
            fs::rename(&path, path.with_extension("old"))?;
            *self = Self::open(folder);
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
            self.size += u64::try_from(bytes.len()).unwrap_or(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_keeps_its_last_words_and_no_more() {
        let folder = std::env::temp_dir().join(format!("drivers-console-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut page = Page::open(&folder);
        let line = [b'x'; 1024];
        for _ in 0..1000 {
            page.write(&folder, &line).unwrap();
        }
        let size = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
        let (now, old) = (size(CONSOLE_FILE), size("console.old"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(old, FULL);
        assert!(now <= FULL && now > 0, "{now}");
    }
}
