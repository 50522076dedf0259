//! ICMPv6 over IPv6 over Ethernet (RFC 8200, RFC 4443).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use model::MacAddr;

use super::ip6::Ip6;
use super::{Ethernet, FrameError, internet_checksum};
use crate::cursor::Cursor;

const ICMP6: u8 = 58;

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
        Self::read(ethernet, &Ip6::parse(ethernet)?)
    }

    pub(super) fn read(ethernet: &Ethernet<'a>, ip: &Ip6<'a>) -> Result<Option<Self>, FrameError> {
        if ip.protocol != ICMP6 {
            return Ok(None);
        }
        let sum = internet_checksum(&[&ip.pseudo_header(ip.message.len()), ip.message]);
        let mut message = Cursor::new(ip.message);
        let (Some(kind), Some(code), Some(_)) = (message.u8(), message.u8(), message.u16()) else {
            return Err(FrameError::Short("ICMPv6"));
        };
        Ok(Some(Self {
            to_mac: ethernet.to,
            from_mac: ethernet.from,
            from: ip.from,
            to: ip.to,
            hop_limit: ip.hop_limit,
            kind,
            code,
            body: message.rest(),
            checksum_good: sum == 0,
        }))
    }

    /// The whole frame, ready for a packet socket; `None` when the body is over 65 531 bytes.
    #[must_use]
    pub fn build(&self) -> Option<Vec<u8>> {
        let length = self.body.len() + 4;
        let (from, to, hop_limit) = (self.from, self.to, self.hop_limit);
        let ip = Ip6 { from, to, hop_limit, protocol: ICMP6, message: &[] };
        let mut out = ip.headers((self.to_mac, self.from_mac), length)?;
        let sum = internet_checksum(&[&ip.pseudo_header(length), &[self.kind, self.code, 0, 0], self.body]);
        out.extend_from_slice(&[self.kind, self.code]);
        out.extend_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(self.body);
        Some(out)
    }
}
