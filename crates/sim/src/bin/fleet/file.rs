//! What the machines must get, byte for byte.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// So much of the image is taken.
pub(crate) const HEAD: usize = 64 << 10;

/// The files a fleet is served.
#[derive(Debug)]
pub(crate) struct Files {
    /// Loader of a BIOS.
    pub(crate) bios: Vec<u8>,
    /// Loader of UEFI.
    pub(crate) uefi: Vec<u8>,
    /// SHA-256 of the first [`HEAD`] bytes of the image.
    head: [u8; 32],
}

impl Files {
    /// Reads them from where the server reads them.
    pub(crate) fn read(loaders: &Path, image: &Path) -> io::Result<Self> {
        let image = std::fs::read(image)?;
        let head = image.get(..HEAD).ok_or_else(|| io::Error::other("the image is smaller than 64 KiB"))?;
        Ok(Self {
            bios: std::fs::read(loaders.join("undionly.kpxe"))?,
            uefi: std::fs::read(loaders.join("snponly.efi"))?,
            head: Sha256::digest(head).into(),
        })
    }

    /// True for the first bytes of the image.
    pub(crate) fn is_head(&self, bytes: &[u8]) -> bool {
        self.head == <[u8; 32]>::from(Sha256::digest(bytes))
    }
}
