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
        SockRef::from(&socket).attach_filter(&filter(index))?;
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

/// The kernel's filter (classic BPF): frames of this interface in both directions. Of TCP all that opens, closes or
/// asks, short answers, and one in 64 of the rest: an image of a gigabyte must cost nobody anything.
fn filter(index: u32) -> [SockFilter; 24] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    const LOAD_LENGTH: u16 = 0x80;
    const LOAD_BYTE_INDEXED: u16 = 0x50;
    const INDEX_BY_IP_HEADER: u16 = 0xb1;
    const INDEX_BY: u16 = 0x01;
    const GO: u16 = 0x05;
    const IF_EQUAL: u16 = 0x15;
    const IF_GREATER: u16 = 0x25;
    const IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // Loads relative to SKF_AD_OFF ask the kernel instead of the frame (linux/filter.h).
    const PACKET_TYPE: u32 = 0xffff_f000 + 4;
    const INTERFACE: u32 = 0xffff_f000 + 8;
    const RANDOM: u32 = 0xffff_f000 + 56;
    const OUTGOING: u32 = 4;
    const FIN_SYN_RST: u32 = 0x07;
    const PUSH: u32 = 0x08;
    const SHORT: u32 = 600;
    let step = SockFilter::new;
    let whole = u32::try_from(WHOLE).unwrap_or(u32::MAX);
    [
        /* 0 */ step(LOAD_WORD, 0, 0, INTERFACE),
        /* 1 */ step(IF_EQUAL, 0, 21, index),
        /* 2 */ step(LOAD_HALF, 0, 0, 12),
        /* 3 */ step(IF_EQUAL, 0, 4, 0x0800),
        /* 4 */ step(LOAD_BYTE, 0, 0, 23),
        /* 5 */ step(IF_EQUAL, 0, 16, 6),
        /* 6 */ step(INDEX_BY_IP_HEADER, 0, 0, 14),
        /* 7 */ step(GO, 0, 0, 4),
        /* 8 */ step(IF_EQUAL, 0, 13, 0x86dd),
        /* 9 */ step(LOAD_BYTE, 0, 0, 20),
        /* 10 */ step(IF_EQUAL, 0, 11, 6),
        /* 11 */ step(INDEX_BY, 0, 0, 40),
        /* 12 */ step(LOAD_BYTE_INDEXED, 0, 0, 14 + 13),
        /* 13 */ step(IF_SET, 7, 0, FIN_SYN_RST),
        /* 14 */ step(IF_SET, 0, 4, PUSH),
        /* 15 */ step(LOAD_BYTE, 0, 0, PACKET_TYPE),
        /* 16 */ step(IF_EQUAL, 0, 4, OUTGOING),
        /* 17 */ step(LOAD_LENGTH, 0, 0, 0),
        /* 18 */ step(IF_GREATER, 0, 2, SHORT),
        /* 19 */ step(LOAD_WORD, 0, 0, RANDOM),
        /* 20 */ step(IF_SET, 2, 0, 63),
        /* 21 */ step(RETURN, 0, 0, SEGMENT),
        /* 22 */ step(RETURN, 0, 0, whole),
        /* 23 */ step(RETURN, 0, 0, 0),
    ]
}
