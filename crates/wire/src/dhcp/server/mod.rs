//! The authoritative DHCP server without its socket: a message and a time in, one outcome out.
//!
//! One machine is one Ethernet address: its firmware, loader and system send three different client
//! identifiers (option 61) and must all get the same address, or the image they hand on breaks.
//!
//! ```text
//!   DISCOVER ─▶ choose ─▶ OFFER (remembered 30 s)      REQUEST ─▶ may it? ─┬▶ lease, then ACK
//!   reservation > lease > offer > asked for > probe                        └▶ NAK
//! ```

mod config;
mod outcome;
mod pool;
mod reply;

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::net::Ipv4Addr;

use model::MacAddr;

use super::code::OptionCode;
use super::message::{Message, MessageType, Op};
use super::pxe::printable;

pub use config::{Boot, Config, Pool, Reservation};
pub use outcome::{Destination, Ignored, Lease, Outcome, Reply, Tally};

/// How long an offer holds its address, in milliseconds: EDK2 takes 4 s to answer, and may ask thrice.
const OFFER_MS: u64 = 30_000;
/// How long an address that a client found in use is left alone, in milliseconds.
const DECLINED_MS: u64 = 600_000;
/// Offers remembered at once; beyond it the oldest is forgotten, which costs its client nothing but
/// another probe of the same sequence.
const MOST_OFFERS: usize = 4096;
/// Shortest lease a client may ask for, in seconds.
const SHORTEST_LEASE: u32 = 60;

/// An address set aside for a client until a time.
#[derive(Debug, Clone, Copy)]
struct Offer {
    address: Ipv4Addr,
    until: u64,
}

/// The engine: configuration, leases, offers. `now` is in milliseconds on any clock that does not run
/// backwards and on which restored leases mean the same.
#[derive(Debug)]
pub struct Server {
    config: Config,
    reserved: BTreeMap<Ipv4Addr, MacAddr>,
    leases: BTreeMap<MacAddr, Lease>,
    owners: BTreeMap<Ipv4Addr, MacAddr>,
    offers: BTreeMap<MacAddr, Offer>,
    offered: BTreeMap<Ipv4Addr, MacAddr>,
    declined: BTreeMap<Ipv4Addr, u64>,
    tally: Tally,
}

impl Server {
    /// A server that has given nothing out yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            reserved: config.reserved_addresses(),
            config,
            leases: BTreeMap::new(),
            owners: BTreeMap::new(),
            offers: BTreeMap::new(),
            offered: BTreeMap::new(),
            declined: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Takes a new configuration; leases stay, and those it no longer allows end at their next renewal.
    pub fn reconfigure(&mut self, config: Config) {
        self.reserved = config.reserved_addresses();
        self.config = config;
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Puts back a lease read at start-up. Of two for one machine or one address, the later call wins.
    pub fn restore(&mut self, lease: Lease) {
        self.forget(lease.mac);
        if let Some(other) = self.owners.insert(lease.address, lease.mac) {
            self.leases.remove(&other);
        }
        self.leases.insert(lease.mac, lease);
    }

    /// Drops a machine's lease, as when it could not be written down and the reply must not be sent.
    pub fn forget(&mut self, mac: MacAddr) -> Option<Lease> {
        let lease = self.leases.remove(&mac)?;
        if self.owners.get(&lease.address) == Some(&mac) {
            self.owners.remove(&lease.address);
        }
        Some(lease)
    }

    /// All leases, those that ran out included, by Ethernet address.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// A machine's lease, run out or not.
    #[must_use]
    pub fn lease(&self, mac: MacAddr) -> Option<&Lease> {
        self.leases.get(&mac)
    }

    /// What was answered and what not, since the start.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Answers one message. `boot` is what this client is to boot now; clients that do not boot from
    /// the network never see it. A [`Reply`] with a lease may be sent only after the lease is written.
    pub fn answer(&mut self, message: &Message, boot: &Boot, now: u64) -> Outcome {
        let outcome = match self.judge(message, boot, now) {
            Ok(outcome) => outcome,
            Err(why) => Outcome::Ignore(why),
        };
        self.tally.count(&outcome);
        outcome
    }

    fn judge(&mut self, message: &Message, boot: &Boot, now: u64) -> Result<Outcome, Ignored> {
        if message.op != Op::Request {
            return Err(Ignored::NotARequest);
        }
        let mac = message.mac().ok_or(Ignored::NotEthernet)?;
        let kind = message.kind().ok_or(Ignored::NoMessageType)?;
        if !message.giaddr.is_unspecified() && !self.config.holds(message.giaddr) {
            return Err(Ignored::ForeignRelay);
        }
        match kind {
            MessageType::Discover => self.discover(message, mac, boot, now),
            MessageType::Request => self.request(message, mac, boot, now),
            MessageType::Decline => self.decline(message, mac, now),
            MessageType::Release => self.release(message, mac),
            MessageType::Inform => self.inform(message, mac, boot),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => Err(Ignored::NotARequest),
        }
    }

    fn discover(
        &mut self,
        message: &Message,
        mac: MacAddr,
        boot: &Boot,
        now: u64,
    ) -> Result<Outcome, Ignored> {
        self.known(mac)?;
        let asked = message.options.address(OptionCode::REQUESTED_ADDRESS);
        let address = self.choose(mac, asked, now).ok_or(Ignored::PoolExhausted)?;
        if self.reserved.get(&address) != Some(&mac) {
            self.remember_offer(mac, Offer { address, until: now.saturating_add(OFFER_MS) });
        }
        let reply = self.compose(message, MessageType::Offer, address, boot);
        Ok(Outcome::Reply(Reply::new(message, reply, None)))
    }

    fn request(
        &mut self,
        message: &Message,
        mac: MacAddr,
        boot: &Boot,
        now: u64,
    ) -> Result<Outcome, Ignored> {
        let chosen = message.options.address(OptionCode::SERVER_ID);
        if chosen.is_some_and(|server| server != self.config.boss) {
            self.drop_offer(mac);
            return Err(Ignored::ForAnotherServer);
        }
        self.known(mac)?;
        // Selecting and init-reboot name the address in option 50, renewing and rebinding in `ciaddr`.
        let asked = message.options.address(OptionCode::REQUESTED_ADDRESS);
        let held = (!message.ciaddr.is_unspecified()).then_some(message.ciaddr);
        let address = asked.or(held).ok_or(Ignored::NamesNoAddress)?;
        if !self.may_have(mac, address, now) {
            self.drop_offer(mac);
            let reply = self.refuse(message);
            return Ok(Outcome::Nak(Reply::new(message, reply, None)));
        }
        self.drop_offer(mac);
        let until = now.saturating_add(u64::from(self.lease_seconds(message)) * 1000);
        let lease = Lease { mac, address, until, host_name: self.host_name(message, mac) };
        self.restore(lease.clone());
        let reply = self.compose(message, MessageType::Ack, address, boot);
        Ok(Outcome::Reply(Reply::new(message, reply, Some(lease))))
    }

    fn decline(&mut self, message: &Message, mac: MacAddr, now: u64) -> Result<Outcome, Ignored> {
        let asked = message.options.address(OptionCode::REQUESTED_ADDRESS);
        let address = asked.ok_or(Ignored::NamesNoAddress)?;
        if !self.is_of(mac, address) {
            return Err(Ignored::NotItsAddress);
        }
        self.forget(mac);
        self.drop_offer(mac);
        self.declined.retain(|_, until| *until > now);
        self.declined.insert(address, now.saturating_add(DECLINED_MS));
        Ok(Outcome::Declined { mac, address })
    }

    fn release(&mut self, message: &Message, mac: MacAddr) -> Result<Outcome, Ignored> {
        match self.leases.get(&mac) {
            Some(lease) if lease.address == message.ciaddr => {
                self.forget(mac).map(Outcome::Released).ok_or(Ignored::NotItsAddress)
            }
            _ => Err(Ignored::NotItsAddress),
        }
    }

    fn inform(&self, message: &Message, mac: MacAddr, boot: &Boot) -> Result<Outcome, Ignored> {
        self.known(mac)?;
        if message.ciaddr.is_unspecified() {
            return Err(Ignored::NamesNoAddress);
        }
        let reply = self.compose_inform(message, boot);
        Ok(Outcome::Reply(Reply::new(message, reply, None)))
    }

    /// Without a pool this server is only for the machines of its board, and silent to all others.
    fn known(&self, mac: MacAddr) -> Result<(), Ignored> {
        let known = self.config.pool.is_some() || self.config.reservations.contains_key(&mac);
        if known { Ok(()) } else { Err(Ignored::Stranger) }
    }

    fn is_of(&self, mac: MacAddr, address: Ipv4Addr) -> bool {
        self.reserved.get(&address) == Some(&mac)
            || self.owners.get(&address) == Some(&mac)
            || self.offered.get(&address) == Some(&mac)
    }

    fn remember_offer(&mut self, mac: MacAddr, offer: Offer) {
        self.drop_offer(mac);
        if self.offers.len() >= MOST_OFFERS {
            let oldest = self.offers.iter().min_by_key(|(_, offer)| offer.until).map(|(mac, _)| *mac);
            if let Some(oldest) = oldest {
                self.drop_offer(oldest);
            }
        }
        if let Some(other) = self.offered.insert(offer.address, mac) {
            self.offers.remove(&other);
        }
        self.offers.insert(mac, offer);
    }

    fn drop_offer(&mut self, mac: MacAddr) {
        if let Some(offer) = self.offers.remove(&mac)
            && self.offered.get(&offer.address) == Some(&mac)
        {
            self.offered.remove(&offer.address);
        }
    }

    /// Seconds of the lease: what the client asks for, within what is configured.
    fn lease_seconds(&self, message: &Message) -> u32 {
        let most = self.config.lease_seconds;
        let asked = message.options.u32(OptionCode::LEASE_SECONDS).unwrap_or(most);
        asked.max(SHORTEST_LEASE).min(most)
    }

    fn host_name(&self, message: &Message, mac: MacAddr) -> String {
        match self.config.reservations.get(&mac) {
            Some(Reservation { host_name: Some(name), .. }) => name.clone(),
            _ => printable(message.options.get(OptionCode::HOST_NAME).unwrap_or_default()),
        }
    }
}
