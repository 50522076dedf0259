//! Bootable images, built from packages: same inputs, same bytes.

mod cpio;
pub mod fat;
mod kernel;
mod live;
mod manifest;
mod modules;
pub mod nocloud;
mod node;
mod pe;

use std::io;
use std::path::{Path, PathBuf};

use drivers::process::ProcessError;

pub use live::{Live, LiveImage, build_live};
pub use manifest::{ImageManifest, MANIFEST, Package};
pub use node::{Built, NodeImage, SIMULATED_TALOS, build_node};
pub use pe::PeError;

/// Why an image could not be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A program failed or is missing.
    #[error(transparent)]
    Program(#[from] ProcessError),
    /// The package lists do not know the kernel.
    #[error("no package {0} is known: apt-get update, or give --kernel-deb FILE")]
    NoPackage(&'static str),
    /// The package holds no kernel with modules.
    #[error("{path} holds no kernel with its modules", path = .0.display())]
    NoKernel(PathBuf),
    /// A needed module is neither in the package nor built in.
    #[error("the kernel package has no module {0}")]
    NoModule(String),
    /// A module is no ELF object with `.modinfo`.
    #[error("module {0} cannot be read")]
    BadModule(String),
    /// The EFI stub is not installed.
    #[error("{path} is missing: apt-get install -y systemd-boot-efi", path = .0.display())]
    NoStub(PathBuf),
    /// The UKI cannot be put together.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// A part of the image is larger than its form can say.
    #[error("{0} is larger than its form allows")]
    TooLarge(&'static str),
    /// The description of a built image cannot be read.
    #[error("{path} is not a description of an image: {why}", path = .path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl ImageError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// Stable word for logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "image-file",
            Self::Program(error) => error.code(),
            Self::NoPackage(_) => "kernel-package-unknown",
            Self::NoKernel(_) => "kernel-package-empty",
            Self::NoModule(_) => "module-missing",
            Self::BadModule(_) => "module-broken",
            Self::NoStub(_) => "stub-missing",
            Self::Pe(_) => "stub-unusable",
            Self::TooLarge(_) => "image-too-large",
            Self::Manifest { .. } => "image-description",
        }
    }
}
