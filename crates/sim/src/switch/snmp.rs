//! The switch by SNMP: IF-MIB, BRIDGE-MIB, Q-BRIDGE-MIB and LLDP-MIB of it, with manners that real agents have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use model::{MacAddr, Neighbour};
use wire::snmp::{Kind, Message, Oid, Pdu, Status, Value, Version};

use super::Switch;

/// What an agent does badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Habit {
    /// Before each answer it says something that is none.
    Babbles,
    /// Its community may not write.
    ReadOnly,
    /// What is behind the end of a table is its last row.
    Circles,
    /// It has no `ifXTable`: no names but those of its chips, and no fast speeds.
    Old,
    /// It calls all its ports the same.
    Alike,
    /// It tells addresses without VLANs only.
    Plain,
    /// It tells nothing of its bridge.
    Mute,
    /// It says at every look that each link just changed.
    Restless,
}

/// Manners of an agent, all good unless told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manners {
    /// Datagrams that it does not hear.
    pub deaf: u32,
    /// Names in one answer, at most.
    pub room: Option<usize>,
    /// What it does badly.
    pub habits: BTreeSet<Habit>,
}

impl Manners {
    /// With these bad ones.
    #[must_use]
    pub fn of(habits: impl IntoIterator<Item = Habit>) -> Self {
        Self { habits: habits.into_iter().collect(), ..Self::default() }
    }

    fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }
}

/// The switch behind an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snmp {
    /// Its ports.
    pub switch: Switch,
    /// The word that it takes.
    pub community: Vec<u8>,
    /// How it behaves.
    pub manners: Manners,
    /// Who says by LLDP that he is on which port.
    pub neighbours: Vec<(String, Neighbour)>,
    /// Hundredths of a second since it started; one more with each datagram.
    pub up: u32,
    /// When each link last changed.
    changed: BTreeMap<String, u32>,
    links: BTreeMap<String, Option<u32>>,
    /// Number of its first port among interfaces; another one after each start.
    first: u32,
    /// Datagrams that it heard.
    pub heard: u32,
}

fn oid(prefix: &[u32], more: &[u32]) -> Oid {
    Oid::new(&[prefix, more].concat()).unwrap_or_default()
}

const IF: &[u32] = &[1, 3, 6, 1, 2, 1, 2, 2, 1];
const IFX: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1];
const BRIDGE: &[u32] = &[1, 3, 6, 1, 2, 1, 17];
const LLDP: &[u32] = &[1, 0, 8802, 1, 1, 2, 1];

fn bytes(mac: MacAddr) -> Value {
    Value::Octets(mac.0.to_vec())
}

impl Snmp {
    /// One with these ports, which takes this community.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, community: &str) -> Self {
        let community = community.as_bytes().to_vec();
        Self { switch: Switch::new(names), community, first: 10_001, up: 100, ..Self::default() }
    }

    /// It starts anew, and counts its interfaces otherwise.
    pub fn restart(&mut self) {
        self.up = 0;
        self.first += 100;
        self.changed.clear();
        for port in &mut self.switch.ports {
            port.enabled = true;
        }
    }

    /// The link of a port goes and comes back before anybody looks.
    pub fn flap(&mut self, name: &str) {
        self.changed.insert(name.to_owned(), self.up);
    }

    /// A trap of version 2c about the link of a port: `linkUp` (RFC 2863), or `linkDown`.
    #[must_use]
    pub fn trap(&self, up: bool) -> Vec<u8> {
        let which = oid(&[1, 3, 6, 1, 6, 3, 1, 1, 5], &[if up { 4 } else { 3 }]);
        let values = vec![
            (oid(&[1, 3, 6, 1, 2, 1, 1, 3, 0], &[]), Value::Ticks(self.up)),
            (oid(&[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0], &[]), Value::Oid(which)),
        ];
        let pdu = Pdu { values, ..Pdu::ask(Kind::Trap, 1, []) };
        Message { version: Version::TwoC, community: self.community.clone(), pdu }.encode()
    }

    fn table(&mut self) -> BTreeMap<Oid, Value> {
        let mut all = BTreeMap::new();
        let about = b"A switch that does not exist\r\nSoftware 1.0".to_vec();
        all.insert(oid(&[1, 3, 6, 1, 2, 1, 1, 1, 0], &[]), Value::Octets(about));
        all.insert(oid(&[1, 3, 6, 1, 2, 1, 1, 3, 0], &[]), Value::Ticks(self.up));
        // The interface that it is managed by is no port.
        all.insert(oid(IF, &[2, 1]), Value::Octets(b"CPU".to_vec()));
        all.insert(oid(IF, &[3, 1]), Value::Integer(53));
        for (number, port) in (1..).zip(&self.switch.ports) {
            let index = self.first + number - 1;
            let link = port.link();
            if self.links.insert(port.name.clone(), link) != Some(link) || self.manners.has(Habit::Restless) {
                self.changed.insert(port.name.clone(), self.up);
            }
            let changed = self.changed.get(&port.name).copied().unwrap_or(0);
            let chip = if self.manners.has(Habit::Alike) {
                "port".to_owned()
            } else {
                format!("chip 0 port {number}")
            };
            let mbit = port.plugged.mbit;
            let slow = mbit.saturating_mul(1_000_000);
            for (column, value) in [
                (2, Value::Octets(chip.into_bytes())),
                (3, Value::Integer(6)),
                (5, Value::Gauge(slow)),
                (7, Value::Integer(if port.enabled { 1 } else { 2 })),
                (8, Value::Integer(if link.is_some() { 1 } else { 2 })),
                (9, Value::Ticks(changed)),
            ] {
                all.insert(oid(IF, &[column, index]), value);
            }
            if !self.manners.has(Habit::Old) {
                all.insert(oid(IFX, &[1, index]), Value::Octets(port.name.clone().into_bytes()));
                all.insert(oid(IFX, &[15, index]), Value::Gauge(mbit));
            }
            if self.manners.has(Habit::Mute) {
                continue;
            }
            let index = i32::try_from(index).unwrap_or(0);
            all.insert(oid(BRIDGE, &[1, 4, 1, 2, number]), Value::Integer(index));
            let at = Value::Integer(i32::try_from(number).unwrap_or(0));
            for mac in &port.heard {
                let mac = mac.0.map(u32::from);
                let (table, vlan): (&[u32], &[u32]) = match self.manners.has(Habit::Plain) {
                    true => (&[4, 3, 1], &[]),
                    false => (&[7, 1, 2, 2, 1], &[1]),
                };
                for (column, value) in [(2, at.clone()), (3, Value::Integer(3))] {
                    all.insert(oid(BRIDGE, &[table, &[column], vlan, &mac].concat()), value);
                }
            }
        }
        if !self.manners.has(Habit::Mute) && !self.manners.has(Habit::Plain) {
            // Its own address, which it did not learn.
            let own = [2, 0, 0, 0, 0, 0xaa];
            for (column, value) in [(2, 1), (3, 4)] {
                let name = oid(BRIDGE, &[&[7, 1, 2, 2, 1, column, 1][..], &own].concat());
                all.insert(name, Value::Integer(value));
            }
        }
        self.lldp(&mut all);
        all
    }

    fn lldp(&self, all: &mut BTreeMap<Oid, Value>) {
        for (number, port) in (1..).zip(&self.switch.ports) {
            let number = 200 + number;
            all.insert(oid(LLDP, &[3, 7, 1, 3, number]), Value::Octets(port.name.clone().into_bytes()));
            let here = self.neighbours.iter().filter(|(of, _)| *of == port.name && port.link().is_some());
            for (at, (_, neighbour)) in (1..).zip(here) {
                let mac = neighbour.macs.first().copied().unwrap_or(MacAddr([0; 6]));
                for (column, value) in [
                    (4, Value::Integer(4)),
                    (5, bytes(mac)),
                    (6, Value::Integer(3)),
                    (7, bytes(mac)),
                    (8, Value::Octets(neighbour.port.clone().into_bytes())),
                    (9, Value::Octets(neighbour.name.clone().into_bytes())),
                ] {
                    all.insert(oid(LLDP, &[4, 1, 1, column, 7, number, at]), value);
                }
            }
        }
    }

    fn set(&mut self, name: &Oid, value: &Value) -> Status {
        let wanted = match value {
            Value::Integer(1) => true,
            Value::Integer(2) => false,
            _ => return Status(10),
        };
        if self.manners.has(Habit::ReadOnly) {
            return Status(16);
        }
        let index = name.after(&oid(IF, &[7])).and_then(|rest| rest.first().copied());
        let at =
            index.and_then(|index| index.checked_sub(self.first)).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.switch.ports.get(at)).map(|port| port.name.clone()) {
            Some(port) if self.switch.set(&port, wanted) => Status::OK,
            _ => Status(17),
        }
    }

    /// What it sends for a datagram.
    pub fn answer(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.heard += 1;
        self.up += 1;
        if self.manners.deaf > 0 {
            self.manners.deaf -= 1;
            return Vec::new();
        }
        let Ok(asked) = Message::decode(datagram) else { return Vec::new() };
        if asked.community != self.community {
            return Vec::new();
        }
        let pdu = self.reply(&asked);
        let right = Message { pdu, ..asked }.encode();
        if !self.manners.has(Habit::Babbles) {
            return vec![right];
        }
        let mut other = right.clone();
        other.truncate(right.len() / 2);
        vec![other, b"\x30\x84\xff\xff\xff\xff".to_vec(), datagram.to_vec(), right]
    }

    fn reply(&mut self, asked: &Message) -> Pdu {
        let question = &asked.pdu;
        let mut answer = Pdu { kind: Kind::Response, status: Status::OK, index: 0, ..question.clone() };
        if question.kind == Kind::Set {
            for (at, (name, value)) in (1..).zip(&question.values) {
                answer.status = self.set(name, value);
                answer.index = if answer.status == Status::OK { 0 } else { at };
            }
            return answer;
        }
        let table = self.table();
        let times = if question.kind == Kind::GetBulk { question.index.max(1) } else { 1 };
        let many = question.values.len().saturating_mul(usize::try_from(times).unwrap_or(1));
        if self.manners.room.is_some_and(|room| many > room) && many > 1 {
            answer.status = Status::TOO_BIG;
            return answer;
        }
        answer.values.clear();
        for (at, (name, _)) in (1..).zip(&question.values) {
            let mut name = name.clone();
            for _ in 0..times {
                let found = match question.kind {
                    Kind::Get => table.get(&name).map(|value| (name.clone(), value.clone())),
                    _ => self.behind(&table, &name),
                };
                match (found, asked.version) {
                    (Some((next, value)), _) => {
                        answer.values.push((next.clone(), value));
                        name = next;
                    }
                    (None, Version::One) => {
                        return Pdu {
                            status: Status::NO_SUCH_NAME,
                            index: at,
                            values: question.values.clone(),
                            ..answer
                        };
                    }
                    (None, Version::TwoC) => {
                        let none =
                            if question.kind == Kind::Get { Value::NoInstance } else { Value::EndOfView };
                        answer.values.push((name.clone(), none));
                    }
                }
            }
        }
        answer
    }

    fn behind(&self, table: &BTreeMap<Oid, Value>, name: &Oid) -> Option<(Oid, Value)> {
        let next = table.range((Bound::Excluded(name), Bound::Unbounded)).next();
        let (next, value) = next.map(|(next, value)| (next.clone(), value.clone()))?;
        // The same row once more, for ever.
        let column = |oid: &Oid| oid.numbers().get(..11).map(<[u32]>::to_vec);
        if self.manners.has(Habit::Circles) && table.contains_key(name) && column(&next) != column(name) {
            return Some((name.clone(), value));
        }
        Some((next, value))
    }
}
