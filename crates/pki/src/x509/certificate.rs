//! A certificate: its bytes, and what of them is needed to issue, check and explain.

use std::net::IpAddr;

use model::WallTime;
use sha2::{Digest, Sha256};

use super::error::PkiError;
use super::pem::{CERTIFICATE, pem_decode, pem_encode};
use super::read;

/// An X.509 certificate (RFC 5280).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) parts: Parts,
}

/// What was read out of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    /// Content of the INTEGER, with its sign byte.
    pub(crate) serial: Vec<u8>,
    /// The issuer's key identifier.
    pub(crate) issued_by: Option<Vec<u8>>,
    /// `Name`, whole.
    pub(crate) issuer: Vec<u8>,
    /// `Name`, whole.
    pub(crate) subject: Vec<u8>,
    /// `SubjectPublicKeyInfo`, whole.
    pub(crate) public: Vec<u8>,
    pub(crate) not_before: WallTime,
    pub(crate) not_after: WallTime,
    pub(crate) organizations: Vec<String>,
    pub(crate) common_name: Option<String>,
    pub(crate) authority: bool,
    pub(crate) key_identifier: Option<Vec<u8>>,
    /// Object identifiers of extendedKeyUsage.
    pub(crate) usages: Vec<Vec<u8>>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) names: Vec<String>,
}

impl Certificate {
    /// Reads a PEM certificate.
    ///
    /// # Errors
    /// Not PEM, another label, or broken bytes.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        let block = pem_decode(text)?;
        if block.label != CERTIFICATE {
            return Err(PkiError::Label { found: block.label, expected: "a certificate" });
        }
        Self::from_der(&block.der)
    }

    /// Reads a DER certificate. The signature is not looked at.
    ///
    /// # Errors
    /// Broken bytes.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let parts = read::certificate(der).map_err(|why| PkiError::Broken { what: "certificate", why })?;
        Ok(Self { der: der.to_vec(), parts })
    }

    /// The DER bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM text.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_encode(CERTIFICATE, &self.der)
    }

    /// Values of the subject's Organization: in a client certificate for Talos, the roles.
    #[must_use]
    pub fn organizations(&self) -> &[String] {
        &self.parts.organizations
    }

    /// The subject's common name.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.parts.common_name.as_deref()
    }

    /// Valid from.
    #[must_use]
    pub const fn not_before(&self) -> WallTime {
        self.parts.not_before
    }

    /// Valid until.
    #[must_use]
    pub const fn not_after(&self) -> WallTime {
        self.parts.not_after
    }

    /// True when it may sign others (basicConstraints, RFC 5280 section 4.2.1.9).
    #[must_use]
    pub const fn is_authority(&self) -> bool {
        self.parts.authority
    }

    /// True when its extended key usage names clients.
    #[must_use]
    pub fn is_for_clients(&self) -> bool {
        self.parts.usages.iter().any(|usage| usage == read::CLIENT_AUTH)
    }

    /// True when its extended key usage names servers.
    #[must_use]
    pub fn is_for_servers(&self) -> bool {
        self.parts.usages.iter().any(|usage| usage == read::SERVER_AUTH)
    }

    /// Addresses among its alternative names.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.parts.addresses
    }

    /// DNS names among its alternative names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.parts.names
    }

    /// The serial number: the content of its INTEGER, as ARI wants it (RFC 9773 section 4.1).
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.parts.serial
    }

    /// The key identifier of who issued it (RFC 5280 section 4.2.1.1).
    #[must_use]
    pub fn issued_by(&self) -> Option<&[u8]> {
        self.parts.issued_by.as_deref()
    }

    /// SHA-256 of the whole certificate: what people compare.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// SHA-256 of the public key (`SubjectPublicKeyInfo`): what Talos prints, in base64, as the server's
    /// fingerprint, and what `--cert-fingerprint` pins.
    #[must_use]
    pub fn key_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.parts.public).into()
    }
}
