//! A boot as a stranger on the cable sees it: frames of a capture in, the sightings our counter would have told out.
//!
//! ```text
//! frame ─▶ glance: headers, cut or whole ─┬▶ leases: who asks for an address, who has which
//!                                         ├▶ files: TFTP transfers
//!                                         └▶ pages: HTTP requests and answers
//! ```
//!
//! Frames may be cut after any byte (`tcpdump -s 96`): what a cut one does not tell is taken from where it stands in
//! the exchange. Nothing is remembered without a bound.

mod files;
mod glance;
mod leases;
mod pages;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::{FileRole, MacAddr, Sight};
use wire::frame::Frame;
use wire::ndp::Routing;

use files::Files;
pub(crate) use glance::{Datagram, Glance, Inside};
use leases::Leases;
use pages::Pages;

/// Silence after which a machine's next frame is a first one, in milliseconds; the counter's own.
const SILENCE_MS: u64 = 5_000;
/// Machines, addresses and connections remembered, each.
pub(crate) const MOST: usize = 16_384;

/// Something seen of a machine at a time in milliseconds.
pub type Seen = (u64, MacAddr, Sight);

/// Watches a cable from a capture.
#[derive(Debug, Default)]
pub struct Observer {
    leases: Leases,
    files: Files,
    pages: Pages,
    /// Solicitations nobody has answered yet.
    soliciting: BTreeMap<MacAddr, u64>,
    last_frame: BTreeMap<MacAddr, u64>,
    cut: u64,
    strange: u64,
}

impl Observer {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a frame in; `length` is how long it was on the wire, which may be more than is there.
    pub fn take(&mut self, now: u64, frame: &[u8], length: u32) -> Vec<Seen> {
        if u32::try_from(frame.len()).is_ok_and(|kept| kept < length) {
            self.cut += 1;
        }
        let mut seen = Vec::new();
        let Some(glance) = Glance::at(frame) else {
            self.strange += 1;
            return seen;
        };
        self.note_frame(&glance, now, &mut seen);
        match &glance.inside {
            Inside::Udp(udp) if matches!(udp.ports(), (67 | 68 | 4011, _) | (_, 67 | 4011)) => {
                let found = self.leases.take(udp);
                if let Some((mac, Sight::Discover { .. })) = found {
                    let closed = self.pages.close_of(mac);
                    self.note_files(closed.into_iter().map(|sight| (mac, sight)), now, &mut seen);
                }
                seen.extend(found.map(|(mac, sight)| (now, mac, sight)));
            }
            Inside::Udp(udp) => {
                let holder = |address: Ipv4Addr| self.leases.holder(address);
                let found = self.files.take(udp, holder);
                self.note_files(found, now, &mut seen);
            }
            Inside::Tcp(tcp) => {
                let holder = |address: Ipv4Addr| self.leases.holder(address);
                let found = self.pages.take(tcp, holder);
                self.note_files(found, now, &mut seen);
            }
            Inside::Six => self.routing(frame, now, &mut seen),
            Inside::Other => {}
        }
        seen
    }

    /// The capture is over: what was never answered, and what never ended.
    pub fn end(&mut self) -> Vec<Seen> {
        let unanswered = std::mem::take(&mut self.soliciting);
        unanswered.into_iter().map(|(mac, at)| (at, mac, Sight::RouterAsked { answered: false })).collect()
    }

    /// Machines that asked for an address, in the order of their addresses.
    pub fn machines(&self) -> impl Iterator<Item = MacAddr> {
        self.leases.clients()
    }

    /// The address a machine was given last.
    #[must_use]
    pub fn address_of(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        self.leases.address_of(mac)
    }

    /// Frames of which the capture kept only the head.
    #[must_use]
    pub const fn cut(&self) -> u64 {
        self.cut
    }

    /// Frames that are not Ethernet as we know it.
    #[must_use]
    pub const fn strange(&self) -> u64 {
        self.strange
    }

    /// Tells of files; whoever fetched a loader asks as one from then on.
    fn note_files(
        &mut self,
        found: impl IntoIterator<Item = (MacAddr, Sight)>,
        now: u64,
        seen: &mut Vec<Seen>,
    ) {
        for (mac, sight) in found {
            if let Sight::FileServed { name, .. } = &sight
                && files::role_of(name) == FileRole::Loader
            {
                self.leases.note_loader(mac);
            }
            seen.push((now, mac, sight));
        }
    }

    fn note_frame(&mut self, glance: &Glance<'_>, now: u64, seen: &mut Vec<Seen>) {
        let mac = glance.from;
        let quiet = self.last_frame.get(&mac).is_none_or(|last| now.saturating_sub(*last) > SILENCE_MS);
        if self.last_frame.len() < MOST || self.last_frame.contains_key(&mac) {
            self.last_frame.insert(mac, now);
        }
        if quiet {
            seen.push((now, mac, Sight::Frame));
        }
    }

    fn routing(&mut self, frame: &[u8], now: u64, seen: &mut Vec<Seen>) {
        let Ok(Frame::Icmp6(icmp)) = Frame::parse(frame) else { return };
        match Routing::parse(&icmp) {
            Some(Routing::Solicitation(asker)) => {
                let bounded = self.soliciting.len() < MOST;
                if bounded {
                    self.soliciting.insert(asker.mac, now);
                }
            }
            Some(Routing::Advertisement(_)) => {
                for (mac, _) in std::mem::take(&mut self.soliciting) {
                    seen.push((now, mac, Sight::RouterAsked { answered: true }));
                }
            }
            None => {}
        }
    }
}
