//! The six packets and their bytes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::request::Request;
use crate::cursor::Cursor;

/// A packet, borrowing its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// RRQ: send me this file.
    Read(Request),
    /// WRQ: take this file. This house only refuses it.
    Write(Request),
    /// DATA.
    Data {
        /// Block number, from 1, wrapping to 0 after 65535.
        block: u16,
        /// The block; shorter than the block size when it is the last.
        data: &'a [u8],
    },
    /// ACK of this block and all before it.
    Ack(u16),
    /// ERROR: the transfer is over.
    Error {
        /// Why, as a number.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
    /// OACK: the options the server agreed to, as pairs of name and value.
    OptionAck(Vec<(String, String)>),
}

/// Error numbers (RFC 1350 section 5, RFC 2347 for 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// See the message.
    pub const OTHER: Self = Self(0);
    /// File not found.
    pub const NOT_FOUND: Self = Self(1);
    /// Access violation.
    pub const ACCESS: Self = Self(2);
    /// Illegal operation.
    pub const ILLEGAL: Self = Self(4);
    /// Unknown transfer.
    pub const UNKNOWN_TRANSFER: Self = Self(5);
    /// The options were turned down. EDK2 and iPXE send it after reading the size.
    pub const OPTIONS: Self = Self(8);
}

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketError {
    /// It ends inside a number or a string without its NUL.
    Short,
    /// No such operation.
    Operation(u16),
    /// A request for a mode other than `octet` and `netascii`.
    Mode,
    /// A request without a file name.
    NoName,
    /// A name or text that is not UTF-8.
    Text,
    /// More options than any client sends.
    TooManyOptions,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the packet is cut short"),
            Self::Operation(number) => write!(f, "there is no operation {number}"),
            Self::Mode => f.write_str("only octet and netascii are served"),
            Self::NoName => f.write_str("the request names no file"),
            Self::Text => f.write_str("a name is not UTF-8"),
            Self::TooManyOptions => f.write_str("too many options"),
        }
    }
}

impl core::error::Error for PacketError {}

/// Options read from one packet; clients send four.
const MOST_OPTIONS: usize = 16;

impl<'a> Packet<'a> {
    /// Reads a packet. What follows the last NUL of a request is ignored: some ROMs pad it.
    ///
    /// # Errors
    /// [`PacketError`] when it is cut short or of no known kind.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u16().ok_or(PacketError::Short)? {
            1 => Request::decode(cursor.rest()).map(Packet::Read),
            2 => Request::decode(cursor.rest()).map(Packet::Write),
            3 => {
                let block = cursor.u16().ok_or(PacketError::Short)?;
                Ok(Packet::Data { block, data: cursor.rest() })
            }
            4 => cursor.u16().map(Packet::Ack).ok_or(PacketError::Short),
            5 => {
                let code = ErrorCode(cursor.u16().ok_or(PacketError::Short)?);
                let text = cursor.rest().split(|b| *b == 0).next().unwrap_or_default();
                Ok(Packet::Error { code, message: String::from_utf8_lossy(text).into_owned() })
            }
            6 => options(cursor.rest()).map(Packet::OptionAck),
            other => Err(PacketError::Operation(other)),
        }
    }

    /// Writes the packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Packet::Read(request) => request.encode(1),
            Packet::Write(request) => request.encode(2),
            Packet::Data { block, data } => {
                let mut out = Vec::with_capacity(4 + data.len());
                out.extend_from_slice(&[0, 3]);
                out.extend_from_slice(&block.to_be_bytes());
                out.extend_from_slice(data);
                out
            }
            Packet::Ack(block) => {
                let [high, low] = block.to_be_bytes();
                alloc::vec![0, 4, high, low]
            }
            Packet::Error { code, message } => {
                let mut out = alloc::vec![0, 5];
                out.extend_from_slice(&code.0.to_be_bytes());
                put_text(&mut out, message);
                out
            }
            Packet::OptionAck(pairs) => {
                let mut out = alloc::vec![0, 6];
                for (name, value) in pairs {
                    put_text(&mut out, name);
                    put_text(&mut out, value);
                }
                out
            }
        }
    }

    /// An ERROR packet.
    #[must_use]
    pub fn error(code: ErrorCode, message: &str) -> Vec<u8> {
        Packet::Error { code, message: String::from(message) }.encode()
    }
}

/// A string and its NUL; a NUL inside it would end it early, so what follows is left out.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().take_while(|b| *b != 0));
    out.push(0);
}

/// The next string of a packet, without its NUL.
pub(super) fn text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, PacketError> {
    let length = cursor.rest().iter().position(|b| *b == 0).ok_or(PacketError::Short)?;
    let bytes = cursor.take(length).ok_or(PacketError::Short)?;
    cursor.u8().ok_or(PacketError::Short)?;
    core::str::from_utf8(bytes).map_err(|_| PacketError::Text)
}

/// Pairs of name (in lower case) and value; an unfinished pair at the end is padding.
pub(super) fn options(bytes: &[u8]) -> Result<Vec<(String, String)>, PacketError> {
    let mut cursor = Cursor::new(bytes);
    let mut pairs = Vec::new();
    while let Ok(name) = text(&mut cursor) {
        let Ok(value) = text(&mut cursor) else { break };
        if pairs.len() == MOST_OPTIONS {
            return Err(PacketError::TooManyOptions);
        }
        pairs.push((name.to_ascii_lowercase(), String::from(value)));
    }
    Ok(pairs)
}
