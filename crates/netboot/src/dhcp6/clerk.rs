//! Decides what messages are answered, without a socket.

use std::net::Ipv6Addr;
use std::sync::Arc;

use model::{ClientKind, MacAddr, Notice, Sight, Sighting};
use tokio::sync::watch;
use wire::dhcp6::server::{Ignored, Lease, Outcome, Owner, Reply, Server};
use wire::dhcp6::{Caller, Duid, Envelope, Message, MessageType};

use super::boot::{boot_of, config_of};
use super::others::Others;
use crate::board::Board;
use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::dhcp::PROBE_CLASS;
use crate::flood::{Flood, Key, Verdict};
use crate::ledger::{Holder, Lease6};

/// Decides what a message is answered, without a socket.
#[derive(Debug)]
pub(crate) struct Clerk {
    counter: Arc<Counter>,
    pub(super) boards: watch::Receiver<Option<Arc<Board>>>,
    engine: Option<Engine>,
    flood: Flood,
    others: Others,
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

impl Clerk {
    pub(crate) fn new(counter: Arc<Counter>) -> Self {
        let boards = counter.boards();
        let (flood, others) = (Flood::default(), Others::default());
        let mut clerk = Self { counter, boards, engine: None, flood, others };
        clerk.take_board();
        clerk
    }

    /// Answers by the board published last from now on.
    pub(crate) fn catch_up(&mut self) {
        if self.boards.has_changed().unwrap_or(false) {
            self.take_board();
        }
    }

    pub(super) fn take_board(&mut self) {
        let Some(board) = self.boards.borrow_and_update().clone() else { return };
        if let Some(engine) = &mut self.engine
            && board.places_like(&engine.board)
        {
            engine.board = board;
            return;
        }
        let Some(config) = config_of(&board, self.counter.served()) else {
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
        if envelope.message.client() == Some(engine.server.config().duid()) {
            // Our own question for others, which comes back to its sender.
            return None;
        }
        // Behind a relay, the frame is the relay's.
        let met = self.counter.neighbours.met(from).filter(|_| envelope.relays.is_empty());
        let senders = || met.into_iter().chain(envelope.senders(from));
        if floods(&mut self.flood, &self.counter, senders().next(), &envelope, now) {
            return None;
        }
        let caller = Caller::of(&envelope.message);
        let mac = engine.server.recognise(senders());
        let kind = envelope.message.kind;
        tell(&self.counter, mac, kind, &caller);
        let boot = boot_of(&self.counter, &engine.board, mac, &caller);
        let reply = match engine.server.answer(&envelope, mac, &boot, now) {
            Outcome::Reply(reply) => reply,
            Outcome::Ignore(why) => {
                if why == Ignored::ForAnotherServer {
                    self.others.note_choice(&self.counter, mac, &envelope.message, now);
                }
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
        // Before the answer leaves: a machine may ask for its script by the address at once.
        if let (Some(mac), MessageType::Reply, Some(address), true) =
            (mac, reply.message.kind, reply.address(), told)
        {
            self.counter.hold(address, mac);
        }
        Some(Answer { mac, client: caller.kind, told, reply })
    }

    /// The question for other servers, when it is due.
    pub(super) fn question(&self, now: u64) -> Option<Message> {
        let duid = self.engine.as_ref()?.server.config().duid();
        self.others.question(&duid, now)
    }

    /// That question left.
    pub(super) fn note_question(&mut self, now: u64) {
        self.others.note_question(now);
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
                see(&self.counter, mac, Sight::Reply { address, client });
            }
            _ => {}
        }
    }
}

fn see(counter: &Counter, mac: MacAddr, sight: Sight) {
    counter.see_all(vec![Sighting { mac, boottime_ms: boottime_ms(), sight }]);
}

/// True for a message that is left unread, because its sender asks without end. Counted by Ethernet address and
/// identifier together: boards may share a UUID, and one card may speak for many, as that of a bridge does.
fn floods(flood: &mut Flood, counter: &Counter, mac: Option<MacAddr>, envelope: &Envelope, now: u64) -> bool {
    let duid = envelope.message.client();
    let own = mac.iter().flat_map(|mac| mac.0);
    let name: Vec<u8> = own.chain(duid.iter().flat_map(Duid::as_bytes).copied()).collect();
    match flood.judge(Key::of_name(&name), now) {
        Verdict::Pass => return false,
        Verdict::Drop => {}
        Verdict::Tell(count) => {
            tracing::warn!(?mac, ?duid, "asks without end; {count} messages were left unread");
            if let Some(mac) = mac {
                counter.sights.notice(Notice::Flooding { mac, count });
            }
        }
    }
    true
}

fn tell(counter: &Counter, mac: Option<MacAddr>, kind: MessageType, caller: &Caller) {
    // Another controller looks around: it is no machine that wants something.
    let Some(mac) = mac.filter(|_| caller.vendor != PROBE_CLASS) else { return };
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

/// The form in the ledger and in the engine must mean the same.
#[cfg(test)]
mod tests {
    use super::*;

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
