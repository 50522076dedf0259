//! The counter at the end of a cable in memory: frames and time in, frames out, no socket.
//!
//! What is answered is decided by the code that serves the sockets; only the carrying is different.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

use model::MacAddr;
use wire::dhcp::proxy::{BOOT_SERVER_PORT, Door};
use wire::dhcp::{SERVER_PORT, server::Destination};
use wire::dhcp6;
use wire::frame::{Checksum, Frame, Udp4, Udp6};
use wire::ndp::link_local;
use wire::tftp::{Step, Transfer};

use crate::counter::{Counter, Over};
use crate::dhcp::{Answer, Clerk, Group};
use crate::dhcp6::Clerk as Clerk6;
use crate::sniff;
use crate::tftp::{self, Found};

/// Port TFTP requests go to (RFC 1350).
const TFTP_PORT: u16 = 69;
/// First port of a transfer; the next one takes the next.
const TRANSFER_PORTS: u16 = 20_000;

/// DHCP, TFTP and router advertisements over frames. Time is milliseconds of a clock that the caller keeps and that
/// does not go back. Meant for tests and for labs that live in one process.
#[derive(Debug)]
pub struct Cable {
    counter: Arc<Counter>,
    mac: MacAddr,
    clerk: Clerk,
    clerk6: Clerk6,
    boot_server: Clerk,
    watch: sniff::Watch,
    transfers: BTreeMap<u16, Carried>,
    paces: tftp::Paces,
    next_port: u16,
}

/// One transfer under way.
#[derive(Debug)]
struct Carried {
    client: (MacAddr, SocketAddr),
    boss: IpAddr,
    found: Found,
    watch: tftp::Watch,
    transfer: Transfer,
}

impl Cable {
    /// A counter whose port has this Ethernet address.
    #[must_use]
    pub fn new(counter: Arc<Counter>, mac: MacAddr) -> Self {
        let clerk = |door| Clerk::new(Arc::clone(&counter), door);
        let (clerk, boot_server) = (clerk(Door::Server), clerk(Door::BootServer));
        let watch = sniff::Watch::new(Arc::clone(&counter), mac);
        let clerk6 = Clerk6::new(Arc::clone(&counter));
        Self {
            counter,
            mac,
            clerk,
            boot_server,
            clerk6,
            watch,
            transfers: BTreeMap::new(),
            paces: tftp::Paces::default(),
            next_port: TRANSFER_PORTS,
        }
    }

    /// Takes a frame in; the frames that answer it. Waits only while a claim is being synced.
    pub async fn on_frame(&mut self, bytes: &[u8], now: u64) -> Vec<Vec<u8>> {
        self.counter.note_head(bytes, now.saturating_mul(1000));
        let answers = self.answers(bytes, now).await;
        for answer in &answers {
            self.counter.note_head(answer, now.saturating_mul(1000));
        }
        answers
    }

    async fn answers(&mut self, bytes: &[u8], now: u64) -> Vec<Vec<u8>> {
        if let Some((asker, answer)) = self.watch.take(bytes, now) {
            self.watch.note_answer(asker, true, now);
            return vec![answer];
        }
        match Frame::parse(bytes) {
            Ok(Frame::Udp4(udp)) if udp.checksum != Checksum::Bad => match udp.to.port() {
                SERVER_PORT => self.on_dhcp(udp.payload, now),
                BOOT_SERVER_PORT => self.on_boot_server(&udp, now),
                TFTP_PORT => {
                    let (client, boss) = ((udp.from_mac, SocketAddr::V4(udp.from)), IpAddr::V4(*udp.to.ip()));
                    self.on_request(client, boss, udp.payload, now).await
                }
                port => self.on_transfer(port, udp.payload, now),
            },
            Ok(Frame::Udp6(udp)) if udp.checksum_good => match udp.to.port() {
                dhcp6::SERVER_PORT => self.on_dhcp6(&udp, now).into_iter().collect(),
                TFTP_PORT => {
                    let (client, boss) = ((udp.from_mac, SocketAddr::V6(udp.from)), IpAddr::V6(*udp.to.ip()));
                    self.on_request(client, boss, udp.payload, now).await
                }
                port => self.on_transfer(port, udp.payload, now),
            },
            _ => Vec::new(),
        }
    }

    /// When [`Cable::on_time`] has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        self.transfers.values().filter_map(|carried| carried.transfer.wake_at()).min()
    }

    /// Lets time pass; frames that are sent again.
    pub fn on_time(&mut self, now: u64) -> Vec<Vec<u8>> {
        let due = |carried: &Carried| carried.transfer.wake_at().is_some_and(|at| at <= now);
        let ports: Vec<u16> = self.transfers.iter().filter(|(_, c)| due(c)).map(|(port, _)| *port).collect();
        let mut frames = Vec::new();
        for port in ports {
            if let Some(carried) = self.transfers.get_mut(&port) {
                let step = carried.transfer.on_time(now);
                frames.extend(self.send(port, step, now));
            }
        }
        frames
    }

    fn on_dhcp(&mut self, payload: &[u8], now: u64) -> Vec<Vec<u8>> {
        self.clerk.catch_up();
        let mut group = Group::at(now);
        self.clerk.consider(payload, None, &mut group);
        self.clerk.settle(&mut group);
        let mut frames = Vec::new();
        for answer in group.answers() {
            let frame = self.dhcp_frame(answer);
            answer.sent = frame.is_some();
            frames.extend(frame);
        }
        self.clerk.tell(group);
        frames
    }

    fn on_dhcp6(&mut self, udp: &Udp6<'_>, now: u64) -> Option<Vec<u8>> {
        self.clerk6.catch_up();
        let answer = self.clerk6.take(udp.payload, *udp.from.ip(), now)?;
        let payload = answer.reply.encode();
        let from = SocketAddrV6::new(link_local(self.mac), dhcp6::SERVER_PORT, 0, 0);
        let to = SocketAddrV6::new(*udp.from.ip(), answer.reply.port(), 0, 0);
        let frame = self.udp6(from, (udp.from_mac, to), &payload)?;
        self.clerk6.note_sent(&answer);
        Some(frame)
    }

    fn on_boot_server(&mut self, udp: &Udp4<'_>, now: u64) -> Vec<Vec<u8>> {
        self.boot_server.catch_up();
        let mut group = Group::at(now);
        self.boot_server.consider(udp.payload, Some(udp.from.into()), &mut group);
        let client = (udp.from_mac, SocketAddr::V4(udp.from));
        let mut frames = Vec::new();
        for answer in group.answers() {
            let frame = answer
                .payload()
                .and_then(|payload| self.udp(self.clerk.boss()?.into(), BOOT_SERVER_PORT, client, &payload));
            answer.sent = frame.is_some();
            frames.extend(frame);
        }
        self.boot_server.tell(group);
        frames
    }

    fn dhcp_frame(&self, answer: &Answer) -> Option<Vec<u8>> {
        let payload = answer.payload()?;
        let to = answer.reply.to;
        let (to_mac, address) = match to {
            Destination::Raw { mac, address } => (mac, address),
            Destination::Unicast(address) => (answer.mac, address),
            // Who has the relay's address is not asked here: whoever is the relay hears it.
            Destination::Relay(relay) => (MacAddr::BROADCAST, relay),
            Destination::Broadcast => (MacAddr::BROADCAST, Ipv4Addr::BROADCAST),
        };
        let from = SocketAddrV4::new(self.clerk.boss()?, SERVER_PORT);
        let to = SocketAddrV4::new(address, to.port());
        let payload = payload.as_slice();
        Udp4 { to_mac, from_mac: self.mac, from, to, payload, checksum: Checksum::Good }.build()
    }

    async fn on_request(
        &mut self,
        client: (MacAddr, SocketAddr),
        boss: IpAddr,
        payload: &[u8],
        now: u64,
    ) -> Vec<Vec<u8>> {
        let request = match tftp::read_request(&self.counter, payload) {
            Ok(request) => request,
            Err(refusal) => {
                let frame = refusal.and_then(|packet| self.udp(boss, TFTP_PORT, client, &packet));
                return frame.into_iter().collect();
            }
        };
        let port = self.next_port;
        self.next_port = self.next_port.checked_add(1).unwrap_or(TRANSFER_PORTS);
        let peer = client.1.ip();
        let mac = self.counter.who_has(peer);
        let found = match tftp::open(&self.counter, &request, (mac, Over::of(peer))).await {
            Ok(found) => found,
            Err(refusal) => return self.udp(boss, port, client, &refusal).into_iter().collect(),
        };
        let whose = tftp::Whose::of(mac, peer);
        let path = peer.is_ipv6().then_some(tftp::BLOCK6);
        let of_peer = |carried: &&Carried| carried.client.1.ip() == peer;
        let running = self.transfers.values().filter(of_peer).map(|carried| &carried.transfer);
        let limits = self.paces.limits(whose, path, running);
        let (transfer, first) = found.transfer(&request, limits, now);
        let watch = tftp::Watch::new(mac, &transfer, now);
        self.transfers.insert(port, Carried { client, boss, found, watch, transfer });
        self.send(port, first, now)
    }

    fn on_transfer(&mut self, port: u16, payload: &[u8], now: u64) -> Vec<Vec<u8>> {
        let Some(carried) = self.transfers.get_mut(&port) else { return Vec::new() };
        let step = carried.transfer.on_packet(payload, now);
        self.send(port, step, now)
    }

    fn send(&mut self, port: u16, step: Step, now: u64) -> Vec<Vec<u8>> {
        let Some(carried) = self.transfers.get_mut(&port) else { return Vec::new() };
        let Carried { found, watch, transfer, .. } = carried;
        let packets = match step {
            Step::Wait => Vec::new(),
            Step::Packet(packet) => vec![packet],
            Step::Blocks(blocks) => {
                watch.begin(&self.counter, found);
                watch.progress(&self.counter, found, transfer.statistics(), now);
                tftp::packets(found, blocks, transfer.block_size()).unwrap_or_default()
            }
            Step::End(end) => {
                let statistics = transfer.statistics();
                watch.end(&self.counter, found, &end, statistics);
                let whose = tftp::Whose::of(watch.mac(), carried.client.1.ip());
                self.paces.learn(whose, watch.terms(), statistics);
                self.transfers.remove(&port);
                return Vec::new();
            }
        };
        let (boss, client) = (carried.boss, carried.client);
        packets.iter().filter_map(|packet| self.udp(boss, port, client, packet)).collect()
    }

    fn udp(&self, boss: IpAddr, port: u16, to: (MacAddr, SocketAddr), payload: &[u8]) -> Option<Vec<u8>> {
        let to_mac = to.0;
        match (boss, to.1) {
            (IpAddr::V4(boss), SocketAddr::V4(to)) => {
                let (from, checksum) = (SocketAddrV4::new(boss, port), Checksum::Good);
                Udp4 { to_mac, from_mac: self.mac, from, to, payload, checksum }.build()
            }
            (IpAddr::V6(boss), SocketAddr::V6(to)) => {
                self.udp6(SocketAddrV6::new(boss, port, 0, 0), (to_mac, to), payload)
            }
            (IpAddr::V4(_), SocketAddr::V6(_)) | (IpAddr::V6(_), SocketAddr::V4(_)) => None,
        }
    }

    fn udp6(
        &self,
        from: SocketAddrV6,
        (to_mac, to): (MacAddr, SocketAddrV6),
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        Udp6 { to_mac, from_mac: self.mac, from, to, payload, checksum_good: true }.build()
    }
}
