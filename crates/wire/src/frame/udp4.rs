//! UDP over IPv4 over Ethernet (RFC 768, RFC 791).

use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;

use super::{ETHERTYPE_IPV4, Ethernet, FrameError, internet_checksum};
use crate::cursor::Cursor;

const UDP: u8 = 17;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// Most bytes of payload one IPv4 packet can carry in UDP.
pub const LARGEST_UDP_PAYLOAD: usize = 65_535 - IP_HEADER - UDP_HEADER;

/// What the UDP checksum says. Frames this machine sends itself are captured before the network
/// card fills it in, so a wrong one is told and not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The sender wrote none (zero, RFC 768).
    Absent,
    /// It adds up.
    Good,
    /// It does not.
    Bad,
}

/// One UDP datagram with all its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udp4<'a> {
    /// Ethernet destination.
    pub to_mac: MacAddr,
    /// Ethernet source.
    pub from_mac: MacAddr,
    /// IP address and port it comes from.
    pub from: SocketAddrV4,
    /// IP address and port it goes to.
    pub to: SocketAddrV4,
    /// What is carried.
    pub payload: &'a [u8],
    /// Whether the UDP checksum holds; ignored by [`Udp4::build`], which always writes a good one.
    pub checksum: Checksum,
}

impl<'a> Udp4<'a> {
    /// Reads UDP from an IPv4 frame; `None` for other protocols and for fragments, which carry no
    /// whole datagram. IP options are skipped, Ethernet padding is cut off.
    ///
    /// # Errors
    /// [`FrameError`] when a header is cut short, a length is impossible or the IP header is damaged.
    pub fn parse(ethernet: &Ethernet<'a>) -> Result<Option<Self>, FrameError> {
        const SHORT: FrameError = FrameError::Short("IPv4");
        let body = ethernet.body;
        let mut ip = Cursor::new(body);
        let first = ip.u8().ok_or(SHORT)?;
        if first >> 4 != 4 {
            return Err(FrameError::Version);
        }
        let header_len = usize::from(first & 0x0f) * 4;
        ip.take(1).ok_or(SHORT)?;
        let total = usize::from(ip.u16().ok_or(SHORT)?);
        ip.take(2).ok_or(SHORT)?;
        let fragment = ip.u16().ok_or(SHORT)?;
        ip.take(1).ok_or(SHORT)?;
        let protocol = ip.u8().ok_or(SHORT)?;
        ip.take(2).ok_or(SHORT)?;
        let source = Ipv4Addr::from(ip.array::<4>().ok_or(SHORT)?);
        let target = Ipv4Addr::from(ip.array::<4>().ok_or(SHORT)?);
        if header_len < IP_HEADER || total < header_len {
            return Err(FrameError::Length("IPv4"));
        }
        let header = body.get(..header_len).ok_or(SHORT)?;
        if internet_checksum(&[header]) != 0 {
            return Err(FrameError::HeaderChecksum);
        }
        // Bit 0x4000 is "don't fragment"; the rest is "more follow" and the offset.
        if protocol != UDP || fragment & 0x3fff != 0 {
            return Ok(None);
        }
        let datagram = body.get(header_len..total).ok_or(FrameError::Length("IPv4"))?;
        Self::parse_udp(ethernet, source, target, datagram).map(Some)
    }

    fn parse_udp(
        ethernet: &Ethernet<'a>,
        source: Ipv4Addr,
        target: Ipv4Addr,
        datagram: &'a [u8],
    ) -> Result<Self, FrameError> {
        const SHORT: FrameError = FrameError::Short("UDP");
        let mut udp = Cursor::new(datagram);
        let from_port = udp.u16().ok_or(SHORT)?;
        let to_port = udp.u16().ok_or(SHORT)?;
        let length = udp.u16().ok_or(SHORT)?;
        let written = udp.u16().ok_or(SHORT)?;
        let whole = datagram.get(..usize::from(length)).ok_or(FrameError::Length("UDP"))?;
        let payload = whole.get(UDP_HEADER..).ok_or(FrameError::Length("UDP"))?;
        let checksum = if written == 0 {
            Checksum::Absent
        } else if internet_checksum(&[&pseudo_header(source, target, length), whole]) == 0 {
            Checksum::Good
        } else {
            Checksum::Bad
        };
        Ok(Self {
            to_mac: ethernet.to,
            from_mac: ethernet.from,
            from: SocketAddrV4::new(source, from_port),
            to: SocketAddrV4::new(target, to_port),
            payload,
            checksum,
        })
    }

    /// The whole frame, ready for a packet socket; `None` when the payload is over
    /// [`LARGEST_UDP_PAYLOAD`]. The IP identification is 0 with "don't fragment" set (RFC 6864).
    #[must_use]
    pub fn build(&self) -> Option<Vec<u8>> {
        let udp_len = u16::try_from(self.payload.len() + UDP_HEADER).ok()?;
        let ip_len = u16::try_from(self.payload.len() + UDP_HEADER + IP_HEADER).ok()?;
        let ethernet = Ethernet {
            to: self.to_mac,
            from: self.from_mac,
            vlan: None,
            ethertype: ETHERTYPE_IPV4,
            body: &[],
        };
        let mut out = ethernet.write_header(usize::from(ip_len));

        let [length_high, length_low] = ip_len.to_be_bytes();
        let [a, b, c, d] = self.from.ip().octets();
        let [e, f, g, h] = self.to.ip().octets();
        let ip_with = |sum: [u8; 2]| -> [u8; IP_HEADER] {
            let [s, t] = sum;
            [0x45, 0, length_high, length_low, 0, 0, 0x40, 0, 64, UDP, s, t, a, b, c, d, e, f, g, h]
        };
        let sum = internet_checksum(&[&ip_with([0, 0])]);
        out.extend_from_slice(&ip_with(sum.to_be_bytes()));

        let [p, q] = self.from.port().to_be_bytes();
        let [r, s] = self.to.port().to_be_bytes();
        let [l, m] = udp_len.to_be_bytes();
        let udp_with = |[x, y]: [u8; 2]| -> [u8; UDP_HEADER] { [p, q, r, s, l, m, x, y] };
        let pseudo = pseudo_header(*self.from.ip(), *self.to.ip(), udp_len);
        let sum = match internet_checksum(&[&pseudo, &udp_with([0, 0]), self.payload]) {
            0 => u16::MAX,
            sum => sum,
        };
        out.extend_from_slice(&udp_with(sum.to_be_bytes()));
        out.extend_from_slice(self.payload);
        Some(out)
    }
}

fn pseudo_header(source: Ipv4Addr, target: Ipv4Addr, length: u16) -> [u8; 12] {
    let [a, b, c, d] = source.octets();
    let [e, f, g, h] = target.octets();
    let [l, m] = length.to_be_bytes();
    [a, b, c, d, e, f, g, h, 0, UDP, l, m]
}
