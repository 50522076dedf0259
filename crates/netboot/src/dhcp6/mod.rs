//! The DHCPv6 port: reads, lets the engine decide, writes the leases down, answers.
//!
//! ```text
//! datagram ─▶ relays off ─▶ which machine, what it boots ─▶ engine ─▶ leases to the ledger ─▶ reply to where it came from
//!                                                                       └ disk full: no reply, told once
//! ```

mod boot;
mod clerk;
mod others;

use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;

use tokio::net::UdpSocket;
use wire::dhcp6::{ALL_SERVERS, SERVER_PORT};

use crate::clock::boottime_ms;
use crate::counter::Counter;

pub(crate) use clerk::{Answer, Clerk};

/// Largest datagram read.
const LARGEST: usize = 2048;

/// The DHCPv6 service.
#[derive(Debug)]
pub struct Dhcp6 {
    clerk: Clerk,
    socket: UdpSocket,
}

impl Dhcp6 {
    /// A service on this socket, which has joined the servers' group.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket) -> Self {
        Self { clerk: Clerk::new(counter), socket }
    }

    /// Answers until dropped.
    pub async fn run(mut self) {
        let mut buffer = [0; LARGEST];
        loop {
            self.look_for_others().await;
            tokio::select! {
                // In this order: what was published before a packet came is in force for it.
                biased;
                changed = self.clerk.boards.changed() => match changed {
                    Ok(()) => self.clerk.take_board(),
                    Err(_) => return,
                },
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((count, SocketAddr::V6(from))) => {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        if let Some(answer) = self.clerk.take(bytes, *from.ip(), boottime_ms()) {
                            self.reply(&answer, from.into()).await;
                        }
                    }
                    Ok((_, SocketAddr::V4(_))) => {}
                    // An ICMP answer to an earlier reply shows up here; the next datagram is not affected.
                    Err(error) => tracing::debug!("DHCPv6 port: {error}"),
                },
            }
        }
    }

    /// Asks the link for other servers, at first and when a machine follows one. Their answers come to this port's
    /// clients' number, where nobody listens but the sniffer.
    async fn look_for_others(&mut self) {
        let now = boottime_ms();
        let Some(question) = self.clerk.question(now) else { return };
        // Without an interface there is no link, only this machine's own clients.
        if !self.socket.local_addr().is_ok_and(|at| at.ip().is_unspecified()) {
            return;
        }
        let everybody = SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, 0);
        match self.socket.send_to(&question.encode(), everybody).await {
            Ok(_) => self.clerk.note_question(now),
            // Such as before the port has an address of its own; the next datagram is the next occasion.
            Err(error) => tracing::debug!("the link could not be asked for other servers: {error}"),
        }
    }

    async fn reply(&self, answer: &Answer, mut to: SocketAddr) {
        // A client on this very machine has whatever port is free.
        if !to.ip().is_loopback() {
            to.set_port(answer.reply.port());
        }
        if let Err(error) = self.socket.send_to(&answer.reply.encode(), to).await {
            tracing::warn!(%to, "a DHCPv6 reply could not be sent: {error}");
            return;
        }
        self.clerk.note_sent(answer);
    }
}
