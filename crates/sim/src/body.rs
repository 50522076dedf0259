//! The box around the programs: its port on the cable, its chance, its memory of what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use model::{MacAddr, MachineUuid};
use wire::frame::{Checksum, Udp4, Udp6};
use wire::ndp::{Advertisement, group_mac, link_local};

use crate::config::Config;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::guests::GuestAct;
use crate::http::{HttpEvent, HttpRequest};
use crate::machine::Effect;
use crate::manners::{Manner, Manners};
use crate::port::Port;
use crate::step::Step;

/// What reaches the program that runs.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Only time passed.
    Time,
    /// A datagram for this machine.
    Udp(&'a Datagram<'a>),
    /// A router made itself known.
    Router(&'a Advertisement),
    /// Something happened to a request.
    Http(u64, &'a HttpEvent),
}

/// A UDP datagram, whichever protocol carried it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: &'a [u8],
}

impl Datagram<'_> {
    /// True when it came to everybody (IPv4).
    pub(crate) const fn is_broadcast(&self) -> bool {
        matches!(self.to.ip(), IpAddr::V4(to) if to.is_broadcast())
    }
}

/// What a program says when it was given something.
#[derive(Debug)]
pub(crate) enum Next {
    /// It goes on.
    Stay,
    /// A loader was fetched and is started.
    Loader(Handover),
    /// A kernel is started.
    Kernel(KernelStart),
    /// It gave up, and whoever started it goes on.
    GaveUp,
    /// It hangs here.
    Hang(&'static str),
    /// The machine resets.
    Reset,
    /// The machine switches itself off.
    ShutDown,
}

/// What a loader inherits from the firmware.
#[derive(Debug, Clone)]
pub(crate) struct Handover {
    /// Address the firmware got; `None` when it came over IPv6, of which iPXE takes nothing over (ipxe/ipxe#1703,
    /// #1710).
    pub(crate) address: Option<Ipv4Addr>,
    /// Where it came from.
    pub(crate) source: Source,
    /// Ethernet address of the TFTP server, for one that still has to be asked.
    pub(crate) server_mac: Option<MacAddr>,
    /// True under UEFI.
    pub(crate) uefi: bool,
}

impl Handover {
    /// True for a loader with drivers of its own, going by its name: full builds bring them, `snponly` and
    /// `undionly` keep the firmware's.
    pub(crate) fn has_own_driver(&self) -> bool {
        let (Source::Tftp { file: path, .. } | Source::Http(path)) = &self.source;
        let name = path.rsplit('/').next().unwrap_or(path);
        !["snponly", "snp", "undionly"].iter().any(|kept| name.starts_with(kept))
    }
}

/// Where a loader came from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file over TFTP.
    Tftp {
        /// The server.
        server: IpAddr,
        /// The file's name.
        file: String,
    },
    /// A URL.
    Http(String),
}

/// What a kernel is started with.
#[derive(Debug, Clone)]
pub(crate) struct KernelStart {
    /// Its arguments; empty for an EFI program that carries its own.
    pub(crate) args: String,
    /// Names of the images passed on beside it.
    pub(crate) initrds: Vec<String>,
}

/// The parts of a machine that stay while programs come and go.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) config: Config,
    pub(crate) manners: Manners,
    pub(crate) dice: Dice,
    /// The address the running program uses.
    pub(crate) address: Option<Ipv4Addr>,
    /// The same of IPv6, beside the link-local one that is always there.
    pub(crate) address6: Option<Ipv6Addr>,
    pub(crate) port: Port,
    /// The disk in it; what is written stays when the power goes.
    pub(crate) disk: Disk,
    /// iPXE runs, and it is the one burnt into the card.
    pub(crate) runs_burnt_in: bool,
    /// The Ethernet address of the board, which the programs after the firmware may not have.
    own_mac: MacAddr,
    effects: Vec<Effect>,
    /// Who owns an address, learnt from every frame. Stands for ARP and neighbour discovery, which cost a lab
    /// nothing: the server has just spoken to this machine when it is asked for anything.
    neighbours: BTreeMap<IpAddr, MacAddr>,
    history: Vec<(u64, Step)>,
    requests: u64,
    /// Requests up to this number died with the power.
    dead: u64,
    has_reset: bool,
    power_cut: PowerCut,
    /// Guests that run in it, by their address.
    hosted: BTreeSet<MacAddr>,
    /// Contents that it damaged so far.
    pub(crate) damaged: u8,
}

/// The one power cut in the life of [`Manner::ResetsInDownload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PowerCut {
    Ahead,
    Now,
    Past,
}

/// What AMI's firmware has until a board maker fills in a UUID; found on boards of many makers.
const BLANK_UUID: MachineUuid = MachineUuid([3, 0, 2, 0, 4, 0, 5, 0, 0, 6, 0, 7, 0, 8, 0, 9]);

impl Body {
    pub(crate) fn new(mut config: Config) -> Self {
        let manners = Manners::new(config.manners.clone());
        if manners.has(Manner::SharesUuid) {
            config.uuid = BLANK_UUID;
        }
        // A MAC in the seed keeps machines of one lab apart even when they share a number.
        let [a, b, c, d, e, f] = config.mac.0;
        let dice = Dice::new(config.seed ^ u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
        Self {
            manners,
            own_mac: config.mac,
            disk: config.disk.clone(),
            config,
            dice,
            address: None,
            address6: None,
            port: Port::default(),
            runs_burnt_in: false,
            effects: Vec::new(),
            neighbours: BTreeMap::new(),
            history: Vec::new(),
            requests: 0,
            dead: 0,
            has_reset: false,
            power_cut: PowerCut::Ahead,
            hosted: BTreeSet::new(),
            damaged: 0,
        }
    }

    pub(crate) fn history(&self) -> &[(u64, Step)] {
        &self.history
    }

    pub(crate) fn note(&mut self, now: u64, step: Step) {
        self.history.push((now, step));
    }

    pub(crate) fn print(&mut self, line: impl Into<String>) {
        self.effects.push(Effect::Console(line.into()));
    }

    /// Everything to be done now, late frames whose time has come included.
    pub(crate) fn drain(&mut self, now: u64) -> Vec<Effect> {
        self.effects.extend(self.port.leave(now).into_iter().map(Effect::Frame));
        std::mem::take(&mut self.effects)
    }

    /// When the port has something to do; 0 when something waits already.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        if self.effects.is_empty() { self.port.wake_at() } else { Some(0) }
    }

    /// The power went: nothing on the way leaves any more, and nothing is remembered of the network.
    pub(crate) fn go_dark(&mut self) {
        self.port.go_dark();
        self.config.mac = self.own_mac;
        self.dead = self.requests;
        self.effects.retain(|effect| matches!(effect, Effect::Console(_)));
        for mac in std::mem::take(&mut self.hosted) {
            self.effects.push(Effect::Guest { mac, act: GuestAct::Off });
        }
        self.forget_network();
    }

    /// Does something with a guest that runs, or is to run, in it.
    pub(crate) fn guest(&mut self, mac: MacAddr, act: GuestAct) {
        match act {
            GuestAct::Kernel { .. } | GuestAct::Firmware => self.hosted.insert(mac),
            GuestAct::Off => self.hosted.remove(&mac),
        };
        self.effects.push(Effect::Guest { mac, act });
    }

    /// A guest ended by itself.
    pub(crate) fn guest_is_gone(&mut self, mac: MacAddr) {
        self.hosted.remove(&mac);
    }

    /// Another program took over the port.
    pub(crate) fn forget_network(&mut self) {
        (self.address, self.address6) = (None, None);
        self.neighbours.clear();
    }

    pub(crate) const fn is_waiting_for(&self, id: u64) -> bool {
        id == self.requests && id > self.dead
    }

    /// How long after the agent's welcome the machine resets; said once in its life.
    pub(crate) fn take_reset(&mut self) -> Option<u64> {
        if std::mem::replace(&mut self.has_reset, true) { None } else { self.manners.reboots_after() }
    }

    /// The firmware takes the card.
    pub(crate) fn raise_link(&mut self, now: u64) {
        self.port.rest(now, self.manners.link_rest());
    }

    /// A loader takes the card; with a driver of its own the link comes up anew.
    pub(crate) fn hand_over_card(&mut self, own_driver: bool, now: u64) {
        if own_driver {
            self.port.rest(now, self.manners.retraining());
        }
        if let Some(mac) = self.manners.later_mac() {
            self.config.mac = mac;
        }
    }

    /// So much of a file is here; a machine may lose its power there, once in its life.
    pub(crate) fn note_progress(&mut self, bytes: u64) {
        const MIDDLE: u64 = 20_000;
        let rude = self.manners.has(Manner::ResetsInDownload);
        if rude && bytes > MIDDLE && self.power_cut == PowerCut::Ahead {
            self.power_cut = PowerCut::Now;
        }
    }

    /// True when the power goes now.
    pub(crate) fn take_power_loss(&mut self) -> bool {
        let now = self.power_cut == PowerCut::Now;
        if now {
            self.power_cut = PowerCut::Past;
        }
        now
    }

    /// Puts a frame on the cable, as well as the cable is.
    pub(crate) fn send_frame(&mut self, frame: Vec<u8>, now: u64) {
        let leaving = self.port.send(frame, &self.manners, &mut self.dice, now);
        self.effects.extend(leaving.into_iter().map(Effect::Frame));
    }

    /// A frame from the cable, as the program gets it.
    pub(crate) fn hear_frame(&mut self, frame: &[u8], now: u64) -> Option<Vec<u8>> {
        self.port.hear(frame, &self.manners, &mut self.dice, now)
    }

    /// Its link-local address.
    pub(crate) const fn link_local(&self) -> Ipv6Addr {
        link_local(self.config.mac)
    }

    /// The address it speaks from to this one.
    pub(crate) fn address_to(&self, to: IpAddr) -> Option<IpAddr> {
        match to {
            IpAddr::V4(_) => self.address.map(IpAddr::V4),
            IpAddr::V6(to) if to.is_multicast() || to.is_unicast_link_local() => {
                Some(self.link_local().into())
            }
            IpAddr::V6(_) => self.address6.map(IpAddr::V6),
        }
    }

    /// Sends a datagram from the address in use.
    pub(crate) fn send_udp(&mut self, from_port: u16, to: SocketAddr, payload: &[u8], now: u64) {
        let to = match to {
            SocketAddr::V4(to) => return self.send_udp_as(self.config.mac, from_port, (to, payload), now),
            SocketAddr::V6(to) => to,
        };
        let to_ip = IpAddr::V6(*to.ip());
        let Some(IpAddr::V6(from)) = self.address_to(to_ip) else { return };
        let to_mac = if to.ip().is_multicast() {
            group_mac(*to.ip())
        } else {
            self.mac_of(to_ip).unwrap_or(MacAddr::BROADCAST)
        };
        let from = SocketAddrV6::new(from, from_port, 0, 0);
        let datagram = Udp6 { to_mac, from_mac: self.config.mac, from, to, payload, checksum_good: true };
        if let Some(frame) = datagram.build() {
            self.send_frame(frame, now);
        }
    }

    /// The same from another card of the machine.
    pub(crate) fn send_udp_as(
        &mut self,
        from_mac: MacAddr,
        from_port: u16,
        (to, payload): (SocketAddrV4, &[u8]),
        now: u64,
    ) {
        let to_mac = if to.ip().is_broadcast() {
            MacAddr::BROADCAST
        } else {
            self.mac_of(IpAddr::V4(*to.ip())).unwrap_or(MacAddr::BROADCAST)
        };
        let from = SocketAddrV4::new(self.address.unwrap_or(Ipv4Addr::UNSPECIFIED), from_port);
        let datagram = Udp4 { to_mac, from_mac, from, to, payload, checksum: Checksum::Absent };
        if let Some(frame) = datagram.build() {
            self.send_frame(frame, now);
        }
    }

    /// Where an address lives, if a frame came from it.
    pub(crate) fn mac_of(&self, address: IpAddr) -> Option<MacAddr> {
        self.neighbours.get(&address).copied()
    }

    /// Remembers where an address lives.
    pub(crate) fn meet(&mut self, address: IpAddr, mac: MacAddr) {
        let nobody = address.is_unspecified() || address == IpAddr::V4(Ipv4Addr::BROADCAST);
        if !nobody && !mac.is_group() {
            self.neighbours.insert(address, mac);
        }
    }

    /// Asks for something over HTTP and gives the number of the request.
    pub(crate) fn ask(&mut self, mut request: HttpRequest, now: u64) -> u64 {
        self.requests += 1;
        request.id = self.requests;
        self.note(now, Step::UrlAsked(request.url.clone()));
        self.effects.push(Effect::Http(request));
        self.requests
    }
}
