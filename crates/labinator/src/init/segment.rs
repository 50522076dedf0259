//! What frames tell of a segment: machines, addresses in use, DHCP servers, routers. Pure: frames in, a picture out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use model::{ClientKind, MacAddr};
use serde::Serialize;
use wire::dhcp::{Message, MessageType, OptionCode, classify};
use wire::frame::{Ethernet, Frame, Udp4};
use wire::ndp::{Advertisement, Routing};

/// Ethernet type of ARP (RFC 826).
const ARP: u16 = 0x0806;
/// Machines remembered; a segment with more is no lab.
const MACHINES: usize = 1024;

/// One machine that was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Machine {
    /// Its Ethernet address.
    pub(super) mac: MacAddr,
    /// Who made its network card.
    pub(super) vendor: String,
    /// What asked for an address: firmware, iPXE or a system.
    pub(super) client: Option<ClientKind>,
    /// Architecture of option 93.
    pub(super) arch: Option<u16>,
    /// What it calls itself (option 12).
    pub(super) host: Option<String>,
    /// An address it was seen with.
    pub(super) address: Option<Ipv4Addr>,
    /// Milliseconds from the beginning of listening to its first frame.
    pub(super) first_ms: u64,
}

/// A DHCP server that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Server {
    /// Its Ethernet address.
    pub(super) mac: MacAddr,
    /// Its own address (option 54).
    pub(super) address: Ipv4Addr,
    /// The address it offered last.
    pub(super) offered: Option<Ipv4Addr>,
    /// Prefix length of the subnet it offers.
    pub(super) prefix: Option<u8>,
    /// Routers it announces.
    pub(super) routers: Vec<Ipv4Addr>,
    /// Name servers it announces.
    pub(super) dns: Vec<Ipv4Addr>,
    /// Boot file it offers, if any: then two netboot servers would fight.
    pub(super) boot_file: Option<String>,
}

/// An IPv6 router that advertised itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Router {
    /// Its Ethernet address.
    pub(super) mac: MacAddr,
    /// Seconds it offers to be the default router; 0 for none.
    pub(super) lifetime_seconds: u16,
    /// Prefixes it announces.
    pub(super) prefixes: Vec<String>,
    /// Name servers it announces: iPXE before 2020-10 prefers them to all others.
    pub(super) dns: Vec<Ipv6Addr>,
    /// True when it sends clients to a `DHCPv6` server.
    pub(super) managed: bool,
}

/// The segment as heard so far.
#[derive(Debug, Default)]
pub(super) struct Segment {
    own: Option<MacAddr>,
    pub(super) machines: BTreeMap<MacAddr, Machine>,
    pub(super) servers: BTreeMap<MacAddr, Server>,
    pub(super) routers: BTreeMap<MacAddr, Router>,
    /// Addresses that somebody uses or was offered.
    pub(super) used: BTreeSet<Ipv4Addr>,
    /// When the firmware of each machine asked last.
    asked: BTreeMap<MacAddr, u64>,
}

impl Segment {
    /// A segment on which this is our own address.
    pub(super) fn of(own: MacAddr) -> Self {
        Self { own: Some(own), ..Self::default() }
    }

    /// Takes a frame in. `now` is milliseconds since listening began; `vendor` names makers.
    pub(super) fn take(&mut self, bytes: &[u8], now: u64, vendor: impl Fn(MacAddr) -> String) {
        let Ok(frame) = Frame::parse(bytes) else { return };
        let sender = frame.sender();
        if Some(sender) == self.own || sender.is_group() || self.machines.len() >= MACHINES {
            return;
        }
        self.machines.entry(sender).or_insert_with(|| Machine {
            mac: sender,
            vendor: vendor(sender),
            client: None,
            arch: None,
            host: None,
            address: None,
            first_ms: now,
        });
        match &frame {
            Frame::Udp4(udp) => self.udp(udp, now),
            Frame::Icmp6(icmp) => {
                if let Some(Routing::Advertisement(found)) = Routing::parse(icmp)
                    && !found.is_bare()
                {
                    self.routers.insert(sender, router(sender, &found));
                }
            }
            Frame::Udp6(_) => {}
            Frame::Other(ethernet) => self.other(ethernet),
        }
    }

    fn udp(&mut self, udp: &Udp4<'_>, now: u64) {
        self.has(udp.from_mac, *udp.from.ip());
        let Ok(message) = Message::decode(udp.payload) else { return };
        match (udp.from.port(), udp.to.port()) {
            (67, _) => self.served(udp, &message),
            (_, 67) => self.asked(&message, now),
            _ => {}
        }
    }

    fn asked(&mut self, message: &Message, now: u64) {
        let Some(machine) = message.mac().and_then(|mac| self.machines.get_mut(&mac)) else { return };
        let client = classify(message);
        if client.is_firmware() || client == ClientKind::Ipxe {
            self.asked.insert(machine.mac, now);
        }
        // Firmware says more about a machine than the system that comes after it.
        if machine.client.is_none_or(|before| !before.is_firmware()) || client.is_firmware() {
            machine.client = Some(client);
        }
        machine.arch = machine.arch.or_else(|| message.options.u16(OptionCode::ARCHITECTURES));
        let host = message.options.text(OptionCode::HOST_NAME).map(str::to_owned);
        machine.host = machine.host.take().or(host);
    }

    fn served(&mut self, udp: &Udp4<'_>, message: &Message) {
        if !matches!(message.kind(), Some(MessageType::Offer | MessageType::Ack)) {
            return;
        }
        let options = &message.options;
        let address = options.address(OptionCode::SERVER_ID).unwrap_or_else(|| *udp.from.ip());
        let offered = (!message.yiaddr.is_unspecified()).then_some(message.yiaddr);
        let mask = options.address(OptionCode::SUBNET_MASK).map(|mask| u32::from(mask).leading_ones());
        let boot_file = options.text(OptionCode::BOOT_FILE).map(str::to_owned);
        let server = Server {
            mac: udp.from_mac,
            address,
            offered,
            prefix: mask.and_then(|ones| u8::try_from(ones).ok()),
            routers: options.addresses(OptionCode::ROUTERS),
            dns: options.addresses(OptionCode::NAME_SERVERS),
            boot_file,
        };
        self.used.extend(offered);
        self.used.extend(server.routers.iter().chain([&address]));
        self.servers.insert(udp.from_mac, server);
    }

    fn other(&mut self, ethernet: &Ethernet<'_>) {
        if ethernet.ethertype != ARP {
            return;
        }
        // Sender's protocol address of an ARP packet for IPv4 over Ethernet.
        if let Some(address) = ethernet.body.get(14..18).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) {
            self.has(ethernet.from, address.into());
        }
    }

    fn has(&mut self, mac: MacAddr, address: Ipv4Addr) {
        if address.is_unspecified() || address.is_broadcast() || address.is_multicast() {
            return;
        }
        self.used.insert(address);
        if let Some(machine) = self.machines.get_mut(&mac) {
            machine.address = Some(address);
        }
    }

    /// The first machine that came up after this time and is not known yet: one never heard before, or one whose
    /// firmware asks anew.
    pub(super) fn appeared(&self, since: u64, known: &BTreeSet<MacAddr>) -> Option<&Machine> {
        let up = |machine: &&Machine| {
            let asked = self.asked.get(&machine.mac).is_some_and(|at| *at >= since);
            !known.contains(&machine.mac) && (machine.first_ms >= since || asked)
        };
        self.candidates().into_iter().find(up)
    }

    /// Machines that may be nodes, in the order in which they were heard: neither servers nor routers.
    pub(super) fn candidates(&self) -> Vec<&Machine> {
        let serves = |mac: &MacAddr| self.servers.contains_key(mac) || self.routers.contains_key(mac);
        let mut found: Vec<&Machine> =
            self.machines.values().filter(|machine| !serves(&machine.mac)).collect();
        found.sort_by_key(|machine| (machine.first_ms, machine.mac));
        found
    }
}

fn router(mac: MacAddr, found: &Advertisement) -> Router {
    Router {
        mac,
        lifetime_seconds: found.lifetime_seconds,
        prefixes: found
            .prefixes
            .iter()
            .map(|prefix| format!("{}/{}", prefix.network, prefix.length))
            .collect(),
        dns: found.name_servers.clone(),
        managed: found.managed,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use wire::frame::Checksum;

    use super::*;

    const NODE: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);
    const SERVER: MacAddr = MacAddr([2, 9, 9, 9, 9, 9]);

    fn frame(from_mac: MacAddr, from: SocketAddrV4, port: u16, message: &Message) -> Vec<u8> {
        let payload = message.encode(1500).unwrap();
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, port);
        let to_mac = MacAddr::BROADCAST;
        Udp4 { to_mac, from_mac, from, to, payload: &payload, checksum: Checksum::Good }.build().unwrap()
    }

    #[test]
    fn firmware_that_asks_and_the_server_that_answers_are_told_apart() {
        let mut segment = Segment::of(MacAddr([2, 0, 0, 0, 0, 0xfe]));
        let mut discover = Message::request(MessageType::Discover, NODE, 7);
        discover.options.set(OptionCode::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016".as_slice());
        discover.options.set_u16(OptionCode::ARCHITECTURES, 7);
        segment.take(&frame(NODE, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68), 67, &discover), 5, |_| {
            "maker".to_owned()
        });
        let mut offer = discover.reply(MessageType::Offer);
        offer.yiaddr = Ipv4Addr::new(10, 0, 0, 50);
        offer.options.set_address(OptionCode::SERVER_ID, Ipv4Addr::new(10, 0, 0, 1));
        offer.options.set_address(OptionCode::SUBNET_MASK, Ipv4Addr::new(255, 255, 255, 0));
        offer.options.set_addresses(OptionCode::ROUTERS, &[Ipv4Addr::new(10, 0, 0, 1)]);
        segment.take(
            &frame(SERVER, SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 67), 68, &offer),
            9,
            |_| String::new(),
        );
        let machines = segment.candidates();
        assert_eq!(machines.len(), 1);
        assert_eq!(
            (machines[0].mac, machines[0].client, machines[0].arch),
            (NODE, Some(ClientKind::UefiPxe), Some(7))
        );
        assert_eq!((machines[0].vendor.as_str(), machines[0].first_ms), ("maker", 5));
        let server = &segment.servers[&SERVER];
        assert_eq!((server.address, server.prefix), (Ipv4Addr::new(10, 0, 0, 1), Some(24)));
        assert!(segment.used.contains(&Ipv4Addr::new(10, 0, 0, 50)));
        // The system that comes later does not hide what the firmware said.
        let request = Message::request(MessageType::Request, NODE, 8);
        segment.take(&frame(NODE, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68), 67, &request), 99, |_| {
            String::new()
        });
        assert_eq!(segment.candidates()[0].client, Some(ClientKind::UefiPxe));
    }

    #[test]
    fn what_no_one_can_read_and_what_we_sent_ourselves_leave_no_trace() {
        let own = MacAddr([2, 0, 0, 0, 0, 0xfe]);
        let mut segment = Segment::of(own);
        for length in 0..80 {
            segment.take(&vec![0xff; length], 0, |_| String::new());
        }
        let ours = Message::request(MessageType::Discover, own, 7);
        segment
            .take(&frame(own, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68), 67, &ours), 5, |_| String::new());
        assert!(segment.machines.is_empty() && segment.used.is_empty());
    }
}
