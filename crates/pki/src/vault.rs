//! Secrets at rest: sealed files that are whole or not there, synced before anybody says that they are kept.
//!
//! ```text
//! FOLDER/key            32 random bytes, made once, readable by its owner alone
//! FOLDER/NAME.sealed    magic line, nonce, ChaCha20-Poly1305 of the content with the name as associated data
//! ```
//!
//! The seal keeps secrets out of backups that leave the key out, and shows every changed byte. Whoever reads the whole
//! folder as its owner reads the secrets.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use model::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// First line of a sealed file: its form.
const MAGIC: &[u8] = b"labinator sealed 1\n";
/// Bytes of the key.
const KEY: usize = 32;
/// Largest sealed file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// Something secret, as bytes.
pub type Sealed = Secret<Zeroizing<Vec<u8>>>;

/// Why a secret cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The disk said no.
    #[error("{}: {why}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// It is not what was put there, or the key is another one.
    #[error("{} was changed, or sealed with another key", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
    },
    /// The kernel gave no random bytes.
    #[error("the kernel gives no random bytes")]
    NoRandom,
    /// Not a name for a secret.
    #[error("`{0}` is no name for a secret: letters, digits and `-`")]
    Name(String),
}

impl VaultError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "vault_io",
            Self::Broken { .. } => "vault_broken",
            Self::NoRandom => "no_random",
            Self::Name(_) => "secret_name",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Io { .. } => "look at the disk of the state folder: space, owner, errors",
            Self::Broken { .. } => "restore the folder of secrets whole, with its key, from one backup",
            Self::NoRandom => "start the boss again; without random bytes nothing secret can be made",
            Self::Name(_) => "choose another name",
        }
    }
}

/// A folder of sealed secrets.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    key: LessSafeKey,
}

impl Vault {
    /// Opens a folder, and makes it and its key where there are none.
    ///
    /// # Errors
    /// The folder cannot be made, or its key is not whole.
    pub fn open(folder: &Path) -> Result<Self, VaultError> {
        let io = |why| VaultError::Io { path: folder.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let path = folder.join("key");
        let key = match read(&path)? {
            Some(key) => key,
            None => {
                let mut key = Zeroizing::new(vec![0; KEY]);
                SystemRandom::new().fill(&mut key).map_err(|_| VaultError::NoRandom)?;
                // Of two that open it at once, one makes the key.
                if write_new(folder, "key", &key)? { key } else { read(&path)?.unwrap_or_default() }
            }
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(|_| VaultError::Broken { path })?;
        Ok(Self { folder: folder.to_owned(), key: LessSafeKey::new(key) })
    }

    /// Keeps a secret. When this returns, a power cut does not take it.
    ///
    /// # Errors
    /// It is not kept; what was there under this name before still is.
    pub fn put(&self, name: &str, secret: &Sealed) -> Result<(), VaultError> {
        let file = file_name(name)?;
        write(&self.folder, &file, &self.sealed(name, secret)?)
    }

    /// Keeps a secret where there is none of this name; false, and nothing changed, where there is one.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_new(&self, name: &str, secret: &Sealed) -> Result<bool, VaultError> {
        let file = file_name(name)?;
        write_new(&self.folder, &file, &self.sealed(name, secret)?)
    }

    fn sealed(&self, name: &str, secret: &Sealed) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| VaultError::NoRandom)?;
        let mut content = Zeroizing::new(secret.reveal().to_vec());
        let seal = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut *content,
        );
        seal.map_err(|_| VaultError::Broken { path: self.folder.join(name) })?;
        Ok([MAGIC, &nonce, &content].concat())
    }

    /// Reads a secret; `None` where there is none of this name.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Sealed>, VaultError> {
        let path = self.folder.join(file_name(name)?);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let broken = || VaultError::Broken { path: path.clone() };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(broken)?;
        let (nonce, content) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut content = Zeroizing::new(content.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut content);
        let size = opened.map_err(|_| broken())?.len();
        content.truncate(size);
        Ok(Some(Secret::new(content)))
    }

    /// Names of the secrets that are kept, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, VaultError> {
        let io = |why| VaultError::Io { path: self.folder.clone(), why };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(io)? {
            let file = entry.map_err(io)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(".sealed"));
            names.extend(name.filter(|name| file_name(name).is_ok()).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Forgets a secret. Forgetting one that is not there is no mistake.
    ///
    /// # Errors
    /// It may still be there.
    pub fn forget(&self, name: &str) -> Result<(), VaultError> {
        let path = self.folder.join(file_name(name)?);
        match std::fs::remove_file(&path) {
            Ok(()) => sync(&self.folder),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(why) => Err(VaultError::Io { path, why }),
        }
    }
}

fn file_name(name: &str) -> Result<String, VaultError> {
    let right = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(right) {
        return Err(VaultError::Name(name.to_owned()));
    }
    Ok(format!("{name}.sealed"))
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let io = |why| VaultError::Io { path: path.to_owned(), why };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(io(why)),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST).read_to_end(&mut bytes).map_err(io)?;
    Ok(Some(bytes))
}

/// Writes a file beside and puts it in place when it is whole and synced.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
    let beside = folder.join(format!(".{name}.new"));
    write_beside(&beside, bytes)?;
    std::fs::rename(&beside, folder.join(name)).map_err(|why| VaultError::Io { path: beside, why })?;
    sync(folder)
}

/// The same, unless a file of this name is there. Each caller writes beside under a name of its own.
fn write_new(folder: &Path, name: &str, bytes: &[u8]) -> Result<bool, VaultError> {
    let mut own = [0; 8];
    SystemRandom::new().fill(&mut own).map_err(|_| VaultError::NoRandom)?;
    let beside = folder.join(format!(".{name}.{:016x}", u64::from_ne_bytes(own)));
    write_beside(&beside, bytes)?;
    let linked = std::fs::hard_link(&beside, folder.join(name));
    let io = |why| VaultError::Io { path: beside.clone(), why };
    std::fs::remove_file(&beside).map_err(io)?;
    match linked {
        Ok(()) => sync(folder).map(|()| true),
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(why) => Err(io(why)),
    }
}

fn write_beside(beside: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let io = |why| VaultError::Io { path: beside.to_owned(), why };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(beside).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)
}

fn sync(folder: &Path) -> Result<(), VaultError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|why| VaultError::Io { path: folder.to_owned(), why })
}
