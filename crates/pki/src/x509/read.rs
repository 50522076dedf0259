//! Reading a certificate's fields (RFC 5280 section 4.1), only as far as they are used here.

use std::net::IpAddr;

use model::WallTime;

use super::certificate::Parts;
use super::der::{self, Item, Reader};

/// 2.5.4.10
pub(crate) const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// 2.5.4.3
pub(crate) const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// 2.5.29.14
pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 29, 14];
/// 2.5.29.15
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 29, 15];
/// 2.5.29.17
pub(crate) const ALT_NAMES: &[u8] = &[0x55, 29, 17];
/// 2.5.29.19
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
/// 2.5.29.35
pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 29, 35];
/// 2.5.29.37
pub(crate) const EXTENDED_USAGE: &[u8] = &[0x55, 29, 37];
/// 1.3.6.1.5.5.7.3.1
pub(crate) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// 1.3.6.1.5.5.7.3.2
pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

pub(super) type Read<T> = Result<T, &'static str>;

pub(super) fn certificate(bytes: &[u8]) -> Read<Parts> {
    let mut outside = Reader(bytes);
    let whole = outside.take(der::SEQUENCE).ok_or("no SEQUENCE")?;
    if !outside.0.is_empty() {
        return Err("bytes after its end");
    }
    let mut body = whole.inside().take(der::SEQUENCE).ok_or("no body")?.inside();
    body.take(0xa0);
    let serial = body.take(der::INTEGER).ok_or("no serial number")?;
    body.take(der::SEQUENCE).ok_or("no signature algorithm")?;
    let issuer = body.take(der::SEQUENCE).ok_or("no issuer")?;
    let mut validity = body.take(der::SEQUENCE).ok_or("no validity")?.inside();
    let subject = body.take(der::SEQUENCE).ok_or("no subject")?;
    let public = body.take(der::SEQUENCE).ok_or("no public key")?;
    let mut parts = Parts {
        serial: serial.content.to_vec(),
        issuer: issuer.whole.to_vec(),
        subject: subject.whole.to_vec(),
        public: public.whole.to_vec(),
        not_before: time(validity.next().ok_or("no notBefore")?)?,
        not_after: time(validity.next().ok_or("no notAfter")?)?,
        ..Parts::default()
    };
    name(subject, &mut parts)?;
    // issuerUniqueID and subjectUniqueID stand before the extensions and are never used.
    body.take(0x81);
    body.take(0x82);
    if let Some(extensions) = body.take(0xa3) {
        let mut all = extensions.inside().take(der::SEQUENCE).ok_or("broken extensions")?.inside();
        while let Some(extension) = all.take(der::SEQUENCE) {
            one_extension(extension.inside(), &mut parts)?;
        }
    }
    Ok(parts)
}

/// The subject of a certificate, or of a request for one.
pub(super) fn name(subject: Item<'_>, parts: &mut Parts) -> Read<()> {
    let mut sets = subject.inside();
    while let Some(set) = sets.take(der::SET) {
        let mut pairs = set.inside();
        while let Some(pair) = pairs.take(der::SEQUENCE) {
            let mut pair = pair.inside();
            let kind = pair.take(der::OID).ok_or("a name without a kind")?;
            let value = pair.next().ok_or("a name without a value")?;
            let text = || String::from_utf8(value.content.to_vec()).map_err(|_| "a name that is not UTF-8");
            match kind.content {
                ORGANIZATION => parts.organizations.push(text()?),
                COMMON_NAME => parts.common_name = Some(text()?),
                _ => {}
            }
        }
    }
    Ok(())
}

/// One extension of a certificate, or of a request for one.
pub(super) fn one_extension(mut extension: Reader<'_>, parts: &mut Parts) -> Read<()> {
    let kind = extension.take(der::OID).ok_or("an extension without a kind")?;
    extension.take(der::BOOLEAN);
    let value = extension.take(der::OCTET_STRING).ok_or("an extension without a value")?;
    let mut inside = value.inside();
    match kind.content {
        BASIC_CONSTRAINTS => {
            let mut limits = inside.take(der::SEQUENCE).ok_or("broken basicConstraints")?.inside();
            parts.authority = limits.take(der::BOOLEAN).is_some_and(|flag| flag.content == [0xff]);
        }
        SUBJECT_KEY_ID => {
            parts.key_identifier = inside.take(der::OCTET_STRING).map(|id| id.content.to_vec());
        }
        AUTHORITY_KEY_ID => {
            let mut names = inside.take(der::SEQUENCE).ok_or("broken authorityKeyIdentifier")?.inside();
            parts.issued_by = names.take(0x80).map(|id| id.content.to_vec());
        }
        EXTENDED_USAGE => {
            let mut usages = inside.take(der::SEQUENCE).ok_or("broken extendedKeyUsage")?.inside();
            while let Some(usage) = usages.take(der::OID) {
                parts.usages.push(usage.content.to_vec());
            }
        }
        ALT_NAMES => {
            let mut names = inside.take(der::SEQUENCE).ok_or("broken subjectAltName")?.inside();
            while let Some(name) = names.next() {
                alt_name(name, parts)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn alt_name(name: Item<'_>, parts: &mut Parts) -> Read<()> {
    match name.tag {
        0x82 => {
            let text =
                String::from_utf8(name.content.to_vec()).map_err(|_| "a DNS name that is not ASCII")?;
            parts.names.push(text);
        }
        0x87 => {
            let four = <[u8; 4]>::try_from(name.content).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(name.content).map(IpAddr::from));
            parts.addresses.push(address.map_err(|_| "an address of neither 4 nor 16 bytes")?);
        }
        _ => {}
    }
    Ok(())
}

/// `UTCTime` or `GeneralizedTime`, to the second and in Zulu time (RFC 5280 section 4.1.2.5).
fn time(item: Item<'_>) -> Read<WallTime> {
    const WHY: &str = "a time that is not of the form that RFC 5280 asks for";
    let text = core::str::from_utf8(item.content).map_err(|_| WHY)?.strip_suffix('Z').ok_or(WHY)?;
    let (year, rest) = match item.tag {
        der::UTC_TIME => text.split_at_checked(2).ok_or(WHY)?,
        der::GENERALIZED_TIME => text.split_at_checked(4).ok_or(WHY)?,
        _ => return Err(WHY),
    };
    let mut year: i64 = year.parse().map_err(|_| WHY)?;
    if item.tag == der::UTC_TIME {
        year += if year < 50 { 2000 } else { 1900 };
    }
    if rest.len() != 10 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WHY);
    }
    let part = |at: usize| -> Read<i64> { rest.get(at..at + 2).and_then(|t| t.parse().ok()).ok_or(WHY) };
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(WHY);
    }
    let seconds = days(year, month, day) * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8)?;
    // Before 1970 is as long ago as can be said here.
    Ok(WallTime(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. The year is taken to begin in March, so that the
/// leap day is its last.
pub(crate) const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 153 days in each five months from March on; 719,468 days from 0000-03-01 to 1970-01-01.
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_as_the_calendar_has_them() {
        for (date, expected) in [
            ((1970, 1, 1), 0),
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 26), 20_783),
            ((2100, 3, 1), 47_541),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    #[test]
    fn times_of_both_forms_are_read_and_others_refused() {
        let read = |tag, text: &str| {
            let bytes = der::tlv(tag, text.as_bytes());
            time(Reader(&bytes).next().unwrap())
        };
        assert_eq!(read(der::UTC_TIME, "700101000001Z"), Ok(WallTime(1000)));
        assert_eq!(read(der::UTC_TIME, "491231235959Z"), Ok(WallTime(2_524_607_999_000)));
        assert_eq!(read(der::GENERALIZED_TIME, "20500101000000Z"), Ok(WallTime(2_524_608_000_000)));
        assert_eq!(read(der::UTC_TIME, "500101000000Z"), Ok(WallTime(0)), "1950");
        for (tag, text) in [
            (der::UTC_TIME, "700101000001"),
            (der::UTC_TIME, "7001010000Z"),
            (der::UTC_TIME, "701301000001Z"),
            (der::GENERALIZED_TIME, "700101000001Z"),
            (der::UTF8, "700101000001Z"),
        ] {
            assert!(read(tag, text).is_err(), "{text}");
        }
    }
}
