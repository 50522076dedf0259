//! All transfers of one TFTP service, without its sockets: who may begin, whose packet it is, what is due.
//!
//! ```text
//!  RRQ ─▶ arrive ─▶ New ──▶ begin ─▶ half open ──first ACK──▶ under way ─▶ over
//!            ├────▶ Repeat (asked again: its first packet again)     │
//!            ├────▶ Stale  (a late copy of the request)              │
//!            └────▶ Full   (no answer: its own repetition is the queue)
//!                   a full house lets go of the half-open one that has waited longest
//! ```
//!
//! A transfer is known by both ports and the client's address (RFC 1350 section 4). Many may share one port of ours,
//! which is all that single-port mode is.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use super::request::Request;
use super::transfer::{End, Statistics, Step, Transfer};

/// A request like the one being answered counts as a late copy of it until so many milliseconds after the client was
/// heard last; later it means that the client began anew.
const FRESH_MS: u64 = 1000;

/// The two ends of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The client's address.
    pub host: IpAddr,
    /// The client's port.
    pub port: u16,
    /// Which of our sockets it talks to, numbered by the owner.
    pub door: u8,
}

/// How many transfers there may be. Each costs a few hundred bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// At once.
    pub all: usize,
    /// At once to one address.
    pub each: usize,
    /// At once whose client has not answered yet.
    pub half_open: usize,
}

impl Default for Room {
    /// 16,384 at once: a fleet of 13,500 that boots in the same second. 8 to one address: firmware leaves its probe
    /// behind when it asks again.
    fn default() -> Self {
        Self { all: 16_384, each: 8, half_open: 16_384 }
    }
}

/// What a request means to those who are being served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A new transfer: open the file and [`begin`](Sessions::begin). The door the client used before, where that
    /// transfer ended by this request: what is left of it in the network must not reach the new one.
    New {
        /// That door.
        left: Option<u8>,
    },
    /// The client asked again before it heard from us: send this there.
    Repeat(u8, Step),
    /// A late copy of a request that is being answered: say nothing.
    Stale,
    /// No place. Say nothing: clients ask again after some seconds.
    Full,
}

/// What a packet or the passing of time led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn<F> {
    /// It goes on with this.
    On(Step),
    /// It is over, and forgotten.
    Over(End, Statistics, F),
}

#[derive(Debug, Clone)]
struct Session<F> {
    transfer: Transfer,
    request: Request,
    file: F,
    /// Under which time it stands in the list of what is due.
    due: u64,
    /// Place among the half-open ones; `None` once the client has answered.
    half_open: Option<u64>,
    heard: u64,
}

/// The transfers, each with what its owner wants to remember of it.
#[derive(Debug, Clone)]
pub struct Sessions<F> {
    room: Room,
    by_peer: BTreeMap<Peer, Session<F>>,
    due: BTreeSet<(u64, Peer)>,
    half_open: BTreeMap<u64, Peer>,
    hosts: BTreeMap<IpAddr, usize>,
    serial: u64,
    /// Let go to make room, to be told of.
    gone: Vec<(Peer, End, Statistics, F)>,
}

impl<F> Sessions<F> {
    /// Nobody yet.
    #[must_use]
    pub const fn new(room: Room) -> Self {
        Self {
            room,
            by_peer: BTreeMap::new(),
            due: BTreeSet::new(),
            half_open: BTreeMap::new(),
            hosts: BTreeMap::new(),
            serial: 0,
            gone: Vec::new(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_peer.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_peer.is_empty()
    }

    /// How many have a client that has not answered yet.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.half_open.len()
    }

    /// Looks at a request for a file from this address and port.
    pub fn arrive(&mut self, host: IpAddr, port: u16, request: &Request, now: u64) -> Arrival {
        let doors = Peer { host, port, door: 0 }..=Peer { host, port, door: u8::MAX };
        let mut left = None;
        if let Some((&peer, session)) = self.by_peer.range_mut(doors).next() {
            let same = session.request == *request;
            if same && session.half_open.is_some() {
                let step = session.transfer.repeat(now);
                self.reschedule(peer);
                return Arrival::Repeat(peer.door, step);
            }
            if same && now.saturating_sub(session.heard) < FRESH_MS {
                return Arrival::Stale;
            }
            self.let_go(peer);
            left = Some(peer.door);
        }
        if self.hosts.get(&host).is_some_and(|count| *count >= self.room.each) {
            let Some(oldest) = self.oldest_of(host) else { return Arrival::Full };
            self.let_go(oldest);
        }
        if self.by_peer.len() >= self.room.all || self.half_open.len() >= self.room.half_open {
            let Some(oldest) = self.half_open.values().next().copied() else { return Arrival::Full };
            self.let_go(oldest);
        }
        Arrival::New { left }
    }

    /// Begins a transfer that [`arrive`](Self::arrive) called new. Where another took its place meanwhile, that one is
    /// let go.
    pub fn begin(&mut self, peer: Peer, request: Request, transfer: Transfer, file: F) {
        let doors = Peer { door: 0, ..peer }..=Peer { door: u8::MAX, ..peer };
        if let Some(old) = self.by_peer.range(doors).next().map(|(old, _)| *old) {
            self.let_go(old);
        }
        let Some(due) = transfer.wake_at() else { return };
        self.serial += 1;
        self.half_open.insert(self.serial, peer);
        self.due.insert((due, peer));
        *self.hosts.entry(peer.host).or_default() += 1;
        let heard = due;
        let half_open = Some(self.serial);
        self.by_peer.insert(peer, Session { transfer, request, file, due, half_open, heard });
    }

    /// Takes a datagram in; `None` when it belongs to no transfer.
    pub fn on_packet(&mut self, peer: Peer, bytes: &[u8], now: u64) -> Option<Turn<F>> {
        let session = self.by_peer.get_mut(&peer)?;
        let step = session.transfer.on_packet(bytes, now);
        session.heard = now;
        if step != Step::Wait
            && let Some(serial) = session.half_open.take()
        {
            self.half_open.remove(&serial);
        }
        Some(self.turn(peer, step))
    }

    /// The next thing that is due, until there is none.
    pub fn on_time(&mut self, now: u64) -> Option<(Peer, Turn<F>)> {
        let (at, peer) = self.due.first().copied()?;
        if at > now {
            return None;
        }
        let step = self.by_peer.get_mut(&peer).map(|session| session.transfer.on_time(now))?;
        Some((peer, self.turn(peer, step)))
    }

    /// When [`on_time`](Self::on_time) has something to do.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A transfer and what its owner remembers of it.
    pub fn get_mut(&mut self, peer: Peer) -> Option<(&Transfer, &mut F)> {
        self.by_peer.get_mut(&peer).map(|session| (&session.transfer, &mut session.file))
    }

    /// The transfers to an address that are under way.
    pub fn to_host(&self, host: IpAddr) -> impl Iterator<Item = &Transfer> {
        self.by_peer.range(peers_of(host)).map(|(_, session)| &session.transfer)
    }

    /// One that was let go to make room, or because its client began anew.
    pub fn next_gone(&mut self) -> Option<(Peer, End, Statistics, F)> {
        self.gone.pop()
    }

    /// Ends a transfer that cannot go on, as when its file cannot be read.
    pub fn drop_peer(&mut self, peer: Peer) -> Option<(Statistics, F)> {
        self.remove(peer).map(|session| (session.transfer.statistics(), session.file))
    }

    fn turn(&mut self, peer: Peer, step: Step) -> Turn<F> {
        if let Step::End(end) = step {
            return match self.remove(peer) {
                Some(session) => Turn::Over(end, session.transfer.statistics(), session.file),
                None => Turn::On(Step::Wait),
            };
        }
        self.reschedule(peer);
        Turn::On(step)
    }

    fn reschedule(&mut self, peer: Peer) {
        let Some(session) = self.by_peer.get_mut(&peer) else { return };
        let due = session.transfer.wake_at().unwrap_or(session.due);
        if due != session.due {
            self.due.remove(&(session.due, peer));
            self.due.insert((due, peer));
            session.due = due;
        }
    }

    fn oldest_of(&self, host: IpAddr) -> Option<Peer> {
        let waiting =
            self.by_peer.range(peers_of(host)).filter_map(|(peer, one)| Some((one.half_open?, *peer)));
        waiting.min().map(|(_, peer)| peer)
    }

    fn let_go(&mut self, peer: Peer) {
        if let Some(session) = self.remove(peer) {
            let end = if session.half_open.is_some() { End::Probed } else { End::Abandoned };
            self.gone.push((peer, end, session.transfer.statistics(), session.file));
        }
    }

    fn remove(&mut self, peer: Peer) -> Option<Session<F>> {
        let session = self.by_peer.remove(&peer)?;
        self.due.remove(&(session.due, peer));
        if let Some(serial) = session.half_open {
            self.half_open.remove(&serial);
        }
        if let Some(count) = self.hosts.get_mut(&peer.host) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(&peer.host);
            }
        }
        Some(session)
    }
}

/// All that an address may talk from and to.
const fn peers_of(host: IpAddr) -> RangeInclusive<Peer> {
    RangeInclusive::new(Peer { host, port: 0, door: 0 }, Peer { host, port: u16::MAX, door: u8::MAX })
}
