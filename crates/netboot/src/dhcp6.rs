//! The DHCPv6 port: reads, lets the engine decide, writes the leases down, answers.
//!
//! ```text
//! datagram ─▶ relays off ─▶ which machine, what it boots ─▶ engine ─▶ leases to the ledger ─▶ reply to where it came from
//!                                                                       └ disk full: no reply, told once
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use model::{BootAnswer, BootEntry, ClientKind, Ipv6Spec, MacAddr, Sight, Sighting};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use wire::dhcp6::server::{Boot, Config, Lease, Outcome, Owner, Pool, Reply, Reservation, Server};
use wire::dhcp6::{Caller, Envelope, MessageType, Options};

use crate::board::Board;
use crate::clock::boottime_ms;
use crate::counter::{Counter, Over};
use crate::dhcp::efi_url;
use crate::ledger::{Holder, Lease6};
use crate::loaders::UEFI_LOADER;
use crate::script::script_url;

/// Largest datagram read.
const LARGEST: usize = 2048;

/// The DHCPv6 service.
#[derive(Debug)]
pub struct Dhcp6 {
    clerk: Clerk,
    socket: UdpSocket,
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
    mac: Option<MacAddr>,
    client: ClientKind,
    /// What it answers, where that is a step of a boot.
    told: bool,
    pub(crate) reply: Reply,
}

#[derive(Debug)]
struct Engine {
    server: Server,
    board: Arc<Board>,
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
        if let Some(engine) = &mut self.engine
            && board.places_like(&engine.board)
        {
            engine.board = board;
            return;
        }
        let Some(config) = config_of(&board) else {
            self.engine = None;
            return;
        };
        match &mut self.engine {
            Some(engine) => {
                engine.server.reconfigure(config);
                engine.board = board;
            }
            None => {
                let mut server = Server::new(config);
                let now = boottime_ms();
                for lease in self.counter.ledger.leases6() {
                    server.restore(restored(lease, now));
                }
                self.engine = Some(Engine { server, board });
            }
        }
    }

    /// Takes a message in; its answer, if it gets one. `from` is whom the datagram came from, a client or a relay;
    /// `now` is in milliseconds of a clock that does not go back.
    pub(crate) fn take(&mut self, bytes: &[u8], from: Ipv6Addr, now: u64) -> Option<Answer> {
        let engine = self.engine.as_mut()?;
        let Ok(envelope) = Envelope::decode(bytes) else {
            self.counter.note_malformed("dhcp6");
            return None;
        };
        let caller = Caller::of(&envelope.message);
        // Behind a relay, the frame is the relay's.
        let met = self.counter.neighbours.met(from).filter(|_| envelope.relays.is_empty());
        let mac = engine.server.recognise(met.into_iter().chain(envelope.senders(from)));
        let kind = envelope.message.kind;
        tell(&self.counter, mac, kind, &caller);
        let boot = boot_of(&self.counter, &engine.board, mac, &caller);
        let reply = match engine.server.answer(&envelope, mac, &boot, now) {
            Outcome::Reply(reply) => reply,
            Outcome::Ignore(why) => {
                tracing::debug!(?mac, "DHCPv6 without an answer: {why}");
                return None;
            }
        };
        if !write(&self.counter, &reply.leases, now) {
            for lease in &reply.leases {
                engine.server.forget(&lease.owner);
            }
            return None;
        }
        for lease in &reply.freed {
            self.counter.release(lease.address);
            let freed = self.counter.ledger.free6(lease.address);
            self.counter.note_ledger(&freed);
        }
        for address in &reply.declined {
            tracing::warn!(?mac, %address, "a machine found its address in use by another");
        }
        let told = !matches!(kind, MessageType::Release | MessageType::Decline | MessageType::Confirm);
        Some(Answer { mac, client: caller.kind, told, reply })
    }

    /// Tells the core of an answer that left.
    pub(crate) fn note_sent(&self, answer: &Answer) {
        let (Some(mac), true) = (answer.mac, answer.told) else { return };
        let (address, client) = (answer.reply.address(), answer.client);
        match (answer.reply.message.kind, address) {
            (MessageType::Advertise, Some(address)) => {
                see(&self.counter, mac, Sight::Advertise { address });
            }
            (MessageType::Reply, _) => {
                if let Some(address) = address {
                    self.counter.hold(address, mac);
                }
                see(&self.counter, mac, Sight::Reply { address, client });
            }
            _ => {}
        }
    }
}

fn see(counter: &Counter, mac: MacAddr, sight: Sight) {
    counter.see_all(vec![Sighting { mac, boottime_ms: boottime_ms(), sight }]);
}

fn tell(counter: &Counter, mac: Option<MacAddr>, kind: MessageType, caller: &Caller) {
    let Some(mac) = mac else { return };
    let client = caller.kind;
    match kind {
        MessageType::Solicit | MessageType::InformationRequest => {
            let (arch, elapsed_ms, uuid) = (caller.arch.map(|arch| arch.0), caller.elapsed_ms, caller.uuid);
            see(counter, mac, Sight::Solicit { client, arch, elapsed_ms, uuid });
        }
        MessageType::Request => see(counter, mac, Sight::Request6 { client }),
        _ => {}
    }
}

fn restored(lease: Lease6, now: u64) -> Lease {
    let (owner, mac) = match lease.holder {
        Holder::Machine(mac) => (Owner::Machine(mac), Some(mac)),
        Holder::Client { duid, iaid, mac } => (Owner::Client(duid, iaid), mac),
    };
    let until = now.saturating_add(u64::from(lease.seconds) * 1000);
    Lease { owner, mac, address: lease.address, until, host_name: lease.host_name }
}

/// Writes leases down; false when they must not be acknowledged.
fn write(counter: &Counter, leases: &[Lease], now: u64) -> bool {
    if leases.is_empty() {
        return true;
    }
    let record = |lease: &Lease| {
        let holder = match &lease.owner {
            Owner::Machine(mac) => Holder::Machine(*mac),
            Owner::Client(duid, iaid) => Holder::Client { duid: duid.clone(), iaid: *iaid, mac: lease.mac },
        };
        let seconds = u32::try_from(lease.until.saturating_sub(now) / 1000).unwrap_or(u32::MAX);
        Lease6 { holder, address: lease.address, host_name: lease.host_name.clone(), seconds }
    };
    let written = counter.ledger.write6(leases.iter().map(record).collect());
    // Renewals write nothing, and say nothing about the disk.
    if !matches!(written, Ok(0)) {
        counter.note_ledger(&written);
    }
    written.is_ok()
}

fn config_of(board: &Board) -> Option<Config> {
    let network = &board.table().network;
    let spec = network.ipv6.as_ref()?;
    let reserve = |entry: &BootEntry| {
        let address = entry.ip6?;
        Some((entry.mac, Reservation { address, host_name: Some(entry.node.to_string()) }))
    };
    Some(Config {
        boss: spec.boss,
        prefix: Ipv6Spec::PREFIX,
        dns: spec.dns.clone(),
        lease_seconds: network.lease_seconds,
        pool: spec.pool.map(|(first, last)| Pool { first, last }),
        reservations: board
            .table()
            .nodes
            .iter()
            .filter_map(|entry| reserve(entry))
            .collect::<BTreeMap<_, _>>(),
        extra: Options::new(),
    })
}

/// What this client boots: every URL with the boss's IPv6 address in it. A system has booted already; an agent is
/// told where to report, because a server of DHCPv6 has no address of its own.
fn boot_of(counter: &Counter, board: &Board, mac: Option<MacAddr>, caller: &Caller) -> Boot {
    let base = counter.base_url_over(board, Over::Six);
    match (caller.kind, mac) {
        (ClientKind::UefiPxe, _) => match &board.table().network.ipv6 {
            Some(spec) => Boot::Url(format!("tftp://[{}]/{UEFI_LOADER}", spec.boss)),
            None => Boot::Nothing,
        },
        (ClientKind::Ipxe, Some(mac)) => Boot::Url(script_url(counter, board, mac, Over::Six)),
        (ClientKind::Ipxe, None) => Boot::Url(format!("{base}/autoexec.ipxe")),
        (ClientKind::UefiHttp, mac) => {
            let entry = mac.and_then(|mac| board.entry(mac));
            let uki = entry.and_then(|entry| match counter.answer_for(entry).as_ref() {
                BootAnswer::Run { image, .. } => image.uki.clone(),
                BootAnswer::Wait { .. } | BootAnswer::Disk { .. } => None,
            });
            // As over IPv4: undecided, it gets a loader that can wait.
            Boot::Url(uki.map_or_else(|| format!("{base}/{UEFI_LOADER}"), |uki| efi_url(&base, &uki)))
        }
        (ClientKind::Agent, _) => Boot::Url(format!("{base}/")),
        // There is no PXE of a BIOS over IPv6.
        (
            ClientKind::BiosPxe
            | ClientKind::RaspberryPi
            | ClientKind::UBoot
            | ClientKind::UnknownFirmware
            | ClientKind::Other,
            _,
        ) => Boot::Nothing,
    }
}

/// The form in the ledger and in the engine must mean the same.
#[cfg(test)]
mod tests {
    use super::*;
    use wire::dhcp6::Duid;

    #[test]
    fn a_lease_comes_back_as_it_was_written() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let duid = Duid::of_mac(mac);
        for holder in [Holder::Machine(mac), Holder::Client { duid, iaid: 7, mac: Some(mac) }] {
            let lease = Lease6 {
                holder,
                address: "fd00::11".parse().unwrap(),
                host_name: "node1".to_owned(),
                seconds: 60,
            };
            let text = serde_json::to_string(&lease).unwrap();
            let back: Lease6 = serde_json::from_str(&text).unwrap();
            assert_eq!(back, lease, "{text}");
            assert_eq!(restored(back, 1000).until, 61_000);
        }
    }
}
