//! The network boot programs, read once and kept in memory: they are small and every boot begins with one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::Bytes;
use store::Digest;
use wire::dhcp::Family;

/// Loader of BIOS machines (iPXE over the ROM's own network driver).
pub const BIOS_LOADER: &str = "undionly.kpxe";
/// Loader of UEFI machines (iPXE over the firmware's own network driver).
pub const UEFI_LOADER: &str = "snponly.efi";

/// File names of the loader for a family of architectures, best first; the second is the build with all drivers.
#[must_use]
pub const fn loader_names(family: Family) -> &'static [&'static str] {
    match family {
        Family::Bios => &[BIOS_LOADER, "ipxe.pxe"],
        Family::EfiX64 => &[UEFI_LOADER, "ipxe.efi"],
        Family::EfiIa32 => &["snponly-i386.efi", "ipxe-i386.efi"],
        Family::EfiArm32 => &["snponly-arm32.efi", "ipxe-arm32.efi"],
        Family::EfiArm64 => &["snponly-arm64.efi", "ipxe-arm64.efi"],
        Family::EfiRiscv64 => &["snponly-riscv64.efi", "ipxe-riscv64.efi"],
        Family::EfiLoong64 => &["snponly-loong64.efi", "ipxe-loong64.efi"],
        // They fetch their own files.
        Family::UBoot | Family::RaspberryPi => &[],
    }
}

/// Largest file taken as a loader. The largest iPXE builds have about 1.1 MB.
const LARGEST: u64 = 8 << 20;

/// One loader.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Its content.
    pub bytes: Bytes,
    /// When the file was written.
    pub modified: SystemTime,
    digest: OnceLock<Digest>,
    /// Validator of this content for HTTP (RFC 9110 section 8.8.3), quotes included.
    pub etag: String,
}

/// The loader folder could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct LoaderError {
    path: PathBuf,
    source: io::Error,
}

/// All loaders by file name.
#[derive(Debug, Clone, Default)]
pub struct Loaders(HashMap<String, Loader>);

impl Loaders {
    /// Reads the plain files of a folder. Subfolders, dot files and files over 8 MiB are left out.
    ///
    /// # Errors
    /// When the folder or a file of it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, LoaderError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| LoaderError { path, source }
        };
        let mut loaders = HashMap::new();
        for entry in std::fs::read_dir(folder).map_err(fault(folder))? {
            let entry = entry.map_err(fault(folder))?;
            let path = entry.path();
            let about = std::fs::metadata(&path).map_err(fault(&path))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !about.is_file() || about.len() > LARGEST || name.starts_with('.') {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(fault(&path))?;
            let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            loaders.insert(name, Loader::new(bytes, modified));
        }
        Ok(Self(loaders))
    }

    /// The loader with this file name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Loader> {
        self.0.get(name)
    }

    /// File name of the loader for a family, where there is one.
    #[must_use]
    pub fn name_for(&self, family: Family) -> Option<&'static str> {
        loader_names(family).iter().copied().find(|name| self.0.contains_key(*name))
    }

    /// Adds a loader that is at hand.
    pub fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(name.to_owned(), Loader::new(bytes.into(), SystemTime::UNIX_EPOCH));
    }
}

impl Loader {
    pub(crate) fn new(bytes: Vec<u8>, modified: SystemTime) -> Self {
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let etag = format!("\"{:x}-{:x}\"", bytes.len(), since.as_nanos());
        Self { bytes: Bytes::from(bytes), modified, etag, digest: OnceLock::new() }
    }

    /// Its digest, worked out when it is first asked for.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.bytes))
    }
}
