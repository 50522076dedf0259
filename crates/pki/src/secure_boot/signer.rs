//! Who signs: an RSA key and its certificate. Firmware takes RSA with SHA-256 for sure, and little else.

use std::fmt;

use cms::cert::x509::Certificate as X509;
use cms::cert::x509::ext::Extension;
use cms::cert::x509::name::Name;
use cms::cert::x509::serial_number::SerialNumber;
use cms::cert::x509::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use cms::cert::x509::time::{Time, Validity};
use der::asn1::{BitString, GeneralizedTime, ObjectIdentifier, OctetString};
use der::{Any, DateTime, Decode as _, Encode as _, Sequence};
use model::{Secret, WallTime};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SecureBootError;

/// `sha256WithRSAEncryption` (RFC 4055 section 5).
const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// `rsaEncryption` (RFC 3279 section 2.3.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `basicConstraints` (RFC 5280 section 4.2.1.9).
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// Days before now from which a certificate is good: firmware looks at no clock, tools of others do.
const BACKDATE: u64 = 24 * 3600;
/// Until when it is good: firmware has it for as long as the machine lives.
const YEARS: u64 = 30 * 365 * 24 * 3600;

/// A certificate that EFI programs may be signed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    x509: X509,
}

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// It is broken, or not for an RSA key.
    pub fn read(der: &[u8]) -> Result<Self, SecureBootError> {
        let broken = SecureBootError::broken("the certificate");
        let x509 = X509::from_der(der).map_err(broken)?;
        if x509.tbs_certificate().subject_public_key_info().algorithm.oid != RSA {
            return Err(SecureBootError::Key("the certificate is for a key of another kind".to_owned()));
        }
        Ok(Self { der: der.to_vec(), x509 })
    }

    /// DER, as firmware's menus take it from a `.cer` file.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject, as people read it.
    #[must_use]
    pub fn name(&self) -> String {
        self.x509.tbs_certificate().subject().to_string()
    }

    /// SHA-256 of the whole certificate.
    #[must_use]
    pub fn fingerprint(&self) -> model::Digest {
        model::Digest(Sha256::digest(&self.der).into())
    }

    pub(super) const fn x509(&self) -> &X509 {
        &self.x509
    }

    fn key(&self) -> &[u8] {
        self.x509.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes()
    }

    /// True when its key signed this message (RSA with SHA-256, PKCS #1 v1.5).
    #[must_use]
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key()).verify(message, signature).is_ok()
    }
}

/// A key with its certificate.
pub struct Signer {
    pair: KeyPair,
    certificate: Certificate,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.certificate.name()).finish()
    }
}

/// `TBSCertificate` (RFC 5280 section 4.1), as it is written here.
#[derive(Sequence)]
struct Signed {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial: SerialNumber,
    algorithm: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// `Certificate` (RFC 5280 section 4.1).
#[derive(Sequence)]
struct Whole {
    signed: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}

fn time(seconds: u64) -> der::Result<Time> {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?;
    Ok(Time::GeneralTime(GeneralizedTime::from_date_time(date)))
}

fn pair(pkcs8: &Secret<Zeroizing<Vec<u8>>>) -> Result<KeyPair, SecureBootError> {
    KeyPair::from_pkcs8(pkcs8.reveal()).map_err(|why| SecureBootError::Key(why.to_string()))
}

impl Signer {
    /// A key with a certificate that somebody has.
    ///
    /// # Errors
    /// The key cannot be used, or is another one than the certificate's.
    pub fn new(
        pkcs8: &Secret<Zeroizing<Vec<u8>>>,
        certificate: Certificate,
    ) -> Result<Self, SecureBootError> {
        let pair = pair(pkcs8)?;
        if pair.public_key().as_ref() != certificate.key() {
            return Err(SecureBootError::Mismatch);
        }
        Ok(Self { pair, certificate })
    }

    /// A key with a certificate that it signs itself, by this common name.
    ///
    /// # Errors
    /// The key cannot be used, or there are no random bytes.
    pub fn self_signed(
        pkcs8: &Secret<Zeroizing<Vec<u8>>>,
        name: &str,
        now: WallTime,
    ) -> Result<Self, SecureBootError> {
        let pair = pair(pkcs8)?;
        let mut serial = [0; 16];
        SystemRandom::new()
            .fill(&mut serial)
            .map_err(|_| SecureBootError::Key("the kernel gives no random bytes".to_owned()))?;
        let broken = SecureBootError::broken("a new certificate");
        let signed = tbs(&pair, name, now, &serial).and_then(|tbs| tbs.to_der()).map_err(&broken)?;
        let signature = sign(&pair, &signed)?;
        let whole = || -> der::Result<Vec<u8>> {
            Whole {
                signed: Any::from_der(&signed)?,
                algorithm: algorithm(SHA256_RSA),
                signature: BitString::from_bytes(&signature)?,
            }
            .to_der()
        };
        let certificate = Certificate::read(&whole().map_err(&broken)?)?;
        Ok(Self { pair, certificate })
    }

    /// Its certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Signs a message (RSA with SHA-256, PKCS #1 v1.5): the same message has the same signature.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SecureBootError> {
        sign(&self.pair, message)
    }
}

fn sign(pair: &KeyPair, message: &[u8]) -> Result<Vec<u8>, SecureBootError> {
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| SecureBootError::Key("it cannot sign".to_owned()))?;
    Ok(signature)
}

fn tbs(pair: &KeyPair, name: &str, now: WallTime, serial: &[u8]) -> der::Result<Signed> {
    let seconds = now.0 / 1000;
    let name: Name = format!("CN={name}").parse()?;
    // cA: firmware that builds chains takes what ends at a certificate of its own only if that may sign.
    let authority = OctetString::new([0x30, 3, 1, 1, 0xff].as_slice())?;
    Ok(Signed {
        version: 2,
        serial: SerialNumber::new(serial)?,
        algorithm: algorithm(SHA256_RSA),
        issuer: name.clone(),
        validity: Validity::new(time(seconds.saturating_sub(BACKDATE))?, time(seconds + YEARS)?),
        subject: name,
        key: SubjectPublicKeyInfoOwned {
            algorithm: algorithm(RSA),
            subject_public_key: BitString::from_bytes(pair.public_key().as_ref())?,
        },
        extensions: vec![Extension { extn_id: BASIC_CONSTRAINTS, critical: true, extn_value: authority }],
    })
}
