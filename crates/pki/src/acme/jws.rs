//! Signed requests: JWS in its flattened form (RFC 7515) with what ACME asks of it (RFC 8555 section 6.2), and the keys
//! that sign them (RFC 7517, RFC 7518).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::problem::{Kind, Problem, malformed};
use crate::x509::der;

/// Largest modulus of an RSA key, in bytes: 8192 bits.
const LARGEST_MODULUS: usize = 1024;
/// `id-ecPublicKey` on P-256 (RFC 5480 section 2.1.1), with tag and length.
const P256: &[u8] =
    &[0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// `rsaEncryption` (RFC 3279 section 2.3.1), with tag and length.
const RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// A public key of an account. Its numbers are kept in base64url as they are hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum Jwk {
    /// ECDSA on P-256, signs as ES256.
    #[serde(rename = "EC")]
    P256 {
        /// The point's x, 32 bytes.
        x: String,
        /// The point's y, 32 bytes.
        y: String,
    },
    /// RSA of 2048 to 8192 bits, signs as RS256.
    #[serde(rename = "RSA")]
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
}

impl Jwk {
    /// Reads a key.
    ///
    /// # Errors
    /// It is of another kind, or its numbers are none.
    pub fn read(value: &Value) -> Result<Self, Problem> {
        let bad = |why: &str| Problem::new(Kind::BadPublicKey, why);
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| {
            URL_SAFE_NO_PAD.decode(text(name)).map_err(|_| bad("a number of the key is not base64url"))
        };
        match (text("kty"), text("crv")) {
            ("EC", "P-256") => {
                let (x, y) = (number("x")?, number("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(bad("a point on P-256 has 32 bytes twice"));
                }
                Ok(Self::P256 { x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) })
            }
            ("RSA", _) => {
                let (n, e) = (number("n")?, number("e")?);
                let whole = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
                if n.len() < 256 || n.len() > LARGEST_MODULUS || e.len() > 8 || !whole(&n) || !whole(&e) {
                    return Err(bad("an RSA key has 2048 to 8192 bits and a small exponent"));
                }
                Ok(Self::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) })
            }
            _ => Err(bad("a key is ECDSA on P-256 or RSA")),
        }
    }

    /// Its fingerprint (RFC 7638), as it stands in a proof.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let text = match self {
            Self::P256 { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// The same key as a certificate has it (`SubjectPublicKeyInfo`).
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        match self {
            Self::P256 { x, y } => der::sequence(&[P256, &der::bits(&point(x, y))]),
            Self::Rsa { n, e } => {
                let numbers = der::sequence(&[&integer(&decoded(n)), &integer(&decoded(e))]);
                der::sequence(&[RSA, &der::bits(&numbers)])
            }
        }
    }

    /// Whether this key signed this text by the algorithm that is named.
    fn check(&self, algorithm: &str, text: &[u8], signature: &[u8]) -> Result<(), Problem> {
        let checked =
            match (self, algorithm) {
                (Self::P256 { x, y }, "ES256") => {
                    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point(x, y)).verify(text, signature)
                }
                (Self::Rsa { n, e }, "RS256") => RsaPublicKeyComponents { n: decoded(n), e: decoded(e) }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, text, signature),
                _ => {
                    let why = "ES256 with a key on P-256, or RS256 with an RSA key";
                    return Err(Problem::new(Kind::BadSignatureAlgorithm, why));
                }
            };
        checked.map_err(|_| malformed("the signature does not fit the key"))
    }
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
}

/// An uncompressed point (SEC 1 section 2.3.3).
fn point(x: &str, y: &str) -> Vec<u8> {
    [&[4], decoded(x).as_slice(), decoded(y).as_slice()].concat()
}

/// An INTEGER that is not negative.
fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    der::tlv(der::INTEGER, &[sign, number].concat())
}

/// Whose key signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The key goes along.
    Key(Jwk),
    /// The key of an account, by its address.
    Account(String),
}

/// A request with its signature, which is not checked yet.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Who signed, as it says.
    pub by: By,
    /// The nonce, which an envelope inside another has not.
    pub nonce: Option<String>,
    /// The address it is for.
    pub url: String,
    /// What is asked; empty for a question.
    pub payload: Vec<u8>,
    algorithm: String,
    text: String,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    protected: String,
    payload: String,
    signature: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    url: String,
    nonce: Option<String>,
    jwk: Option<Value>,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// It is no flattened JWS with the header that ACME asks for.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let flat: Flat =
            serde_json::from_slice(bytes).map_err(|why| malformed(format!("no flattened JWS: {why}")))?;
        let part = |text: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("a part of the JWS is not base64url"))
        };
        let header: Header = serde_json::from_slice(&part(&flat.protected)?)
            .map_err(|why| malformed(format!("the protected header: {why}")))?;
        if header.crit.is_some() {
            return Err(malformed("an extension in `crit` that is not known"));
        }
        let by = match (header.jwk, header.kid) {
            (Some(key), None) => By::Key(Jwk::read(&key)?),
            (None, Some(account)) => By::Account(account),
            _ => return Err(malformed("the protected header has either `jwk` or `kid`")),
        };
        Ok(Self {
            by,
            nonce: header.nonce,
            url: header.url,
            payload: part(&flat.payload)?,
            algorithm: header.alg,
            signature: part(&flat.signature)?,
            text: [flat.protected, flat.payload].join("."),
        })
    }

    /// Whether this key signed it.
    ///
    /// # Errors
    /// It did not, or by an algorithm that is not checked.
    pub fn check(&self, key: &Jwk) -> Result<(), Problem> {
        key.check(&self.algorithm, self.text.as_bytes(), &self.signature)
    }
}
