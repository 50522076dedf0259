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
use super::relay::Relayed;

pub use super::give::Boot;
pub use config::{Config, Network, Pool, Reservation};
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

/// Where a message came from, and as whom it is answered.
#[derive(Debug, Clone, Copy)]
struct Desk {
    mac: MacAddr,
    network: Network,
    /// The server identifier (option 54) that this client knows us by.
    server: Ipv4Addr,
}

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
        let desk = self.desk(message, mac)?;
        match kind {
            MessageType::Discover => self.discover(message, &desk, boot, now),
            MessageType::Request => self.request(message, &desk, boot, now),
            MessageType::Decline => self.decline(message, &desk, now),
            MessageType::Release => self.release(message, &desk),
            MessageType::Inform => self.inform(message, &desk, boot),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => Err(Ignored::NotARequest),
        }
    }

    /// A relay must name a subnet of ours. A client that comes itself with an address of no subnet of ours is at home
    /// all the same: it moved here, and is to be told so.
    fn desk(&self, message: &Message, mac: MacAddr) -> Result<Desk, Ignored> {
        let relayed = Relayed::of(message);
        let network = match relayed.subnet(message) {
            None => self.config.home(),
            Some(address) => match self.config.network_of(address) {
                Some(network) => network,
                None if relayed.relay.is_none() => self.config.home(),
                None => return Err(Ignored::ForeignRelay),
            },
        };
        Ok(Desk { mac, network, server: relayed.server.unwrap_or(self.config.boss) })
    }

    /// True when the message names a server that is not this one.
    fn is_for_another(&self, message: &Message, desk: &Desk) -> bool {
        let named = message.options.address(OptionCode::SERVER_ID);
        named.is_some_and(|server| server != self.config.boss && server != desk.server)
    }

    fn discover(
        &mut self,
        message: &Message,
        desk: &Desk,
        boot: &Boot,
        now: u64,
    ) -> Result<Outcome, Ignored> {
        self.known(desk)?;
        let mac = desk.mac;
        let asked = message.options.address(OptionCode::REQUESTED_ADDRESS);
        let address = self.choose(&desk.network, mac, asked, now).ok_or(Ignored::PoolExhausted)?;
        if self.reserved.get(&address) != Some(&mac) {
            self.remember_offer(mac, Offer { address, until: now.saturating_add(OFFER_MS) });
        }
        let reply = self.compose((message, desk), MessageType::Offer, address, boot);
        Ok(Outcome::Reply(Reply::new(message, reply, None)))
    }

    fn request(&mut self, message: &Message, desk: &Desk, boot: &Boot, now: u64) -> Result<Outcome, Ignored> {
        let mac = desk.mac;
        if self.is_for_another(message, desk) {
            self.drop_offer(mac);
            return Err(Ignored::ForAnotherServer);
        }
        self.known(desk)?;
        // Selecting and init-reboot name the address in option 50, renewing and rebinding in `ciaddr`.
        let asked = message.options.address(OptionCode::REQUESTED_ADDRESS);
        let held = (!message.ciaddr.is_unspecified()).then_some(message.ciaddr);
        let address = asked.or(held).ok_or(Ignored::NamesNoAddress)?;
        if !self.may_have(&desk.network, mac, address, now) {
            self.drop_offer(mac);
            let reply = self.refuse(message, desk);
            return Ok(Outcome::Nak(Reply::new(message, reply, None)));
        }
        self.drop_offer(mac);
        let until = now.saturating_add(u64::from(self.lease_seconds(message)) * 1000);
        let lease = Lease { mac, address, until, host_name: self.host_name(message, desk) };
        self.restore(lease.clone());
        let reply = self.compose((message, desk), MessageType::Ack, address, boot);
        Ok(Outcome::Reply(Reply::new(message, reply, Some(lease))))
    }

    fn decline(&mut self, message: &Message, desk: &Desk, now: u64) -> Result<Outcome, Ignored> {
        if self.is_for_another(message, desk) {
            return Err(Ignored::ForAnotherServer);
        }
        let mac = desk.mac;
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

    fn release(&mut self, message: &Message, desk: &Desk) -> Result<Outcome, Ignored> {
        if self.is_for_another(message, desk) {
            return Err(Ignored::ForAnotherServer);
        }
        match self.leases.get(&desk.mac) {
            Some(lease) if lease.address == message.ciaddr => {
                self.forget(desk.mac).map(Outcome::Released).ok_or(Ignored::NotItsAddress)
            }
            _ => Err(Ignored::NotItsAddress),
        }
    }

    fn inform(&self, message: &Message, desk: &Desk, boot: &Boot) -> Result<Outcome, Ignored> {
        self.known(desk)?;
        if message.ciaddr.is_unspecified() {
            return Err(Ignored::NamesNoAddress);
        }
        let reply = self.compose_inform((message, desk), boot);
        Ok(Outcome::Reply(Reply::new(message, reply, None)))
    }

    /// Without a pool a subnet is only for the machines of the board, and silent to all others.
    fn known(&self, desk: &Desk) -> Result<(), Ignored> {
        let known = desk.network.pool.is_some() || self.config.reservation(&desk.network, desk.mac).is_some();
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

    fn host_name(&self, message: &Message, desk: &Desk) -> String {
        match self.config.reservation(&desk.network, desk.mac) {
            Some(Reservation { host_name: Some(name), .. }) => name.clone(),
            _ => printable(message.options.get(OptionCode::HOST_NAME).unwrap_or_default()),
        }
    }
}
