//! Several machines and one server on a cable: who hears what, when, and what the server has to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{GuestEnd, MacAddr, PowerOrder};
use wire::dhcp::CLIENT_PORT;
use wire::frame::Frame;

use crate::cable::{Cable, Passed, Way};
use crate::dice::Dice;
use crate::disk::Disk;
use crate::guests::GuestAct;
use crate::http::{HttpEvent, HttpRequest};
use crate::machine::{Effect, Machine};
use crate::step::Phase;

/// What reaches the server, or the person in front of the screens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// An Ethernet frame at the server's port.
    Frame(Vec<u8>),
    /// A machine opens a request. Answer with [`Segment::on_http`].
    Http {
        /// Which machine.
        machine: usize,
        /// What it asks.
        request: HttpRequest,
    },
    /// A line on a screen.
    Console {
        /// Whose.
        machine: usize,
        /// The line.
        line: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Server,
    Machine(usize),
}

/// A frame on its way.
type Flying = (Target, Arc<[u8]>);

/// A broadcast domain. Machines are named by their place in it, from 0. Machines hear only the server:
/// no program in them listens to another machine.
#[derive(Debug)]
pub struct Segment {
    machines: Vec<Machine>,
    places: BTreeMap<MacAddr, usize>,
    /// Machines by the address they write into DHCP messages, liars included.
    clients: BTreeMap<MacAddr, Vec<usize>>,
    cable: Cable,
    dice: Dice,
    /// Machines whose link is cut.
    unplugged: BTreeSet<usize>,
    /// Guests that run, with their hypervisors.
    hosts: BTreeMap<usize, usize>,
    /// Frames on their way, by arrival and order of sending.
    flight: BTreeMap<(u64, u64), Flying>,
    sent: u64,
    /// Machines by the time they wake.
    due: BTreeSet<(u64, usize)>,
    wakes: Vec<Option<u64>>,
    arrivals: Vec<Arrival>,
    tape: Option<Vec<Passed>>,
}

impl Segment {
    /// A segment of machines that are off.
    #[must_use]
    pub fn new(machines: Vec<Machine>, cable: Cable, seed: u64) -> Self {
        let names = |(at, machine): (usize, &Machine)| {
            let macs = machine.macs();
            macs.into_iter().map(move |mac| (mac, at))
        };
        let places = machines.iter().enumerate().flat_map(names).collect();
        let mut clients: BTreeMap<MacAddr, Vec<usize>> = BTreeMap::new();
        for (at, machine) in machines.iter().enumerate() {
            for mac in machine.claimed_macs() {
                clients.entry(mac).or_default().push(at);
            }
        }
        let wakes = vec![None; machines.len()];
        Self {
            machines,
            places,
            clients,
            cable,
            dice: Dice::new(seed),
            unplugged: BTreeSet::new(),
            hosts: BTreeMap::new(),
            flight: BTreeMap::new(),
            sent: 0,
            due: BTreeSet::new(),
            wakes,
            arrivals: Vec::new(),
            tape: None,
        }
    }

    /// Writes down every frame from now on, with what became of it.
    pub fn record(&mut self) {
        self.tape.get_or_insert_default();
    }

    /// Every frame since [`Segment::record`], in the order of sending.
    #[must_use]
    pub fn tape(&self) -> &[Passed] {
        self.tape.as_deref().unwrap_or_default()
    }

    /// All machines, in order.
    #[must_use]
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The machine at a place.
    #[must_use]
    pub fn machine(&self, at: usize) -> Option<&Machine> {
        self.machines.get(at)
    }

    /// The place of the machine with this address.
    #[must_use]
    pub fn place_of(&self, mac: MacAddr) -> Option<usize> {
        self.places.get(&mac).copied()
    }

    /// True when every machine is in this phase.
    #[must_use]
    pub fn all_in(&self, phase: Phase) -> bool {
        self.machines.iter().all(|m| m.phase() == phase)
    }

    /// Gives a machine power or takes it away. What is already so stays so.
    pub fn switch(&mut self, at: usize, order: PowerOrder, now: u64) {
        if let Some(machine) = self.machines.get_mut(at) {
            match order {
                PowerOrder::On => machine.power_on(now),
                PowerOrder::Off | PowerOrder::Soft => machine.power_off(now),
                PowerOrder::Press if machine.phase() == Phase::Off => machine.power_on(now),
                PowerOrder::Press => machine.power_off(now),
            }
            self.refresh(at, now);
        }
    }

    /// Somebody puts another disk into a machine, in the place of the one that was in it.
    pub fn change_disk(&mut self, at: usize, disk: Disk) {
        if let Some(machine) = self.machines.get_mut(at) {
            machine.change_disk(disk);
        }
    }

    /// Somebody presses the reset button of a machine.
    pub fn reset(&mut self, at: usize, now: u64) {
        if let Some(machine) = self.machines.get_mut(at) {
            machine.reset(now);
            self.refresh(at, now);
        }
    }

    /// What runs a guest ends, in this way; a machine that is no guest loses its power.
    pub fn end_guest(&mut self, at: usize, end: GuestEnd, now: u64) {
        if let Some(machine) = self.machines.get_mut(at) {
            machine.end_as(end, now);
            self.refresh(at, now);
        }
    }

    /// Cuts a machine's link, or mends it. What is on its way is lost, and so are its connections.
    pub fn cut(&mut self, at: usize, cut: bool) {
        if cut {
            self.unplugged.insert(at);
        } else {
            self.unplugged.remove(&at);
        }
    }

    /// True while a machine's link is cut.
    #[must_use]
    pub fn is_cut(&self, at: usize) -> bool {
        self.unplugged.contains(&at)
    }

    /// The server sends a frame.
    pub fn from_server(&mut self, frame: &[u8], now: u64) {
        let Some(to) = frame.first_chunk::<6>().map(|b| MacAddr(*b)) else { return };
        let frame: Arc<[u8]> = frame.into();
        if to.is_group() {
            let everybody = || (0..self.machines.len()).collect();
            for at in self.clients_of(&frame).unwrap_or_else(everybody) {
                self.fly(Target::Machine(at), &frame, now);
            }
        } else if let Some(at) = self.place_of(to) {
            self.fly(Target::Machine(at), &frame, now);
        }
    }

    /// For whom a broadcast DHCP reply is. Everybody else would drop it by its hardware address, and
    /// with thousands of machines that would be most of the work; `None` for every other frame.
    fn clients_of(&self, frame: &[u8]) -> Option<Vec<usize>> {
        let Ok(Frame::Udp4(udp)) = Frame::parse(frame) else { return None };
        if udp.to.port() != CLIENT_PORT {
            return None;
        }
        let chaddr = MacAddr(*udp.payload.get(28..)?.first_chunk()?);
        self.clients.get(&chaddr).cloned()
    }

    /// Something happened to a request that a machine opened.
    pub fn on_http(&mut self, at: usize, id: u64, event: &HttpEvent, now: u64) {
        let event = if self.is_cut(at) { &HttpEvent::Failed } else { event };
        if let Some(machine) = self.machines.get_mut(at) {
            machine.on_http(id, event, now);
            self.refresh(at, now);
        }
    }

    /// When [`Segment::step`] has something to do; a past moment means now.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let frame = self.flight.first_key_value().map(|((at, _), _)| *at);
        let machine = self.due.first().map(|(at, _)| *at);
        [frame, machine].into_iter().flatten().min()
    }

    /// Lets time pass up to `now` and takes what reached the server.
    pub fn step(&mut self, now: u64) -> Vec<Arrival> {
        while self.wake_at().is_some_and(|at| at <= now) {
            self.deliver(now);
            while let Some((at, place)) = self.due.first().copied()
                && at <= now
            {
                self.poll(place, now);
            }
        }
        std::mem::take(&mut self.arrivals)
    }

    fn deliver(&mut self, now: u64) {
        while let Some(entry) = self.flight.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                (Target::Server, frame) => self.arrivals.push(Arrival::Frame(frame.to_vec())),
                (Target::Machine(at), _) if self.unplugged.contains(&at) => {}
                (Target::Machine(at), frame) => {
                    if let Some(machine) = self.machines.get_mut(at) {
                        machine.on_frame(&frame, now);
                        self.refresh(at, now);
                    }
                }
            }
        }
    }

    fn poll(&mut self, at: usize, now: u64) {
        let cut = self.is_cut(at);
        let Some(machine) = self.machines.get_mut(at) else { return };
        for effect in machine.poll(now) {
            match effect {
                Effect::Frame(_) if cut => {}
                Effect::Http(request) if cut => self.on_http(at, request.id, &HttpEvent::Failed, now),
                Effect::Frame(frame) => self.fly(Target::Server, &frame.into(), now),
                Effect::Http(request) => self.arrivals.push(Arrival::Http { machine: at, request }),
                Effect::Console(line) => self.arrivals.push(Arrival::Console { machine: at, line }),
                Effect::Guest { mac, act } => self.run_guest(at, (mac, act), now),
            }
        }
        self.refresh(at, now);
    }

    /// A hypervisor does something with a machine that is its guest.
    fn run_guest(&mut self, host: usize, (mac, act): (MacAddr, GuestAct), now: u64) {
        let Some(at) = self.place_of(mac) else { return };
        let Some(machine) = self.machines.get_mut(at) else { return };
        match act {
            GuestAct::Off => {
                self.hosts.remove(&at);
                machine.power_off(now);
            }
            GuestAct::Firmware => {
                self.hosts.insert(at, host);
                machine.power_on(now);
            }
            GuestAct::Kernel { args, initrds } => {
                self.hosts.insert(at, host);
                machine.start_kernel(args, initrds, now);
            }
        }
        self.refresh(at, now);
    }

    /// A guest that went off without its hypervisor's doing: that is told.
    fn tell_host(&mut self, at: usize, now: u64) {
        let Some(machine) = self.machines.get_mut(at).filter(|machine| machine.phase() == Phase::Off) else {
            return;
        };
        let Some(host) = self.hosts.remove(&at) else { return };
        let (mac, end) = (machine.config().mac, machine.take_end());
        if let Some(machine) = self.machines.get_mut(host) {
            machine.on_guest_end(mac, end, now);
            self.refresh(host, now);
        }
    }

    fn fly(&mut self, to: Target, frame: &Arc<[u8]>, now: u64) {
        let (way, lane) = match to {
            Target::Server => (Way::ToServer, self.cable.to_server),
            Target::Machine(at) => (Way::ToMachine(at), self.cable.to_machines),
        };
        let fate = lane.fate(frame.len(), &mut self.dice);
        for copy in fate.copies() {
            let kept = frame.get(..copy.length).unwrap_or(frame);
            let flying = if copy.length < frame.len() { kept.into() } else { Arc::clone(frame) };
            self.sent += 1;
            self.flight.insert((now + copy.after_ms, self.sent), (to, flying));
        }
        if let Some(tape) = &mut self.tape {
            tape.push(Passed { at: now, way, frame: frame.to_vec(), fate });
        }
    }

    fn refresh(&mut self, at: usize, now: u64) {
        let (Some(machine), Some(known)) = (self.machines.get(at), self.wakes.get_mut(at)) else { return };
        let wake = machine.wake_at();
        if *known != wake {
            if let Some(old) = known.take() {
                self.due.remove(&(old, at));
            }
            if let Some(new) = wake {
                self.due.insert((new, at));
            }
            *known = wake;
        }
        self.tell_host(at, now);
    }
}
