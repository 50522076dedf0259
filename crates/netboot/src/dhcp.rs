//! The DHCP port: reads, lets the engine decide, writes the lease down, answers.
//!
//! ```text
//! datagram ─▶ who asks, what it boots ─▶ engine ─▶ lease to the ledger ─▶ reply: raw frame, broadcast or unicast
//!                                                      └ disk full: no reply, told once
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use model::{Asset, BootAnswer, BootEntry, ClientKind, DhcpMode, MacAddr, Sight};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use wire::dhcp::server::{Boot, Config, Destination, Lease, Outcome, Pool, Reply, Reservation, Server};
use wire::dhcp::{Architecture, Caller, IpxeFacts, Message, MessageType, Options, SERVER_PORT};

use crate::board::Board;
use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::ledger;
use crate::loaders::{BIOS_LOADER, UEFI_LOADER};
use crate::packet::PacketPort;
use crate::script::{asset_url, script_url};

/// Largest datagram read. DHCP messages of more than an Ethernet frame do not come from firmware.
const LARGEST: usize = 1500;

/// The DHCP service.
#[derive(Debug)]
pub struct Dhcp {
    clerk: Clerk,
    socket: UdpSocket,
    packets: Option<Arc<PacketPort>>,
}

/// Decides what a message is answered, without a socket.
#[derive(Debug)]
pub(crate) struct Clerk {
    counter: Arc<Counter>,
    boards: watch::Receiver<Option<Arc<Board>>>,
    engine: Option<Engine>,
}

/// An answer that may leave: what it promises is written down.
#[derive(Debug)]
pub(crate) struct Answer {
    mac: MacAddr,
    client: ClientKind,
    pub(crate) reply: Reply,
}

#[derive(Debug)]
struct Engine {
    server: Server,
    board: Arc<Board>,
}

impl Dhcp {
    /// A service on this socket. Replies to clients that have no address yet leave through `packets`, and as
    /// broadcasts where there is none.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket, packets: Option<Arc<PacketPort>>) -> Self {
        Self { clerk: Clerk::new(counter), socket, packets }
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
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((count, from)) => {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        if let Some(answer) = self.clerk.take(bytes, boottime_ms()) {
                            self.reply(&answer, from).await;
                        }
                    }
                    // An ICMP answer to an earlier reply shows up here; the next datagram is not affected.
                    Err(error) => tracing::debug!("DHCP port: {error}"),
                },
            }
        }
    }

    async fn reply(&self, answer: &Answer, from: SocketAddr) {
        let mac = answer.mac;
        let Some(payload) = answer.payload() else { return };
        if let Err(error) = self.send(answer.reply.to, &payload, from).await {
            tracing::warn!(%mac, "a DHCP reply could not be sent: {error}");
            return;
        }
        self.clerk.note_sent(answer);
    }

    async fn send(&self, to: Destination, payload: &[u8], from: SocketAddr) -> io::Result<()> {
        // A client on this very machine reads its own port and is nobody's broadcast domain.
        if from.ip().is_loopback() {
            return self.socket.send_to(payload, from).await.map(drop);
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

impl Answer {
    /// Who gets it.
    pub(crate) fn mac(&self) -> MacAddr {
        self.mac
    }

    /// Its bytes, unless they fit into no datagram.
    pub(crate) fn payload(&self) -> Option<Vec<u8>> {
        let encoded = self.reply.encode();
        encoded.map_err(|error| tracing::warn!(mac = %self.mac, "a DHCP reply does not fit: {error}")).ok()
    }
}

impl Clerk {
    pub(crate) fn new(counter: Arc<Counter>) -> Self {
        let boards = counter.boards();
        let mut clerk = Self { counter, boards, engine: None };
        clerk.take_board();
        clerk
    }

    /// Answers by the board published last from now on.
    pub(crate) fn catch_up(&mut self) {
        if self.boards.has_changed().unwrap_or(false) {
            self.take_board();
        }
    }

    fn take_board(&mut self) {
        let Some(board) = self.boards.borrow_and_update().clone() else { return };
        let config = config_of(&board);
        match &mut self.engine {
            Some(engine) => {
                engine.server.reconfigure(config);
                engine.board = board;
            }
            None => {
                let mut server = Server::new(config);
                let now = boottime_ms();
                for lease in self.counter.ledger.leases() {
                    server.restore(Lease {
                        mac: lease.mac,
                        address: lease.address,
                        until: now + u64::from(lease.seconds) * 1000,
                        host_name: lease.host_name,
                    });
                }
                self.engine = Some(Engine { server, board });
            }
        }
    }

    /// Takes a message in; its answer, if it gets one. `now` is in milliseconds of a clock that does not go back.
    pub(crate) fn take(&mut self, bytes: &[u8], now: u64) -> Option<Answer> {
        let Ok(message) = Message::decode(bytes) else {
            self.counter.note_malformed("dhcp");
            return None;
        };
        let mac = message.mac()?;
        let caller = Caller::of(&message);
        self.tell(mac, &message, &caller);
        let engine = self.engine.as_mut()?;
        let board = Arc::clone(&engine.board);
        if board.table().network.dhcp == DhcpMode::Off {
            return None;
        }
        let before = engine.server.lease(mac).cloned();
        let boot = boot_of(&self.counter, &board, mac, &caller);
        match engine.server.answer(&message, &boot, now) {
            Outcome::Reply(reply) => {
                if let Some(lease) = &reply.lease
                    && !self.write(lease, now)
                {
                    if let Some(engine) = &mut self.engine {
                        engine.server.forget(mac);
                        before.into_iter().for_each(|lease| engine.server.restore(lease));
                    }
                    return None;
                }
                return Some(Answer { mac, client: caller.kind, reply });
            }
            Outcome::Nak(reply) => return Some(Answer { mac, client: caller.kind, reply }),
            Outcome::Released(lease) => {
                self.counter.release(lease.address);
                let freed = self.counter.ledger.free(lease.address);
                self.counter.note_ledger(&freed);
            }
            Outcome::Declined { mac, address } => {
                tracing::warn!(%mac, %address, "a machine found its address in use by another");
            }
            Outcome::Ignore(why) => tracing::debug!(%mac, "DHCP without an answer: {why}"),
        }
        None
    }

    fn tell(&self, mac: MacAddr, message: &Message, caller: &Caller) {
        match message.kind() {
            Some(MessageType::Discover) => {
                let version = caller.ipxe_version().to_owned();
                let arch = caller.arch.map(|arch| arch.0);
                let (client, secs, uuid) = (caller.kind, caller.secs, caller.uuid);
                self.counter.sights.see(mac, Sight::Discover { client, arch, secs, uuid, version });
            }
            Some(MessageType::Request) => {
                self.counter.sights.see(mac, Sight::Request { client: caller.kind });
            }
            _ => {}
        }
    }

    /// Writes a lease down; false when it must not be acknowledged.
    fn write(&self, lease: &Lease, now: u64) -> bool {
        let seconds = u32::try_from(lease.until.saturating_sub(now) / 1000).unwrap_or(u32::MAX);
        let written = self.counter.ledger.write_lease(ledger::Lease {
            mac: lease.mac,
            address: lease.address,
            host_name: lease.host_name.clone(),
            seconds,
        });
        if !matches!(written, Ok(false)) {
            self.counter.note_ledger(&written);
        }
        written.is_ok()
    }

    /// Tells the core of an answer that left.
    pub(crate) fn note_sent(&self, answer: &Answer) {
        let Answer { mac, client, ref reply } = *answer;
        let address = reply.message.yiaddr;
        match reply.message.kind() {
            Some(MessageType::Offer) => self.counter.sights.see(mac, Sight::Offer { address }),
            Some(MessageType::Ack) if !address.is_unspecified() => {
                self.counter.hold(address, mac);
                self.counter.sights.see(mac, Sight::Ack { address, client });
            }
            Some(MessageType::Nak) => self.counter.sights.see(mac, Sight::Nak),
            _ => {}
        }
    }

    pub(crate) fn boss(&self) -> Option<Ipv4Addr> {
        self.engine.as_ref().map(|engine| engine.board.table().network.boss)
    }
}

fn config_of(board: &Board) -> Config {
    let table = board.table();
    let network = &table.network;
    let reserve = |entry: &BootEntry| {
        let host_name = Some(entry.node.to_string());
        (entry.mac, Reservation { address: entry.ip, host_name })
    };
    Config {
        boss: network.boss,
        prefix: network.prefix,
        gateway: network.gateway,
        dns: network.dns.clone(),
        lease_seconds: network.lease_seconds,
        pool: network.pool.map(|(first, last)| Pool { first, last }),
        reservations: table.nodes.iter().map(reserve).collect::<BTreeMap<_, _>>(),
        extra: Options::default(),
    }
}

/// What this client boots. Systems and agents have booted already.
fn boot_of(counter: &Counter, board: &Board, mac: MacAddr, caller: &Caller) -> Boot {
    let tftp = |file: &str| Boot::Tftp { server: board.table().network.boss, file: file.to_owned() };
    match caller.kind {
        ClientKind::BiosPxe => tftp(BIOS_LOADER),
        ClientKind::UefiPxe => tftp(UEFI_LOADER),
        // A build that says it has no HTTP gets one that has.
        ClientKind::Ipxe if caller.ipxe.as_ref().is_some_and(lacks_http) => {
            tftp(if caller.arch == Some(Architecture::BIOS) { BIOS_LOADER } else { UEFI_LOADER })
        }
        ClientKind::Ipxe => Boot::Http { url: script_url(counter, board, mac) },
        ClientKind::UefiHttp => {
            let base = counter.base_url(board);
            let uki = board.entry(mac).and_then(|entry| match &entry.answer {
                BootAnswer::Run { image, .. } => image.uki.as_ref(),
                BootAnswer::Wait { .. } => None,
            });
            // OVMF gives up at the first 503 and cannot wait: undecided, it gets a loader that can.
            let url = uki.map_or_else(|| format!("{base}/{UEFI_LOADER}"), |uki| efi_url(&base, uki));
            Boot::Http { url }
        }
        ClientKind::Agent | ClientKind::UnknownFirmware | ClientKind::Other => Boot::Nothing,
    }
}

fn lacks_http(ipxe: &IpxeFacts) -> bool {
    !ipxe.features.is_empty() && !ipxe.has_http()
}

/// EDK2 tells a program from a disk image by the end of its name.
fn efi_url(base: &str, uki: &Asset) -> String {
    let url = asset_url(base, uki);
    if url.ends_with(".efi") { url } else { url + ".efi" }
}
