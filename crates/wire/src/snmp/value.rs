//! What an agent says of a thing: numbers, texts, addresses, and that there is no such thing (RFC 3416 section 3).

use alloc::vec::Vec;
use core::fmt;

use super::ber::{self, INTEGER, NULL, OBJECT, OCTETS};
use super::{Fault, Oid};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number with a sign.
    Integer(i32),
    /// Bytes, often text.
    Octets(Vec<u8>),
    /// Nothing: what stands in a question.
    Null,
    /// A name.
    Oid(Oid),
    /// An IPv4 address.
    Address([u8; 4]),
    /// A number that only grows, and begins anew at 2^32.
    Counter(u32),
    /// A number that goes up and down.
    Gauge(u32),
    /// Hundredths of a second.
    Ticks(u32),
    /// Something within something, as old agents send floating-point numbers.
    Opaque(Vec<u8>),
    /// A number that only grows, of 64 bits. Not in version 1.
    Counter64(u64),
    /// There is no such thing. Not in version 1.
    NoObject,
    /// There is such a thing, and not this one of it. Not in version 1.
    NoInstance,
    /// There is nothing behind this. Not in version 1.
    EndOfView,
}

const ADDRESS: u8 = 0x40;
const COUNTER: u8 = 0x41;
const GAUGE: u8 = 0x42;
const TICKS: u8 = 0x43;
const OPAQUE: u8 = 0x44;
const COUNTER64: u8 = 0x46;
const NO_OBJECT: u8 = 0x80;
const NO_INSTANCE: u8 = 0x81;
const END_OF_VIEW: u8 = 0x82;

impl Value {
    /// The number that it is, of whatever kind.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(i64::from(*number)),
            Self::Counter(number) | Self::Gauge(number) | Self::Ticks(number) => Some(i64::from(*number)),
            Self::Counter64(number) => i64::try_from(*number).ok(),
            Self::Octets(_)
            | Self::Null
            | Self::Oid(_)
            | Self::Address(_)
            | Self::Opaque(_)
            | Self::NoObject
            | Self::NoInstance
            | Self::EndOfView => None,
        }
    }

    /// The bytes that it is.
    #[must_use]
    pub fn octets(&self) -> Option<&[u8]> {
        if let Self::Octets(bytes) = self { Some(bytes) } else { None }
    }

    /// False where the agent has no such thing.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        !matches!(self, Self::Null | Self::NoObject | Self::NoInstance | Self::EndOfView)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(number) => ber::put_signed(out, INTEGER, i64::from(*number)),
            Self::Octets(bytes) => ber::put(out, OCTETS, bytes),
            Self::Null => ber::put(out, NULL, &[]),
            Self::Oid(name) => ber::put(out, OBJECT, &name.encode()),
            Self::Address(bytes) => ber::put(out, ADDRESS, bytes),
            Self::Counter(number) => ber::put_unsigned(out, COUNTER, u64::from(*number)),
            Self::Gauge(number) => ber::put_unsigned(out, GAUGE, u64::from(*number)),
            Self::Ticks(number) => ber::put_unsigned(out, TICKS, u64::from(*number)),
            Self::Opaque(bytes) => ber::put(out, OPAQUE, bytes),
            Self::Counter64(number) => ber::put_unsigned(out, COUNTER64, *number),
            Self::NoObject => ber::put(out, NO_OBJECT, &[]),
            Self::NoInstance => ber::put(out, NO_INSTANCE, &[]),
            Self::EndOfView => ber::put(out, END_OF_VIEW, &[]),
        }
    }

    pub(super) fn decode(tag: u8, inside: &[u8]) -> Result<Self, Fault> {
        let short =
            |bytes| ber::unsigned(bytes).and_then(|number| u32::try_from(number).map_err(|_| Fault::Number));
        Ok(match tag {
            INTEGER => Self::Integer(ber::signed(inside)?),
            OCTETS => Self::Octets(inside.to_vec()),
            NULL => Self::Null,
            OBJECT => Self::Oid(Oid::decode(inside)?),
            ADDRESS => Self::Address(inside.try_into().map_err(|_| Fault::Foreign)?),
            COUNTER => Self::Counter(short(inside)?),
            GAUGE => Self::Gauge(short(inside)?),
            TICKS => Self::Ticks(short(inside)?),
            OPAQUE => Self::Opaque(inside.to_vec()),
            COUNTER64 => Self::Counter64(ber::unsigned(inside)?),
            NO_OBJECT => Self::NoObject,
            NO_INSTANCE => Self::NoInstance,
            END_OF_VIEW => Self::EndOfView,
            _ => return Err(Fault::Foreign),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Counter(number) | Self::Gauge(number) | Self::Ticks(number) => write!(f, "{number}"),
            Self::Counter64(number) => write!(f, "{number}"),
            Self::Octets(bytes) | Self::Opaque(bytes) => write!(f, "`{}`", bytes.escape_ascii()),
            Self::Oid(name) => name.fmt(f),
            Self::Address([a, b, c, d]) => write!(f, "{a}.{b}.{c}.{d}"),
            Self::Null => f.write_str("nothing"),
            Self::NoObject => f.write_str("that there is no such thing"),
            Self::NoInstance => f.write_str("that there is no such one"),
            Self::EndOfView => f.write_str("that nothing is behind it"),
        }
    }
}
