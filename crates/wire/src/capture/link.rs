//! What the first bytes of a captured frame are (the LINKTYPE registry of tcpdump.org).

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// A VLAN tag (IEEE 802.1Q, and 802.1ad for the outer one).
const TAGS: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];

/// A link type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// 1: Ethernet.
    Ethernet,
    /// 113: `tcpdump -i any` up to 4.98: the sender's address, and who it was for in a word.
    Cooked,
    /// 276: the same since 4.99.
    Cooked2,
    /// Any other; its frames have no Ethernet addresses.
    Other(u32),
}

impl Link {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Ethernet,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            other => Self::Other(other),
        }
    }

    pub(super) fn ethernet(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Ethernet => Some(untagged(bytes)),
            // Packet type, ARPHRD, address length, address, protocol.
            Self::Cooked => {
                let (kind, sender, protocol) = (bytes.get(..2)?, bytes.get(6..12)?, bytes.get(14..16)?);
                Some(Cow::Owned(rebuilt(kind, (sender, protocol), bytes.get(16..)?)))
            }
            // Protocol, reserved, interface, ARPHRD, packet type, address length, address.
            Self::Cooked2 => {
                let (kind, sender, protocol) = (bytes.get(10..11)?, bytes.get(12..18)?, bytes.get(..2)?);
                Some(Cow::Owned(rebuilt(kind, (sender, protocol), bytes.get(20..)?)))
            }
            Self::Other(_) => None,
        }
    }
}

/// An Ethernet header for a frame whose receiver is only known in a word: 1 is a broadcast, 2 a multicast.
fn rebuilt(kind: &[u8], (sender, protocol): (&[u8], &[u8]), content: &[u8]) -> Vec<u8> {
    let to: [u8; 6] = match kind.last() {
        Some(1) => [0xff; 6],
        Some(2) => [0x33, 0x33, 0, 0, 0, 1],
        _ => [0; 6],
    };
    [&to[..], sender, protocol, content].concat()
}

/// The frame without its VLAN tags, at most two of them.
fn untagged(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut frame = Cow::Borrowed(bytes);
    for _ in 0..2 {
        let is_tagged = frame.get(12..14).is_some_and(|kind| TAGS.iter().any(|tag| tag == kind));
        let (Some(addresses), Some(rest)) = (frame.get(..12), frame.get(16..)) else { return frame };
        if !is_tagged {
            return frame;
        }
        frame = Cow::Owned([addresses, rest].concat());
    }
    frame
}
