//! What can be wrong with a key or a certificate.

use super::random::NoRandom;

/// Why a key or certificate cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PkiError {
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// The text holds no PEM block, or a broken one.
    #[error("not PEM: {0}")]
    Pem(&'static str),
    /// A PEM block of another kind than needed.
    #[error("a `{found}` block where {expected} is expected")]
    Label {
        /// What the block calls itself.
        found: String,
        /// What is needed.
        expected: &'static str,
    },
    /// The bytes are no certificate or key as X.509 or the key's standard has it.
    #[error("broken {what}: {why}")]
    Broken {
        /// `certificate` or the kind of key.
        what: &'static str,
        /// What was found.
        why: &'static str,
    },
    /// A kind of key that Talos's own certificates never use.
    #[error("unsupported key: {0}")]
    Unsupported(&'static str),
    /// The key belongs to another certificate.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// A certificate that may not sign others.
    #[error("the certificate is no certificate authority")]
    NotAuthority,
    /// A name that cannot stand in a certificate.
    #[error("`{0}` is neither an IP address nor a DNS name")]
    Name(String),
}

impl PkiError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoRandom(_) => "no_random",
            Self::Pem(_) => "not_pem",
            Self::Label { .. } => "wrong_pem_label",
            Self::Broken { .. } => "broken_der",
            Self::Unsupported(_) => "unsupported_key",
            Self::Mismatch => "key_mismatch",
            Self::NotAuthority => "not_a_ca",
            Self::Name(_) => "bad_name",
        }
    }

    /// What the person who reads it can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::NoRandom(_) => "nothing was made; look at /dev/urandom and getrandom(2) on this machine",
            Self::Pem(_) => {
                "give the whole text from -----BEGIN to -----END, in base64 where the file has base64"
            }
            Self::Label { .. } => "certificate and key may have been swapped",
            Self::Broken { .. } => "copy the value again from where it came from; it was cut or changed",
            Self::Unsupported(_) => "use Ed25519, ECDSA P-256 or RSA of 2048 to 8192 bits",
            Self::Mismatch => "take both from the same place",
            Self::NotAuthority => "give the CA's own certificate, not one it issued",
            Self::Name(_) => "write an address such as 10.0.0.7 or a name such as api.lab.example",
        }
    }
}
