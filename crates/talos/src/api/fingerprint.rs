//! The name by which a node in maintenance can be known again: a hash of its public key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::ParsedCertificate;

use super::error::NodeError;

/// SHA-256 of a certificate's subject public key info, as Talos prints it on the console and in its log
/// ("server certificate issued", field `fingerprint`; siderolabs/crypto `x509/fingerprint.go`): base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a DER certificate; nothing if it is none.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        Some(Self(Sha256::digest(parsed.subject_public_key_info().as_ref()).into()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = NodeError;

    fn from_str(text: &str) -> Result<Self, NodeError> {
        let bytes = STANDARD.decode(text.trim()).ok();
        bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Self).ok_or_else(|| {
            NodeError::Identity {
                place: format!("certificate fingerprint `{text}`"),
                why: "expected base64 of 32 bytes, as the node prints it on its console".to_owned(),
            }
        })
    }
}
