//! Folders of small images, for tests of what is done with images.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::manifest::{ImageManifest, Package, asset, digest};

/// A folder of images that is gone with this.
#[derive(Debug)]
pub(crate) struct Images(PathBuf);

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Images {
    pub(crate) fn new(name: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("labinator-{name}-{}-{number}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// An image as they were before there were generations.
    pub(crate) fn image(&self, name: &str, kernel: &str) -> PathBuf {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).unwrap();
        fill(&folder, kernel);
        folder
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Makes an image of three small files.
pub(crate) fn fill(folder: &Path, kernel: &str) {
    fill_with(folder, kernel.as_bytes(), kernel);
}

/// The same with a kernel that is no text.
pub(crate) fn fill_with(folder: &Path, kernel: &[u8], version: &str) {
    let linux = asset(folder, "vmlinuz", kernel).unwrap();
    let mut manifest = ImageManifest::new(linux, "6.1".to_owned(), digest(kernel));
    manifest.initrd =
        vec![asset(folder, "initrd.img", b"agent").unwrap(), asset(folder, "live.img", b"root").unwrap()];
    manifest.agent = true;
    manifest.packages = vec![Package { name: "linux".to_owned(), version: version.to_owned() }];
    manifest.write(folder).unwrap();
}
