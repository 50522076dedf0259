//! The Ethernet II header, with or without an 802.1Q tag.

use alloc::vec::Vec;

use model::MacAddr;

use super::FrameError;
use crate::cursor::Cursor;

/// IPv4 (IANA IEEE 802 numbers).
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// 802.1Q customer tag.
const ETHERTYPE_VLAN: u16 = 0x8100;
/// 802.1ad service tag.
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;

/// An Ethernet II header and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ethernet<'a> {
    /// Destination.
    pub to: MacAddr,
    /// Source.
    pub from: MacAddr,
    /// VLAN of the innermost 802.1Q tag; 0 is a priority tag.
    pub vlan: Option<u16>,
    /// What the body is (IANA IEEE 802 numbers).
    pub ethertype: u16,
    /// Everything after the header, padding included.
    pub body: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Reads the header and up to two VLAN tags (IEEE 802.1Q, 802.1ad).
    ///
    /// # Errors
    /// [`FrameError::Short`] when the frame ends inside it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        const SHORT: FrameError = FrameError::Short("Ethernet");
        let mut cursor = Cursor::new(bytes);
        let to = MacAddr(cursor.array().ok_or(SHORT)?);
        let from = MacAddr(cursor.array().ok_or(SHORT)?);
        let mut ethertype = cursor.u16().ok_or(SHORT)?;
        let mut vlan = None;
        for _ in 0..2 {
            if !matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN) {
                break;
            }
            vlan = Some(cursor.u16().ok_or(SHORT)? & 0x0fff);
            ethertype = cursor.u16().ok_or(SHORT)?;
        }
        Ok(Self { to, from, vlan, ethertype, body: cursor.rest() })
    }

    /// Writes the header, with a tag where `vlan` says so, in front of a body of `room` bytes.
    pub(super) fn write_header(&self, room: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(18 + room);
        out.extend_from_slice(&self.to.0);
        out.extend_from_slice(&self.from.0);
        if let Some(vlan) = self.vlan {
            out.extend_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
            out.extend_from_slice(&(vlan & 0x0fff).to_be_bytes());
        }
        out.extend_from_slice(&self.ethertype.to_be_bytes());
        out
    }
}
