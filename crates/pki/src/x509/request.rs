//! Requests for certificates (PKCS #10, RFC 2986): written for a key of ours, and read with the proof that whoever asks
//! has the key.

use model::{Span, WallTime};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::authority::{Authority, Leaf, Name, Usage, alt_names, extension, name};
use super::certificate::{Certificate, Parts};
use super::der::{self, Reader};
use super::error::PkiError;
use super::key::PrivateKey;
use super::random::Random;
use super::read::{self, ALT_NAMES, Read};

/// 1.2.840.113549.1.9.14, extensionRequest (RFC 2985 section 5.4.2).
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
/// The attributes: `[0] IMPLICIT SET`.
const ATTRIBUTES: u8 = 0xa0;
/// Most names of one certificate; a hundred, as public authorities have it.
const NAMES: usize = 100;

/// Algorithms of signatures that are checked, by their `AlgorithmIdentifier` without its tag and length.
const ALGORITHMS: [(&[u8], &dyn VerificationAlgorithm); 4] = [
    // ecdsa-with-SHA256, ecdsa-with-SHA384 (RFC 5758), id-Ed25519 (RFC 8410), sha256WithRSAEncryption (RFC 4055).
    (&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], &ECDSA_P256_SHA256_ASN1),
    (&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], &ECDSA_P384_SHA384_ASN1),
    (&[6, 3, 0x2b, 0x65, 0x70], &ED25519),
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0], &RSA_PKCS1_2048_8192_SHA256),
];

/// A request whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    public: Vec<u8>,
    names: Vec<Name>,
}

impl Request {
    /// Writes a request for these names, signed with this key.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn write(key: &PrivateKey, names: &[Name]) -> Result<Vec<u8>, PkiError> {
        let wanted = der::sequence(&[&extension(ALT_NAMES, false, &alt_names(names))]);
        let attribute =
            der::sequence(&[&der::tlv(der::OID, EXTENSION_REQUEST), &der::of(der::SET, &[&wanted])]);
        let body = der::sequence(&[
            &[der::INTEGER, 1, 0],
            &name(&[], None),
            &key.public()?,
            &der::tlv(ATTRIBUTES, &attribute),
        ]);
        let signature = der::bits(&key.sign(&body)?);
        Ok(der::sequence(&[&body, key.signature_algorithm(), &signature]))
    }

    /// Reads a request. A common name is taken for one of the names, as clients from before RFC 2818 have it.
    ///
    /// # Errors
    /// Broken bytes, a key or signature of another kind, a signature that does not fit, no name, or one too many.
    pub fn read(bytes: &[u8]) -> Result<Self, PkiError> {
        let (public, parts) =
            body(bytes).map_err(|why| PkiError::Broken { what: "certificate request", why })?;
        let mut names: Vec<Name> = parts.addresses.into_iter().map(Name::Ip).collect();
        for text in parts.names.iter().chain(&parts.common_name) {
            let name = text.to_ascii_lowercase().parse()?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() || names.len() > NAMES {
            return Err(PkiError::Broken {
                what: "certificate request",
                why: "it names nothing, or more than 100",
            });
        }
        Ok(Self { public, names })
    }

    /// The names it asks for.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.names
    }
}

impl Authority {
    /// Issues a server's certificate for the key of a request, valid for so long, and `backdate` before now.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn grant(
        &self,
        request: &Request,
        (lifetime, backdate): (Span, Span),
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Certificate, PkiError> {
        let leaf = Leaf {
            common_name: None,
            organizations: &[],
            usage: Usage::Server,
            names: &request.names,
            lifetime,
            backdate,
        };
        self.certify(&leaf, &request.public, now, random)
    }
}

/// Public key, names, and the signature checked.
fn body(bytes: &[u8]) -> Read<(Vec<u8>, Parts)> {
    let mut outside = Reader(bytes);
    let mut whole =
        outside.take(der::SEQUENCE).filter(|_| outside.0.is_empty()).ok_or("no SEQUENCE")?.inside();
    let signed = whole.take(der::SEQUENCE).ok_or("no body")?;
    let algorithm = whole.take(der::SEQUENCE).ok_or("no signature algorithm")?;
    let signature = whole.take(der::BIT_STRING).ok_or("no signature")?;
    let mut inside = signed.inside();
    inside.take(der::INTEGER).filter(|version| version.content == [0]).ok_or("its version is not 1")?;
    let subject = inside.take(der::SEQUENCE).ok_or("no subject")?;
    let public = inside.take(der::SEQUENCE).ok_or("no public key")?;
    check(public.inside(), algorithm.content, signed.whole, signature.content)?;
    let mut parts = Parts::default();
    read::name(subject, &mut parts)?;
    let mut attributes = inside.take(ATTRIBUTES).map_or(Reader(&[]), |all| all.inside());
    while let Some(attribute) = attributes.take(der::SEQUENCE) {
        let mut attribute = attribute.inside();
        if attribute.take(der::OID).is_some_and(|kind| kind.content == EXTENSION_REQUEST) {
            let mut set = attribute.take(der::SET).ok_or("broken attributes")?.inside();
            let mut all = set.take(der::SEQUENCE).ok_or("broken extensions")?.inside();
            while let Some(one) = all.take(der::SEQUENCE) {
                read::one_extension(one.inside(), &mut parts)?;
            }
        }
    }
    Ok((public.whole.to_vec(), parts))
}

/// Whether the holder of a public key signed this.
fn check(mut public: Reader<'_>, algorithm: &[u8], signed: &[u8], signature: &[u8]) -> Read<()> {
    public.take(der::SEQUENCE).ok_or("no kind of key")?;
    let key =
        public.take(der::BIT_STRING).and_then(|bits| bits.content.strip_prefix(&[0])).ok_or("no key")?;
    let signature = signature.strip_prefix(&[0]).ok_or("no signature")?;
    let known = ALGORITHMS.iter().find(|(name, _)| *name == algorithm);
    let (_, algorithm) =
        known.ok_or("signed by none of ECDSA on P-256 and P-384, Ed25519 and RSA with SHA-256")?;
    UnparsedPublicKey::new(*algorithm, key)
        .verify(signed, signature)
        .map_err(|_| "its signature does not fit its key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::{KeyKind, Rank, Seeded};

    fn names() -> Vec<Name> {
        ["registry.lab", "10.0.0.7", "fd00::7"].map(|name| name.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_request_is_read_as_it_was_written_with_every_kind_of_key() {
        let mut random = Seeded::new([3; 32]);
        let rsa = PrivateKey::mint_rsa(2048, &mut Seeded::new([5; 32])).unwrap();
        let keys = [KeyKind::Ed25519, KeyKind::P256].map(|kind| PrivateKey::mint(kind, &mut random).unwrap());
        for key in keys.into_iter().chain([rsa]) {
            let request = Request::read(&Request::write(&key, &names()).unwrap()).unwrap();
            assert_eq!(request.public, key.public().unwrap());
            assert_eq!(request.names().len(), 3);
            assert!(names().iter().all(|name| request.names().contains(name)));
        }
    }

    #[test]
    fn whoever_lacks_the_key_gets_nothing() {
        let mut random = Seeded::new([3; 32]);
        let key = PrivateKey::mint(KeyKind::P256, &mut random).unwrap();
        let bytes = Request::write(&key, &names()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(read) = Request::read(&changed) {
                // Only what the signature does not cover could be read, and nothing is.
                panic!("byte {at} is not covered: {read:?}");
            }
            assert!(Request::read(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn what_is_granted_is_for_the_key_and_the_names_of_the_request() {
        let mut random = Seeded::new([3; 32]);
        let key = PrivateKey::mint(KeyKind::P256, &mut random).unwrap();
        let request = Request::read(&Request::write(&key, &names()).unwrap()).unwrap();
        let rank = Rank { organization: "lab", common_name: "lab", lifetime: Span::secs(90_000) };
        let authority = Authority::root(rank, WallTime(1_795_672_800_000), &mut random).unwrap();
        let spans = (Span::secs(3600), Span::secs(60));
        let granted = authority.grant(&request, spans, WallTime(1_795_672_800_000), &mut random).unwrap();
        assert_eq!(granted.parts.public, key.public().unwrap());
        assert_eq!(granted.names(), ["registry.lab"]);
        assert_eq!((granted.addresses().len(), granted.is_authority()), (2, false));
    }
}
