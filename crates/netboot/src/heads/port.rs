//! The packet socket that heads come from: all frames of the interface, cut short and thinned out by the kernel.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, netdevice, recvfrom, socket_with};
use socket2::{SockFilter, SockRef};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::WHOLE;

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
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ALL))?;
        let steps = filter(index).map(|(code, yes, no, k)| SockFilter::new(code, yes, no, k));
        SockRef::from(&socket).attach_filter(&steps)?;
        // Frames that came before the filter may be of any interface.
        let mut byte = [0; 1];
        while recvfrom(&socket, &mut byte[..], RecvFlags::empty()).is_ok() {}
        Ok(Self(socket))
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

/// `struct sock_filter` of linux/filter.h: code, steps to skip if it holds and if not, operand.
type Step = (u16, u8, u8, u32);

/// The kernel's filter (classic BPF): frames of this interface in both directions. Of TCP all that opens, closes or
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

// Codes of classic BPF (linux/bpf_common.h).
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
const LOAD_LENGTH: u16 = 0x80;
const LOAD_BYTE_INDEXED: u16 = 0x50;
const LOAD_HALF_INDEXED: u16 = 0x48;
const INDEX_BY_IP_HEADER: u16 = 0xb1;
const INDEX_BY: u16 = 0x01;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;
// Loads relative to SKF_AD_OFF ask the kernel instead of the frame (linux/filter.h).
const PACKET_TYPE: u32 = 0xffff_f000 + 4;
const INTERFACE: u32 = 0xffff_f000 + 8;
const RANDOM: u32 = 0xffff_f000 + 56;
/// A packet type: our own frame on its way out.
const OUTGOING: u32 = 4;
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

    const CARD: u32 = 3;

    /// What the kernel would do with a frame: bytes it keeps. `random` is what it draws.
    fn kept(frame: &[u8], kind: u32, card: u32, random: u32) -> u32 {
        let program = filter(CARD);
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0);
        let load = |from: u32, count: usize| {
            let from = usize::try_from(from).unwrap();
            frame.get(from..from + count).map(|bytes| bytes.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)))
        };
        loop {
            let (code, yes, no, k) = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { yes } else { no });
            match code {
                LOAD_WORD if k == INTERFACE => a = card,
                LOAD_WORD if k == RANDOM => a = random,
                LOAD_BYTE if k == PACKET_TYPE => a = kind,
                LOAD_LENGTH => a = u32::try_from(frame.len()).unwrap(),
                INDEX_BY => x = k,
                INDEX_BY_IP_HEADER => match load(k, 1) {
                    Some(byte) => x = (byte & 15) * 4,
                    None => return 0,
                },
                IF_EQUAL => at += jump(a == k),
                IF_GREATER => at += jump(a > k),
                IF_SET => at += jump(a & k != 0),
                RETURN => return k,
                _ => {
                    let (from, count) = match code {
                        LOAD_BYTE => (k, 1),
                        LOAD_HALF => (k, 2),
                        LOAD_BYTE_INDEXED => (x + k, 1),
                        LOAD_HALF_INDEXED => (x + k, 2),
                        _ => unreachable!("code {code:#x}"),
                    };
                    match load(from, count) {
                        Some(found) => a = found,
                        None => return 0,
                    }
                }
            }
        }
    }

    /// An Ethernet frame with an IPv4 header, as its protocol's bytes follow.
    fn ipv4(protocol: u32, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0, 0x45]);
        frame.resize(14 + 20, 0);
        frame[23] = u8::try_from(protocol).unwrap();
        frame.extend(rest);
        frame
    }

    fn ipv6(protocol: u32, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xdd, 0x60]);
        frame.resize(14 + 40, 0);
        frame[20] = u8::try_from(protocol).unwrap();
        frame.extend(rest);
        frame
    }

    fn udp(to: u16, payload: usize) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34];
        packet.extend(to.to_be_bytes());
        packet.extend(u16::try_from(payload + 8).unwrap().to_be_bytes());
        packet.resize(8 + payload, 0);
        packet
    }

    fn tcp(flags: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; 20 + payload];
        packet[13] = flags;
        packet
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
