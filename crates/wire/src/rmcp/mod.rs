//! IPMI 2.0 over the network (RMCP+): packets, the messages that open a session, and requests. No keys: what is
//! signed and enciphered is somebody else's.
//!
//! ```text
//!   RMCP 06 00 ff 07 │ 06 type session sequence length payload │ pad, pad length, 07, code (only where signed)
//!                      └──────────────── what the code signs ───────────────────┘
//! ```
//!
//! Sections are those of the Intelligent Platform Management Interface Specification, v2.0 revision 1.1.

mod handshake;
mod message;

use alloc::vec::Vec;
use core::fmt;

use crate::cursor::Cursor;

pub use handshake::{
    Algorithms, Guid, OpenAnswer, OpenRequest, RAKP_NAME_ONLY, Rakp1, Rakp2, Rakp3, Rakp4, Random, Status,
};
pub use message::{Completion, Reply, Request, chassis, session};

/// The UDP port of management controllers (section 13.1.2).
pub const PORT: u16 = 623;
/// RMCP version 1, no sequence, class IPMI (table 13-8).
const HEADER: [u8; 4] = [6, 0, 0xff, 7];
/// The format of RMCP+ among the authentication types (table 13-8).
const RMCP_PLUS: u8 = 6;
/// Next header, as the trailer of a signed packet names it (table 13-8).
const NEXT: u8 = 7;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;
/// Largest payload that is read: our requests are answered in a few dozen bytes.
const LARGEST: usize = 1024;

/// What a packet carries (table 13-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload(pub u8);

impl Payload {
    /// A request or its answer.
    pub const IPMI: Self = Self(0);
    /// A session is asked for.
    pub const OPEN: Self = Self(0x10);
    /// Its answer.
    pub const OPENED: Self = Self(0x11);
    /// First step of the key exchange: who asks.
    pub const RAKP1: Self = Self(0x12);
    /// Second: the controller proves that it knows the password.
    pub const RAKP2: Self = Self(0x13);
    /// Third: so does the asker.
    pub const RAKP3: Self = Self(0x14);
    /// Fourth: the controller agrees.
    pub const RAKP4: Self = Self(0x15);
}

/// A datagram that is not one of RMCP+, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends too early.
    Short,
    /// It is not IPMI over RMCP, or that of version 1.5.
    Foreign,
    /// It says to be longer than anything we ask for.
    Long(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("shorter than it says"),
            Self::Foreign => f.write_str("not IPMI 2.0 over RMCP+"),
            Self::Long(size) => write!(f, "a payload of {size} bytes"),
        }
    }
}

impl core::error::Error for Fault {}

/// The head of a packet (table 13-8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What it carries.
    pub payload: Payload,
    /// Whether the payload is enciphered.
    pub encrypted: bool,
    /// Whether a code follows.
    pub authenticated: bool,
    /// The session, by the number that its receiver gave; 0 before there is one.
    pub session: u32,
    /// Number of the packet in its session, from 1; 0 before there is one.
    pub sequence: u32,
}

impl Head {
    /// Of a packet that belongs to no session yet.
    #[must_use]
    pub const fn outside(payload: Payload) -> Self {
        Self { payload, encrypted: false, authenticated: false, session: 0, sequence: 0 }
    }

    /// Builds a packet around a payload, up to the code: what stands from byte 4 on is to be signed where
    /// [`Head::authenticated`] says so, and the code put behind it.
    #[must_use]
    pub fn encode(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len() + 32);
        out.extend(HEADER);
        let mut kind = self.payload.0;
        if self.encrypted {
            kind |= ENCRYPTED;
        }
        if self.authenticated {
            kind |= AUTHENTICATED;
        }
        out.extend([RMCP_PLUS, kind]);
        out.extend(self.session.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(payload);
        if self.authenticated {
            // What is signed is a multiple of four bytes, with the two that close it.
            let over = (out.len() - HEADER.len() + 2) % 4;
            let pad = if over == 0 { 0 } else { 4 - over };
            out.extend([0xff; 3].iter().take(pad));
            out.extend([u8::try_from(pad).unwrap_or_default(), NEXT]);
        }
        out
    }
}

/// A packet, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its head.
    pub head: Head,
    /// What it carries, still enciphered.
    pub payload: &'a [u8],
    /// The bytes that the code signs; empty where nothing is signed.
    pub signed: &'a [u8],
    /// The code; empty where nothing is signed.
    pub code: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes a datagram apart. The code is `code` bytes long, as the session agreed.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn decode(datagram: &'a [u8], code: usize) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(datagram);
        let [version, _, _, class] = cursor.array().ok_or(Fault::Short)?;
        let [format, kind] = cursor.array().ok_or(Fault::Short)?;
        if version != 6 || class != 7 || format != RMCP_PLUS {
            return Err(Fault::Foreign);
        }
        let head = Head {
            payload: Payload(kind & 0x3f),
            encrypted: kind & ENCRYPTED != 0,
            authenticated: kind & AUTHENTICATED != 0,
            session: little(&mut cursor)?,
            sequence: little(&mut cursor)?,
        };
        let length = usize::from(cursor.array().map(u16::from_le_bytes).ok_or(Fault::Short)?);
        if length > LARGEST {
            return Err(Fault::Long(length));
        }
        let payload = cursor.take(length).ok_or(Fault::Short)?;
        if !head.authenticated {
            return Ok(Self { head, payload, signed: &[], code: &[] });
        }
        // Pad, its length and the next header; then the code, last.
        let end = datagram.len().checked_sub(code).ok_or(Fault::Short)?;
        let (before, code) = datagram.split_at_checked(end).ok_or(Fault::Short)?;
        let [pad, _] = before.last_chunk::<2>().ok_or(Fault::Short)?;
        if cursor.at() + usize::from(*pad) + 2 != end {
            return Err(Fault::Short);
        }
        let signed = before.get(HEADER.len()..).unwrap_or_default();
        Ok(Self { head, payload, signed, code })
    }
}

fn little(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    cursor.array().map(u32::from_le_bytes).ok_or(Fault::Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_before_the_session_is_what_the_table_draws() {
        let bytes = Head::outside(Payload::OPEN).encode(&[1, 2, 3]);
        assert_eq!(bytes, [6, 0, 0xff, 7, 6, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 2, 3]);
        let packet = Packet::decode(&bytes, 12).unwrap();
        assert_eq!((packet.head, packet.payload), (Head::outside(Payload::OPEN), &[1, 2, 3][..]));
        assert!(packet.signed.is_empty() && packet.code.is_empty());
    }

    #[test]
    fn what_is_signed_is_a_multiple_of_four_bytes() {
        for size in 0..9 {
            let head = Head {
                payload: Payload::IPMI,
                encrypted: true,
                authenticated: true,
                session: 0x0403_0201,
                sequence: 7,
            };
            let mut bytes = head.encode(&[0x55; 9][..size]);
            assert_eq!((bytes.len() - 4) % 4, 0, "{size}");
            assert_eq!(bytes[5..14], [0xc0, 1, 2, 3, 4, 7, 0, 0, 0]);
            let signed = bytes[4..].to_vec();
            bytes.extend([9; 16]);
            let packet = Packet::decode(&bytes, 16).unwrap();
            assert_eq!((packet.head, packet.payload), (head, &[0x55; 9][..size]));
            assert_eq!((packet.signed, packet.code), (&signed[..], &[9; 16][..]));
            for cut in 0..bytes.len() {
                assert!(Packet::decode(&bytes[..cut], 16).is_err(), "{size} {cut}");
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_by_name() {
        let mut bytes = Head::outside(Payload::OPENED).encode(&[0; 4]);
        bytes[3] = 6;
        assert_eq!(Packet::decode(&bytes, 12), Err(Fault::Foreign), "an ASF pong");
        bytes[3] = 7;
        bytes[4] = 0;
        assert_eq!(Packet::decode(&bytes, 12), Err(Fault::Foreign), "IPMI 1.5");
        bytes[4] = 6;
        bytes[14..16].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Packet::decode(&bytes, 12), Err(Fault::Long(65_535)));
    }
}
