//! UDP over IPv6 over Ethernet (RFC 768, RFC 8200).

use alloc::vec::Vec;
use core::net::{Ipv6Addr, SocketAddrV6};

use model::MacAddr;

use super::ip6::Ip6;
use super::{Ethernet, FrameError, internet_checksum};
use crate::cursor::Cursor;

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const HOP_LIMIT: u8 = 64;

/// One UDP datagram with all its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udp6<'a> {
    /// Ethernet destination.
    pub to_mac: MacAddr,
    /// Ethernet source.
    pub from_mac: MacAddr,
    /// IPv6 address and port it comes from.
    pub from: SocketAddrV6,
    /// IPv6 address and port it goes to.
    pub to: SocketAddrV6,
    /// What is carried.
    pub payload: &'a [u8],
    /// True when the checksum adds up, without which IPv6 has no UDP; [`Udp6::build`] always writes a good one.
    pub checksum_good: bool,
}

impl<'a> Udp6<'a> {
    pub(super) fn read(ethernet: &Ethernet<'a>, ip: &Ip6<'a>) -> Result<Option<Self>, FrameError> {
        const SHORT: FrameError = FrameError::Short("UDP");
        if ip.protocol != UDP {
            return Ok(None);
        }
        let mut udp = Cursor::new(ip.message);
        let from = udp.u16().ok_or(SHORT)?;
        let to = udp.u16().ok_or(SHORT)?;
        let length = usize::from(udp.u16().ok_or(SHORT)?);
        let whole = ip.message.get(..length).ok_or(FrameError::Length("UDP"))?;
        let payload = whole.get(UDP_HEADER..).ok_or(FrameError::Length("UDP"))?;
        Ok(Some(Self {
            to_mac: ethernet.to,
            from_mac: ethernet.from,
            from: at(ip.from, from),
            to: at(ip.to, to),
            payload,
            checksum_good: internet_checksum(&[&ip.pseudo_header(whole.len()), whole]) == 0,
        }))
    }

    /// The whole frame, ready for a packet socket; `None` when the payload is too long for a packet.
    #[must_use]
    pub fn build(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.payload.len() + UDP_HEADER).ok()?;
        let ip = Ip6 {
            from: *self.from.ip(),
            to: *self.to.ip(),
            hop_limit: HOP_LIMIT,
            protocol: UDP,
            message: &[],
        };
        let mut out = ip.headers((self.to_mac, self.from_mac), usize::from(length))?;
        let [p, q] = self.from.port().to_be_bytes();
        let [r, s] = self.to.port().to_be_bytes();
        let [l, m] = length.to_be_bytes();
        let udp_with = |[x, y]: [u8; 2]| -> [u8; UDP_HEADER] { [p, q, r, s, l, m, x, y] };
        let pseudo = ip.pseudo_header(usize::from(length));
        let sum = match internet_checksum(&[&pseudo, &udp_with([0, 0]), self.payload]) {
            0 => u16::MAX,
            sum => sum,
        };
        out.extend_from_slice(&udp_with(sum.to_be_bytes()));
        out.extend_from_slice(self.payload);
        Some(out)
    }
}

const fn at(address: Ipv6Addr, port: u16) -> SocketAddrV6 {
    SocketAddrV6::new(address, port, 0, 0)
}
