//! Signatures (Ed25519, RFC 8032): a key that never leaves its vault, the public half that others trust by name, and
//! signed texts that cannot be taken for signatures of anything else.

use std::fmt;
use std::str::FromStr;

use model::Secret;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::vault::{Sealed, Vault, VaultError};

/// Begins a public key as text.
const KIND: &str = "ed25519:";
/// Bytes of a public key.
const PUBLIC: usize = 32;
/// Bytes of a signature.
const SIGNATURE: usize = 64;

/// Why something cannot be signed or a key not be read.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The vault that keeps the key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What is kept under the key's name is no key.
    #[error("the signing key `{0}` is no Ed25519 key")]
    NoKey(String),
    /// A text is no public key.
    #[error("`{0}` is no public key: `ed25519:` and 64 hexadecimal digits are expected")]
    Public(String),
    /// A text is no signature.
    #[error("a signature is 128 hexadecimal digits, and this is something else")]
    Signature,
}

impl SigningError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.code(),
            Self::NoKey(_) => "signing_key",
            Self::Public(_) => "public_key",
            Self::Signature => "signature",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Vault(error) => error.advice(),
            Self::NoKey(_) => "restore the folder of secrets whole, with its key, from one backup",
            Self::Public(_) => "take the line that `labinator image key` prints on the computer that signs",
            Self::Signature => "take the file again from where it was signed",
        }
    }
}

/// A key that signs.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key that a vault keeps under this name; made where there is none. Of two that make it at once, one does.
    ///
    /// # Errors
    /// It cannot be kept or read.
    pub fn of(vault: &Vault, name: &str) -> Result<Self, SigningError> {
        if let Some(kept) = vault.get(name)? {
            return Self::read(name, &kept);
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| VaultError::NoRandom)?;
        let made: Sealed = Secret::new(Zeroizing::new(made.as_ref().to_vec()));
        if vault.put_new(name, &made)? {
            return Self::read(name, &made);
        }
        match vault.get(name)? {
            Some(kept) => Self::read(name, &kept),
            None => Err(SigningError::NoKey(name.to_owned())),
        }
    }

    fn read(name: &str, kept: &Sealed) -> Result<Self, SigningError> {
        let pair = Ed25519KeyPair::from_pkcs8(kept.reveal());
        pair.map(Self).map_err(|_| SigningError::NoKey(name.to_owned()))
    }

    /// What others check its signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; PUBLIC];
        for (to, from) in bytes.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(bytes)
    }

    /// Signs a message for one purpose: it is no signature for any other.
    #[must_use]
    pub fn sign(&self, purpose: &str, message: &[u8]) -> Signature {
        let mut bytes = [0; SIGNATURE];
        for (to, from) in bytes.iter_mut().zip(self.0.sign(&signed(purpose, message)).as_ref()) {
            *to = *from;
        }
        Signature(bytes)
    }
}

/// The public half of a key. As text: `ed25519:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; PUBLIC]);

impl PublicKey {
    /// True when the owner of this key signed this message for this purpose.
    #[must_use]
    pub fn signed(&self, purpose: &str, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&signed(purpose, message), &signature.0).is_ok()
    }

    /// The key as it goes over wires (RFC 8032 section 5.1.5).
    #[must_use]
    pub const fn bytes(&self) -> [u8; PUBLIC] {
        self.0
    }

    /// Its first digits, for a sentence.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(KIND.len() + 16).collect()
    }
}

/// A signature. As text: 128 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE]);

/// A purpose's length stands before it, so that no purpose and message read as another pair.
fn signed(purpose: &str, message: &[u8]) -> Vec<u8> {
    let head = format!("labinator signed 1\n{} {purpose}\n", purpose.len());
    [head.as_bytes(), message].concat()
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KIND)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PublicKey {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<Self, SigningError> {
        let digits = text.trim().strip_prefix(KIND).and_then(digits);
        digits.map(Self).ok_or_else(|| SigningError::Public(text.trim().chars().take(80).collect()))
    }
}

impl FromStr for Signature {
    type Err = SigningError;

    fn from_str(text: &str) -> Result<Self, SigningError> {
        digits(text).map(Self).ok_or(SigningError::Signature)
    }
}

/// Exactly so many bytes in lower-case hexadecimal: a text that was changed in any letter is another.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() != N * 2 || !text.chars().all(lower) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("pki-signing-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_key_is_made_once_and_signs_what_nobody_else_can() {
        let folder = Folder::new("once");
        let vault = Vault::open(&folder.0).unwrap();
        let key = SigningKey::of(&vault, "images").unwrap();
        let again = SigningKey::of(&Vault::open(&folder.0).unwrap(), "images").unwrap();
        assert_eq!(key.public(), again.public());
        let other = SigningKey::of(&vault, "others").unwrap();
        let signature = key.sign("image", b"manifest");
        assert!(again.public().signed("image", b"manifest", &signature));
        assert!(!other.public().signed("image", b"manifest", &signature));
        assert!(!key.public().signed("image", b"Manifest", &signature));
        assert!(!key.public().signed("other", b"manifest", &signature));
    }

    #[test]
    fn keys_and_signatures_are_read_as_they_are_written_and_not_otherwise() {
        let folder = Folder::new("text");
        let key = SigningKey::of(&Vault::open(&folder.0).unwrap(), "images").unwrap();
        let (public, signature) = (key.public(), key.sign("image", b"x"));
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
        assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
        for wrong in [
            public.to_string().to_uppercase(),
            public.to_string().replace("ed25519", "rsa"),
            format!("{public}00"),
            String::new(),
            "ed25519:é".to_owned(),
        ] {
            assert_eq!(wrong.parse::<PublicKey>().unwrap_err().code(), "public_key", "{wrong}");
        }
        assert_eq!(
            signature.to_string().to_uppercase().parse::<Signature>().unwrap_err().code(),
            "signature"
        );
    }
}
