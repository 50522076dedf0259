//! One box from the switch to the agent.
//!
//! ```text
//!        power_on           firmware done      loader done        kernel up
//!   Off ─────────▶ Post ─▶ Rom ────────────▶ Loader ───────▶ Kernel ───────▶ Agent
//!    ▲                      │ ▲  UKI: straight to Kernel ──────▲                │
//!    │ power_off, shutdown  │ └── loader gave up (UEFI walks on)                │
//!    └── from anywhere      ▼                                                   ▼
//!                       Stranded (silent, or reset after a while)     reset: back to Post
//! ```

use std::net::{IpAddr, SocketAddr};

use model::{GuestCause, GuestEnd, MacAddr};
use wire::frame::{Checksum, Frame};
use wire::ndp::Routing;

use crate::agent::AgentRun;
use crate::body::{Body, Datagram, Input, KernelStart, Next};
use crate::config::{Config, Ipxe, Kind, Stranding};
use crate::disk::Disk;
use crate::firmware::Rom;
use crate::guests::GuestAct;
use crate::http::{HttpEvent, HttpRequest};
use crate::ipxe::Loader;
use crate::manners::Manner;
use crate::step::{Phase, Step};

/// What a machine does to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Puts an Ethernet frame on the segment.
    Frame(Vec<u8>),
    /// Asks something over HTTP.
    Http(HttpRequest),
    /// Writes a line on its screen.
    Console(String),
    /// A hypervisor does something with a guest.
    Guest {
        /// The guest's address.
        mac: MacAddr,
        /// What.
        act: GuestAct,
    },
}

/// A simulated machine: frames, HTTP events and time go in, [`Effect`]s come out of
/// [`Machine::poll`]. Times are milliseconds of a clock that the caller keeps; it must not run backwards.
#[derive(Debug)]
pub struct Machine {
    body: Body,
    stage: Stage,
    /// When it resets by itself.
    resets_at: Option<u64>,
    /// It is a guest whose kernel its hypervisor loaded: a reset of its own ends it.
    by_kernel: bool,
    /// How its run as a guest ended, and whether its own system wants another one.
    end: Option<(GuestEnd, bool)>,
}

#[derive(Debug)]
enum Stage {
    Off,
    Post {
        until: u64,
    },
    Rom(Box<Rom>),
    /// iPXE, and the firmware that goes on when it gives up.
    Loader(Box<Loader>, Option<Box<Rom>>),
    Kernel {
        until: Option<u64>,
        args: String,
    },
    Agent(Box<AgentRun>),
    Stranded {
        until: Option<u64>,
    },
    Hung,
}

impl Machine {
    /// A machine that is switched off.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { body: Body::new(config), stage: Stage::Off, resets_at: None, by_kernel: false, end: None }
    }

    /// What it is.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.body.config
    }

    /// How far it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.stage {
            Stage::Off => Phase::Off,
            Stage::Post { .. } => Phase::Post,
            Stage::Rom(_) => Phase::Firmware,
            Stage::Loader(..) => Phase::Loader,
            Stage::Kernel { .. } => Phase::Kernel,
            Stage::Agent(_) => Phase::Agent,
            Stage::Stranded { .. } => Phase::Stranded,
            Stage::Hung => Phase::Hung,
        }
    }

    /// Everything that happened to it, with the time in milliseconds.
    #[must_use]
    pub fn history(&self) -> &[(u64, Step)] {
        self.body.history()
    }

    /// When something happened first.
    #[must_use]
    pub fn first(&self, is: impl Fn(&Step) -> bool) -> Option<u64> {
        self.history().iter().find(|(_, step)| is(step)).map(|(at, _)| *at)
    }

    /// The disk in it now.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.body.disk
    }

    /// Somebody puts another disk into it, running or not, in the place of the one that was in it.
    pub fn change_disk(&mut self, disk: Disk) {
        self.body.disk = disk;
    }

    /// The address it uses now.
    #[must_use]
    pub const fn address(&self) -> Option<std::net::Ipv4Addr> {
        self.body.address
    }

    /// The same of IPv6, beside its link-local one.
    #[must_use]
    pub const fn address6(&self) -> Option<std::net::Ipv6Addr> {
        self.body.address6
    }

    /// The address it speaks from to this one.
    pub(crate) fn address_to(&self, to: IpAddr) -> Option<IpAddr> {
        self.body.address_to(to)
    }

    /// Power comes. A machine that is on does not notice.
    pub fn power_on(&mut self, now: u64) {
        if matches!(self.stage, Stage::Off) {
            self.end = None;
            self.body.note(now, Step::PoweredOn);
            self.start_post(now);
        }
    }

    /// Its hypervisor starts it with a kernel, without any firmware.
    pub(crate) fn start_kernel(&mut self, args: String, initrds: Vec<String>, now: u64) {
        if matches!(self.stage, Stage::Off) {
            self.body.note(now, Step::PoweredOn);
            self.body.raise_link(now);
            (self.by_kernel, self.end) = (true, None);
            self.resets_at = self.body.manners.reboots_every().map(|after| now + after);
            self.turn(Next::Kernel(KernelStart { args, initrds }), now);
        }
    }

    /// What runs it ends, in this way.
    pub(crate) fn end_as(&mut self, end: GuestEnd, now: u64) {
        if !matches!(self.stage, Stage::Off) {
            self.end = Some((end, false));
            self.power_off(now);
        }
    }

    /// How its last run as a guest ended: without another word as `kill -9` of QEMU ends it.
    pub(crate) fn take_end(&mut self) -> (GuestEnd, bool) {
        let killed = || GuestEnd { cause: GuestCause::QemuDied, evidence: "signal 9".to_owned() };
        self.end.take().unwrap_or_else(|| (killed(), false))
    }

    /// One of its guests ended by itself.
    pub(crate) fn on_guest_end(&mut self, mac: MacAddr, (end, again): (GuestEnd, bool), now: u64) {
        self.body.guest_is_gone(mac);
        if let Stage::Agent(agent) = &mut self.stage {
            agent.on_guest_end(&mut self.body, mac, (end, again), now);
        }
    }

    /// Power goes, without warning.
    pub fn power_off(&mut self, now: u64) {
        if !matches!(self.stage, Stage::Off) {
            self.body.note(now, Step::PowerLost);
            self.darken();
        }
    }

    /// A person or a reset line restarts it.
    pub fn reset(&mut self, now: u64) {
        if !matches!(self.stage, Stage::Off) {
            self.restart(now);
        }
    }

    /// An Ethernet frame of the segment reaches its port.
    pub fn on_frame(&mut self, frame: &[u8], now: u64) {
        if matches!(self.stage, Stage::Off) {
            return;
        }
        if let Some(frame) = self.body.hear_frame(frame, now) {
            self.read_frame(&frame, now);
        }
    }

    fn read_frame(&mut self, frame: &[u8], now: u64) {
        match Frame::parse(frame) {
            Ok(Frame::Udp4(udp)) => {
                let ours = udp.to_mac == self.body.config.mac || udp.to_mac.is_group();
                if !ours || udp.checksum == Checksum::Bad {
                    return;
                }
                self.body.meet((*udp.from.ip()).into(), udp.from_mac);
                // A stack without an address takes whatever its Ethernet address got; with one, only its own.
                let to = *udp.to.ip();
                if to.is_broadcast() || self.body.address.is_none_or(|own| own == to) {
                    let (from, to, payload) = (udp.from.into(), udp.to.into(), udp.payload);
                    self.give(&Input::Udp(&Datagram { from, to, payload }), now);
                }
            }
            Ok(Frame::Udp6(udp)) => {
                let ours = udp.to_mac == self.body.config.mac || udp.to_mac.is_group();
                if !ours || !udp.checksum_good {
                    return;
                }
                self.body.meet((*udp.from.ip()).into(), udp.from_mac);
                let to = *udp.to.ip();
                if to == self.body.link_local() || self.body.address6 == Some(to) {
                    let (from, to) = (SocketAddr::V6(udp.from), SocketAddr::V6(udp.to));
                    self.give(&Input::Udp(&Datagram { from, to, payload: udp.payload }), now);
                }
            }
            Ok(Frame::Icmp6(icmp)) => {
                if let Some(Routing::Advertisement(router)) = Routing::parse(&icmp) {
                    self.give(&Input::Router(&router), now);
                }
            }
            Ok(Frame::Other(_)) | Err(_) => {}
        }
    }

    /// Something happened to the request with this number. Numbers of an earlier program are ignored.
    pub fn on_http(&mut self, id: u64, event: &HttpEvent, now: u64) {
        self.give(&Input::Http(id, event), now);
    }

    /// Addresses it writes into its DHCP messages.
    pub(crate) fn claimed_macs(&self) -> Vec<MacAddr> {
        let own = self.body.manners.claimed_mac().unwrap_or(self.body.config.mac);
        [Some(own), self.body.manners.later_mac()].into_iter().flatten().collect()
    }

    /// Ethernet addresses under which it hears.
    pub(crate) fn macs(&self) -> Vec<MacAddr> {
        [Some(self.body.config.mac), self.body.manners.later_mac()].into_iter().flatten().collect()
    }

    /// True while an answer to this request would be read. A machine has one request at a time, and one
    /// that loses its power has none.
    #[must_use]
    pub const fn is_waiting_for(&self, id: u64) -> bool {
        self.body.is_waiting_for(id)
    }

    /// Lets time pass up to `now` and takes what is to be done.
    pub fn poll(&mut self, now: u64) -> Vec<Effect> {
        // Each turn either moves the next moment past `now` or ends; a bound keeps a fault from spinning.
        for _ in 0..1000 {
            if let Some(frame) = self.body.port.read(now) {
                self.read_frame(&frame, now);
                continue;
            }
            match self.stage_wake() {
                Some(at) if at <= now => self.give(&Input::Time, now),
                _ => break,
            }
        }
        self.body.drain(now)
    }

    /// When [`Machine::poll`] has something to do again; 0 or a past moment means now.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        match (self.stage_wake(), self.body.wake_at()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn stage_wake(&self) -> Option<u64> {
        let own = match &self.stage {
            Stage::Off | Stage::Hung => None,
            Stage::Post { until } => Some(*until),
            Stage::Rom(rom) => rom.wake_at(),
            Stage::Loader(loader, _) => loader.wake_at(),
            Stage::Kernel { until, .. } | Stage::Stranded { until } => *until,
            Stage::Agent(agent) => agent.wake_at(),
        };
        [own, self.resets_at].into_iter().flatten().min()
    }

    fn give(&mut self, input: &Input<'_>, now: u64) {
        let due = |until: Option<u64>| until.is_some_and(|at| at <= now);
        if due(self.resets_at) {
            self.restart(now);
            return;
        }
        let next = match &mut self.stage {
            Stage::Off | Stage::Hung => return,
            Stage::Post { until } => {
                if due(Some(*until)) {
                    self.leave_post(now);
                }
                return;
            }
            Stage::Stranded { until } => {
                if due(*until) {
                    self.restart(now);
                }
                return;
            }
            Stage::Kernel { until, args } => {
                if due(*until) {
                    let args = std::mem::take(args);
                    let run = AgentRun::start(&mut self.body, &args, now);
                    self.stage = Stage::Agent(Box::new(run));
                }
                return;
            }
            Stage::Rom(rom) => rom.take(&mut self.body, input, now),
            Stage::Loader(loader, _) => loader.take(&mut self.body, input, now),
            Stage::Agent(agent) => agent.take(&mut self.body, input, now),
        };
        if self.body.take_power_loss() {
            self.power_off(now);
            self.power_on(now);
            return;
        }
        self.turn(next, now);
    }

    fn turn(&mut self, next: Next, now: u64) {
        match next {
            Next::Stay => {}
            Next::Loader(handover) => {
                self.body.forget_network();
                let version = self.body.config.ipxe;
                let loader = Loader::start(&mut self.body, version, Some(handover), now);
                let rom = match std::mem::replace(&mut self.stage, Stage::Off) {
                    Stage::Rom(rom) | Stage::Loader(_, Some(rom)) => Some(rom),
                    _ => None,
                };
                self.stage = Stage::Loader(Box::new(loader), rom);
            }
            Next::Kernel(kernel) => {
                let args = kernel.args.clone();
                let stray = kernel.initrds.iter().any(|name| name == "autoexec.ipxe");
                self.body.note(now, Step::KernelStarted { args, initrds: kernel.initrds });
                self.body.forget_network();
                // Unpacking and bringing up drivers: 3.4 to 4.7 s were measured under emulation, less on metal.
                let took = self.body.dice.between(2500, 4500) + self.body.manners.slow_hand_over();
                let hangs = self.body.manners.has(Manner::HangsInKernel);
                if stray && self.body.manners.has(Manner::ChokesOnStrayInitrd) {
                    return self.hang("kernel panic: no working init in the initramfs", now);
                }
                self.stage = Stage::Kernel { until: (!hangs).then_some(now + took), args: kernel.args };
            }
            Next::GaveUp => self.fall_back(now),
            Next::Hang(place) => self.hang(place, now),
            Next::Reset => self.restart(now),
            Next::ShutDown => {
                self.body.note(now, Step::ShutDown);
                let evidence = "guest-shutdown".to_owned();
                self.end = Some((GuestEnd { cause: GuestCause::PoweredOff, evidence }, false));
                self.darken();
            }
        }
    }

    /// What ran gave up: UEFI goes on with its boot order, a BIOS has nothing left.
    fn fall_back(&mut self, now: u64) {
        if let Stage::Loader(_, rom) = &mut self.stage
            && let Some(mut rom) = rom.take()
        {
            self.body.forget_network();
            let next = rom.walk_on(&mut self.body, now);
            self.stage = Stage::Rom(rom);
            if !matches!(next, Next::GaveUp) {
                return;
            }
        }
        self.body.print("No bootable device.");
        self.body.note(now, Step::Stranded);
        self.body.forget_network();
        let until = match self.body.config.stranding {
            Stranding::Silent => None,
            Stranding::Reboots(after) => Some(now + after),
        };
        self.stage = Stage::Stranded { until };
    }

    fn hang(&mut self, place: &'static str, now: u64) {
        self.body.note(now, Step::Hung(place));
        self.stage = Stage::Hung;
    }

    fn darken(&mut self) {
        self.resets_at = None;
        self.by_kernel = false;
        self.body.go_dark();
        self.stage = Stage::Off;
    }

    fn restart(&mut self, now: u64) {
        self.body.note(now, Step::Reset);
        if self.by_kernel {
            let evidence = "guest-reset".to_owned();
            self.end = Some((GuestEnd { cause: GuestCause::Ordered, evidence }, true));
            return self.darken();
        }
        self.body.go_dark();
        self.start_post(now);
    }

    fn start_post(&mut self, now: u64) {
        // First DISCOVER minus the firmware's own waits, as measured with SeaBIOS and OVMF.
        let usual = if self.body.config.is_uefi() {
            self.body.dice.between(3200, 4200)
        } else {
            self.body.dice.between(900, 1500)
        };
        let until = now + usual + self.body.manners.slowness();
        self.resets_at = self.body.manners.reboots_every().map(|after| now + after);
        self.stage = Stage::Post { until };
    }

    fn leave_post(&mut self, now: u64) {
        self.body.raise_link(now);
        if self.body.manners.has(Manner::NeverAsks) {
            self.hang("no network boot", now);
        } else if self.body.config.kind == Kind::BiosIpxeRom {
            let loader = Loader::start(&mut self.body, Ipxe::Of2019, None, now);
            self.stage = Stage::Loader(Box::new(loader), None);
        } else {
            let rom = Rom::start(&mut self.body, now);
            self.stage = Stage::Rom(Box::new(rom));
        }
    }
}
