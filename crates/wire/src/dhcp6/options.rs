//! The options of a message, a relay or an identity association: in order, typed where a type is known.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::code::{OptionCode, Status};
use super::duid::Duid;
use super::fault::{DecodeError, Fault};
use super::identity::Ia;
use crate::cursor::Cursor;
use crate::dhcp::Architecture;

/// Options in the order they stand in. A code may stand more than once, as identity associations do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<(OptionCode, Vec<u8>)>);

impl Options {
    /// No options.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The bytes of the first option with this code.
    #[must_use]
    pub fn get(&self, code: OptionCode) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// The bytes of every option with this code.
    pub fn all(&self, code: OptionCode) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(c, _)| *c == code).map(|(_, value)| value.as_slice())
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

    /// Adds an option at the end; one of more than 65 535 bytes fits no message and is left out.
    pub fn push(&mut self, code: OptionCode, value: impl Into<Vec<u8>>) {
        let value = value.into();
        if value.len() <= usize::from(u16::MAX) {
            self.0.push((code, value));
        }
    }

    /// Adds one address, or several behind each other.
    pub fn push_addresses(&mut self, code: OptionCode, values: &[Ipv6Addr]) {
        self.push(code, values.iter().flat_map(Ipv6Addr::octets).collect::<Vec<u8>>());
    }

    /// Adds a status.
    pub fn push_status(&mut self, status: Status, words: &str) {
        let mut value = status.0.to_be_bytes().to_vec();
        value.extend_from_slice(words.as_bytes());
        self.push(OptionCode::STATUS, value);
    }

    /// Adds a user class (section 21.15).
    pub fn push_user_class(&mut self, class: &[u8]) {
        self.push_counted(OptionCode::USER_CLASS, &[], class);
    }

    /// Adds a class of a vendor, whom the enterprise number names (section 21.16).
    pub fn push_vendor_class(&mut self, enterprise: u32, class: &[u8]) {
        self.push_counted(OptionCode::VENDOR_CLASS, &enterprise.to_be_bytes(), class);
    }

    /// Adds a time server by its address (RFC 5908 section 4.1).
    pub fn push_time_server(&mut self, server: Ipv6Addr) {
        const BY_ADDRESS: u16 = 1;
        let head = [BY_ADDRESS.to_be_bytes(), 16_u16.to_be_bytes()].concat();
        self.push(OptionCode::TIME_SERVER, [&head[..], &server.octets()].concat());
    }

    /// Adds a domain in which short names are looked for, in the form of RFC 1035 section 3.1; one that is no domain is
    /// left out.
    pub fn push_search(&mut self, domain: &str) {
        let mut name = Vec::new();
        for label in domain.trim_end_matches('.').split('.') {
            let Ok(length @ 1..=63) = u8::try_from(label.len()) else { return };
            name.push(length);
            name.extend_from_slice(label.as_bytes());
        }
        name.push(0);
        self.push(OptionCode::SEARCH, name);
    }

    fn push_counted(&mut self, code: OptionCode, head: &[u8], class: &[u8]) {
        let Ok(length) = u16::try_from(class.len()) else { return };
        self.push(code, [head, &length.to_be_bytes(), class].concat());
    }

    /// Adds the numbers of the options that are wanted (section 21.7).
    pub fn push_wishes(&mut self, wanted: &[OptionCode]) {
        self.push(
            OptionCode::OPTION_REQUEST,
            wanted.iter().flat_map(|c| c.0.to_be_bytes()).collect::<Vec<u8>>(),
        );
    }

    /// A number of two bytes.
    #[must_use]
    pub fn u16(&self, code: OptionCode) -> Option<u16> {
        self.get(code)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// A list of addresses; a last one that is cut short is left out.
    #[must_use]
    pub fn addresses(&self, code: OptionCode) -> Vec<Ipv6Addr> {
        let bytes = self.get(code).unwrap_or_default();
        bytes.as_chunks::<16>().0.iter().map(|a| Ipv6Addr::from(*a)).collect()
    }

    /// An identifier: the client's or the server's.
    #[must_use]
    pub fn duid(&self, code: OptionCode) -> Option<Duid> {
        Duid::new(self.get(code)?)
    }

    /// The status; its absence means success (RFC 8415 section 21.13).
    #[must_use]
    pub fn status(&self) -> Status {
        self.u16(OptionCode::STATUS).map_or(Status::SUCCESS, Status)
    }

    /// True when the client asks for this option (section 21.7).
    #[must_use]
    pub fn wants(&self, code: OptionCode) -> bool {
        let wanted = self.all(OptionCode::OPTION_REQUEST).flat_map(|value| value.as_chunks::<2>().0);
        wanted.into_iter().any(|number| u16::from_be_bytes(*number) == code.0)
    }

    /// Every identity association for lasting addresses; what is too short to be one is left out.
    #[must_use]
    pub fn associations(&self) -> Vec<Ia> {
        self.all(OptionCode::IA_NA).filter_map(Ia::read).collect()
    }

    /// Option 61: every architecture the client can start, best first (RFC 5970 section 3.3).
    #[must_use]
    pub fn architectures(&self) -> Vec<Architecture> {
        let bytes = self.get(OptionCode::ARCHITECTURES).unwrap_or_default();
        bytes.as_chunks::<2>().0.iter().map(|a| Architecture(u16::from_be_bytes(*a))).collect()
    }

    /// Option 15: the user classes.
    #[must_use]
    pub fn user_classes(&self) -> Vec<&[u8]> {
        counted(self.get(OptionCode::USER_CLASS).unwrap_or_default())
    }

    /// Option 16: the classes of every vendor, with its enterprise number.
    #[must_use]
    pub fn vendor_classes(&self) -> Vec<(u32, &[u8])> {
        let mut found = Vec::new();
        for value in self.all(OptionCode::VENDOR_CLASS) {
            if let Some((number, classes)) = value.split_first_chunk::<4>() {
                let number = u32::from_be_bytes(*number);
                found.extend(counted(classes).into_iter().map(|class| (number, class)));
            }
        }
        found
    }

    /// Text, if it is UTF-8, up to a NUL that some senders close it with.
    #[must_use]
    pub fn text(&self, code: OptionCode) -> Option<&str> {
        let bytes = self.get(code)?.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(bytes).ok()
    }

    /// Reads options to the end of `bytes`, which stand at `base` in the message.
    pub(super) fn read(bytes: &[u8], base: usize) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let mut options = Self::new();
        while !cursor.rest().is_empty() {
            let offset = base + cursor.at();
            let short = DecodeError { offset, fault: Fault::TooShort };
            let code = OptionCode(cursor.u16().ok_or(short)?);
            let length = usize::from(cursor.u16().ok_or(short)?);
            let overrun = DecodeError { offset, fault: Fault::OptionOverrun(code) };
            options.0.push((code, cursor.take(length).ok_or(overrun)?.to_vec()));
        }
        Ok(options)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (code, value) in &self.0 {
            // `push` lets no longer one in.
            let Ok(length) = u16::try_from(value.len()) else { continue };
            out.extend_from_slice(&code.0.to_be_bytes());
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
    }
}

/// Strings with two bytes of length before each; reading stops at one that is cut short.
fn counted(value: &[u8]) -> Vec<&[u8]> {
    let mut cursor = Cursor::new(value);
    let mut found = Vec::new();
    while let Some(class) = cursor.u16().and_then(|length| cursor.take(usize::from(length))) {
        found.push(class);
    }
    found
}
