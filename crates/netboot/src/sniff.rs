//! The sniffer: first frames, router solicitations (answered at once), other DHCP servers and routers.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::{DhcpMode, MacAddr, Notice, Sight, Sighting};
use wire::dhcp::{ControllerMark, Message, MessageType, OptionCode, SERVER_PORT};
use wire::dhcp6;
use wire::frame::{Ethernet, Frame, Udp4, Udp6, arp_sender};
use wire::ndp::{Announcement, Audience, Routing, bare_advertisement};

use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::packet::{LARGEST_FRAME, PacketPort};
use crate::told::Told;

/// Silence after which a machine's next frame is a first one, in milliseconds.
const SILENCE_MS: u64 = 5_000;
/// Longest pause between two advertisements that nobody asked for (RFC 4861 section 6.2.1, `MaxRtrAdvInterval`).
const ADVERTISE_EVERY: Duration = Duration::from_secs(600);
/// How long we are a default router after each of them (`AdvDefaultLifetime`), in seconds.
const ROUTER_SECONDS: u16 = 1800;
/// Machines remembered.
const MACHINES: usize = 4096;
/// Pause after the interface refused to be read, such as while it is down.
const BREATH: Duration = Duration::from_secs(1);

/// The sniffer.
#[derive(Debug)]
pub struct Sniffer {
    watch: Watch,
    packets: Arc<PacketPort>,
}

/// Looks at frames, without a socket.
#[derive(Debug)]
pub(crate) struct Watch {
    counter: Arc<Counter>,
    /// Our own port's address.
    mac: MacAddr,
    last_frame: HashMap<MacAddr, u64>,
    told: Told<(Stranger, MacAddr)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stranger {
    Dhcp,
    Dhcp6,
    Controller,
    Router,
}

impl Sniffer {
    /// A sniffer on this port.
    #[must_use]
    pub fn new(counter: Arc<Counter>, packets: Arc<PacketPort>) -> Self {
        Self { watch: Watch::new(counter, packets.mac()), packets }
    }

    /// Watches until dropped.
    pub async fn run(mut self) {
        let mut buffer = [0; LARGEST_FRAME];
        let mut boards = self.watch.counter.boards();
        let mut again = tokio::time::interval(ADVERTISE_EVERY);
        let mut announced = Vec::new();
        loop {
            let received = tokio::select! {
                received = self.packets.receive(&mut buffer) => received,
                changed = boards.changed() => match changed {
                    Ok(()) => {
                        self.announce(&mut announced, false);
                        continue;
                    }
                    Err(_) => return,
                },
                _ = again.tick() => {
                    self.announce(&mut announced, true);
                    continue;
                }
            };
            match received {
                Ok(count) => {
                    let (frame, now) = (buffer.get(..count).unwrap_or_default(), boottime_ms());
                    if let Some((asker, answer)) = self.watch.take(frame, now) {
                        let sent = self.packets.send(&answer);
                        if let Err(error) = &sent {
                            tracing::warn!(mac = %asker, "a router solicitation stays unanswered: {error}");
                        }
                        self.watch.note_answer(asker, sent.is_ok(), now);
                    }
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::NetworkDown {
                        tracing::warn!("packet port: {error}");
                    }
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

impl Sniffer {
    /// Tells everybody how IPv6 is used here (RFC 4861 section 6.2.4): from time to time, and when it changes.
    fn announce(&self, announced: &mut Vec<u8>, again: bool) {
        if !self.watch.speaks_ipv6() {
            announced.clear();
            return;
        }
        let frame = self.watch.advertisement(Audience::All);
        if !again && frame == *announced {
            return;
        }
        match self.packets.send(&frame) {
            Ok(()) => *announced = frame,
            // Until a first frame came in; who asks meanwhile is answered all the same.
            Err(error) => tracing::debug!("no router advertisement: {error}"),
        }
    }
}

impl Watch {
    pub(crate) fn new(counter: Arc<Counter>, mac: MacAddr) -> Self {
        Self { counter, mac, last_frame: HashMap::new(), told: Told::default() }
    }

    /// Looks at a frame; who asks for a router, and the answer for it.
    pub(crate) fn take(&mut self, bytes: &[u8], now: u64) -> Option<(MacAddr, Vec<u8>)> {
        let Ok(frame) = Frame::parse(bytes) else {
            self.counter.note_malformed("frame");
            return None;
        };
        let sender = frame.sender();
        if sender == self.mac || sender.is_group() {
            return None;
        }
        self.note_frame(sender, now);
        let source = match &frame {
            Frame::Icmp6(icmp) => Some(icmp.from),
            Frame::Udp6(udp) => Some(*udp.from.ip()),
            Frame::Udp4(_) | Frame::Other(_) => None,
        };
        if let Some(source) = source.filter(|source| source.is_unicast_link_local()) {
            self.counter.neighbours.meet(source, sender);
        }
        match &frame {
            Frame::Icmp6(icmp) => match Routing::parse(icmp) {
                Some(Routing::Solicitation(asker)) => {
                    return Some((asker.mac, self.advertisement(Audience::One(asker))));
                }
                Some(Routing::Advertisement(found)) if !found.is_bare() => {
                    let names_dns = !found.name_servers.is_empty();
                    let notice = Notice::ForeignRouter { mac: sender, address: found.router, names_dns };
                    self.tell((Stranger::Router, sender), now, notice, &found);
                }
                Some(Routing::Advertisement(_)) | None => {}
            },
            Frame::Udp4(udp) if udp.from.port() == SERVER_PORT => self.foreign_dhcp(udp, now),
            Frame::Udp6(udp) if udp.from.port() == dhcp6::SERVER_PORT => self.foreign_dhcp6(udp, now),
            Frame::Other(ethernet) => self.note_arp(ethernet),
            Frame::Udp4(_) | Frame::Udp6(_) => {}
        }
        None
    }

    fn speaks_ipv6(&self) -> bool {
        self.counter.board().is_some_and(|board| board.table().network.ipv6.is_some())
    }

    /// What we say of routers: nothing in a lab without IPv6, otherwise how it is used here.
    fn advertisement(&self, to: Audience) -> Vec<u8> {
        match self.counter.board().and_then(|board| board.table().network.ipv6.clone()) {
            Some(six) => Announcement {
                prefix: six.prefix,
                autonomous: six.autonomous,
                lifetime_seconds: if six.router { ROUTER_SECONDS } else { 0 },
                name_servers: six.dns,
            }
            .frame(self.mac, to),
            None => bare_advertisement(self.mac, to),
        }
    }

    /// Tells the core what became of an answer.
    pub(crate) fn note_answer(&self, asker: MacAddr, answered: bool, now: u64) {
        self.counter.sights.see_at(asker, Sight::RouterAsked { answered }, now);
    }

    fn note_frame(&mut self, mac: MacAddr, now: u64) {
        if self.last_frame.len() >= MACHINES {
            self.last_frame.retain(|_, last| now.saturating_sub(*last) < SILENCE_MS);
            if self.last_frame.len() >= MACHINES {
                self.last_frame.clear();
            }
        }
        let last = self.last_frame.insert(mac, now);
        if last.is_none_or(|last| now.saturating_sub(last) >= SILENCE_MS) {
            self.counter.see_all(vec![Sighting { mac, boottime_ms: now, sight: Sight::Frame }]);
        }
    }

    /// Where another server gives the addresses, a machine's first ARP tells which one it has.
    fn note_arp(&self, ethernet: &Ethernet<'_>) {
        let Some((mac, address)) = arp_sender(ethernet) else { return };
        let Some(board) = self.counter.board() else { return };
        let given_elsewhere = board.table().network.dhcp != DhcpMode::Authoritative;
        if given_elsewhere && board.entry(mac).is_some() {
            self.counter.learn(address, mac);
        }
    }

    fn foreign_dhcp(&mut self, udp: &Udp4<'_>, now: u64) {
        let Some(board) = self.counter.board() else { return };
        let Ok(message) = Message::decode(udp.payload) else { return };
        if !matches!(message.kind(), Some(MessageType::Offer | MessageType::Ack | MessageType::Nak)) {
            return;
        }
        let server = message.options.address(OptionCode::SERVER_ID).unwrap_or_else(|| *udp.from.ip());
        let mac = udp.from_mac;
        let mark = message.options.get(OptionCode::CONTROLLER).and_then(ControllerMark::read);
        if let Some(ControllerMark { lab }) = mark {
            let same = board.table().lab.as_str() == lab;
            let notice = Notice::OtherController { mac, server, same, lab };
            self.tell((Stranger::Controller, mac), now, notice, &server);
            return;
        }
        match board.table().network.dhcp {
            DhcpMode::Authoritative => {}
            DhcpMode::Proxy | DhcpMode::Off => {
                // It is meant to be there; what it gives is worth knowing.
                if let (Some(MessageType::Ack), Some(client)) = (message.kind(), message.mac()) {
                    self.counter.learn(message.yiaddr, client);
                }
                return;
            }
        }
        self.tell((Stranger::Dhcp, mac), now, Notice::ForeignDhcp { mac, server }, &server);
    }

    /// Where this boss gives the IPv6 addresses, nobody else should. Relays pass on what we say ourselves.
    fn foreign_dhcp6(&mut self, udp: &Udp6<'_>, now: u64) {
        let own = self.counter.board().and_then(|board| Some(board.table().network.ipv6.as_ref()?.boss));
        let (Some(own), Ok(message)) = (own, dhcp6::Message::decode(udp.payload)) else { return };
        let Some(server) = message.server().filter(|server| *server != dhcp6::Duid::of_server(own)) else {
            return;
        };
        if matches!(message.kind, dhcp6::MessageType::Advertise | dhcp6::MessageType::Reply) {
            let (mac, address) = (udp.from_mac, *udp.from.ip());
            let notice = Notice::ForeignDhcp6 { mac, address, duid: server.to_hex() };
            self.tell((Stranger::Dhcp6, mac), now, notice, &address);
        }
    }

    fn tell(&mut self, who: (Stranger, MacAddr), now: u64, notice: Notice, what: &dyn fmt::Display) {
        if self.told.is_news(who, now) {
            let (stranger, mac) = who;
            tracing::warn!(%mac, "another {stranger:?} serves this segment: {what}");
            self.counter.sights.notice(notice);
        }
    }
}
