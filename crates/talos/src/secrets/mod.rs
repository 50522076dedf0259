//! A cluster's secrets: made once, kept as `secrets.yaml` in Talos's own form, and the root of every config.
//!
//! | part | file |
//! |---|---|
//! | making them, the service account key apart | `mint.rs` |
//! | reading and checking `secrets.yaml` | `import.rs` |
//! | writing it | `export.rs` |

mod export;
mod import;
mod mint;

use model::Secret;
use zeroize::Zeroizing;

use crate::pki::{Authority, PkiError};
use crate::yaml::{Place, YamlError};

pub use mint::ServiceAccountTask;

/// A text that nobody sees and that is wiped when dropped.
pub(crate) type Hidden = Secret<Zeroizing<String>>;

pub(crate) fn hidden(text: impl Into<String>) -> Hidden {
    Secret::new(Zeroizing::new(text.into()))
}

/// Everything that makes a cluster this cluster.
#[derive(Debug, Clone)]
pub struct Secrets {
    pub(crate) cluster_id: String,
    pub(crate) cluster_secret: Hidden,
    pub(crate) bootstrap_token: Hidden,
    pub(crate) encryption: Encryption,
    pub(crate) trustd_token: Hidden,
    pub(crate) etcd: Issuer,
    pub(crate) k8s: Issuer,
    pub(crate) aggregator: Issuer,
    pub(crate) os: Issuer,
    pub(crate) service_account: Option<Hidden>,
}

/// How Kubernetes encrypts its own secrets in etcd.
#[derive(Debug, Clone)]
pub(crate) enum Encryption {
    Secretbox(Hidden),
    /// Clusters that were made before Talos 1.3.
    AesCbc(Hidden),
}

/// An authority, with the PEM texts as they were read: what is exported is what was imported.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    pub(crate) certificate: String,
    pub(crate) key: Hidden,
    pub(crate) authority: Authority,
}

impl Issuer {
    pub(crate) fn of(authority: Authority) -> Self {
        let (certificate, key) = authority.to_pem();
        Self { certificate, key: Secret::new(key), authority }
    }
}

/// The key that signs service account tokens.
#[derive(Debug, Clone)]
pub struct ServiceAccountKey(pub(crate) Hidden);

impl ServiceAccountKey {
    /// Takes a key that was made elsewhere.
    ///
    /// # Errors
    /// It is no private key.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        crate::pki::PrivateKey::from_pem(text)?;
        Ok(Self(hidden(text)))
    }
}

/// The service account key is still being made: a control plane cannot be configured without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service account key is still being made")]
pub struct Incomplete;

impl Secrets {
    /// The cluster's id with the discovery service.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The authority of the machine API.
    #[must_use]
    pub const fn os(&self) -> &Authority {
        &self.os.authority
    }

    /// The authority of Kubernetes.
    #[must_use]
    pub const fn kubernetes(&self) -> &Authority {
        &self.k8s.authority
    }

    /// The authority of etcd.
    #[must_use]
    pub const fn etcd(&self) -> &Authority {
        &self.etcd.authority
    }

    /// Whether Kubernetes's secrets are encrypted as clusters from before Talos 1.3 do it.
    #[must_use]
    pub const fn has_old_encryption(&self) -> bool {
        matches!(self.encryption, Encryption::AesCbc(_))
    }

    /// Puts in the key that was made meanwhile.
    pub fn complete(&mut self, key: ServiceAccountKey) {
        self.service_account = Some(key.0);
    }

    /// Whether the service account key is there.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.service_account.is_some()
    }
}

/// Why `secrets.yaml` cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SecretsError {
    /// It is not YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// It is YAML, and these things are wrong with it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<WrongSecret>),
}

/// One thing that is wrong with `secrets.yaml`. It names the field and never shows its value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{at}: {field} {why}")]
pub struct WrongSecret {
    /// Where: the field, or what it should lie in.
    pub at: Place,
    /// Its keys, joined by dots.
    pub field: String,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a field of `secrets.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not there, or empty.
    #[error("is missing")]
    Missing,
    /// Not known to Talos.
    #[error("is not known: a field that is not understood would be lost")]
    Unknown,
    /// A list, mapping or number where text is needed, or text where a mapping is.
    #[error("is {found} where {expected} is expected")]
    Kind {
        /// What is there.
        found: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// Not the form that the field has.
    #[error("is not {0}")]
    Form(&'static str),
    /// A certificate or key that cannot be used.
    #[error("cannot be used: {0}")]
    Pki(PkiError),
    /// Both kinds of encryption.
    #[error("and secrets.aescbcencryptionsecret exclude each other")]
    TwoEncryptions,
}

impl WrongSecret {
    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match &self.why {
            Why::Missing => {
                "copy it from the cluster's own secrets.yaml; a new one would be another cluster's"
            }
            Why::Unknown => "correct its spelling; keys are written in lower case, without dashes",
            Why::Kind { .. } => "put it between quotation marks, or below its heading",
            Why::Form(_) => "copy the value again from where it came from; it was cut or changed",
            Why::Pki(error) => error.advice(),
            Why::TwoEncryptions => "keep the one that the cluster's control plane configs have",
        }
    }
}

impl SecretsError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Yaml(error) => error.code(),
            Self::Wrong(_) => "bad_secrets",
        }
    }

    /// What the person who reads it can do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Yaml(error) => error.advice(),
            Self::Wrong(all) => all.first().map(|wrong| wrong.advice().to_owned()).unwrap_or_default(),
        }
    }
}
