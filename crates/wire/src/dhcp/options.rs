//! The options of a message: in order, long ones joined, typed where a type is known.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::code::OptionCode;
use super::fault::{DecodeError, Fault};
use crate::cursor::Cursor;

/// Options in the order they first stood in, each code once.
///
/// Repeated options are joined (RFC 3396 section 7), as long ones must be. Where a sender repeats a
/// number instead, the typed readers see its first value, because they read from the front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<(OptionCode, Vec<u8>)>);

impl Options {
    /// No options.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes of an option.
    #[must_use]
    pub fn get(&self, code: OptionCode) -> Option<&[u8]> {
        self.0.iter().find(|(c, _)| *c == code).map(|(_, value)| value.as_slice())
    }

    /// True when the option is there, even empty.
    #[must_use]
    pub fn has(&self, code: OptionCode) -> bool {
        self.get(code).is_some()
    }

    /// Every option in order.
    pub fn iter(&self) -> impl Iterator<Item = (OptionCode, &[u8])> {
        self.0.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// Writes an option, in its old place if it was there. PAD and END cannot be set: they frame the
    /// list and are not in it.
    pub fn set(&mut self, code: OptionCode, value: impl Into<Vec<u8>>) {
        if matches!(code, OptionCode::PAD | OptionCode::END) {
            return;
        }
        let value = value.into();
        match self.0.iter_mut().find(|(c, _)| *c == code) {
            Some((_, old)) => *old = value,
            None => self.0.push((code, value)),
        }
    }

    /// Takes an option out and gives its bytes.
    pub fn remove(&mut self, code: OptionCode) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|(c, _)| *c == code)?;
        Some(self.0.remove(at).1)
    }

    /// Writes a number of one byte.
    pub fn set_u8(&mut self, code: OptionCode, value: u8) {
        self.set(code, [value]);
    }

    /// Writes a number of two bytes.
    pub fn set_u16(&mut self, code: OptionCode, value: u16) {
        self.set(code, value.to_be_bytes());
    }

    /// Writes a number of four bytes, such as a time in seconds.
    pub fn set_u32(&mut self, code: OptionCode, value: u32) {
        self.set(code, value.to_be_bytes());
    }

    /// Writes one address.
    pub fn set_address(&mut self, code: OptionCode, value: Ipv4Addr) {
        self.set(code, value.octets());
    }

    /// Writes a list of addresses; nothing for an empty one, which RFC 2132 forbids.
    pub fn set_addresses(&mut self, code: OptionCode, values: &[Ipv4Addr]) {
        if !values.is_empty() {
            self.set(code, values.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>());
        }
    }

    fn front<const N: usize>(&self, code: OptionCode) -> Option<[u8; N]> {
        self.get(code)?.first_chunk::<N>().copied()
    }

    /// A number of one byte.
    #[must_use]
    pub fn u8(&self, code: OptionCode) -> Option<u8> {
        self.front::<1>(code).map(|[b]| b)
    }

    /// A number of two bytes.
    #[must_use]
    pub fn u16(&self, code: OptionCode) -> Option<u16> {
        self.front(code).map(u16::from_be_bytes)
    }

    /// A number of four bytes.
    #[must_use]
    pub fn u32(&self, code: OptionCode) -> Option<u32> {
        self.front(code).map(u32::from_be_bytes)
    }

    /// One address.
    #[must_use]
    pub fn address(&self, code: OptionCode) -> Option<Ipv4Addr> {
        self.front::<4>(code).map(Ipv4Addr::from)
    }

    /// A list of addresses; a last one that is cut short is left out.
    #[must_use]
    pub fn addresses(&self, code: OptionCode) -> Vec<Ipv4Addr> {
        let bytes = self.get(code).unwrap_or_default();
        bytes.as_chunks::<4>().0.iter().map(|a| Ipv4Addr::from(*a)).collect()
    }

    /// Text up to the first NUL, if it is UTF-8. Some ROMs end their strings with one (RFC 2132
    /// section 2 tells servers to cope).
    #[must_use]
    pub fn text(&self, code: OptionCode) -> Option<&str> {
        core::str::from_utf8(until_nul(self.get(code)?)).ok()
    }

    /// Reads one field of options and joins them to those already here. `base` is where the field
    /// stands in the message. Gives the overload bits (option 52) if it says any.
    pub(super) fn read_field(&mut self, field: &[u8], base: usize) -> Result<Option<u8>, DecodeError> {
        let mut cursor = Cursor::new(field);
        let mut overload = None;
        // A field may end without END: old clients leave it out (seen in BOOTP relays and embedded stacks).
        while let Some(code) = cursor.u8().map(OptionCode) {
            let start = base + cursor.at() - 1;
            match code {
                OptionCode::PAD => continue,
                OptionCode::END => break,
                _ => {}
            }
            let overrun = DecodeError { offset: start, fault: Fault::OptionOverrun(code) };
            let length = cursor.u8().ok_or(overrun)?;
            let value = cursor.take(usize::from(length)).ok_or(overrun)?;
            if code == OptionCode::OVERLOAD {
                overload = overload.or_else(|| value.first().copied());
                continue;
            }
            match self.0.iter_mut().find(|(c, _)| *c == code) {
                Some((_, old)) => old.extend_from_slice(value),
                None => self.0.push((code, value.to_vec())),
            }
        }
        Ok(overload)
    }
}

/// Bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}
