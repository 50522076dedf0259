//! As much of DER (X.690) as certificates and private keys need: writing, and reading what was written elsewhere.

/// `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;
/// `SET`.
pub(crate) const SET: u8 = 0x31;
/// `BOOLEAN`.
pub(crate) const BOOLEAN: u8 = 0x01;
/// `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// `BIT STRING`.
pub(crate) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub(crate) const OID: u8 = 0x06;
/// `UTF8String`.
pub(crate) const UTF8: u8 = 0x0c;
/// `PrintableString`.
pub(crate) const PRINTABLE: u8 = 0x13;
/// `UTCTime`.
pub(crate) const UTC_TIME: u8 = 0x17;
/// `GeneralizedTime`.
pub(crate) const GENERALIZED_TIME: u8 = 0x18;

/// One value: tag, length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        Ok(_) | Err(_) => {
            let bytes = content.len().to_be_bytes();
            let size = bytes.iter().copied().skip_while(|b| *b == 0);
            out.push(0x80 | u8::try_from(size.clone().count()).unwrap_or(8));
            out.extend(size);
        }
    }
    out.extend_from_slice(content);
    out
}

/// Several values in a row under one tag.
pub(crate) fn of(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// `SEQUENCE` of parts.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    of(SEQUENCE, parts)
}

/// A positive `INTEGER` from big-endian bytes.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut short: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    if short.first().is_none_or(|first| *first >= 0x80) {
        short.insert(0, 0);
    }
    tlv(INTEGER, &short)
}

/// `BIT STRING` of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> Vec<u8> {
    of(BIT_STRING, &[&[0], bytes])
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

/// One value that was read.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    /// Its tag.
    pub(crate) tag: u8,
    /// What is inside.
    pub(crate) content: &'a [u8],
    /// Tag, length and content.
    pub(crate) whole: &'a [u8],
}

impl<'a> Item<'a> {
    /// A reader of what is inside.
    pub(crate) const fn inside(&self) -> Reader<'a> {
        Reader(self.content)
    }
}

impl<'a> Reader<'a> {
    /// The next value; `None` at the end and for what is not DER (an indefinite or overlong length).
    pub(crate) fn next(&mut self) -> Option<Item<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if *first >= 0x80 {
            let (size, after) = rest.split_at_checked(usize::from(*first & 0x7f))?;
            if size.is_empty() || size.len() > 4 {
                return None;
            }
            length = size.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        let (whole, _) = self.0.split_at_checked(self.0.len().checked_sub(after.len())?)?;
        self.0 = after;
        Some(Item { tag: *tag, content, whole })
    }

    /// The next value if it has this tag; else nothing is read.
    pub(crate) fn take(&mut self, tag: u8) -> Option<Item<'a>> {
        let mut ahead = *self;
        let item = ahead.next().filter(|item| item.tag == tag)?;
        *self = ahead;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_every_size_are_read_as_written() {
        for length in [0usize, 1, 127, 128, 255, 256, 65535, 65536, 70000] {
            let content = vec![0xa5; length];
            let mut bytes = tlv(OCTET_STRING, &content);
            let size = bytes.len();
            bytes.extend_from_slice(&[1, 1, 0xff]);
            let mut reader = Reader(&bytes);
            let item = reader.next().unwrap();
            assert_eq!((item.tag, item.content.len(), item.whole.len()), (OCTET_STRING, length, size));
            assert!(reader.take(OCTET_STRING).is_none(), "another tag is left where it is");
            assert_eq!(reader.take(BOOLEAN).unwrap().content, [0xff]);
            assert!(reader.next().is_none());
        }
    }

    #[test]
    fn what_is_cut_or_indefinite_is_not_read() {
        for bytes in
            [&[0x30][..], &[0x30, 5, 0], &[0x30, 0x80, 0, 0], &[0x30, 0x85, 0, 0, 0, 0, 0], &[0x30, 0x82, 1]]
        {
            assert!(Reader(bytes).next().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn a_positive_integer_has_no_sign_bit_and_no_spare_zero() {
        assert_eq!(unsigned(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[0]), [2, 1, 0]);
    }
}
