//! Ethernet frames with UDP or ICMPv6 inside, read by the sniffer and built for raw replies.

mod arp;
mod ethernet;
mod icmp6;
mod ip6;
mod udp4;
mod udp6;

use core::fmt;

pub use arp::{ETHERTYPE_ARP, arp_sender};
pub use ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet};
pub use icmp6::Icmp6;
pub use udp4::{Checksum, LARGEST_UDP_PAYLOAD, Udp4};
pub use udp6::Udp6;

use ip6::Ip6;

/// What a captured frame carries, as far as this house cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// IPv4 with UDP.
    Udp4(Udp4<'a>),
    /// IPv6 with UDP.
    Udp6(Udp6<'a>),
    /// IPv6 with ICMPv6.
    Icmp6(Icmp6<'a>),
    /// Anything else, with its Ethernet header.
    Other(Ethernet<'a>),
}

impl<'a> Frame<'a> {
    /// Reads a whole captured frame. A frame of a kind we do not speak is [`Frame::Other`], not an error.
    ///
    /// # Errors
    /// [`FrameError`] when a header that says it is one of ours is cut short or contradicts itself.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let ethernet = Ethernet::parse(bytes)?;
        let found = match ethernet.ethertype {
            ETHERTYPE_IPV4 => Udp4::parse(&ethernet)?.map(Frame::Udp4),
            ETHERTYPE_IPV6 => {
                let ip = Ip6::parse(&ethernet)?;
                let icmp = Icmp6::read(&ethernet, &ip)?.map(Frame::Icmp6);
                if icmp.is_some() { icmp } else { Udp6::read(&ethernet, &ip)?.map(Frame::Udp6) }
            }
            _ => None,
        };
        Ok(found.unwrap_or(Frame::Other(ethernet)))
    }

    /// The Ethernet address the frame says it comes from.
    #[must_use]
    pub const fn sender(&self) -> model::MacAddr {
        match self {
            Self::Udp4(udp) => udp.from_mac,
            Self::Udp6(udp) => udp.from_mac,
            Self::Icmp6(icmp) => icmp.from_mac,
            Self::Other(ethernet) => ethernet.from,
        }
    }
}

/// Why a frame cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The frame ends inside the named header.
    Short(&'static str),
    /// An IP header with another version than its Ethernet type promises.
    Version,
    /// A length field smaller than its own header or larger than the frame.
    Length(&'static str),
    /// The IPv4 header checksum does not add up (RFC 791 section 3.1).
    HeaderChecksum,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(header) => write!(f, "the frame ends inside the {header} header"),
            Self::Version => f.write_str("the IP version contradicts the Ethernet type"),
            Self::Length(header) => write!(f, "the {header} length field is impossible"),
            Self::HeaderChecksum => f.write_str("the IPv4 header checksum is wrong"),
        }
    }
}

impl core::error::Error for FrameError {}

/// The Internet checksum (RFC 1071) over several pieces, each but the last of even length.
fn internet_checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for piece in pieces {
        for pair in piece.chunks(2) {
            sum += match pair {
                [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
                [high] => u64::from(u16::from_be_bytes([*high, 0])),
                _ => 0,
            };
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
