//! Certificate authorities as Talos makes them, and what they issue.

use std::net::IpAddr;

use model::{Span, WallTime};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::der;
use super::error::PkiError;
use super::key::{KeyKind, PrivateKey};
use super::random::{Random, draw};
use super::read::{
    ALT_NAMES, AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, CLIENT_AUTH, COMMON_NAME, EXTENDED_USAGE, KEY_USAGE,
    ORGANIZATION, SERVER_AUTH, SUBJECT_KEY_ID,
};

/// How long before now a certificate becomes valid: a day. A machine whose clock was set to local time is up to
/// 14 hours behind, and one that stood without power drifts by minutes; with notBefore at now, as Talos has it,
/// such a machine refuses its own cluster's certificates until it has heard an NTP server. A clock that lost its
/// battery is years behind, and no notBefore helps it.
pub const BACKDATE: Span = Span::secs(24 * 3600);

/// How long an authority is valid from now: 87,600 hours, as in Talos.
pub const CA_LIFETIME: Span = Span::secs(87_600 * 3600);

/// How long a client certificate is valid from now unless somebody says otherwise: 8,760 hours, as in Talos.
pub const CLIENT_LIFETIME: Span = Span::secs(8_760 * 3600);

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub certificate: Certificate,
    /// The proof.
    pub key: PrivateKey,
}

/// A certificate that may sign others, and its key.
#[derive(Debug, Clone)]
pub struct Authority(pub(super) Identity);

/// A name a server answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// An address.
    Ip(IpAddr),
    /// A DNS name.
    Dns(String),
}

impl core::str::FromStr for Name {
    type Err = PkiError;

    /// An address, or a DNS name of ASCII letters, digits, `-`, `_` and `.`, with `*.` allowed in front.
    fn from_str(text: &str) -> Result<Self, PkiError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let plain = text.strip_prefix("*.").unwrap_or(text);
        let good = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text.len() <= 253 && plain.split('.').all(good) {
            return Ok(Self::Dns(text.to_owned()));
        }
        Err(PkiError::Name(text.to_owned()))
    }
}

/// What an issued certificate is good for. Never both: `apid` compares the list with `[clientAuth]` exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// keyUsage digitalSignature, extendedKeyUsage clientAuth: Talos's admin certificate.
    Client,
    /// As `Client`, with keyEncipherment beside digitalSignature: Kubernetes's admin certificate.
    KubernetesClient,
    /// keyUsage digitalSignature, extendedKeyUsage serverAuth: a Talos node.
    Server,
}

/// What to issue.
#[derive(Debug, Clone)]
pub struct Leaf<'a> {
    /// The subject's common name, if any.
    pub common_name: Option<&'a str>,
    /// The subject's organizations.
    pub organizations: &'a [&'a str],
    /// What it is good for.
    pub usage: Usage,
    /// Names and addresses of a server.
    pub names: &'a [Name],
    /// How long it is valid from now.
    pub lifetime: Span,
    /// How long before now it becomes valid.
    pub backdate: Span,
}

impl<'a> Leaf<'a> {
    /// Talos's client: roles as organizations, no common name, exactly clientAuth.
    #[must_use]
    pub const fn talos_client(roles: &'a [&'a str]) -> Self {
        Self {
            common_name: None,
            organizations: roles,
            usage: Usage::Client,
            names: &[],
            lifetime: CLIENT_LIFETIME,
            backdate: BACKDATE,
        }
    }

    /// A server with its name and its alternative names; a day, as a node's own certificate.
    #[must_use]
    pub const fn server(common_name: &'a str, names: &'a [Name]) -> Self {
        Self {
            common_name: Some(common_name),
            organizations: &[],
            usage: Usage::Server,
            names,
            lifetime: Span::secs(24 * 3600),
            backdate: BACKDATE,
        }
    }
}

impl Identity {
    /// Certificate and key in Talos's PEM forms.
    #[must_use]
    pub fn to_pem(&self) -> (String, Zeroizing<String>) {
        (self.certificate.to_pem(), self.key.to_pem())
    }

    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, PkiError> {
        let certificate = Certificate::from_pem(certificate)?;
        let key = PrivateKey::from_pem(key)?;
        if key.public()? != certificate.parts.public {
            return Err(PkiError::Mismatch);
        }
        Ok(Self { certificate, key })
    }
}

impl Authority {
    /// A new self-signed authority with the organization as its whole subject; an empty subject without one, as
    /// Talos makes its aggregator's.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn mint(
        kind: KeyKind,
        organization: Option<&str>,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Self, PkiError> {
        let key = PrivateKey::mint(kind, random)?;
        let public = key.public()?;
        let subject = name(organization.as_slice(), None);
        let identifier = draw::<20>(random)?;
        let extensions = [
            // digitalSignature and keyCertSign.
            extension(KEY_USAGE, true, &[der::BIT_STRING, 2, 2, 0x84]),
            extension(EXTENDED_USAGE, false, &usages(&[SERVER_AUTH, CLIENT_AUTH])),
            extension(BASIC_CONSTRAINTS, true, &der::sequence(&[&[der::BOOLEAN, 1, 0xff]])),
            extension(SUBJECT_KEY_ID, false, &der::tlv(der::OCTET_STRING, &identifier)),
        ];
        let form = Form {
            issuer: &subject,
            subject: &subject,
            public: &public,
            valid: (before(now, BACKDATE), after(now, CA_LIFETIME)),
            extensions: &extensions,
        };
        let certificate = form.signed(&key, random)?;
        Ok(Self(Identity { certificate, key }))
    }

    /// Reads an authority.
    ///
    /// # Errors
    /// As [`Identity::from_pem`], or the certificate may not sign.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, PkiError> {
        let identity = Identity::from_pem(certificate, key)?;
        if !identity.certificate.is_authority() {
            return Err(PkiError::NotAuthority);
        }
        Ok(Self(identity))
    }

    /// Its own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &PrivateKey {
        &self.0.key
    }

    /// Certificate and key in Talos's PEM forms.
    #[must_use]
    pub fn to_pem(&self) -> (String, Zeroizing<String>) {
        self.0.to_pem()
    }

    /// Issues a certificate for a new key of the authority's own kind.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn issue(
        &self,
        leaf: &Leaf<'_>,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Identity, PkiError> {
        let key = PrivateKey::mint(self.0.key.kind_of_leaf(), random)?;
        let certificate = self.certify(leaf, &key.public()?, now, random)?;
        Ok(Identity { certificate, key })
    }

    /// Issues a certificate for a public key (`SubjectPublicKeyInfo`) whose private half is elsewhere.
    pub(super) fn certify(
        &self,
        leaf: &Leaf<'_>,
        public: &[u8],
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Certificate, PkiError> {
        let subject = name(leaf.organizations, leaf.common_name);
        // Unused bits, then digitalSignature, and keyEncipherment for Kubernetes.
        let (usage, extended): (&[u8], _) = match leaf.usage {
            Usage::Client => (&[der::BIT_STRING, 2, 7, 0x80], CLIENT_AUTH),
            Usage::KubernetesClient => (&[der::BIT_STRING, 2, 5, 0xa0], CLIENT_AUTH),
            Usage::Server => (&[der::BIT_STRING, 2, 7, 0x80], SERVER_AUTH),
        };
        let mut extensions =
            vec![extension(KEY_USAGE, true, usage), extension(EXTENDED_USAGE, false, &usages(&[extended]))];
        if let Some(identifier) = &self.0.certificate.parts.key_identifier {
            extensions.push(issued_by(identifier));
        }
        if !leaf.names.is_empty() {
            let nameless = leaf.organizations.is_empty() && leaf.common_name.is_none();
            extensions.push(extension(ALT_NAMES, nameless, &alt_names(leaf.names)));
        }
        let form = Form {
            issuer: &self.0.certificate.parts.subject,
            subject: &subject,
            public,
            valid: (before(now, leaf.backdate), after(now, leaf.lifetime)),
            extensions: &extensions,
        };
        form.signed(&self.0.key, random)
    }
}

/// authorityKeyIdentifier: whose key signed (RFC 5280 section 4.2.1.1).
pub(super) fn issued_by(identifier: &[u8]) -> Vec<u8> {
    extension(AUTHORITY_KEY_ID, false, &der::sequence(&[&der::tlv(0x80, identifier)]))
}

/// A certificate before it is signed.
pub(super) struct Form<'a> {
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) public: &'a [u8],
    pub(super) valid: (WallTime, WallTime),
    pub(super) extensions: &'a [Vec<u8>],
}

impl Form<'_> {
    /// `Certificate` (RFC 5280 section 4.1), version 3, with a random serial number of 127 bits.
    pub(super) fn signed(&self, key: &PrivateKey, random: &mut dyn Random) -> Result<Certificate, PkiError> {
        let mut serial = draw::<16>(random)?;
        let [first, .., last] = &mut serial;
        *first &= 0x7f;
        // Zero is not allowed.
        *last |= 1;
        let algorithm = key.signature_algorithm();
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let body = der::sequence(&[
            &[0xa0, 3, der::INTEGER, 1, 2],
            &der::unsigned(&serial),
            algorithm,
            self.issuer,
            &der::sequence(&[&time(self.valid.0), &time(self.valid.1)]),
            self.subject,
            self.public,
            &der::tlv(0xa3, &der::sequence(&extensions)),
        ]);
        let signature = der::bits(&key.sign(&body)?);
        Certificate::from_der(&der::sequence(&[&body, algorithm, &signature]))
    }
}

pub(super) const fn before(now: WallTime, span: Span) -> WallTime {
    WallTime(now.0.saturating_sub(span.0))
}

pub(super) const fn after(now: WallTime, span: Span) -> WallTime {
    WallTime(now.0.saturating_add(span.0))
}

/// `Name`: all organizations in one set, then the common name, as Go writes it.
pub(super) fn name(organizations: &[&str], common_name: Option<&str>) -> Vec<u8> {
    let pair = |kind: &[u8], value: &str| {
        let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
        let tag = if value.bytes().all(printable) { der::PRINTABLE } else { der::UTF8 };
        der::sequence(&[&der::tlv(der::OID, kind), &der::tlv(tag, value.as_bytes())])
    };
    let mut sets = Vec::new();
    if !organizations.is_empty() {
        let mut pairs: Vec<Vec<u8>> = organizations.iter().map(|value| pair(ORGANIZATION, value)).collect();
        // DER wants the members of a set in the order of their bytes.
        pairs.sort();
        sets.push(der::tlv(der::SET, &pairs.concat()));
    }
    if let Some(value) = common_name {
        sets.push(der::tlv(der::SET, &pair(COMMON_NAME, value)));
    }
    der::tlv(der::SEQUENCE, &sets.concat())
}

fn usages(kinds: &[&[u8]]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = kinds.iter().map(|kind| der::tlv(der::OID, kind)).collect();
    der::tlv(der::SEQUENCE, &all.concat())
}

pub(super) fn alt_names(names: &[Name]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = names
        .iter()
        .map(|name| match name {
            Name::Dns(name) => der::tlv(0x82, name.as_bytes()),
            Name::Ip(IpAddr::V4(address)) => der::tlv(0x87, &address.octets()),
            Name::Ip(IpAddr::V6(address)) => der::tlv(0x87, &address.octets()),
        })
        .collect();
    der::tlv(der::SEQUENCE, &all.concat())
}

pub(super) fn extension(kind: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[der::BOOLEAN, 1, 0xff] } else { &[] };
    der::sequence(&[&der::tlv(der::OID, kind), flag, &der::tlv(der::OCTET_STRING, value)])
}

/// The last second that X.509 can say: 9999-12-31 23:59:59 (RFC 5280 section 4.1.2.5), in milliseconds.
const LAST: u64 = 253_402_300_799_000;

/// `UTCTime` before 2050, `GeneralizedTime` from then on (RFC 5280 section 4.1.2.5).
fn time(at: WallTime) -> Vec<u8> {
    let at = at.min(WallTime(LAST));
    let ((year, month, day), clock) = (at.civil(), at.0 / 1000 % 86_400);
    let rest = format!("{month:02}{day:02}{:02}{:02}{:02}Z", clock / 3600, clock / 60 % 60, clock % 60);
    if year < 2050 {
        der::tlv(der::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        der::tlv(der::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::Seeded;

    const NOW: WallTime = WallTime(1_795_672_800_000);

    #[test]
    fn a_time_is_read_as_it_was_written() {
        for seconds in
            [0, 951_782_400, 951_868_799, 1_795_672_800, 2_524_607_999, 2_524_608_000, 4_107_542_400]
        {
            let name = der::sequence(&[]);
            let key = PrivateKey::mint(KeyKind::Ed25519, &mut Seeded::new([0; 32])).unwrap();
            let public = key.public().unwrap();
            let at = WallTime(seconds * 1000);
            let form =
                Form { issuer: &name, subject: &name, public: &public, valid: (at, at), extensions: &[] };
            let certificate = form.signed(&key, &mut Seeded::new([1; 32])).unwrap();
            assert_eq!(certificate.not_before(), at);
        }
    }

    #[test]
    fn seed_and_clock_decide_every_byte() {
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let mint =
                |seed, now| Authority::mint(kind, Some("x"), now, &mut Seeded::new([seed; 32])).unwrap();
            assert_eq!(mint(1, NOW).to_pem(), mint(1, NOW).to_pem());
            assert_ne!(mint(1, NOW).to_pem(), mint(2, NOW).to_pem());
            assert_ne!(mint(1, NOW).to_pem().0, mint(1, after(NOW, Span::secs(1))).to_pem().0);
        }
    }

    #[test]
    fn a_certificate_says_what_it_was_asked_to_say() {
        let mut random = Seeded::new([1; 32]);
        let authority = Authority::mint(KeyKind::Ed25519, Some("talos"), NOW, &mut random).unwrap();
        let own = authority.certificate();
        assert!(own.is_authority() && own.is_for_clients() && own.is_for_servers());
        assert_eq!(own.organizations(), ["talos"]);
        assert_eq!((own.not_before(), own.not_after()), (before(NOW, BACKDATE), after(NOW, CA_LIFETIME)));

        let admin =
            authority.issue(&Leaf::talos_client(&["os:reader", "os:admin"]), NOW, &mut random).unwrap();
        let admin = admin.certificate;
        assert!(!admin.is_authority() && admin.is_for_clients() && !admin.is_for_servers());
        assert_eq!((admin.common_name(), admin.organizations().len()), (None, 2));
        assert_eq!(admin.parts.issuer, own.parts.subject);

        let names = ["10.0.0.7".parse().unwrap(), "fd00::7".parse().unwrap(), "n7.lab".parse().unwrap()];
        let server = authority.issue(&Leaf::server("n7", &names), NOW, &mut random).unwrap().certificate;
        assert!(server.is_for_servers() && !server.is_for_clients());
        assert_eq!(server.addresses().len(), 2);
        assert_eq!((server.names(), server.common_name()), (&["n7.lab".to_owned()][..], Some("n7")));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let mut random = Seeded::new([1; 32]);
        let one = Authority::mint(KeyKind::P256, Some("one"), NOW, &mut random).unwrap();
        let two = Authority::mint(KeyKind::P256, Some("two"), NOW, &mut random).unwrap();
        assert_eq!(Authority::from_pem(&one.to_pem().0, &two.to_pem().1).unwrap_err(), PkiError::Mismatch);
        assert!(Authority::from_pem(&one.to_pem().0, &one.to_pem().1).is_ok());
        let leaf = one.issue(&Leaf::talos_client(&["os:admin"]), NOW, &mut random).unwrap();
        let (certificate, key) = leaf.to_pem();
        assert_eq!(Authority::from_pem(&certificate, &key).unwrap_err(), PkiError::NotAuthority);
        let error = Authority::from_pem(&key, &certificate).unwrap_err();
        assert_eq!(error.code(), "wrong_pem_label");
    }

    #[test]
    fn names_that_cannot_stand_in_a_certificate_are_refused() {
        for bad in ["", "a b", "a..b", "10.0.0.1:6443", "https://x", "*", "ü.example"] {
            assert_eq!(bad.parse::<Name>().unwrap_err(), PkiError::Name(bad.to_owned()));
        }
        assert_eq!("*.lab".parse(), Ok(Name::Dns("*.lab".to_owned())));
        assert_eq!("::1".parse(), Ok(Name::Ip("::1".parse().unwrap())));
    }
}
