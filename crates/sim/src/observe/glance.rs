//! The headers of a frame, as far as they are there. Checksums are not looked at: a capture on the sending machine has
//! none yet.

use std::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;

/// A frame at a glance.
#[derive(Debug)]
pub(crate) struct Glance<'a> {
    pub(crate) from: MacAddr,
    pub(crate) inside: Inside<'a>,
}

/// What is inside.
#[derive(Debug)]
pub(crate) enum Inside<'a> {
    Udp(Datagram<'a>),
    Tcp(Segment<'a>),
    /// IPv6.
    Six,
    Other,
}

/// A UDP datagram, maybe cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) from_mac: MacAddr,
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    /// What is there of its content.
    pub(crate) payload: &'a [u8],
    /// How long its content was.
    pub(crate) length: usize,
}

impl Datagram<'_> {
    /// Where it comes from and where it goes.
    pub(crate) fn ports(&self) -> (u16, u16) {
        (self.from.port(), self.to.port())
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.payload.len() == self.length
    }
}

/// A TCP segment, maybe cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) sequence: u32,
    /// What is there of its content.
    pub(crate) payload: &'a [u8],
    /// How long its content was.
    pub(crate) length: u32,
    /// It opens a connection.
    pub(crate) opens: bool,
    /// It ends one, in order or not.
    pub(crate) ends: bool,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| Ipv4Addr::from(*b))
}

impl<'a> Glance<'a> {
    /// Looks at a frame; `None` when not even its Ethernet header is there.
    pub(crate) fn at(frame: &'a [u8]) -> Option<Self> {
        let from = MacAddr(*frame.get(6..)?.first_chunk()?);
        let inside = match word(frame, 12)? {
            0x0800 => inside_four(from, frame.get(14..)?).unwrap_or(Inside::Other),
            0x86dd => Inside::Six,
            _ => Inside::Other,
        };
        Some(Self { from, inside })
    }
}

fn inside_four(from_mac: MacAddr, packet: &[u8]) -> Option<Inside<'_>> {
    let first = *packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(word(packet, 2)?);
    // Only the first fragment has ports.
    let fragment = word(packet, 6)? & 0x1fff;
    if first >> 4 != 4 || header < 20 || fragment != 0 || total < header {
        return None;
    }
    let (from, to) = (address(packet, 12)?, address(packet, 16)?);
    // Short frames are padded to 60 bytes; what is behind the packet is not of it.
    let end = packet.len().min(total);
    let content = packet.get(header..end)?;
    let ports = |content: &[u8]| {
        let (from_port, to_port) = (word(content, 0)?, word(content, 2)?);
        Some((SocketAddrV4::new(from, from_port), SocketAddrV4::new(to, to_port)))
    };
    match *packet.get(9)? {
        17 => {
            let (from, to) = ports(content)?;
            let length = usize::from(word(content, 4)?).checked_sub(8)?;
            let payload = content.get(8..)?;
            let payload = payload.get(..length).unwrap_or(payload);
            Some(Inside::Udp(Datagram { from_mac, from, to, payload, length }))
        }
        6 => {
            let (from, to) = ports(content)?;
            let sequence = u32::from_be_bytes(*content.get(4..)?.first_chunk()?);
            let offset = usize::from(content.get(12)? >> 4) * 4;
            let flags = *content.get(13)?;
            let length = u32::try_from((total - header).checked_sub(offset)?).ok()?;
            let payload = content.get(offset..).unwrap_or_default();
            let (opens, ends) = (flags & 0x02 != 0, flags & 0x05 != 0);
            Some(Inside::Tcp(Segment { from, to, sequence, payload, length, opens, ends }))
        }
        _ => None,
    }
}
