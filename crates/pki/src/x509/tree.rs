//! A root that signs nothing but authorities, and authorities below it that sign nothing but leaves.

use model::{Span, WallTime};

use super::authority::{Authority, BACKDATE, Form, Identity, after, before, extension, issued_by, name};
use super::certificate::Certificate;
use super::der;
use super::error::PkiError;
use super::key::{KeyKind, PrivateKey};
use super::random::{Random, draw};
use super::read::{BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_KEY_ID};

/// Who an authority is, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Rank<'a> {
    /// The subject's organization: the house, or the lab.
    pub organization: &'a str,
    /// The subject's common name, which people see in their browser's list.
    pub common_name: &'a str,
    /// How long it is valid from now.
    pub lifetime: Span,
}

impl Authority {
    /// A new self-signed root on P-256. It may sign one further rank of authorities (`pathLenConstraint` 1).
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn root(rank: Rank<'_>, now: WallTime, random: &mut dyn Random) -> Result<Self, PkiError> {
        let key = PrivateKey::mint(KeyKind::P256, random)?;
        let subject = name(&[rank.organization], Some(rank.common_name));
        let identifier = draw::<20>(random)?;
        let public = key.public()?;
        let form = Form {
            issuer: &subject,
            subject: &subject,
            public: &public,
            valid: (before(now, BACKDATE), after(now, rank.lifetime)),
            extensions: &rank_extensions(1, &identifier),
        };
        let certificate = form.signed(&key, random)?;
        Ok(Self(Identity { certificate, key }))
    }

    /// Whether this authority says that it signed a certificate: names and key identifiers fit. The signature itself is
    /// what clients look at.
    #[must_use]
    pub fn signed(&self, other: &Certificate) -> bool {
        let own = self.certificate();
        own.parts.subject == other.parts.issuer && own.parts.key_identifier == other.parts.issued_by
    }

    /// A new authority below this one, which may sign leaves only (`pathLenConstraint` 0). It ends when this one ends, if
    /// not before.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn subordinate(
        &self,
        rank: Rank<'_>,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Self, PkiError> {
        let key = PrivateKey::mint(KeyKind::P256, random)?;
        let own = self.certificate();
        let identifier = draw::<20>(random)?;
        let mut extensions = rank_extensions(0, &identifier);
        extensions.extend(own.parts.key_identifier.as_deref().map(issued_by));
        let public = key.public()?;
        let form = Form {
            issuer: &own.parts.subject,
            subject: &name(&[rank.organization], Some(rank.common_name)),
            public: &public,
            valid: (
                before(now, BACKDATE).max(own.not_before()),
                after(now, rank.lifetime).min(own.not_after()),
            ),
            extensions: &extensions,
        };
        let certificate = form.signed(self.key(), random)?;
        Ok(Self(Identity { certificate, key }))
    }
}

/// keyCertSign and digitalSignature, CA with so many ranks below, and the key's name.
fn rank_extensions(below: u8, identifier: &[u8; 20]) -> Vec<Vec<u8>> {
    vec![
        extension(KEY_USAGE, true, &[der::BIT_STRING, 2, 2, 0x84]),
        extension(
            BASIC_CONSTRAINTS,
            true,
            &der::sequence(&[&[der::BOOLEAN, 1, 0xff], &[der::INTEGER, 1, below]]),
        ),
        extension(SUBJECT_KEY_ID, false, &der::tlv(der::OCTET_STRING, identifier)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::Seeded;

    const NOW: WallTime = WallTime(1_795_672_800_000);

    #[test]
    fn an_authority_below_ends_no_later_than_its_root() {
        let mut random = Seeded::new([1; 32]);
        let rank = |lifetime| Rank { organization: "labinator", common_name: "x", lifetime };
        let root = Authority::root(rank(Span::secs(1000)), NOW, &mut random).unwrap();
        let long = root.subordinate(rank(Span::secs(5000)), NOW, &mut random).unwrap();
        assert_eq!(long.certificate().not_after(), root.certificate().not_after());
        assert!(long.certificate().is_authority());
        let other = Authority::root(rank(Span::secs(1000)), NOW, &mut random).unwrap();
        assert!(root.signed(long.certificate()) && !other.signed(long.certificate()));
        let short = root.subordinate(rank(Span::secs(500)), NOW, &mut random).unwrap();
        assert_eq!(short.certificate().not_after(), WallTime(NOW.0 + 500_000));
        assert_eq!(short.certificate().issued_by(), root.certificate().parts.key_identifier.as_deref());
        assert_ne!(short.certificate().serial(), long.certificate().serial());
    }
}
