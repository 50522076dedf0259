//! A server behind real sockets on loopback: each UDP port of a machine becomes a socket of its own.
//!
//! The lab's addresses must be in 127.0.0.0/8, so that the server tells machines apart by address as it
//! does on a real segment. Broadcasts and router advertisements do not exist on loopback: replies are put
//! back on the segment as the client asked for them, and solicitations are answered here. Nothing else is carried
//! over IPv6.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::MacAddr;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use wire::dhcp::{CLIENT_PORT, Message, SERVER_PORT};
use wire::frame::{Checksum, Frame, Udp4};
use wire::ndp::{Audience, Routing, bare_advertisement};
use wire::tftp;

use super::{Lab, Server};

/// The server's Ethernet address on the segment.
const BOSS_MAC: MacAddr = MacAddr([0x02, 0x6c, 0x61, 0x62, 0x00, 0x01]);
/// Silence after which a machine's socket is closed.
const IDLE: Duration = Duration::from_secs(60);
const LARGEST: usize = 2048;

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackPorts {
    /// DHCP.
    pub dhcp: SocketAddr,
    /// TFTP.
    pub tftp: SocketAddr,
    /// Boot HTTP; every URL leads there, whatever port it names.
    pub http: SocketAddr,
    /// False for a segment on which nobody answers router solicitations.
    pub answers_routers: bool,
}

/// One UDP port of one machine, at one address and towards one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    mac: MacAddr,
    ip: Ipv4Addr,
    port: u16,
    dhcp: bool,
}

/// The plug to a server on loopback.
#[derive(Debug)]
pub struct Loopback {
    ports: LoopbackPorts,
    sockets: Arc<Mutex<HashMap<Place, Arc<UdpSocket>>>>,
    readers: Mutex<JoinSet<()>>,
}

impl Loopback {
    /// A plug to these ports.
    #[must_use]
    pub fn new(ports: LoopbackPorts) -> Self {
        Self { ports, sockets: Arc::default(), readers: Mutex::default() }
    }

    async fn pass(&self, lab: &Lab, udp: &Udp4<'_>) -> io::Result<()> {
        let dhcp = udp.to.port() == SERVER_PORT;
        let to = match udp.to.port() {
            SERVER_PORT => self.ports.dhcp,
            tftp::PORT => self.ports.tftp,
            // The port of a transfer that the server opened.
            port => SocketAddr::from((*udp.to.ip(), port)),
        };
        let place = Place { mac: udp.from_mac, ip: *udp.from.ip(), port: udp.from.port(), dhcp };
        let socket = self.socket(lab, place).await?;
        socket.send_to(udp.payload, to).await.map(drop)
    }

    async fn socket(&self, lab: &Lab, place: Place) -> io::Result<Arc<UdpSocket>> {
        let known = self.sockets.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        if let Some(socket) = known {
            return Ok(socket);
        }
        let socket = Arc::new(UdpSocket::bind((own(place.ip), 0)).await?);
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).insert(place, Arc::clone(&socket));
        let reader = read(lab.clone(), Arc::clone(&self.sockets), place, Arc::clone(&socket));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.try_join_next().is_some() {}
        readers.spawn(reader);
        Ok(socket)
    }
}

impl Server for Loopback {
    type Stream = TcpStream;

    async fn take_frame(&self, lab: &Lab, frame: Vec<u8>) {
        match Frame::parse(&frame) {
            Ok(Frame::Udp4(udp)) => {
                // A socket that cannot be had is a frame that is lost; machines ask again.
                drop(self.pass(lab, &udp).await);
            }
            Ok(Frame::Icmp6(icmp)) => {
                if let Some(Routing::Solicitation(asker)) = Routing::parse(&icmp)
                    && self.ports.answers_routers
                {
                    lab.from_server(&bare_advertisement(BOSS_MAC, Audience::One(asker)));
                }
            }
            Ok(Frame::Udp6(_) | Frame::Other(_)) | Err(_) => {}
        }
    }

    async fn connect(&self, from: Option<IpAddr>, _to: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let from = match from {
            Some(IpAddr::V4(from)) => own(from),
            Some(IpAddr::V6(_)) | None => Ipv4Addr::LOCALHOST,
        };
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.connect(self.ports.http).await
    }
}

/// The loopback address a machine speaks from.
const fn own(ip: Ipv4Addr) -> Ipv4Addr {
    if ip.is_loopback() { ip } else { Ipv4Addr::LOCALHOST }
}

/// Puts what the server sends to a machine's socket back on the segment.
async fn read(
    lab: Lab,
    sockets: Arc<Mutex<HashMap<Place, Arc<UdpSocket>>>>,
    place: Place,
    socket: Arc<UdpSocket>,
) {
    let mut buffer = [0; LARGEST];
    while let Ok(received) = tokio::time::timeout(IDLE, socket.recv_from(&mut buffer)).await {
        let Ok((count, from)) = received else { continue };
        let payload = buffer.get(..count).unwrap_or_default();
        if let Some(frame) = framed(place, from, payload) {
            lab.from_server(&frame);
        }
    }
    sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
}

/// The frame that a server on a real segment would have sent.
fn framed(place: Place, from: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
    let IpAddr::V4(boss) = from.ip() else { return None };
    let (from_port, to_mac, to) = if place.dhcp {
        let message = Message::decode(payload).ok()?;
        let unicast = !message.broadcast && !message.yiaddr.is_unspecified();
        let (mac, ip) =
            if unicast { (place.mac, message.yiaddr) } else { (MacAddr::BROADCAST, Ipv4Addr::BROADCAST) };
        (SERVER_PORT, mac, SocketAddrV4::new(ip, CLIENT_PORT))
    } else {
        (from.port(), place.mac, SocketAddrV4::new(place.ip, place.port))
    };
    let from = SocketAddrV4::new(boss, from_port);
    Udp4 { to_mac, from_mac: BOSS_MAC, from, to, payload, checksum: Checksum::Good }.build()
}
