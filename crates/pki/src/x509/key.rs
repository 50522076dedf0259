//! Private keys: made, read and written as Talos has them, and signing.

use core::fmt;

use p256::ecdsa::signature::Signer;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs1::EncodeRsaPrivateKey;
use zeroize::{Zeroize, Zeroizing};

use super::der::{self, Reader};
use super::error::PkiError;
use super::pem::{EC_KEY, ED25519_KEY, PKCS8_KEY, RSA_KEY, pem_decode, pem_encode};
use super::random::{Random, Seeded, draw};

/// 1.3.101.112, id-Ed25519 (RFC 8410 section 3), as `AlgorithmIdentifier`: without parameters.
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
/// 1.2.840.10045.4.3.2, ecdsa-with-SHA256 (RFC 5758 section 3.2): without parameters.
const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// 1.2.840.113549.1.1.11, sha256WithRSAEncryption (RFC 4055 section 5): parameters `NULL`.
const RSA_SHA256: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
/// 1.2.840.113549.1.1.1, rsaEncryption: parameters `NULL`.
const RSA_KEY_ALGORITHM: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
/// 1.2.840.10045.3.1.7, prime256v1.
const P256_CURVE: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.2.840.10045.2.1, id-ecPublicKey on prime256v1 (RFC 5480).
const P256_KEY_ALGORITHM: &[u8] =
    &[0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// A kind of key that is made here for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Ed25519: the machine API.
    Ed25519,
    /// ECDSA on P-256: etcd and Kubernetes.
    P256,
}

/// A private key. `Debug` names its kind only; the bytes are wiped when dropped.
#[derive(Clone)]
pub struct PrivateKey(Inner);

#[derive(Clone)]
enum Inner {
    /// The 32 bytes of RFC 8032.
    Ed25519(Zeroizing<[u8; 32]>),
    P256(p256::SecretKey),
    /// PKCS#1.
    Rsa(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Ed25519(_) => "PrivateKey(Ed25519)",
            Inner::P256(_) => "PrivateKey(P256)",
            Inner::Rsa(_) => "PrivateKey(Rsa)",
        })
    }
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn mint(kind: KeyKind, random: &mut dyn Random) -> Result<Self, PkiError> {
        match kind {
            KeyKind::Ed25519 => Ok(Self(Inner::Ed25519(Zeroizing::new(draw(random)?)))),
            KeyKind::P256 => loop {
                // One in 2^32 draws is no scalar of the curve; the next one is.
                let drawn = Zeroizing::new(draw::<32>(random)?);
                if let Ok(key) = p256::SecretKey::from_slice(drawn.as_slice()) {
                    return Ok(Self(Inner::P256(key)));
                }
            },
        }
    }

    /// A new RSA key of so many bits. With 4096 this is seconds of one core: not for a thread that others wait for.
    ///
    /// # Errors
    /// A size below 1024 bits.
    pub fn mint_rsa(bits: usize, random: &mut Seeded) -> Result<Self, PkiError> {
        let key =
            rsa::PrivateKey::new(random, bits).map_err(|_| PkiError::Unsupported("RSA of this size"))?;
        let der = key.to_pkcs1_der().map_err(|_| PkiError::Unsupported("RSA of this size"))?;
        Ok(Self(Inner::Rsa(Zeroizing::new(der.as_bytes().to_vec()))))
    }

    /// The kind of key an issued certificate gets beside this one. An RSA authority issues P-256: what Go's TLS
    /// and every client of ours accept, without the seconds that an RSA key costs.
    #[must_use]
    pub const fn kind_of_leaf(&self) -> KeyKind {
        match self.0 {
            Inner::Ed25519(_) => KeyKind::Ed25519,
            Inner::P256(_) | Inner::Rsa(_) => KeyKind::P256,
        }
    }

    /// True for RSA.
    #[must_use]
    pub const fn is_rsa(&self) -> bool {
        matches!(self.0, Inner::Rsa(_))
    }

    /// Reads a key in any form that Talos reads: its own labels, or PKCS#8.
    ///
    /// # Errors
    /// Not PEM, another label, broken bytes, or a kind of key that is not supported.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        let block = pem_decode(text)?;
        match block.label.as_str() {
            ED25519_KEY | PKCS8_KEY => from_pkcs8(&block.der),
            EC_KEY => from_sec1(&block.der, true),
            RSA_KEY => from_pkcs1(&block.der),
            _ => Err(PkiError::Label { found: block.label.clone(), expected: "a private key" }),
        }
    }

    /// The key under Talos's label for its kind: PKCS#8 version 1 for Ed25519, SEC 1 for P-256, PKCS#1 for RSA.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let (label, der) = match &self.0 {
            Inner::Ed25519(_) => (ED25519_KEY, self.to_pkcs8()),
            Inner::P256(key) => (EC_KEY, sec1(key, true)),
            Inner::Rsa(der) => (RSA_KEY, der.clone()),
        };
        Zeroizing::new(pem_encode(label, &der))
    }

    /// The key as PKCS#8 (RFC 5958), version 1: what TLS libraries read.
    #[must_use]
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let (algorithm, inner) = match &self.0 {
            Inner::Ed25519(seed) => (ED25519, Zeroizing::new(der::tlv(der::OCTET_STRING, seed.as_slice()))),
            Inner::P256(key) => (P256_KEY_ALGORITHM, sec1(key, false)),
            Inner::Rsa(der) => (RSA_KEY_ALGORITHM, der.clone()),
        };
        let body = Zeroizing::new(der::tlv(der::OCTET_STRING, &inner));
        Zeroizing::new(der::sequence(&[&[2, 1, 0], algorithm, &body]))
    }

    /// `SubjectPublicKeyInfo` of the public half.
    ///
    /// # Errors
    /// The RSA key is not one.
    pub(crate) fn public(&self) -> Result<Vec<u8>, PkiError> {
        Ok(match &self.0 {
            Inner::Ed25519(seed) => {
                der::sequence(&[ED25519, &der::bits(ed25519(seed)?.public_key().as_ref())])
            }
            Inner::P256(key) => {
                der::sequence(&[P256_KEY_ALGORITHM, &der::bits(&key.public_key().to_sec1_bytes())])
            }
            Inner::Rsa(der) => {
                der::sequence(&[RSA_KEY_ALGORITHM, &der::bits(rsa_pair(der)?.public_key().as_ref())])
            }
        })
    }

    /// The `AlgorithmIdentifier` of this key's signatures.
    pub(crate) const fn signature_algorithm(&self) -> &'static [u8] {
        match self.0 {
            Inner::Ed25519(_) => ED25519,
            Inner::P256(_) => ECDSA_SHA256,
            Inner::Rsa(_) => RSA_SHA256,
        }
    }

    /// Signs; the same message gets the same signature.
    ///
    /// # Errors
    /// The RSA key is not one.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        match &self.0 {
            Inner::Ed25519(seed) => Ok(ed25519(seed)?.sign(message).as_ref().to_vec()),
            Inner::P256(key) => {
                let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from(key).sign(message);
                let (r, s) = signature.split_bytes();
                Ok(der::sequence(&[&der::unsigned(&r), &der::unsigned(&s)]))
            }
            Inner::Rsa(der) => {
                let pair = rsa_pair(der)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                let random = ring::rand::SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| PkiError::Broken { what: "RSA key", why: "it cannot sign" })?;
                Ok(signature)
            }
        }
    }
}

fn ed25519(seed: &[u8; 32]) -> Result<Ed25519KeyPair, PkiError> {
    Ed25519KeyPair::from_seed_unchecked(seed)
        .map_err(|_| PkiError::Broken { what: "Ed25519 key", why: "its seed has not 32 bytes" })
}

fn rsa_pair(der: &[u8]) -> Result<RsaKeyPair, PkiError> {
    RsaKeyPair::from_der(der)
        .map_err(|_| PkiError::Broken { what: "RSA key", why: "it is not PKCS#1 of 2048 to 8192 bits" })
}

/// `ECPrivateKey` (RFC 5915); inside PKCS#8 the curve is said outside.
fn sec1(key: &p256::SecretKey, with_curve: bool) -> Zeroizing<Vec<u8>> {
    let mut scalar = key.to_bytes();
    let body = Zeroizing::new(der::tlv(der::OCTET_STRING, &scalar));
    scalar.zeroize();
    let curve = if with_curve { der::tlv(0xa0, P256_CURVE) } else { Vec::new() };
    let public = der::tlv(0xa1, &der::bits(&key.public_key().to_sec1_bytes()));
    Zeroizing::new(der::sequence(&[&[2, 1, 1], &body, &curve, &public]))
}

fn from_sec1(bytes: &[u8], with_curve: bool) -> Result<PrivateKey, PkiError> {
    let broken = |why| PkiError::Broken { what: "EC key", why };
    let mut key = Reader(bytes).take(der::SEQUENCE).ok_or_else(|| broken("no SEQUENCE"))?.inside();
    key.take(der::INTEGER).filter(|v| v.content == [1]).ok_or_else(|| broken("its version is not 1"))?;
    let scalar = key.take(der::OCTET_STRING).ok_or_else(|| broken("no private scalar"))?;
    let curve = key.take(0xa0).map(|curve| curve.content);
    if curve.is_some_and(|curve| curve != P256_CURVE) || (with_curve && curve.is_none()) {
        return Err(PkiError::Unsupported("an EC key on another curve than P-256"));
    }
    let key = p256::SecretKey::from_slice(scalar.content).map_err(|_| broken("no scalar of P-256"))?;
    Ok(PrivateKey(Inner::P256(key)))
}

fn from_pkcs1(bytes: &[u8]) -> Result<PrivateKey, PkiError> {
    rsa_pair(bytes)?;
    Ok(PrivateKey(Inner::Rsa(Zeroizing::new(bytes.to_vec()))))
}

fn from_pkcs8(bytes: &[u8]) -> Result<PrivateKey, PkiError> {
    let broken = |why| PkiError::Broken { what: "PKCS#8 key", why };
    let mut key = Reader(bytes).take(der::SEQUENCE).ok_or_else(|| broken("no SEQUENCE"))?.inside();
    key.take(der::INTEGER).ok_or_else(|| broken("no version"))?;
    let algorithm = key.take(der::SEQUENCE).ok_or_else(|| broken("no algorithm"))?;
    let inner = key.take(der::OCTET_STRING).ok_or_else(|| broken("no key"))?;
    match algorithm.whole {
        ED25519 => {
            let seed = inner.inside().take(der::OCTET_STRING).ok_or_else(|| broken("no Ed25519 seed"))?;
            let seed = seed.content.try_into().map_err(|_| broken("its Ed25519 seed has not 32 bytes"))?;
            Ok(PrivateKey(Inner::Ed25519(Zeroizing::new(seed))))
        }
        P256_KEY_ALGORITHM => from_sec1(inner.content, false),
        RSA_KEY_ALGORITHM => from_pkcs1(inner.content),
        _ => Err(PkiError::Unsupported("neither Ed25519, ECDSA P-256 nor RSA")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(kind: KeyKind) -> PrivateKey {
        PrivateKey::mint(kind, &mut Seeded::new([3; 32])).unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let key = minted(kind);
            let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
            assert_eq!(key.to_pem(), again.to_pem());
            let generic = pem_encode(PKCS8_KEY, &key.to_pkcs8());
            assert_eq!(PrivateKey::from_pem(&generic).unwrap().to_pem(), key.to_pem());
            assert_eq!(key.public().unwrap(), again.public().unwrap());
        }
    }

    #[test]
    fn an_ed25519_key_is_48_bytes_of_version_1_under_talos_own_label() {
        let key = minted(KeyKind::Ed25519);
        assert_eq!(key.to_pkcs8().len(), 48);
        assert!(
            key.to_pkcs8()
                .starts_with(&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20])
        );
        assert!(key.to_pem().starts_with("-----BEGIN ED25519 PRIVATE KEY-----\n"));
    }

    #[test]
    fn debug_shows_no_bytes() {
        assert_eq!(format!("{:?}", minted(KeyKind::P256)), "PrivateKey(P256)");
        assert_eq!(format!("{:?}", minted(KeyKind::Ed25519)), "PrivateKey(Ed25519)");
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let key = minted(KeyKind::P256);
        let swapped = pem_encode("CERTIFICATE", &key.to_pkcs8());
        assert_eq!(PrivateKey::from_pem(&swapped).unwrap_err().code(), "wrong_pem_label");
        let mut cut = key.to_pkcs8().to_vec();
        cut.pop();
        let cut = pem_encode(PKCS8_KEY, &cut);
        assert_eq!(PrivateKey::from_pem(&cut).unwrap_err().code(), "broken_der");
        // 1.3.132.0.34, secp384r1.
        let p384 = der::sequence(&[
            &[2, 1, 1],
            &der::tlv(4, &[1; 48]),
            &der::tlv(0xa0, &[6, 5, 0x2b, 0x81, 4, 0, 0x22]),
        ]);
        assert_eq!(PrivateKey::from_pem(&pem_encode(EC_KEY, &p384)).unwrap_err().code(), "unsupported_key");
        assert_eq!(PrivateKey::from_pem(&pem_encode(RSA_KEY, &[1])).unwrap_err().code(), "broken_der");
    }
}
