//! The DHCP port: reads what waits, lets the engine decide, writes the leases down, answers.
//!
//! ```text
//! datagrams that wait ─▶ clerk: who asks, what it boots, engine ─▶ leases to the ledger with one write
//!                                                                    │ disk full: no reply, told once
//!                                                                    └▶ replies: raw frame, broadcast or unicast
//! ```

mod boot;
mod clerk;
mod probe;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use tokio::net::UdpSocket;
use wire::dhcp::proxy::Door;
use wire::dhcp::server::Destination;
use wire::dhcp::{CLIENT_PORT, SERVER_PORT};

use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::packet::PacketPort;

use probe::Probe;

pub use wire::dhcp::proxy::BOOT_SERVER_PORT;

pub(crate) use boot::efi_url;
pub(crate) use clerk::{Answer, Clerk, Group};
pub(crate) use probe::{CLASS as PROBE_CLASS, Schedule};

/// Largest datagram read. DHCP messages of more than an Ethernet frame do not come from firmware.
const LARGEST: usize = 1500;
/// Datagrams that are answered together: what one write of the ledger can hold up.
const MOST_AT_ONCE: usize = 64;

/// The DHCP service.
#[derive(Debug)]
pub struct Dhcp {
    clerk: Clerk,
    socket: UdpSocket,
    packets: Option<Arc<PacketPort>>,
    probe: Probe,
}

impl Dhcp {
    /// A service on this socket. Replies to clients that have no address yet leave through `packets`, and as
    /// broadcasts where there is none.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket, packets: Option<Arc<PacketPort>>) -> Self {
        Self { clerk: Clerk::new(counter, Door::Server), socket, packets, probe: Probe::default() }
    }

    /// A PXE boot server on this socket, for the time that another DHCP server gives the addresses.
    #[must_use]
    pub fn boot_server(counter: Arc<Counter>, socket: UdpSocket) -> Self {
        let clerk = Clerk::new(counter, Door::BootServer);
        Self { clerk, socket, packets: None, probe: Probe::default() }
    }

    /// Answers until dropped.
    pub async fn run(mut self) {
        let mut buffer = [0; LARGEST];
        loop {
            tokio::select! {
                // In this order: what was published before a packet came is in force for it.
                biased;
                changed = self.clerk.boards.changed() => match changed {
                    Ok(()) => self.clerk.take_board(),
                    Err(_) => return,
                },
                ready = self.socket.readable() => match ready {
                    Ok(()) => self.serve(&mut buffer).await,
                    Err(error) => tracing::debug!("DHCP port: {error}"),
                },
            }
        }
    }

    /// Answers all that waits, up to a bound. Under load the group grows, and the price of a write is shared.
    async fn serve(&mut self, buffer: &mut [u8]) {
        let mut group = Group::at(boottime_ms());
        for _ in 0..MOST_AT_ONCE {
            match self.socket.try_recv_from(buffer) {
                Ok((count, from)) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.clerk.consider(bytes, Some(from), &mut group);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP answer to an earlier reply shows up here; the next datagram is not affected.
                Err(error) => tracing::debug!("DHCP port: {error}"),
            }
        }
        self.clerk.settle(&mut group);
        for answer in group.answers() {
            self.reply(answer).await;
        }
        let heard = group.heard_of_another();
        self.clerk.tell(group);
        if let Some(packets) = &self.packets
            && self.clerk.is_alone()
        {
            self.probe.send(packets, heard, boottime_ms());
        }
    }

    async fn reply(&self, answer: &mut Answer) {
        let sent = match answer.payload() {
            Some(payload) => self.send(answer.reply.to, &payload, answer.from).await,
            None => return,
        };
        match sent {
            Ok(()) => answer.sent = true,
            Err(error) => tracing::warn!(mac = %answer.mac, "a DHCP reply could not be sent: {error}"),
        }
    }

    async fn send(&self, to: Destination, payload: &[u8], from: Option<SocketAddr>) -> io::Result<()> {
        // A client on this very machine reads its own port and is nobody's broadcast domain.
        if let Some(from) = from.filter(|from| from.ip().is_loopback()) {
            return self.socket.send_to(payload, from).await.map(drop);
        }
        if self.clerk.door() == Door::BootServer {
            // Who asks here has an address; one that has not can only be shouted at.
            let to = from.filter(|from| !from.ip().is_unspecified());
            let to = to.unwrap_or_else(|| (Ipv4Addr::BROADCAST, CLIENT_PORT).into());
            return self.socket.send_to(payload, to).await.map(drop);
        }
        if let (Destination::Raw { mac, address }, Some(packets)) = (to, &self.packets)
            && let Some(boss) = self.clerk.boss()
        {
            let from = SocketAddrV4::new(boss, SERVER_PORT);
            match packets.send_udp(from, (mac, SocketAddrV4::new(address, to.port())), payload) {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(%mac, "no raw reply, broadcasting: {error}"),
            }
        }
        let address = match to {
            Destination::Raw { .. } => Ipv4Addr::BROADCAST,
            Destination::Relay(_) | Destination::Broadcast | Destination::Unicast(_) => to.address(),
        };
        self.socket.send_to(payload, (address, to.port())).await.map(drop)
    }
}
