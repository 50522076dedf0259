//! ICMPv6 over IPv6 over Ethernet (RFC 8200, RFC 4443).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use model::MacAddr;

use super::{ETHERTYPE_IPV6, Ethernet, FrameError, internet_checksum};
use crate::cursor::Cursor;

const ICMP6: u8 = 58;
/// Extension headers skipped before the message; real neighbour discovery has none or one.
const LONGEST_CHAIN: usize = 4;

/// One ICMPv6 message with all its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icmp6<'a> {
    /// Ethernet destination.
    pub to_mac: MacAddr,
    /// Ethernet source.
    pub from_mac: MacAddr,
    /// IPv6 source.
    pub from: Ipv6Addr,
    /// IPv6 destination.
    pub to: Ipv6Addr,
    /// Hop limit; 255 proves that no router forwarded it (RFC 4861 section 3.1).
    pub hop_limit: u8,
    /// ICMPv6 type (IANA ICMPv6 parameters).
    pub kind: u8,
    /// ICMPv6 code.
    pub code: u8,
    /// Everything after the checksum.
    pub body: &'a [u8],
    /// True when the checksum adds up; [`Icmp6::build`] always writes a good one.
    pub checksum_good: bool,
}

impl<'a> Icmp6<'a> {
    /// Reads ICMPv6 from an IPv6 frame; `None` for other protocols and for fragments.
    ///
    /// # Errors
    /// [`FrameError`] when a header is cut short or a length is impossible.
    pub fn parse(ethernet: &Ethernet<'a>) -> Result<Option<Self>, FrameError> {
        const SHORT: FrameError = FrameError::Short("IPv6");
        let mut ip = Cursor::new(ethernet.body);
        if ip.u32().ok_or(SHORT)? >> 28 != 6 {
            return Err(FrameError::Version);
        }
        let length = usize::from(ip.u16().ok_or(SHORT)?);
        let mut next = ip.u8().ok_or(SHORT)?;
        let hop_limit = ip.u8().ok_or(SHORT)?;
        let from = Ipv6Addr::from(ip.array::<16>().ok_or(SHORT)?);
        let to = Ipv6Addr::from(ip.array::<16>().ok_or(SHORT)?);
        let mut payload = Cursor::new(ip.take(length).ok_or(FrameError::Length("IPv6"))?);
        // Hop-by-hop (0), routing (43) and destination options (60) stand before the message.
        for _ in 0..LONGEST_CHAIN {
            if !matches!(next, 0 | 43 | 60) {
                break;
            }
            next = payload.u8().ok_or(SHORT)?;
            let eights = usize::from(payload.u8().ok_or(SHORT)?);
            payload.take(eights * 8 + 6).ok_or(FrameError::Length("IPv6 extension"))?;
        }
        if next != ICMP6 {
            return Ok(None);
        }
        let message = payload.rest();
        let sum = internet_checksum(&[&pseudo_header(from, to, message.len()), message]);
        let (Some(kind), Some(code), Some(_)) = (payload.u8(), payload.u8(), payload.u16()) else {
            return Err(FrameError::Short("ICMPv6"));
        };
        Ok(Some(Self {
            to_mac: ethernet.to,
            from_mac: ethernet.from,
            from,
            to,
            hop_limit,
            kind,
            code,
            body: payload.rest(),
            checksum_good: sum == 0,
        }))
    }

    /// The whole frame, ready for a packet socket; `None` when the body is over 65 531 bytes.
    #[must_use]
    pub fn build(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.body.len() + 4).ok()?;
        let ethernet = Ethernet {
            to: self.to_mac,
            from: self.from_mac,
            vlan: None,
            ethertype: ETHERTYPE_IPV6,
            body: &[],
        };
        let mut out = ethernet.write_header(40 + usize::from(length));
        out.extend_from_slice(&[0x60, 0, 0, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&[ICMP6, self.hop_limit]);
        out.extend_from_slice(&self.from.octets());
        out.extend_from_slice(&self.to.octets());
        let pseudo = pseudo_header(self.from, self.to, usize::from(length));
        let sum = internet_checksum(&[&pseudo, &[self.kind, self.code, 0, 0], self.body]);
        out.extend_from_slice(&[self.kind, self.code]);
        out.extend_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(self.body);
        Some(out)
    }
}

fn pseudo_header(from: Ipv6Addr, to: Ipv6Addr, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    out.extend_from_slice(&from.octets());
    out.extend_from_slice(&to.octets());
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, ICMP6]);
    out
}
