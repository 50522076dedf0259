//! UEFI Secure Boot with the owner's own keys: made or brought here, kept sealed, and used for whatever firmware starts.
//!
//! ```text
//! IMAGES/.keys/secret/secure-boot-{pk,kek,db}.sealed   private keys (PKCS #8)
//! IMAGES/.keys/secure-boot/{PK,KEK,db}.cer             certificates, for menus of firmware
//! IMAGES/.keys/secure-boot/{PK,KEK,db}.esl, .auth      the same as variables of firmware, plain and signed
//! ```
//! From the moment that there is a db, images that are built are signed by it. Whoever serves them needs its certificate
//! only, and the lab file says whether what is not signed is served.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::{Secret, WallTime};
use pki::secure_boot::{Certificate, SecureBootError, SetVariable, Signer, Variable, signature_list};
use pki::vault::{Sealed, Vault, VaultError};
use store::{Disk, Files as _};
use talos::pki::{OsRandom, PkiError, PrivateKey, Seeded, pem_decode};
use zeroize::Zeroizing;

/// Bits of a key that is made here: every firmware takes 2048, and not all take more.
const BITS: usize = 2048;
/// Longest name that certificates are given.
const LONGEST_NAME: usize = 48;

/// Why there are no keys, or nothing is signed with them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecureBootFailure {
    /// A file could not be read or written.
    #[error("{path}: {why}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The private keys cannot be kept or read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key or certificate that was brought is none.
    #[error("{path}: {why}", path = .path.display())]
    Brought {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: PkiError,
    },
    /// A file cannot be signed, or a key cannot sign.
    #[error("{what}: {why}")]
    Signing {
        /// Which file, or whose key.
        what: String,
        /// What is wrong.
        why: SecureBootError,
    },
    /// There is a db already, and another is brought.
    #[error(
        "{path} is the db of this folder already, of {name}: machines trust it. Take another folder of images for other \
         keys, or remove that one", path = .path.display()
    )]
    Known {
        /// Where it is.
        path: PathBuf,
        /// Its subject.
        name: String,
    },
    /// There are no keys.
    #[error("there are no keys for Secure Boot in {path}: `labinator secure-boot keys`", path = .0.display())]
    NoKeys(PathBuf),
    /// Not a name for certificates.
    #[error("`{0}` is no name for certificates: 1 to 48 letters, digits, blanks, `-`, `_` and `.`")]
    Name(String),
}

impl SecureBootFailure {
    /// Stable word for logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "secure-boot-file",
            Self::Vault(error) => error.code(),
            Self::Brought { .. } => "secure-boot-brought",
            Self::Signing { why, .. } => why.code(),
            Self::Known { .. } => "secure-boot-known",
            Self::NoKeys(_) => "secure-boot-no-keys",
            Self::Name(_) => "secure-boot-name",
        }
    }
}

/// The keys of a folder of images.
#[derive(Debug, Clone)]
pub struct SecureBoot {
    public: PathBuf,
    secret: PathBuf,
}

/// A key with its certificate, in files.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// Private key, PEM.
    pub key: &'a Path,
    /// Certificate, PEM.
    pub certificate: &'a Path,
}

impl SecureBoot {
    /// Those of this folder of images.
    #[must_use]
    pub fn of(images: &Path) -> Self {
        let keys = images.join(".keys");
        Self { public: keys.join("secure-boot"), secret: keys.join("secret") }
    }

    /// Where certificates and variables are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.public
    }

    /// By which certificate programs are signed here; none where Secure Boot is no matter.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn certificate(&self) -> Result<Option<Certificate>, SecureBootFailure> {
        let path = self.public.join("db.cer");
        match fs::read(&path) {
            Ok(der) => Ok(Some(Certificate::read(&der).map_err(|why| signing(&path.display(), why))?)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(SecureBootFailure::Io { path, why }),
        }
    }

    /// Who signs programs here; none where Secure Boot is no matter.
    ///
    /// # Errors
    /// There is a certificate, and its key cannot be had.
    pub fn signer(&self) -> Result<Option<Signer>, SecureBootFailure> {
        let Some(certificate) = self.certificate()? else { return Ok(None) };
        let kept = self.kept(Variable::Db)?.ok_or_else(|| SecureBootFailure::NoKeys(self.secret.clone()))?;
        Signer::new(&kept, certificate).map(Some).map_err(|why| signing("db", why))
    }

    fn kept(&self, of: Variable) -> Result<Option<Sealed>, SecureBootFailure> {
        if !self.secret.is_dir() {
            return Ok(None);
        }
        Ok(Vault::open(&self.secret)?.get(secret_name(of))?)
    }

    /// Makes what is missing of PK, KEK and db. What is there stays: machines may trust it already.
    ///
    /// # Errors
    /// Nothing can be kept, or what is there cannot be read.
    pub fn make(&self, name: &str, now: WallTime) -> Result<Certificate, SecureBootFailure> {
        let right = |c: char| c.is_ascii_alphanumeric() || " -_.".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(right) {
            return Err(SecureBootFailure::Name(name.to_owned()));
        }
        let [db, kek, pk] = Variable::ALL;
        let [db, kek, pk] =
            [self.owner(db, name, now)?, self.owner(kek, name, now)?, self.owner(pk, name, now)?];
        // Who wrote an entry is told by a GUID; this one is the same each time.
        let mut owner = [0; 16];
        owner.iter_mut().zip(pk.certificate().fingerprint().0).for_each(|(to, from)| *to = from);
        for (variable, content, by) in
            [(Variable::Db, &db, &kek), (Variable::Kek, &kek, &pk), (Variable::Pk, &pk, &pk)]
        {
            // What is there may be on sticks and in firmware already, with the day on which it was made.
            if self.file(variable, "auth").exists() && self.file(variable, "esl").exists() {
                continue;
            }
            let list = signature_list(content.certificate(), &owner);
            let set = SetVariable { variable, list: &list, at: now };
            let auth = set.signed(by).map_err(|why| signing(variable.name(), why))?;
            self.put(variable, "esl", &list)?;
            self.put(variable, "auth", &auth)?;
        }
        Ok(db.certificate().clone())
    }

    fn owner(&self, of: Variable, name: &str, now: WallTime) -> Result<Signer, SecureBootFailure> {
        let path = self.file(of, "cer");
        if let Some(kept) = self.kept(of)?
            && let Ok(der) = fs::read(&path)
        {
            let certificate = Certificate::read(&der).map_err(|why| signing(&path.display(), why))?;
            return Signer::new(&kept, certificate).map_err(|why| signing(of.name(), why));
        }
        let no_random = |_| SecureBootFailure::Vault(VaultError::NoRandom);
        let mut random = Seeded::drawn(&mut OsRandom::new()).map_err(no_random)?;
        let made = PrivateKey::mint_rsa(BITS, &mut random)
            .map_err(|_| SecureBootFailure::Vault(VaultError::NoRandom))?;
        let key: Sealed = Secret::new(made.to_pkcs8());
        let signer = Signer::self_signed(&key, &format!("{name} {}", of.name()), now)
            .map_err(|why| signing(of.name(), why))?;
        // The certificate comes last: where it is, its key is.
        self.vault()?.put(secret_name(of), &key)?;
        self.put(of, "cer", signer.certificate().der())?;
        Ok(signer)
    }

    /// Takes a db that somebody has: machines trust it by their own PK and KEK.
    ///
    /// # Errors
    /// It is no key with its certificate, or there is another one.
    pub fn bring(&self, brought: Brought<'_>) -> Result<Certificate, SecureBootFailure> {
        let text = |path: &Path| {
            fs::read_to_string(path)
                .map(Zeroizing::new)
                .map_err(|why| SecureBootFailure::Io { path: path.to_owned(), why })
        };
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |why| SecureBootFailure::Brought { path, why }
        };
        let pem = pem_decode(&text(brought.certificate)?).map_err(wrong(brought.certificate))?;
        let certificate =
            Certificate::read(&pem.der).map_err(|why| signing(&brought.certificate.display(), why))?;
        let key = PrivateKey::from_pem(&text(brought.key)?).map_err(wrong(brought.key))?;
        let key: Sealed = Secret::new(key.to_pkcs8());
        let signer = Signer::new(&key, certificate).map_err(|why| signing(&brought.key.display(), why))?;
        if let Some(known) = self.certificate()?
            && known != *signer.certificate()
        {
            let (path, name) = (self.file(Variable::Db, "cer"), known.name());
            return Err(SecureBootFailure::Known { path, name });
        }
        self.vault()?.put(secret_name(Variable::Db), &key)?;
        self.put(Variable::Db, "cer", signer.certificate().der())?;
        Ok(signer.certificate().clone())
    }

    /// The variables of firmware as they are written into it, by file name.
    ///
    /// # Errors
    /// There are none: no keys were made, or a db was brought whose machines have other owners.
    pub fn variables(&self) -> Result<Vec<(String, Vec<u8>)>, SecureBootFailure> {
        let one = |variable: Variable| {
            let path = self.file(variable, "auth");
            match fs::read(&path) {
                Ok(bytes) => Ok((format!("{}.auth", variable.name()), bytes)),
                Err(why) if why.kind() == io::ErrorKind::NotFound => {
                    Err(SecureBootFailure::NoKeys(self.public.clone()))
                }
                Err(why) => Err(SecureBootFailure::Io { path, why }),
            }
        };
        Variable::ALL.into_iter().map(one).collect()
    }

    fn vault(&self) -> Result<Vault, SecureBootFailure> {
        // Whoever serves the images reads the public halves; only the vault is closed to others.
        fs::create_dir_all(&self.public)
            .map_err(|why| SecureBootFailure::Io { path: self.public.clone(), why })?;
        Ok(Vault::open(&self.secret)?)
    }

    fn file(&self, of: Variable, kind: &str) -> PathBuf {
        self.public.join(format!("{}.{kind}", of.name()))
    }

    fn put(&self, of: Variable, kind: &str, bytes: &[u8]) -> Result<(), SecureBootFailure> {
        let path = self.file(of, kind);
        fs::create_dir_all(&self.public)
            .and_then(|()| Disk.replace(&path, bytes))
            .map_err(|why| SecureBootFailure::Io { path, why })
    }
}

/// Signs an EFI program. What the same certificate signed already stays as it is.
///
/// # Errors
/// It is none, or cannot be signed; `what` is what messages call it.
pub fn sign(bytes: &[u8], signer: &Signer, what: &str) -> Result<Vec<u8>, SecureBootFailure> {
    let program = pki::secure_boot::Program::read(bytes).map_err(|why| signing(what, why))?;
    program.signed(signer).map_err(|why| signing(what, why))
}

fn signing(what: &(impl ToString + ?Sized), why: SecureBootError) -> SecureBootFailure {
    SecureBootFailure::Signing { what: what.to_string(), why }
}

const fn secret_name(of: Variable) -> &'static str {
    match of {
        Variable::Pk => "secure-boot-pk",
        Variable::Kek => "secure-boot-kek",
        Variable::Db => "secure-boot-db",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::now;
    use crate::image::sample::Images;
    use pki::secure_boot::signed_by;

    const PROGRAM: &[u8] = include_bytes!("../../pki/tests/secure_boot/plain.efi");

    #[test]
    fn keys_are_made_once_and_kept_where_only_their_owner_reads_them() {
        let images = Images::new("secure-boot");
        let keys = SecureBoot::of(images.folder());
        assert!(keys.signer().unwrap().is_none(), "nobody signs before there are keys");
        let certificate = keys.make("lab", now()).unwrap();
        assert_eq!(certificate.name(), "CN=lab db");
        let variables = keys.variables().unwrap();
        let later = WallTime(now().0 + 400 * 24 * 3600 * 1000);
        assert_eq!(keys.make("other", later).unwrap(), certificate, "machines may trust them already");
        assert_eq!(keys.variables().unwrap(), variables);
        let signer = keys.signer().unwrap().unwrap();
        let signed = sign(PROGRAM, &signer, "plain.efi").unwrap();
        assert_eq!(signed_by(&signed, &certificate), Ok(()));
        for name in ["PK", "KEK", "db"] {
            for kind in ["cer", "esl", "auth"] {
                assert!(keys.folder().join(format!("{name}.{kind}")).is_file(), "{name}.{kind}");
            }
        }
        let public = fs::read_dir(keys.folder()).unwrap().flatten();
        assert!(public.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("key")));
    }

    #[test]
    fn what_is_no_program_or_no_name_is_refused_by_name() {
        let images = Images::new("secure-boot-bad");
        let keys = SecureBoot::of(images.folder());
        assert_eq!(keys.make("a,b", now()).unwrap_err().code(), "secure-boot-name");
        keys.make("lab", now()).unwrap();
        let signer = keys.signer().unwrap().unwrap();
        let refused = sign(b"#!/bin/sh", &signer, "script").unwrap_err();
        assert_eq!(refused.to_string(), "script: it is no EFI program: it does not begin with `MZ`");
    }

    #[test]
    fn a_db_that_is_brought_signs_and_another_does_not_take_its_place() {
        let images = Images::new("secure-boot-brought");
        let keys = SecureBoot::of(images.folder());
        let pkcs8 = include_bytes!("../../pki/tests/secure_boot/db.pk8");
        let der = include_bytes!("../../pki/tests/secure_boot/db.cer");
        let (key, certificate) = (images.folder().join("db.key"), images.folder().join("db.pem"));
        fs::write(&key, talos::pki::pem_encode("PRIVATE KEY", pkcs8)).unwrap();
        fs::write(&certificate, talos::pki::pem_encode("CERTIFICATE", der)).unwrap();
        let brought = Brought { key: &key, certificate: &certificate };
        let wrong = Brought { key: &certificate, certificate: &key };
        assert!(keys.bring(wrong).is_err());
        assert_eq!(keys.bring(brought).unwrap().name(), "CN=lab db");
        assert_eq!(keys.bring(brought).unwrap().name(), "CN=lab db", "the same one may be brought again");
        assert_eq!(keys.signer().unwrap().unwrap().certificate().der(), der);

        let made = Images::new("secure-boot-made");
        SecureBoot::of(made.folder()).make("lab", now()).unwrap();
        let refused = SecureBoot::of(made.folder()).bring(brought).unwrap_err();
        assert_eq!(refused.code(), "secure-boot-known");
    }
}
