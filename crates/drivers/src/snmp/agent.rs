//! One agent over UDP: a question, the same again where no answer comes, and the answer that belongs to it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, timeout_at};
use wire::snmp::{Kind, Message, PORT, Pdu, Version};

use crate::power::address::host_and_port;

/// How long each try waits: management cards take some hundred milliseconds, and more while they switch.
const WAITS: [Duration; 3] =
    [Duration::from_millis(700), Duration::from_secs(1), Duration::from_millis(1500)];
/// Longer than any datagram that is meant for us.
const DATAGRAM: usize = 4096;

/// Why an agent did not answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Its name has no address, or the network refuses.
    Unreached(io::Error),
    /// No answer to any try.
    Silent {
        /// How many were sent.
        tries: usize,
    },
}

/// An agent, and who asks it.
#[derive(Debug)]
pub(super) struct Agent {
    host: String,
    port: u16,
    version: Version,
    community: Vec<u8>,
    socket: Option<UdpSocket>,
    next: i32,
}

impl Agent {
    /// One at `HOST` or `HOST:PORT`. Nothing is sent yet.
    pub(super) fn new(address: &str, version: Version, community: Vec<u8>) -> Self {
        let (host, port) = host_and_port(address, PORT);
        Self { host, port, version, community, socket: None, next: 0 }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The address that is asked; none before the first question.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        Some(self.socket.as_ref()?.peer_addr().ok()?.ip())
    }

    /// Number of the next question. It begins by chance, so that an answer to somebody before us is not taken for ours.
    fn number(&mut self) -> io::Result<i32> {
        if self.socket.is_none() {
            self.next = chance()?;
        }
        self.next = self.next.checked_add(1).unwrap_or(1);
        Ok(self.next)
    }

    /// Asks, and gives back the answer of this agent to this question, whatever it says.
    pub(super) async fn ask(&mut self, make: impl FnOnce(i32) -> Pdu) -> Result<Pdu, NoAnswer> {
        let pdu = make(self.number().map_err(NoAnswer::Unreached)?);
        let id = pdu.id;
        let question = Message { version: self.version, community: self.community.clone(), pdu }.encode();
        let answer = self.exchange(&question, id).await.map_err(NoAnswer::Unreached)?;
        answer.ok_or(NoAnswer::Silent { tries: WAITS.len() })
    }

    async fn exchange(&mut self, question: &[u8], id: i32) -> io::Result<Option<Pdu>> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(connect(&self.host, self.port).await?),
        };
        let mut buffer = [0; DATAGRAM];
        for wait in WAITS {
            socket.send(question).await?;
            let end = Instant::now() + wait;
            while let Ok(received) = timeout_at(end, socket.recv(&mut buffer)).await {
                let heard = Message::decode(buffer.get(..received?).unwrap_or_default());
                // What is garbage, or answers another question, is not for us.
                if let Ok(message) = heard
                    && message.pdu.kind == Kind::Response
                    && message.pdu.id == id
                {
                    return Ok(Some(message.pdu));
                }
            }
        }
        Ok(None)
    }

    /// Takes a new socket for the next question, and looks the name up again.
    pub(super) fn forget(&mut self) {
        self.socket = None;
    }
}

async fn connect(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut addresses = lookup_host((host, port)).await?;
    let address = addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// A number from 1 on, by chance.
fn chance() -> io::Result<i32> {
    use ring::rand::SecureRandom as _;
    let mut random = [0; 4];
    let system = ring::rand::SystemRandom::new();
    system.fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok((i32::from_be_bytes(random) & 0x3fff_ffff).max(1))
}
