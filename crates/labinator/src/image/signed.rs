//! Who says what an image is: `image.sig` beside `image.json`, and the keys that are believed.
//!
//! ```text
//! IMAGES/.keys/secret/            the key of this boss, sealed; made when the first image is built
//! IMAGES/.keys/own.pub            its public half
//! IMAGES/.keys/trusted/NAME.pub   public keys of others, by the name that the owner gave them
//! ```
//!
//! What is signed is the image's name, who signed, when, and every byte of `image.json`, which has the digest of each
//! file and the version of each package. So a file, a package or a name that was changed is seen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::WallTime;
use pki::signing::{PublicKey, Signature, SigningKey};
use pki::vault::Vault;
use serde::{Deserialize, Serialize};
use store::{Disk, Files as _};

use super::ImageError;
use super::manifest::MANIFEST;

/// Name of the signature in an image's folder.
pub(crate) const SIGNATURE: &str = "image.sig";
/// Form of that file; a reader refuses others.
const FORM: u32 = 1;
/// What the signature is for.
const PURPOSE: &str = "image";
/// Name of the key in its vault.
const KEY: &str = "image-signing";

/// The file [`SIGNATURE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    form: u32,
    /// Name of the image.
    image: String,
    /// Host name of the computer that signed.
    by: String,
    /// When it said that the image is current.
    at: WallTime,
    key: String,
    signature: String,
}

/// What is known of an image's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// There is none.
    None,
    /// This boss signed it.
    Own(Signer),
    /// The owner of a trusted key did.
    Trusted {
        /// The name that the key was given here.
        name: String,
        /// Who that says to be.
        signer: Signer,
    },
    /// Somebody did whose key nobody here trusts.
    Unknown(Signer),
    /// It does not belong to these bytes.
    Broken(String),
}

/// Who signed, as the signature has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Host name.
    pub by: String,
    /// When.
    pub at: WallTime,
    /// With which key.
    pub key: PublicKey,
}

impl Seal {
    /// Who signed, where it is known and the signature holds.
    #[must_use]
    pub const fn signer(&self) -> Option<&Signer> {
        match self {
            Self::Own(signer) | Self::Trusted { signer, .. } | Self::Unknown(signer) => Some(signer),
            Self::None | Self::Broken(_) => None,
        }
    }

    /// Why machines must not be given what it seals; `None` when nothing speaks against it.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        match self {
            Self::None | Self::Own(_) | Self::Trusted { .. } => None,
            Self::Unknown(signer) => Some(format!(
                "it was signed on {} with the key {}, which nobody here trusts; `labinator image trust NAME FILE` \
                 takes that computer's public key",
                signer.by,
                signer.key.short()
            )),
            Self::Broken(why) => Some(why.clone()),
        }
    }
}

impl std::fmt::Display for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("not signed"),
            Self::Own(signer) => write!(f, "signed here ({})", signer.by),
            Self::Trusted { name, signer } => write!(f, "signed by {name} ({})", signer.by),
            Self::Unknown(signer) => {
                write!(f, "signed on {} by an unknown key {}", signer.by, signer.key.short())
            }
            Self::Broken(why) => write!(f, "the signature does not hold: {why}"),
        }
    }
}

/// The keys of a folder of images.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// Those of this folder of images.
    #[must_use]
    pub fn of(images: &Path) -> Self {
        Self { folder: images.join(".keys") }
    }

    /// The public half of the key that signs here; `None` before the first image was signed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn own(&self) -> Result<Option<PublicKey>, ImageError> {
        let path = self.folder.join("own.pub");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.parse()?)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(ImageError::io(&path, why)),
        }
    }

    /// The key that signs here, made when there is none.
    ///
    /// # Errors
    /// It cannot be kept or read.
    pub fn signing(&self) -> Result<SigningKey, ImageError> {
        // Whoever serves the images reads the public halves; only `secret` is closed to others.
        fs::create_dir_all(&self.folder).map_err(|why| ImageError::io(&self.folder, why))?;
        let key = SigningKey::of(&Vault::open(&self.folder.join("secret"))?, KEY)?;
        if self.own()? != Some(key.public()) {
            put(&self.folder.join("own.pub"), &format!("{}\n", key.public()))?;
        }
        Ok(key)
    }

    /// The keys of others that are believed, by name.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn trusted(&self) -> Result<Vec<(String, PublicKey)>, ImageError> {
        let folder = self.folder.join("trusted");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(ImageError::io(&folder, why)),
        };
        let mut all = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".pub")) else {
                continue;
            };
            let text = fs::read_to_string(&path).map_err(|why| ImageError::io(&path, why))?;
            all.push((name.to_owned(), text.parse()?));
        }
        all.sort();
        Ok(all)
    }

    /// Believes a key from now on, under this name.
    ///
    /// # Errors
    /// The name is none, or another key has it.
    pub fn trust(&self, name: &str, key: PublicKey) -> Result<(), ImageError> {
        let right = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(right) {
            return Err(ImageError::KeyName(name.to_owned()));
        }
        match self.trusted()?.into_iter().find(|(known, _)| known == name) {
            Some((_, known)) if known == key => Ok(()),
            Some(_) => Err(ImageError::KeyKnown(name.to_owned())),
            None => put(&self.folder.join("trusted").join(format!("{name}.pub")), &format!("{key}\n")),
        }
    }

    /// Believes a key no longer. False where there is none of this name.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn distrust(&self, name: &str) -> Result<bool, ImageError> {
        if !self.trusted()?.iter().any(|(known, _)| known == name) {
            return Ok(false);
        }
        let path = self.folder.join("trusted").join(format!("{name}.pub"));
        fs::remove_file(&path).map(|()| true).map_err(|why| ImageError::io(&path, why))
    }

    /// Signs the image in `folder`: from now on it is current as of now.
    ///
    /// # Errors
    /// There is no key, or the signature cannot be written.
    pub fn sign(&self, folder: &Path, name: &str) -> Result<(), ImageError> {
        let path = folder.join(MANIFEST);
        let manifest = fs::read(&path).map_err(|why| ImageError::io(&path, why))?;
        let key = self.signing()?;
        let mut signed = Signed {
            form: FORM,
            image: name.to_owned(),
            by: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            at: now(),
            key: key.public().to_string(),
            signature: String::new(),
        };
        signed.signature = key.sign(PURPOSE, &signed.message(&manifest)).to_string();
        put(&folder.join(SIGNATURE), &signed.text())
    }

    /// What the signature in `folder` says, of the image of this name.
    ///
    /// # Errors
    /// A file of it, or a key, cannot be read.
    pub fn check(&self, folder: &Path, name: &str) -> Result<Seal, ImageError> {
        let path = folder.join(SIGNATURE);
        let signed = match fs::read(&path) {
            Ok(signed) => signed,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Seal::None),
            Err(why) => return Err(ImageError::io(&path, why)),
        };
        let path = folder.join(MANIFEST);
        let manifest = fs::read(&path).map_err(|why| ImageError::io(&path, why))?;
        self.judge(name, &signed, &manifest)
    }

    /// The same of the bytes of both files.
    ///
    /// # Errors
    /// A key cannot be read.
    pub(crate) fn judge(&self, name: &str, bytes: &[u8], manifest: &[u8]) -> Result<Seal, ImageError> {
        let broken = |why: &str| Ok(Seal::Broken(why.to_owned()));
        let signed: Signed = match serde_json::from_slice(bytes) {
            Ok(signed) => signed,
            Err(why) => return broken(&format!("{SIGNATURE} cannot be read: {why}")),
        };
        // One signature has one spelling: what reads the same and is written otherwise was changed.
        if signed.text().as_bytes() != bytes {
            return broken(&format!("{SIGNATURE} is not as it was written"));
        }
        if signed.form != FORM {
            return broken(&format!("{SIGNATURE} has form {} instead of {FORM}", signed.form));
        }
        let (Ok(key), Ok(signature)) =
            (signed.key.parse::<PublicKey>(), signed.signature.parse::<Signature>())
        else {
            return broken(&format!("{SIGNATURE} has no key or no signature"));
        };
        if !key.signed(PURPOSE, &signed.message(manifest), &signature) {
            return broken(&format!(
                "{MANIFEST} or {SIGNATURE} was changed after it was signed on {}",
                signed.by
            ));
        }
        if signed.image != name {
            return broken(&format!("it was signed as the image {}, and this is {name}", signed.image));
        }
        let signer = Signer { by: signed.by, at: signed.at, key };
        if self.own()? == Some(key) {
            return Ok(Seal::Own(signer));
        }
        let known = self.trusted()?.into_iter().find(|(_, trusted)| *trusted == key);
        Ok(match known {
            Some((name, _)) => Seal::Trusted { name, signer },
            None => Seal::Unknown(signer),
        })
    }
}

impl Signed {
    /// As it is written.
    fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Each part with its length before it, so that no two images have one message.
    fn message(&self, manifest: &[u8]) -> Vec<u8> {
        let at = self.at.0.to_string();
        let mut message = Vec::new();
        for part in [self.image.as_bytes(), self.by.as_bytes(), at.as_bytes(), manifest] {
            message.extend_from_slice(format!("{}\n", part.len()).as_bytes());
            message.extend_from_slice(part);
        }
        message
    }
}

fn put(path: &Path, text: &str) -> Result<(), ImageError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|why| ImageError::io(folder, why))?;
    Disk.replace(path, text.as_bytes()).map_err(|why| ImageError::io(path, why))
}

/// Now, by this computer's clock.
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sample::Images;

    #[test]
    fn a_boss_believes_itself_and_whom_it_is_told_to() {
        let (here, there) = (Images::new("trust-here"), Images::new("trust-there"));
        let folder = there.image("rescue", "kernel");
        let keys = Keys::of(here.folder());
        let others = Keys::of(there.folder());
        assert_eq!(others.check(&folder, "rescue").unwrap(), Seal::None);
        others.sign(&folder, "rescue").unwrap();
        assert!(matches!(others.check(&folder, "rescue").unwrap(), Seal::Own(_)));
        let seal = keys.check(&folder, "rescue").unwrap();
        assert!(matches!(seal, Seal::Unknown(_)) && seal.objection().is_some(), "{seal}");
        let public = others.own().unwrap().unwrap();
        keys.trust("boss2", public).unwrap();
        keys.trust("boss2", public).unwrap();
        let seal = keys.check(&folder, "rescue").unwrap();
        assert!(matches!(&seal, Seal::Trusted { name, .. } if name == "boss2"), "{seal}");
        let own = keys.signing().unwrap().public();
        assert_eq!(keys.trust("boss2", own).unwrap_err().code(), "key-name-taken");
        assert_eq!(keys.trust("../boss2", own).unwrap_err().code(), "key-name");
        assert!(keys.distrust("boss2").unwrap() && !keys.distrust("boss2").unwrap());
        assert!(matches!(keys.check(&folder, "rescue").unwrap(), Seal::Unknown(_)));
    }

    #[test]
    fn a_changed_byte_or_another_name_breaks_the_seal() {
        let images = Images::new("seal");
        let folder = images.image("rescue", "kernel");
        let keys = Keys::of(images.folder());
        keys.sign(&folder, "rescue").unwrap();
        assert!(matches!(keys.check(&folder, "hypervisor").unwrap(), Seal::Broken(_)));
        for file in [MANIFEST, SIGNATURE] {
            let path = folder.join(file);
            let whole = fs::read(&path).unwrap();
            for at in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                fs::write(&path, bytes).unwrap();
                let seal = keys.check(&folder, "rescue").unwrap();
                assert!(seal.objection().is_some(), "{file} byte {at}: {seal}");
            }
            fs::write(&path, whole).unwrap();
        }
    }
}
