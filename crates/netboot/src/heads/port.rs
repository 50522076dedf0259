//! The packet socket that heads come from: all frames of the interface, cut short and thinned out by the kernel.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netdevice, recvfrom, socket_with};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::WHOLE;
use crate::bpf::{
    self, IF_EQUAL, IF_GREATER, IF_SET, INDEX_BY, INDEX_BY_IP_HEADER, INTERFACE, LOAD_BYTE,
    LOAD_BYTE_INDEXED, LOAD_HALF, LOAD_HALF_INDEXED, LOAD_LENGTH, LOAD_WORD, OUTGOING, PACKET_TYPE, RANDOM,
    RETURN, Step,
};

/// Kept of a TCP segment in bytes.
const SEGMENT: u32 = 96;

/// A socket for heads, before it is put to use.
#[derive(Debug)]
pub struct HeadSocket(pub(crate) OwnedFd);

impl HeadSocket {
    /// Opens it on an interface. Needs `CAP_NET_RAW`.
    ///
    /// # Errors
    /// As the system says.
    pub fn open(interface: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let asking = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        let index = netdevice::name_to_index(&asking, interface)?;
        Ok(Self(bpf::open(&filter(index))?))
    }
}

/// The socket at work.
#[derive(Debug)]
pub(super) struct HeadPort(UdpSocket);

impl HeadPort {
    pub(super) fn new(socket: HeadSocket) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket.0, true)?;
        Ok(Self(UdpSocket::from_std(socket.0.into())?))
    }

    /// Waits for a head.
    pub(super) async fn receive(&self, head: &mut [u8]) -> io::Result<usize> {
        let read = || Ok(recvfrom(&self.0, &mut *head, RecvFlags::empty())?.1);
        self.0.async_io(Interest::READABLE, read).await.map(|count| count.min(WHOLE))
    }
}

/// The filter: frames of this interface in both directions. Of TCP all that opens, closes or
/// asks, short answers, and one in 64 of the rest; of TFTP's blocks and their acknowledgements one in 64 as well: an
/// image of a gigabyte must cost nobody anything.
fn filter(index: u32) -> [Step; 31] {
    let step = |code, yes, no, k| (code, yes, no, k);
    let whole = u32::try_from(WHOLE).unwrap_or(u32::MAX);
    [
        /* 0 */ step(LOAD_WORD, 0, 0, INTERFACE),
        /* 1 */ step(IF_EQUAL, 0, 28, index),
        /* 2 */ step(LOAD_HALF, 0, 0, 12),
        /* 3 */ step(IF_EQUAL, 0, 4, 0x0800),
        /* 4 */ step(LOAD_BYTE, 0, 0, 23),
        /* 5 */ step(INDEX_BY_IP_HEADER, 0, 0, 14),
        /* 6 */ step(IF_EQUAL, 12, 0, TCP),
        /* 7 */ step(IF_EQUAL, 5, 21, UDP),
        /* 8 */ step(IF_EQUAL, 0, 20, 0x86dd),
        /* 9 */ step(LOAD_BYTE, 0, 0, 20),
        /* 10 */ step(INDEX_BY, 0, 0, 40),
        /* 11 */ step(IF_EQUAL, 7, 0, TCP),
        /* 12 */ step(IF_EQUAL, 0, 16, UDP),
        /* 13 */ step(LOAD_HALF_INDEXED, 0, 0, 14 + 2),
        /* 14 */ step(IF_EQUAL, 14, 0, 67),
        /* 15 */ step(IF_EQUAL, 13, 0, 68),
        /* 16 */ step(LOAD_HALF_INDEXED, 0, 0, 14 + 4),
        /* 17 */ step(IF_EQUAL, 8, 0, ACKNOWLEDGEMENT),
        /* 18 */ step(IF_GREATER, 7, 10, BLOCK),
        /* 19 */ step(LOAD_BYTE_INDEXED, 0, 0, 14 + 13),
        /* 20 */ step(IF_SET, 7, 0, FIN_SYN_RST),
        /* 21 */ step(IF_SET, 0, 4, PUSH),
        /* 22 */ step(LOAD_BYTE, 0, 0, PACKET_TYPE),
        /* 23 */ step(IF_EQUAL, 0, 4, OUTGOING),
        /* 24 */ step(LOAD_LENGTH, 0, 0, 0),
        /* 25 */ step(IF_GREATER, 0, 2, SHORT),
        /* 26 */ step(LOAD_WORD, 0, 0, RANDOM),
        /* 27 */ step(IF_SET, 2, 0, 63),
        /* 28 */ step(RETURN, 0, 0, SEGMENT),
        /* 29 */ step(RETURN, 0, 0, whole),
        /* 30 */ step(RETURN, 0, 0, 0),
    ]
}

const TCP: u32 = 6;
const UDP: u32 = 17;
const FIN_SYN_RST: u32 = 0x07;
const PUSH: u32 = 0x08;
/// A TCP answer of up to so many bytes, headers and all, is no part of a file.
const SHORT: u32 = 600;
/// UDP's length with TFTP's acknowledgement of a block, four bytes (RFC 1350, section 5).
const ACKNOWLEDGEMENT: u32 = 12;
/// UDP's length above which a packet that is not DHCP's is taken for a block of TFTP.
const BLOCK: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::trial::{self, ipv4, ipv6, tcp, udp};

    const CARD: u32 = 3;

    fn kept(frame: &[u8], kind: u32, card: u32, random: u32) -> u32 {
        trial::kept(&filter(CARD), frame, kind, card, random)
    }

    #[test]
    fn what_tells_is_kept_and_what_only_fills_is_sampled() {
        const INCOMING: u32 = 0;
        let whole = u32::try_from(WHOLE).unwrap();
        let sampled = |frame: &[u8], kind| {
            let drawn = [64, 63, 1].map(|random| kept(frame, kind, CARD, random));
            drawn == [SEGMENT, 0, 0]
        };
        let always = |frame: &[u8], kind| [0, 63].map(|random| kept(frame, kind, CARD, random));
        for wrap in [ipv4, ipv6] {
            for (to, payload) in [(67, 548), (68, 548), (69, 40), (30_000, 20), (547, 300), (53, 60)] {
                assert_eq!(always(&wrap(UDP, &udp(to, payload)), INCOMING), [whole; 2], "port {to}");
            }
            assert!(sampled(&wrap(UDP, &udp(30_000, 4)), INCOMING), "an acknowledgement of TFTP");
            assert!(sampled(&wrap(UDP, &udp(30_000, 516)), OUTGOING), "a block of TFTP");
            assert_eq!(always(&wrap(TCP, &tcp(0x02, 0)), INCOMING), [SEGMENT; 2], "SYN");
            assert_eq!(always(&wrap(TCP, &tcp(0x18, 900)), INCOMING), [SEGMENT; 2], "a request");
            assert_eq!(always(&wrap(TCP, &tcp(0x18, 200)), OUTGOING), [SEGMENT; 2], "a short answer");
            assert!(sampled(&wrap(TCP, &tcp(0x18, 1400)), OUTGOING), "a piece of a file");
            assert!(sampled(&wrap(TCP, &tcp(0x10, 0)), INCOMING), "an acknowledgement");
            assert_eq!(always(&wrap(1, &[0; 40]), INCOMING), [whole; 2], "ICMP");
        }
        let mut arp = vec![0; 12];
        arp.extend([0x08, 0x06]);
        arp.resize(60, 0);
        assert_eq!(kept(&arp, INCOMING, CARD, 63), whole);
        assert_eq!(kept(&arp, INCOMING, CARD + 1, 64), 0, "another card's frame");
    }
}
