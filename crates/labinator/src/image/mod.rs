//! Bootable images, built from packages: same inputs, same bytes.

mod boot_test;
mod carry;
mod changes;
mod cpio;
pub mod fat;
mod kernel;
pub mod life;
mod live;
mod manifest;
mod modules;
pub mod nocloud;
mod node;
mod pe;
#[cfg(test)]
pub(crate) mod sample;
mod signed;
mod stock;
mod update;
mod verify;

use std::io;
use std::path::{Path, PathBuf};

use drivers::process::ProcessError;

pub use carry::pack;
pub use changes::{Change, changes};
pub use live::{Extra, Live, LiveImage, build_live};
pub use manifest::{ImageManifest, MANIFEST, Package, Recipe};
pub use node::{Built, NodeImage, SIMULATED_TALOS, build_node};
pub use pe::PeError;
pub(crate) use signed::now;
pub use signed::{Keys, Seal, Signer};
pub use stock::{Places, names, stock};
pub use update::{Offer, Order, Updated, build, update, update_from};
pub(crate) use verify::unlike;
pub use verify::{Verdict, verify};

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
    /// Another is making a generation of this image.
    #[error("{path}: another `labinator image` is at work on this image", path = .0.display())]
    Busy(PathBuf),
    /// The folder of an image went away under the work.
    #[error("{path}: the image went away while it was worked on", path = .0.display())]
    Gone(PathBuf),
    /// There is no image of this name.
    #[error("there is no image {0}: build it first, with `labinator image build {0}`")]
    NoImage(String),
    /// The image is not of the kind that has generations.
    #[error("image {0} is not made of packages here: only hypervisor and rescue are updated")]
    NotLive(String),
    /// It says other than it was built, or who signed it is not believed.
    #[error("image {name}: {why}")]
    Doubtful {
        /// Which image.
        name: String,
        /// What is wrong, a sentence or more.
        why: String,
    },
    /// A bundle is not what it must be.
    #[error("{path}: {why}; nothing was changed", path = .path.display())]
    Bundle {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It did not start in the test.
    #[error("image {name} did not start in the test, and is not used: {why}")]
    NoStart {
        /// Which image.
        name: String,
        /// What was seen, for a person.
        why: String,
    },
    /// A key cannot be made, kept or read.
    #[error(transparent)]
    Key(#[from] pki::signing::SigningError),
    /// Keys for Secure Boot are there, and nothing can be signed with them.
    #[error(transparent)]
    SecureBoot(#[from] crate::secure_boot::SecureBootFailure),
    /// Not a name for a key.
    #[error("`{0}` is no name for a key: letters, digits, `-` and `_`")]
    KeyName(String),
    /// Another key has this name.
    #[error("another key is trusted as {0}; `labinator image trust {0} --remove` forgets it")]
    KeyKnown(String),
}

impl From<pki::vault::VaultError> for ImageError {
    fn from(error: pki::vault::VaultError) -> Self {
        Self::Key(error.into())
    }
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
            Self::Busy(_) => "image-busy",
            Self::Gone(_) => "image-gone",
            Self::NoImage(_) => "image-unknown",
            Self::NotLive(_) => "image-not-live",
            Self::Doubtful { .. } => "image-doubtful",
            Self::Bundle { .. } => "image-bundle",
            Self::NoStart { .. } => "image-no-start",
            Self::Key(error) => error.code(),
            Self::SecureBoot(error) => error.code(),
            Self::KeyName(_) => "key-name",
            Self::KeyKnown(_) => "key-name-taken",
        }
    }
}
