//! Decides what messages are answered, without a socket: a group at a time, so that one write of the ledger serves all.
//!
//! ```text
//! consider (each message) ─▶ settle: all leases written, or none acknowledged ─▶ replies leave ─▶ tell the core
//! ```

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::{ClientKind, DhcpMode, MacAddr, Notice, Sight, Sighting};
use tokio::sync::watch;
use wire::dhcp::proxy::{self, Door, Proxy};
use wire::dhcp::server::{Lease, Outcome, Reply, Server};
use wire::dhcp::{Caller, Message, MessageType};

use super::boot::{boot_of, config_of, proxy_of};
use super::probe;
use crate::board::Board;
use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::flood::{Flood, Key, Verdict};
use crate::ledger::{self, Change};
use crate::told::Told;

/// Decides what a message is answered, without a socket.
#[derive(Debug)]
pub(crate) struct Clerk {
    counter: Arc<Counter>,
    pub(super) boards: watch::Receiver<Option<Arc<Board>>>,
    door: Door,
    engine: Option<Engine>,
    flood: Flood,
    /// Servers that machines were heard to follow.
    others: Told<Ipv4Addr>,
}

#[derive(Debug)]
struct Engine {
    server: Server,
    proxy: Proxy,
    board: Arc<Board>,
}

/// An answer. It may leave when its group is settled.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) mac: MacAddr,
    client: ClientKind,
    pub(crate) reply: Reply,
    /// Who sent the question, where it came over a socket.
    pub(super) from: Option<SocketAddr>,
    /// Set by whoever sent it.
    pub(crate) sent: bool,
}

impl Answer {
    /// The address that it gives for good: an acknowledged one, not an offered one.
    fn given(&self) -> Option<Ipv4Addr> {
        let Reply { message, .. } = &self.reply;
        let acknowledged = message.kind() == Some(MessageType::Ack) && !message.yiaddr.is_unspecified();
        acknowledged.then_some(message.yiaddr)
    }

    /// Its bytes, unless they fit into no datagram.
    pub(crate) fn payload(&self) -> Option<Vec<u8>> {
        let encoded = self.reply.encode();
        encoded.map_err(|error| tracing::warn!(mac = %self.mac, "a DHCP reply does not fit: {error}")).ok()
    }
}

/// Messages that came together, and what became of them.
#[derive(Debug)]
pub(crate) struct Group {
    /// When they came, in milliseconds of a clock that does not go back.
    now: u64,
    answers: Vec<Answer>,
    changes: Vec<Change>,
    /// Beside each change: whose lease it is and what that machine held before, for the case that the ledger does not
    /// take it. An address that is given back has nothing to undo.
    undo: Vec<Option<(MacAddr, Option<Lease>)>>,
    sights: Vec<Sighting>,
    heard_of_another: bool,
}

impl Group {
    /// A group that comes now.
    pub(crate) fn at(now: u64) -> Self {
        Self {
            now,
            answers: Vec::new(),
            changes: Vec::new(),
            undo: Vec::new(),
            sights: Vec::new(),
            heard_of_another: false,
        }
    }

    /// What may leave, once it is settled.
    pub(crate) fn answers(&mut self) -> &mut [Answer] {
        &mut self.answers
    }

    /// True when a machine follows another server.
    pub(super) fn heard_of_another(&self) -> bool {
        self.heard_of_another
    }

    fn promise(&mut self, lease: &Lease, before: Option<Lease>) {
        self.changes.push(Change::Given(of_ledger(lease, self.now)));
        self.undo.push(Some((lease.mac, before)));
    }

    fn free(&mut self, address: Ipv4Addr) {
        self.changes.push(Change::Freed(address));
        self.undo.push(None);
    }

    fn see(&mut self, mac: MacAddr, sight: Sight) {
        self.sights.push(Sighting { mac, boottime_ms: self.now, sight });
    }
}

impl Clerk {
    pub(crate) fn new(counter: Arc<Counter>, door: Door) -> Self {
        let boards = counter.boards();
        let (flood, others) = (Flood::default(), Told::default());
        let mut clerk = Self { counter, boards, door, engine: None, flood, others };
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
            // Another answer for some machine, at the same addresses: nothing the engine knows has changed.
            engine.board = board;
            return;
        }
        let (config, proxy) = (config_of(&board, self.counter.served()), proxy_of(&board));
        match &mut self.engine {
            Some(engine) => {
                engine.server.reconfigure(config);
                engine.proxy = proxy;
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
                self.engine = Some(Engine { server, proxy, board });
            }
        }
    }

    /// Takes one message into a group.
    pub(crate) fn consider(&mut self, bytes: &[u8], from: Option<SocketAddr>, group: &mut Group) {
        if let Some(mac) = sender(bytes) {
            match self.flood.judge(Key::of_machine(mac), group.now) {
                Verdict::Pass => {}
                Verdict::Drop => return,
                Verdict::Tell(count) => {
                    tracing::warn!(%mac, "asks without end; {count} messages were left unread");
                    self.counter.sights.notice(Notice::Flooding { mac, count });
                    return;
                }
            }
        }
        let Ok(message) = Message::decode(bytes) else {
            self.counter.note_malformed("dhcp");
            return;
        };
        let Some(mac) = message.mac() else { return };
        let caller = Caller::of(&message);
        note_question(group, mac, &message, &caller);
        if let Some(ipxe) = &caller.ipxe
            && let Some(news) = self.counter.news_of_ipxe(mac, &ipxe.version, ipxe.feature_names())
        {
            group.see(mac, news);
        }
        let Some(engine) = &self.engine else { return };
        let board = Arc::clone(&engine.board);
        let network = &board.table().network;
        let taken = proxy::address_taken(&message, network.boss);
        match (network.dhcp, self.door) {
            (DhcpMode::Authoritative, Door::Server) => {
                if let Some((_, server)) = taken {
                    self.note_choice(mac, server, group);
                }
                self.serve(&message, &caller, from, group);
            }
            (DhcpMode::Proxy, _) => {
                if let Some((address, _)) = taken
                    && self.counter.learn(address, mac)
                {
                    group.see(mac, Sight::Ack { address, client: caller.kind });
                }
                self.serve_beside(&message, &caller, from, group);
            }
            (DhcpMode::Off, _) | (DhcpMode::Authoritative, Door::BootServer) => {}
        }
    }

    /// A machine follows another server: told at once, and once a minute while it goes on.
    fn note_choice(&mut self, mac: MacAddr, server: Ipv4Addr, group: &mut Group) {
        group.heard_of_another = true;
        if self.others.is_news(server, group.now) {
            tracing::warn!(%mac, %server, "follows another DHCP server");
            self.counter.sights.notice(Notice::ForeignChoice { mac, server });
        }
    }

    /// Says what to boot, and leaves the addresses to another.
    fn serve_beside(&self, message: &Message, caller: &Caller, from: Option<SocketAddr>, group: &mut Group) {
        let (Some(mac), Some(engine)) = (message.mac(), &self.engine) else { return };
        let boot = boot_of(&self.counter, &engine.board, mac, caller);
        match engine.proxy.answer(message, &boot, self.door) {
            Ok(reply) => {
                let again = Proxy::without_discovery(message, &reply);
                for reply in [Some(reply), again].into_iter().flatten() {
                    group.answers.push(Answer { mac, client: caller.kind, reply, from, sent: false });
                }
            }
            Err(why) => tracing::debug!(%mac, "DHCP without an answer: {why}"),
        }
    }

    fn serve(&mut self, message: &Message, caller: &Caller, from: Option<SocketAddr>, group: &mut Group) {
        let (Some(mac), Some(engine)) = (message.mac(), &mut self.engine) else { return };
        let before = engine.server.lease(mac).cloned();
        let boot = boot_of(&self.counter, &engine.board, mac, caller);
        match engine.server.answer(message, &boot, group.now) {
            Outcome::Reply(reply) => {
                if let Some(lease) = &reply.lease {
                    group.promise(lease, before);
                }
                group.answers.push(Answer { mac, client: caller.kind, reply, from, sent: false });
            }
            Outcome::Nak(reply) => {
                group.answers.push(Answer { mac, client: caller.kind, reply, from, sent: false });
            }
            Outcome::Released(lease) => {
                self.counter.release(lease.address);
                group.free(lease.address);
            }
            Outcome::Declined { mac, address } => {
                tracing::warn!(%mac, %address, "a machine found its address in use by another");
                self.counter.release(address);
                group.free(address);
            }
            Outcome::Ignore(why) => tracing::debug!(%mac, "DHCP without an answer: {why}"),
        }
    }

    /// Writes down what the group promises, and remembers whose each address is before it is given: a machine may ask
    /// for its script by it at once.
    pub(crate) fn settle(&mut self, group: &mut Group) {
        self.write_down(group);
        for answer in &group.answers {
            if let Some(address) = answer.given() {
                self.counter.hold(address, answer.mac);
            }
        }
    }

    /// What the ledger does not take the engine forgets again, and it is not acknowledged.
    fn write_down(&mut self, group: &mut Group) {
        if group.changes.is_empty() {
            return;
        }
        let written = self.counter.ledger.write(&group.changes);
        match written {
            // Renewals write nothing, and say nothing about the disk.
            Ok(0) => {}
            Ok(_) | Err(_) => self.counter.note_ledger(&written),
        }
        if written.is_ok() {
            return;
        }
        // Not for all of them is there room: whose lease stands already, or still fits, is not to suffer for the rest.
        let mut refused = BTreeSet::new();
        for (change, undo) in group.changes.iter().zip(std::mem::take(&mut group.undo)) {
            let Some((mac, before)) = undo else {
                // After a restart it counts as taken until it runs out, which harms nobody.
                drop(self.counter.ledger.write(std::slice::from_ref(change)));
                continue;
            };
            if !refused.contains(&mac) && self.counter.ledger.write(std::slice::from_ref(change)).is_ok() {
                continue;
            }
            // What came after a refusal was built on it.
            if refused.insert(mac)
                && let Some(engine) = &mut self.engine
            {
                engine.server.forget(mac);
                before.into_iter().for_each(|lease| engine.server.restore(lease));
            }
        }
        group.answers.retain(|answer| answer.reply.lease.is_none() || !refused.contains(&answer.mac));
    }

    /// Tells the core what came and what left.
    pub(crate) fn tell(&self, mut group: Group) {
        for answer in std::mem::take(&mut group.answers) {
            if answer.sent {
                self.note_answer(&mut group, &answer);
            }
        }
        self.counter.see_all(group.sights);
    }

    fn note_answer(&self, group: &mut Group, answer: &Answer) {
        let Answer { mac, client, ref reply, .. } = *answer;
        let address = reply.message.yiaddr;
        match reply.message.kind() {
            Some(MessageType::Offer) => group.see(mac, Sight::Offer { address }),
            Some(MessageType::Ack) if answer.given().is_some() => {
                group.see(mac, Sight::Ack { address, client });
            }
            Some(MessageType::Nak) => group.see(mac, Sight::Nak),
            _ => {}
        }
    }

    /// Where this clerk hears.
    pub(crate) fn door(&self) -> Door {
        self.door
    }

    /// True when this is to be the only DHCP server of the segment.
    pub(super) fn is_alone(&self) -> bool {
        let mode = self.engine.as_ref().map(|engine| engine.board.table().network.dhcp);
        mode == Some(DhcpMode::Authoritative)
    }

    pub(crate) fn boss(&self) -> Option<Ipv4Addr> {
        self.engine.as_ref().map(|engine| engine.board.table().network.boss)
    }
}

/// Whose message this is, before it is read: `chaddr` of an Ethernet client (RFC 2131 figure 1).
fn sender(bytes: &[u8]) -> Option<MacAddr> {
    match bytes {
        [1, 1, 6, ..] => bytes.get(28..34)?.try_into().ok().map(MacAddr),
        _ => None,
    }
}

fn note_question(group: &mut Group, mac: MacAddr, message: &Message, caller: &Caller) {
    // Another controller looks around: it is no machine that wants something.
    if caller.vendor == probe::CLASS {
        return;
    }
    match message.kind() {
        Some(MessageType::Discover) => {
            let version = caller.ipxe_version().to_owned();
            let arch = caller.arch.map(|arch| arch.0);
            let (client, secs, uuid) = (caller.kind, caller.secs, caller.uuid);
            group.see(mac, Sight::Discover { client, arch, secs, uuid, version });
        }
        Some(MessageType::Request) => group.see(mac, Sight::Request { client: caller.kind }),
        _ => {}
    }
}

fn of_ledger(lease: &Lease, now: u64) -> ledger::Lease {
    ledger::Lease {
        mac: lease.mac,
        address: lease.address,
        host_name: lease.host_name.clone(),
        seconds: u32::try_from(lease.until.saturating_sub(now) / 1000).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{BootTable, DhcpMode, NetworkSpec};
    use wire::dhcp::{Client, ClientSettings, ClientStep};

    use super::*;

    fn counter(folder: &std::path::Path) -> Arc<Counter> {
        let parts = crate::Parts {
            files: Arc::new(store::Disk),
            state: folder.to_owned(),
            loaders: crate::Loaders::default(),
            shelf: store::shelf::Shelf::new(folder.join("shelf")),
            http_port: 80,
            transfers: 1,
        };
        let (counter, _) = Counter::open(parts).unwrap();
        let at = |last| Ipv4Addr::new(10, 0, 0, last);
        let network = NetworkSpec {
            interface: "lab0".to_owned(),
            subnet: at(0),
            prefix: 24,
            boss: at(1),
            gateway: None,
            dns: Vec::new(),
            domain: None,
            names: None,
            ntp: model::NtpMode::Off,
            pool: Some((at(100), at(120))),
            dhcp: DhcpMode::Authoritative,
            lease_seconds: 600,
            relays: Vec::new(),
            tftp: model::TftpPorts::default(),
            ipv6: None,
        };
        let table = BootTable { number: 1, lab: "bench".parse().unwrap(), network, nodes: Vec::new() };
        counter.publish(table).unwrap();
        counter
    }

    #[test]
    fn a_machine_is_known_by_its_address_before_it_has_it() {
        let folder = std::env::temp_dir().join(format!("clerk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let counter = counter(&folder);
        let mac = MacAddr([2, 0, 0, 0, 0, 0x63]);
        let mut clerk = Clerk::new(Arc::clone(&counter), Door::Server);
        let mut client = Client::new(ClientSettings::new(mac, 7), 0);
        let mut step = client.on_time(0);
        while let ClientStep::Send(message, _) = step {
            let mut group = Group::at(1);
            clerk.consider(&message.encode(1500).unwrap(), None, &mut group);
            clerk.settle(&mut group);
            // Nothing has left yet.
            let answer = group.answers().first().unwrap();
            let given = answer.reply.message.yiaddr;
            let acknowledged = answer.reply.message.kind() == Some(MessageType::Ack);
            assert_eq!(counter.who_has(given.into()), acknowledged.then_some(mac), "{given}");
            let payload = answer.payload().unwrap();
            step = client.on_packet(&payload, 1);
        }
        assert!(matches!(step, ClientStep::Bound(_)), "{step:?}");
        drop(std::fs::remove_dir_all(&folder));
    }
}
