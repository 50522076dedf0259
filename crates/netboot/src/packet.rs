//! The packet port: whole Ethernet frames in and out of the lab's interface (`AF_PACKET`).
//!
//! A link address cannot be put together without unsafe code, so this port never binds: the filter lets in only
//! frames of its interface, and frames go out to the link address under which others came in.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use model::MacAddr;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, netdevice, recvfrom, sendto,
    socket_with, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use wire::frame::{Checksum, Udp4};

use crate::bpf::{
    self, IF_EQUAL, IF_SET, INDEX_BY_IP_HEADER, INTERFACE, LOAD_BYTE, LOAD_HALF, LOAD_HALF_INDEXED,
    LOAD_WORD, OUTGOING, PACKET_TYPE, RETURN, Step,
};

/// Largest frame read; what is longer is none of ours.
pub(crate) const LARGEST_FRAME: usize = 2048;
/// All routers of the link (RFC 4291 section 2.7.1): solicitations go there.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// A packet socket and the interface it watches, before it is put to use.
#[derive(Debug)]
pub struct PacketSocket {
    pub(crate) frames: OwnedFd,
    /// Holds the membership in the all-routers group, so that the network card lets solicitations through.
    pub(crate) group: OwnedFd,
    pub(crate) mac: MacAddr,
}

impl PacketSocket {
    /// Opens the port on an interface. Needs `CAP_NET_RAW`.
    ///
    /// # Errors
    /// `NotFound` when there is no such interface, `PermissionDenied` without the right; otherwise as the system says.
    pub fn open(interface: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let group = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)
            .or_else(|_| socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None))?;
        let index = netdevice::name_to_index(&group, interface)?;
        let mac = link_address(index)?;
        if let Err(error) = sockopt::set_ipv6_add_membership(&group, &ALL_ROUTERS, index) {
            tracing::warn!("{interface} does not listen for router solicitations: {error}");
        }
        Ok(Self { frames: bpf::open(&filter(index))?, group, mac })
    }
}

/// The packet port at work.
#[derive(Debug)]
pub struct PacketPort {
    /// A packet socket in a datagram socket's clothes: it is only waited on and passed to calls that take any socket.
    frames: UdpSocket,
    _group: OwnedFd,
    mac: MacAddr,
    /// Link address of the last frame: names the interface, and serves for sending as well.
    link: Mutex<Option<SocketAddrAny>>,
}

impl PacketPort {
    /// Puts a socket to use on the current runtime.
    ///
    /// # Errors
    /// As the system says.
    pub fn new(socket: PacketSocket) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket.frames, true)?;
        let frames = UdpSocket::from_std(socket.frames.into())?;
        Ok(Self { frames, _group: socket.group, mac: socket.mac, link: Mutex::default() })
    }

    /// Ethernet address of the interface.
    #[must_use]
    pub fn mac(&self) -> MacAddr {
        self.mac
    }

    /// Waits for a frame.
    ///
    /// # Errors
    /// As the system says, such as `NetworkDown`; a later call may succeed.
    pub async fn receive(&self, frame: &mut [u8]) -> io::Result<usize> {
        let (count, link) = self
            .frames
            .async_io(Interest::READABLE, || {
                let (_, count, link) = recvfrom(&self.frames, &mut *frame, RecvFlags::TRUNC)?;
                Ok((count, link))
            })
            .await?;
        if link.is_some() {
            *self.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
        }
        Ok(count.min(frame.len()))
    }

    /// Sends a whole frame.
    ///
    /// # Errors
    /// `NotConnected` while no frame ever came in, otherwise as the system says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let known = self.link.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The very first asker's own frame waits in the queue: look at it there.
        let link = known.or_else(|| {
            let mut byte = [0; 1];
            let peeked = recvfrom(&self.frames, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            peeked.ok().and_then(|(_, _, link)| link)
        });
        let link = link.ok_or(io::ErrorKind::NotConnected)?;
        sendto(&self.frames, frame, SendFlags::empty(), &link)?;
        Ok(())
    }

    /// Sends a UDP datagram to an Ethernet address, asking no ARP.
    ///
    /// # Errors
    /// As [`PacketPort::send`]; `InvalidInput` when it is too long for a packet.
    pub fn send_udp(
        &self,
        from: SocketAddrV4,
        (to_mac, to): (MacAddr, SocketAddrV4),
        payload: &[u8],
    ) -> io::Result<()> {
        let datagram = Udp4 { to_mac, from_mac: self.mac, from, to, payload, checksum: Checksum::Good };
        self.send(&datagram.build().ok_or(io::ErrorKind::InvalidInput)?)
    }
}

impl AsFd for PacketPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.frames.as_fd()
    }
}

/// The filter: incoming frames of this interface that are sent to a group, or are DHCP, or
/// come from a DHCPv6 server, or speak of IPv6 routers. A booting machine's first frames are always to a group, and
/// image transfers never pass.
fn filter(index: u32) -> [Step; 24] {
    let step = |code, yes, no, k| (code, yes, no, k);
    [
        /* 0 */ step(LOAD_BYTE, 0, 0, PACKET_TYPE),
        /* 1 */ step(IF_EQUAL, 21, 0, OUTGOING),
        /* 2 */ step(LOAD_WORD, 0, 0, INTERFACE),
        /* 3 */ step(IF_EQUAL, 0, 19, index),
        /* 4 */ step(LOAD_BYTE, 0, 0, 0),
        /* 5 */ step(IF_SET, 16, 0, 1),
        /* 6 */ step(LOAD_HALF, 0, 0, 12),
        /* 7 */ step(IF_EQUAL, 7, 0, 0x86dd),
        /* 8 */ step(IF_EQUAL, 0, 14, 0x0800),
        /* 9 */ step(LOAD_BYTE, 0, 0, 23),
        /* 10 */ step(IF_EQUAL, 0, 12, 17),
        /* 11 */ step(INDEX_BY_IP_HEADER, 0, 0, 14),
        /* 12 */ step(LOAD_HALF_INDEXED, 0, 0, 16),
        /* 13 */ step(IF_EQUAL, 8, 0, 67),
        /* 14 */ step(IF_EQUAL, 7, 8, 68),
        /* 15 */ step(LOAD_BYTE, 0, 0, 20),
        /* 16 */ step(IF_EQUAL, 0, 2, 17),
        /* 17 */ step(LOAD_HALF, 0, 0, 54),
        /* 18 */ step(IF_EQUAL, 3, 4, 547),
        /* 19 */ step(IF_EQUAL, 0, 3, 58),
        /* 20 */ step(LOAD_BYTE, 0, 0, 54),
        /* 21 */ step(IF_EQUAL, 0, 1, 134),
        /* 22 */ step(RETURN, 0, 0, 2048),
        /* 23 */ step(RETURN, 0, 0, 0),
    ]
}

/// Asks the kernel for an interface's Ethernet address (rtnetlink, `RTM_GETLINK`). Reading sysfs would not do: in a
/// network namespace it may show another one's interfaces.
fn link_address(index: u32) -> io::Result<MacAddr> {
    const GET_LINK: u16 = 18;
    const NEW_LINK: u16 = 16;
    const REQUEST: u16 = 1;
    const HEADERS: usize = 16 + 16;
    const ADDRESS: u16 = 1;
    // Protocol 0 of this family is rtnetlink itself.
    let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut ask = Vec::with_capacity(HEADERS);
    ask.extend_from_slice(&u32::try_from(HEADERS).unwrap_or_default().to_ne_bytes());
    ask.extend_from_slice(&GET_LINK.to_ne_bytes());
    ask.extend_from_slice(&REQUEST.to_ne_bytes());
    ask.extend_from_slice(&[0; 12]);
    ask.extend_from_slice(&index.to_ne_bytes());
    ask.resize(HEADERS, 0);
    sendto(&kernel, &ask, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = vec![0; 32 << 10];
    let (_, count, _) = recvfrom(&kernel, &mut answer[..], RecvFlags::empty())?;
    let answer = answer.get(..count).unwrap_or_default();
    let number = |at: usize| answer.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    if number(4) != Some(NEW_LINK) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut at = HEADERS;
    while let (Some(length), Some(kind)) = (number(at).map(usize::from), number(at + 2)) {
        let value = answer.get(at + 4..at + length).unwrap_or_default();
        if let (ADDRESS, Ok(mac)) = (kind, value.try_into()) {
            return Ok(MacAddr(mac));
        }
        if length < 4 {
            break;
        }
        at += length.next_multiple_of(4);
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, "the interface has no Ethernet address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::trial::{self, ipv4, ipv6, tcp, udp};

    #[test]
    fn frames_to_groups_and_those_of_servers_and_routers_come_in_and_files_do_not() {
        const CARD: u32 = 3;
        let comes = |frame: &[u8], kind, card| trial::kept(&filter(CARD), frame, kind, card, 0) > 0;
        let incoming = |frame: &[u8]| comes(frame, 0, CARD);
        let from = |port: u16, mut packet: Vec<u8>| {
            packet[..2].copy_from_slice(&port.to_be_bytes());
            packet
        };
        for port in [67, 68] {
            assert!(incoming(&ipv4(17, &udp(port, 300))), "to port {port}");
        }
        assert!(incoming(&ipv6(17, &from(547, udp(546, 80)))), "from a DHCPv6 server");
        assert!(incoming(&ipv6(58, &[134, 0])), "a router's advertisement");
        let none = [
            ipv4(17, &udp(30_000, 516)),
            ipv4(6, &tcp(0x10, 0)),
            ipv6(6, &tcp(0x18, 900)),
            ipv6(17, &from(546, udp(547, 80))),
            ipv6(58, &[128, 0]),
        ];
        for mut frame in none {
            assert!(!incoming(&frame), "{frame:?}");
            frame[0] = 0x33;
            assert!(incoming(&frame), "the same to a group: {frame:?}");
            assert!(
                !comes(&frame, OUTGOING, CARD) && !comes(&frame, 0, CARD + 1),
                "our own, and another card's"
            );
        }
    }

    #[test]
    fn the_loopback_interface_has_an_address_of_zeros_and_a_wrong_index_none() {
        assert_eq!(link_address(1).unwrap(), MacAddr([0; 6]));
        assert!(link_address(0x7fff_0000).is_err());
    }
}
