//! The IPv6 header and the extension headers before a message (RFC 8200).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use model::MacAddr;

use super::{ETHERTYPE_IPV6, Ethernet, FrameError};
use crate::cursor::Cursor;

/// Extension headers skipped before the message; real neighbour discovery has none or one.
const LONGEST_CHAIN: usize = 4;

/// What an IPv6 packet carries, whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ip6<'a> {
    pub(super) from: Ipv6Addr,
    pub(super) to: Ipv6Addr,
    pub(super) hop_limit: u8,
    /// Protocol of `message` (IANA protocol numbers); 44 for a fragment, which is none.
    pub(super) protocol: u8,
    pub(super) message: &'a [u8],
}

impl<'a> Ip6<'a> {
    pub(super) fn parse(ethernet: &Ethernet<'a>) -> Result<Self, FrameError> {
        const SHORT: FrameError = FrameError::Short("IPv6");
        let mut ip = Cursor::new(ethernet.body);
        if ip.u32().ok_or(SHORT)? >> 28 != 6 {
            return Err(FrameError::Version);
        }
        let length = usize::from(ip.u16().ok_or(SHORT)?);
        let mut protocol = ip.u8().ok_or(SHORT)?;
        let hop_limit = ip.u8().ok_or(SHORT)?;
        let from = Ipv6Addr::from(ip.array::<16>().ok_or(SHORT)?);
        let to = Ipv6Addr::from(ip.array::<16>().ok_or(SHORT)?);
        let mut payload = Cursor::new(ip.take(length).ok_or(FrameError::Length("IPv6"))?);
        // Hop-by-hop (0), routing (43) and destination options (60) stand before the message.
        for _ in 0..LONGEST_CHAIN {
            if !matches!(protocol, 0 | 43 | 60) {
                break;
            }
            protocol = payload.u8().ok_or(SHORT)?;
            let eights = usize::from(payload.u8().ok_or(SHORT)?);
            payload.take(eights * 8 + 6).ok_or(FrameError::Length("IPv6 extension"))?;
        }
        Ok(Self { from, to, hop_limit, protocol, message: payload.rest() })
    }

    /// Ethernet and IPv6 headers before a message, with room for it; `None` when it is too long for a packet.
    pub(super) fn headers(&self, (to_mac, from_mac): (MacAddr, MacAddr), room: usize) -> Option<Vec<u8>> {
        let length = u16::try_from(room).ok()?;
        let ethernet =
            Ethernet { to: to_mac, from: from_mac, vlan: None, ethertype: ETHERTYPE_IPV6, body: &[] };
        let mut out = ethernet.write_header(40 + room);
        out.extend_from_slice(&[0x60, 0, 0, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&[self.protocol, self.hop_limit]);
        out.extend_from_slice(&self.from.octets());
        out.extend_from_slice(&self.to.octets());
        Some(out)
    }

    /// What a checksum covers besides the message (RFC 8200 section 8.1).
    pub(super) fn pseudo_header(&self, length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(40);
        out.extend_from_slice(&self.from.octets());
        out.extend_from_slice(&self.to.octets());
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, self.protocol]);
        out
    }
}
