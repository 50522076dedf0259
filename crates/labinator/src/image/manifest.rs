//! `image.json`: what a built image consists of, beside its files.

use std::fs;
use std::path::Path;

use model::{Asset, Digest, Image};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use talos::release::Version;

use super::ImageError;
use super::live::Extra;

/// Name of the description in an image's folder.
pub const MANIFEST: &str = "image.json";
/// Form of the description; a reader refuses others.
const FORM: u32 = 1;

/// What a built image consists of. File names are relative to the folder of [`MANIFEST`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// Form of this file; 1.
    pub form: u32,
    /// The kernel; without a name where there is only a UKI.
    pub kernel: Asset,
    /// Initramfs files, in order.
    pub initrd: Vec<Asset>,
    /// All of it as one EFI program.
    pub uki: Option<Asset>,
    /// Kernel arguments.
    pub args: String,
    /// True when our agent is inside.
    pub agent: bool,
    /// `uname -r` of the kernel; of a system that was fetched, its name and version.
    pub kernel_version: String,
    /// SHA-256 over everything the image was made from.
    pub inputs: Digest,
    /// Packages of the distribution that are inside, by name; none where the system was made by somebody else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// What a live image was asked to be made of, so that it can be made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

/// What the owner said when a live image was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Debian release.
    pub suite: String,
    /// Where its packages are; none for the distribution's own servers.
    pub mirrors: Vec<String>,
    /// Public keys that may log in as root, in the form of `authorized_keys`.
    pub keys: Option<String>,
    /// What is added to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Extra>,
}

/// A package inside an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as the distribution writes it.
    pub version: String,
}

impl ImageManifest {
    pub(crate) fn new(kernel: Asset, kernel_version: String, inputs: Digest) -> Self {
        Self {
            form: FORM,
            kernel,
            initrd: Vec::new(),
            uki: None,
            args: String::new(),
            agent: false,
            kernel_version,
            inputs,
            packages: Vec::new(),
            recipe: None,
        }
    }

    /// Of a system that another maker built.
    pub(crate) fn fetched(kernel: Asset, version: String, inputs: Digest) -> Self {
        Self::new(kernel, version, inputs)
    }

    /// The same with these files and arguments.
    pub(crate) fn with(mut self, initrd: Vec<Asset>, uki: Option<Asset>, args: &str) -> Self {
        self.initrd = initrd;
        self.uki = uki;
        args.clone_into(&mut self.args);
        self
    }

    /// Reads the description in `folder`.
    ///
    /// # Errors
    /// [`ImageError::Io`] when there is none, [`ImageError::Manifest`] when it cannot be understood.
    pub fn read(folder: &Path) -> Result<Self, ImageError> {
        let path = folder.join(MANIFEST);
        let bytes = fs::read(&path).map_err(|e| ImageError::io(&path, e))?;
        let wrong = |why: String| ImageError::Manifest { path: path.clone(), why };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        if manifest.form != FORM {
            return Err(wrong(format!("form {} instead of {FORM}", manifest.form)));
        }
        Ok(manifest)
    }

    /// Writes the description; last of all files, so that it never describes what is not there.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ImageError> {
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| ImageError::Manifest { path: path.clone(), why: e.to_string() })?;
        text.push(b'\n');
        write_whole(&path, &text)
    }

    /// The release of Talos that it is, where it was fetched as one.
    #[must_use]
    pub fn talos(&self) -> Option<Version> {
        let (name, version) = self.kernel_version.split_once(' ')?;
        version.parse().ok().filter(|_| name == "talos" || name == "talos-uki")
    }

    /// Every file of it.
    pub fn files(&self) -> impl Iterator<Item = &Asset> {
        let kernel = Some(&self.kernel).filter(|kernel| !kernel.name.is_empty());
        kernel.into_iter().chain(&self.initrd).chain(&self.uki)
    }

    /// True when every file is in `folder` with its size. Content is checked where it enters the shelf.
    #[must_use]
    pub fn is_complete(&self, folder: &Path) -> bool {
        self.files().all(|asset| fs::metadata(folder.join(&asset.name)).is_ok_and(|m| m.len() == asset.size))
    }

    /// As the boot table has it.
    #[must_use]
    pub fn image(&self) -> Image {
        Image {
            kernel: Some(self.kernel.clone()).filter(|kernel| !kernel.name.is_empty()),
            initrd: self.initrd.clone(),
            uki: self.uki.clone(),
            args: self.args.clone(),
            agent: self.agent,
        }
    }
}

/// SHA-256 of bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Writes a file of an image and says what it is.
pub(super) fn asset(folder: &Path, name: &str, bytes: &[u8]) -> Result<Asset, ImageError> {
    write_whole(&folder.join(name), bytes)?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Asset { name: name.to_owned(), digest: digest(bytes), size })
}

/// A reader sees the old file or the new one, never a part.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(|e| ImageError::io(&part, e))?;
    fs::rename(&part, path).map_err(|e| ImageError::io(path, e))
}
