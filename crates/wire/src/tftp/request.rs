//! A request for a file and the options it asks for.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::packet::{PacketError, options, put_text, text};
use crate::cursor::Cursor;

/// How the bytes are to be carried (RFC 1350 section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Octet,
    /// With line ends rewritten, see [`netascii`](super::netascii).
    Netascii,
}

/// A read or write request. An option is `None` when it was not asked for or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The file's name as sent, unchecked.
    pub file: String,
    /// Mode.
    pub mode: Mode,
    /// Block size in bytes, 8 to 65464 (RFC 2348).
    pub block: Option<u16>,
    /// Retransmission timeout in seconds (RFC 2349).
    pub timeout_seconds: Option<u8>,
    /// Size in bytes; 0 in a read request, which asks for it (RFC 2349).
    pub size: Option<u64>,
    /// Blocks sent before an ACK is awaited (RFC 7440).
    pub window: Option<u16>,
}

impl Request {
    /// A request for a file as it is, without options.
    #[must_use]
    pub fn octet(file: &str) -> Self {
        Self {
            file: String::from(file),
            mode: Mode::Octet,
            block: None,
            timeout_seconds: None,
            size: None,
            window: None,
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        let mut cursor = Cursor::new(bytes);
        let file = text(&mut cursor)?;
        if file.is_empty() {
            return Err(PacketError::NoName);
        }
        let mode = match text(&mut cursor)? {
            mode if mode.eq_ignore_ascii_case("octet") => Mode::Octet,
            mode if mode.eq_ignore_ascii_case("netascii") => Mode::Netascii,
            _ => return Err(PacketError::Mode),
        };
        let mut request = Self { mode, ..Self::octet(file) };
        for (name, value) in options(cursor.rest())? {
            request.read_option(&name, &value);
        }
        Ok(request)
    }

    /// Takes an option in; unknown names and values out of range are not agreed to (RFC 2347).
    pub(super) fn read_option(&mut self, name: &str, value: &str) {
        match name {
            "blksize" => self.block = value.parse().ok().filter(|size| (8..=65_464).contains(size)),
            "timeout" => self.timeout_seconds = value.parse().ok().filter(|seconds| *seconds > 0),
            "tsize" => self.size = value.parse().ok(),
            "windowsize" => self.window = value.parse().ok().filter(|blocks| *blocks > 0),
            _ => {}
        }
    }

    pub(super) fn encode(&self, operation: u8) -> Vec<u8> {
        let mut out = alloc::vec![0, operation];
        put_text(&mut out, &self.file);
        put_text(&mut out, if self.mode == Mode::Octet { "octet" } else { "netascii" });
        for (name, value) in self.pairs() {
            put_text(&mut out, &name);
            put_text(&mut out, &value);
        }
        out
    }

    /// The options as pairs, in the order EDK2 sends them.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let told = [
            ("tsize", self.size.map(|v| v.to_string())),
            ("blksize", self.block.map(|v| v.to_string())),
            ("timeout", self.timeout_seconds.map(|v| v.to_string())),
            ("windowsize", self.window.map(|v| v.to_string())),
        ];
        let pairs = told.into_iter().filter_map(|(name, value)| Some((String::from(name), value?)));
        pairs.collect()
    }
}
