//! The part of BER that SNMP uses (ITU-T X.690; RFC 3417 section 8): definite lengths, numbers in as few bytes as they need.

use alloc::vec::Vec;

use super::Fault;
use crate::cursor::Cursor;

/// Tag of INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// Tag of OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// Tag of NULL.
pub(super) const NULL: u8 = 0x05;
/// Tag of OBJECT IDENTIFIER.
pub(super) const OBJECT: u8 = 0x06;
/// Tag of SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;

/// Appends a tag, the length, and what is inside.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, inside: &[u8]) {
    out.push(tag);
    let length = inside.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let length = length.get(zeros..).unwrap_or_default();
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // The number of bytes is at most eight.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            out.extend(long);
        }
    }
    out.extend(inside);
}

/// Appends a number with a sign.
pub(super) fn put_signed(out: &mut Vec<u8>, tag: u8, number: i64) {
    let bytes = number.to_be_bytes();
    let mut rest = bytes.as_slice();
    // A leading byte that only repeats the sign is left out.
    while let [first, second, ..] = rest
        && ((*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80))
    {
        rest = rest.get(1..).unwrap_or_default();
    }
    put(out, tag, rest);
}

/// Appends a number without a sign.
pub(super) fn put_unsigned(out: &mut Vec<u8>, tag: u8, number: u64) {
    let mut bytes = Vec::from([0]);
    bytes.extend(number.to_be_bytes().iter().skip_while(|byte| **byte == 0));
    // The zero in front is needed where the first bit would be taken for a sign, and where there is nothing else.
    let first = bytes.get(1).copied().unwrap_or(0x80);
    let rest = if first < 0x80 { bytes.get(1..) } else { Some(bytes.as_slice()) };
    put(out, tag, rest.unwrap_or_default());
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(Cursor<'a>);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(Cursor::new(bytes))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.rest().is_empty()
    }

    /// The next value: its tag, and what is inside.
    pub(super) fn any(&mut self) -> Result<(u8, &'a [u8]), Fault> {
        let tag = self.0.u8().ok_or(Fault::Short)?;
        if tag & 0x1f == 0x1f {
            return Err(Fault::Foreign);
        }
        let length = match self.0.u8().ok_or(Fault::Short)? {
            short @ 0..=0x7f => usize::from(short),
            // An indefinite length, which SNMP does not use.
            0x80 => return Err(Fault::Foreign),
            long => {
                let bytes = self.0.take(usize::from(long & 0x7f)).ok_or(Fault::Short)?;
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                let bytes = bytes.get(zeros..).unwrap_or_default();
                if bytes.len() > 4 {
                    return Err(Fault::Short);
                }
                bytes.iter().fold(0, |all, byte| (all << 8) | usize::from(*byte))
            }
        };
        Ok((tag, self.0.take(length).ok_or(Fault::Short)?))
    }

    /// The next value, which has this tag.
    pub(super) fn tagged(&mut self, wanted: u8) -> Result<&'a [u8], Fault> {
        match self.any()? {
            (tag, inside) if tag == wanted => Ok(inside),
            _ => Err(Fault::Foreign),
        }
    }

    /// The next value, a SEQUENCE.
    pub(super) fn sequence(&mut self) -> Result<Self, Fault> {
        self.tagged(SEQUENCE).map(Self::new)
    }

    /// The next value, an INTEGER of 32 bits.
    pub(super) fn number(&mut self) -> Result<i32, Fault> {
        signed(self.tagged(INTEGER)?)
    }
}

/// A number with a sign, of 32 bits.
pub(super) fn signed(bytes: &[u8]) -> Result<i32, Fault> {
    let negative = bytes.first().ok_or(Fault::Number)? & 0x80 != 0;
    let all = bytes.iter().try_fold(if negative { -1_i64 } else { 0 }, |all, byte| {
        all.checked_mul(256).map(|all| all | i64::from(*byte))
    });
    all.and_then(|all| i32::try_from(all).ok()).ok_or(Fault::Number)
}

/// A number without a sign. Agents that forget the zero before a first bit that is set are understood.
pub(super) fn unsigned(bytes: &[u8]) -> Result<u64, Fault> {
    let bytes = match bytes {
        [] => return Err(Fault::Number),
        [0, rest @ ..] => rest,
        all => all,
    };
    if bytes.len() > 8 {
        return Err(Fault::Number);
    }
    Ok(bytes.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_few_bytes_as_they_need() {
        let signed_table: [(i64, &[u8]); 7] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0, 0x80]),
            (-1, &[0xff]),
            (-128, &[0x80]),
            (-129, &[0xff, 0x7f]),
            (i64::from(i32::MIN), &[0x80, 0, 0, 0]),
        ];
        for (number, bytes) in signed_table {
            let mut out = Vec::new();
            put_signed(&mut out, INTEGER, number);
            assert_eq!(out.get(2..), Some(bytes), "{number}");
            assert_eq!(signed(bytes).map(i64::from), Ok(number));
        }
        let unsigned_table: [(u64, &[u8]); 5] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0, 0x80]),
            (u64::from(u32::MAX), &[0, 0xff, 0xff, 0xff, 0xff]),
            (u64::MAX, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ];
        for (number, bytes) in unsigned_table {
            let mut out = Vec::new();
            put_unsigned(&mut out, 0x42, number);
            assert_eq!(out.get(2..), Some(bytes), "{number}");
            assert_eq!(unsigned(bytes), Ok(number));
        }
        // As some agents send it.
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff]), Ok(u64::from(u32::MAX)));
        assert_eq!(unsigned(&[1; 9]), Err(Fault::Number));
        assert_eq!(signed(&[0x7f, 0, 0, 0, 0]), Err(Fault::Number));
    }

    #[test]
    fn long_values_have_long_lengths_and_what_is_cut_is_short() {
        for (size, head) in [(127, &[4, 127][..]), (128, &[4, 0x81, 128]), (300, &[4, 0x82, 1, 44])] {
            let mut out = Vec::new();
            put(&mut out, OCTETS, &alloc::vec![7; size]);
            assert!(out.starts_with(head) && out.len() == head.len() + size, "{size}");
            assert_eq!(Reader::new(&out).tagged(OCTETS).map(<[u8]>::len), Ok(size));
            let cut = out.get(..out.len() - 1).unwrap();
            assert_eq!(Reader::new(cut).any(), Err(Fault::Short));
        }
        assert_eq!(Reader::new(&[4, 0x80, 0, 0]).any(), Err(Fault::Foreign));
        assert_eq!(Reader::new(&[4, 0x85, 1, 0, 0, 0, 0]).any(), Err(Fault::Short));
    }
}
