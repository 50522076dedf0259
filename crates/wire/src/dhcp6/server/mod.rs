//! The DHCPv6 server without its socket: a message and a time in, one outcome out.
//!
//! A machine of the board is one Ethernet address, whatever its firmware (a UUID), its loader and its system (the
//! address of some port) call themselves; anybody else is its identifier and the number of its association.
//!
//! ```text
//!   SOLICIT ─▶ choose ─▶ ADVERTISE (remembered 30 s)     REQUEST, RENEW, REBIND ─▶ may it? ─┬▶ lease, then REPLY
//!       └ rapid commit ──────────────────────────────────────────────────────────────────▶┘└▶ REPLY: no address
//!   reservation > lease > offer > asked for > probe
//! ```

mod config;
mod outcome;
mod pool;
mod reply;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use model::MacAddr;

use super::{Envelope, Ia, IaAddress, Message, MessageType, OptionCode, Status};

pub use config::{Boot, Config, Pool, Reservation};
pub use outcome::{Ignored, Lease, Outcome, Owner, Reply, Tally};

/// How long an offer holds its address, in milliseconds.
const OFFER_MS: u64 = 30_000;
/// How long an address that a client found in use is left alone, in milliseconds.
const DECLINED_MS: u64 = 600_000;
/// Offers remembered at once; beyond it the oldest is forgotten.
const MOST_OFFERS: usize = 4096;
/// Leases held at once. A prefix has more addresses than any memory has room for.
pub const MOST_LEASES: usize = 65_536;
/// Associations answered in one message; the rest is told that there is nothing.
const MOST_ASSOCIATIONS: usize = 8;

/// An address set aside until a time.
#[derive(Debug, Clone, Copy)]
struct Offer {
    address: Ipv6Addr,
    until: u64,
}

/// The engine: configuration, leases, offers. `now` is in milliseconds on any clock that does not run backwards and
/// on which restored leases mean the same.
#[derive(Debug)]
pub struct Server {
    config: Config,
    reserved: BTreeMap<Ipv6Addr, MacAddr>,
    leases: BTreeMap<Owner, Lease>,
    owners: BTreeMap<Ipv6Addr, Owner>,
    offers: BTreeMap<Owner, Offer>,
    offered: BTreeMap<Ipv6Addr, Owner>,
    declined: BTreeMap<Ipv6Addr, u64>,
    tally: Tally,
}

/// One question on its way through the engine.
#[derive(Clone, Copy)]
struct Question<'a> {
    envelope: &'a Envelope,
    mac: Option<MacAddr>,
    boot: &'a Boot,
    now: u64,
}

impl Question<'_> {
    const fn message(&self) -> &Message {
        &self.envelope.message
    }
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

    /// Puts back a lease read at start-up. Of two for one owner or one address, the later call wins.
    pub fn restore(&mut self, lease: Lease) {
        self.forget(&lease.owner);
        if let Some(other) = self.owners.insert(lease.address, lease.owner.clone()) {
            self.leases.remove(&other);
        }
        self.leases.insert(lease.owner.clone(), lease);
    }

    /// Drops a lease, as when it could not be written down and the reply must not be sent.
    pub fn forget(&mut self, owner: &Owner) -> Option<Lease> {
        let lease = self.leases.remove(owner)?;
        if self.owners.get(&lease.address) == Some(owner) {
            self.owners.remove(&lease.address);
        }
        Some(lease)
    }

    /// All leases, those that ran out included.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// What is held by one, run out or not.
    #[must_use]
    pub fn lease(&self, owner: &Owner) -> Option<&Lease> {
        self.leases.get(owner)
    }

    /// What was answered and what not, since the start.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The machine of the board among the Ethernet addresses its sender may have, or the likeliest of them.
    #[must_use]
    pub fn recognise(&self, candidates: impl Iterator<Item = MacAddr>) -> Option<MacAddr> {
        let mut likeliest = None;
        for mac in candidates {
            if self.config.reservations.contains_key(&mac) {
                return Some(mac);
            }
            likeliest = likeliest.or(Some(mac));
        }
        likeliest
    }

    /// Answers one message. `mac` is who sent it, as far as that can be told ([`Server::recognise`]); `boot` is what
    /// it is to boot now. A [`Reply`] with leases may be sent only after they are written.
    pub fn answer(&mut self, envelope: &Envelope, mac: Option<MacAddr>, boot: &Boot, now: u64) -> Outcome {
        let outcome = match self.judge(Question { envelope, mac, boot, now }) {
            Ok(reply) => Outcome::Reply(reply),
            Err(why) => Outcome::Ignore(why),
        };
        self.tally.count(&outcome);
        outcome
    }

    fn judge(&mut self, question: Question<'_>) -> Result<Reply, Ignored> {
        use MessageType as T;
        let message = question.message();
        let nearest = question.envelope.relays.last();
        if nearest.is_some_and(|hop| !hop.link.is_unspecified() && !self.config.holds(hop.link)) {
            return Err(Ignored::ForeignRelay);
        }
        let named = message.server();
        let to_us = named.as_ref() == Some(&self.config.duid());
        match message.kind {
            T::Advertise | T::Reply | T::Reconfigure => return Err(Ignored::NotARequest),
            T::Solicit | T::Confirm | T::Rebind if named.is_some() => return Err(Ignored::BadServerId),
            T::Request | T::Renew | T::Release | T::Decline | T::InformationRequest
                if named.is_some() && !to_us =>
            {
                self.drop_offers(question);
                return Err(Ignored::ForAnotherServer);
            }
            T::Request | T::Renew | T::Release | T::Decline if !to_us => return Err(Ignored::BadServerId),
            T::InformationRequest => return self.inform(question),
            T::Solicit | T::Request | T::Confirm | T::Renew | T::Rebind | T::Release | T::Decline => {}
        }
        if message.client().is_none() {
            return Err(Ignored::NoClientId);
        }
        match message.kind {
            T::Confirm => self.confirm(question),
            T::Release => self.give_back(question, false),
            T::Decline => self.give_back(question, true),
            T::Solicit if !message.options.has(OptionCode::RAPID_COMMIT) => self.advertise(question),
            _ => self.lend(question),
        }
    }

    /// Who an association belongs to. The first of a message from a machine of the board is the machine's.
    fn owner(&self, question: Question<'_>, place: usize, ia: &Ia) -> Option<Owner> {
        match question.mac {
            Some(mac) if place == 0 && self.config.reservations.contains_key(&mac) => {
                Some(Owner::Machine(mac))
            }
            _ => question.message().client().map(|duid| Owner::Client(duid, ia.iaid)),
        }
    }

    /// Without a pool this server is only for the machines of its board, and silent to all others.
    fn known(&self, question: Question<'_>) -> Result<(), Ignored> {
        let reserved = question.mac.is_some_and(|mac| self.config.reservations.contains_key(&mac));
        if self.config.pool.is_some() || reserved { Ok(()) } else { Err(Ignored::Stranger) }
    }

    fn advertise(&mut self, question: Question<'_>) -> Result<Reply, Ignored> {
        self.known(question)?;
        let mut answered = Vec::new();
        let mut first = None;
        for (place, asked) in
            question.message().options.associations().iter().take(MOST_ASSOCIATIONS).enumerate()
        {
            let Some(owner) = self.owner(question, place, asked) else { continue };
            let wish = asked.addresses.first().map(|a| a.address);
            let address = self.choose(&owner, wish, question.now);
            if let Some(address) = address.filter(|_| self.reserved_for(&owner).is_none()) {
                let offer = Offer { address, until: question.now.saturating_add(OFFER_MS) };
                self.remember_offer(&owner, offer);
            }
            answered.push(self.given(asked.iaid, address));
            first = first.or(Some(owner));
        }
        let about = (first.as_ref(), answered.as_slice());
        let message = self.compose(question.message(), MessageType::Advertise, about, question.boot);
        Ok(Reply::new(question.envelope, message))
    }

    /// REQUEST, RENEW, REBIND, and SOLICIT with rapid commit: addresses are given or given on. A binding that is not
    /// known any more is made again where the client may have the address (RFC 8415 section 18.3.4 allows it).
    fn lend(&mut self, question: Question<'_>) -> Result<Reply, Ignored> {
        self.known(question)?;
        let message = question.message();
        let again = matches!(message.kind, MessageType::Renew | MessageType::Rebind);
        let mut answered = Vec::new();
        let mut leases = Vec::new();
        for (place, asked) in message.options.associations().iter().take(MOST_ASSOCIATIONS).enumerate() {
            let Some(owner) = self.owner(question, place, asked) else { continue };
            let wish = asked.addresses.first().map(|a| a.address);
            let fits = wish.filter(|address| self.may_have(&owner, *address, question.now));
            let address = fits.or_else(|| self.choose(&owner, None, question.now));
            let mut ia = self.given(asked.iaid, address);
            // What it held and may not hold on is taken away by name.
            let gone = asked.addresses.iter().filter(|a| again && Some(a.address) != address);
            ia.addresses.extend(gone.map(|a| IaAddress { address: a.address, preferred: 0, valid: 0 }));
            if again && address.is_none() {
                ia.status = Status::NO_BINDING;
            }
            self.drop_offer(&owner);
            if let Some(address) = address {
                let until = question.now.saturating_add(u64::from(self.config.lease_seconds) * 1000);
                let host_name = self.host_name(&owner);
                let lease = Lease { owner, mac: question.mac, address, until, host_name };
                self.restore(lease.clone());
                leases.push(lease);
            }
            answered.push(ia);
        }
        let owner = leases.first().map(|lease| lease.owner.clone());
        let about = (owner.as_ref(), answered.as_slice());
        let reply = self.compose(message, MessageType::Reply, about, question.boot);
        Ok(Reply { leases, ..Reply::new(question.envelope, reply) })
    }

    fn confirm(&self, question: Question<'_>) -> Result<Reply, Ignored> {
        self.known(question)?;
        let associations = question.message().options.associations();
        let mut addresses = associations.iter().flat_map(|ia| &ia.addresses).peekable();
        if addresses.peek().is_none() {
            return Err(Ignored::NamesNoAddress);
        }
        let ours = addresses.all(|address| self.config.holds(address.address));
        let status = if ours { Status::SUCCESS } else { Status::NOT_ON_LINK };
        Ok(Reply::new(question.envelope, self.answer_status(question.message(), status, &[])))
    }

    /// RELEASE and DECLINE. Either way the client is told that all is well, and of each association that was never
    /// given that it was not.
    fn give_back(&mut self, question: Question<'_>, in_use: bool) -> Result<Reply, Ignored> {
        let associations = question.message().options.associations();
        if associations.is_empty() {
            return Err(Ignored::NamesNoAddress);
        }
        let (mut freed, mut declined, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (place, asked) in associations.iter().take(MOST_ASSOCIATIONS).enumerate() {
            let Some(owner) = self.owner(question, place, asked) else { continue };
            let held = self.leases.get(&owner).map(|lease| lease.address);
            let Some(address) = held.filter(|held| asked.addresses.iter().any(|a| a.address == *held)) else {
                unknown.push(Ia { status: Status::NO_BINDING, ..Ia::new(asked.iaid) });
                continue;
            };
            freed.extend(self.forget(&owner));
            if in_use {
                self.declined.retain(|_, until| *until > question.now);
                self.declined.insert(address, question.now.saturating_add(DECLINED_MS));
                declined.push(address);
            }
        }
        let message = self.answer_status(question.message(), Status::SUCCESS, &unknown);
        Ok(Reply { freed, declined, ..Reply::new(question.envelope, message) })
    }

    fn inform(&self, question: Question<'_>) -> Result<Reply, Ignored> {
        self.known(question)?;
        let owner = question.mac.map(Owner::Machine);
        let about = (owner.as_ref(), [].as_slice());
        let message = self.compose(question.message(), MessageType::Reply, about, question.boot);
        Ok(Reply::new(question.envelope, message))
    }

    /// An association with an address, or with the word that there is none.
    fn given(&self, iaid: u32, address: Option<Ipv6Addr>) -> Ia {
        let seconds = self.config.lease_seconds;
        let mut ia = Ia::new(iaid);
        match address {
            Some(address) => {
                // Section 14.2: half and four fifths of the preferred lifetime.
                (ia.renew, ia.rebind) = (seconds / 2, seconds - seconds / 5);
                ia.addresses.push(IaAddress { address, preferred: seconds, valid: seconds });
            }
            None => ia.status = Status::NO_ADDRESSES,
        }
        ia
    }

    fn remember_offer(&mut self, owner: &Owner, offer: Offer) {
        self.drop_offer(owner);
        if self.offers.len() >= MOST_OFFERS {
            let oldest =
                self.offers.iter().min_by_key(|(_, offer)| offer.until).map(|(owner, _)| owner.clone());
            if let Some(oldest) = oldest {
                self.drop_offer(&oldest);
            }
        }
        if let Some(other) = self.offered.insert(offer.address, owner.clone()) {
            self.offers.remove(&other);
        }
        self.offers.insert(owner.clone(), offer);
    }

    fn drop_offer(&mut self, owner: &Owner) {
        if let Some(offer) = self.offers.remove(owner)
            && self.offered.get(&offer.address) == Some(owner)
        {
            self.offered.remove(&offer.address);
        }
    }

    fn drop_offers(&mut self, question: Question<'_>) {
        for (place, ia) in question.message().options.associations().iter().enumerate() {
            if let Some(owner) = self.owner(question, place, ia) {
                self.drop_offer(&owner);
            }
        }
    }

    fn host_name(&self, owner: &Owner) -> String {
        let Owner::Machine(mac) = owner else { return String::new() };
        self.config.reservations.get(mac).and_then(|r| r.host_name.clone()).unwrap_or_default()
    }
}
