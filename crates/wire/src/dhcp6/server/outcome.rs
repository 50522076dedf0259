//! What becomes of a message: a reply with what must be written down before it leaves, or the reason there is none.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use model::MacAddr;

use crate::dhcp6::{CLIENT_PORT, Duid, Envelope, Message, MessageType, OptionCode, RelayHop, SERVER_PORT};

/// What the server decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An ADVERTISE or REPLY to send.
    Reply(Reply),
    /// Nothing to send, and why.
    Ignore(Ignored),
}

/// A message to send, and what it promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub message: Message,
    /// The relays it goes back through; none for a client on our link.
    pub relays: Vec<RelayHop>,
    /// Addresses it gives: must be written down before it is sent.
    pub leases: Vec<Lease>,
    /// Addresses that came back.
    pub freed: Vec<Lease>,
    /// Addresses the client found in use by another; left alone for ten minutes, worth telling a person.
    pub declined: Vec<Ipv6Addr>,
}

impl Reply {
    pub(super) fn new(envelope: &Envelope, message: Message) -> Self {
        let relays = envelope.relays.clone();
        Self { message, relays, leases: Vec::new(), freed: Vec::new(), declined: Vec::new() }
    }

    /// The UDP payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Envelope::seal(&self.relays, &self.message)
    }

    /// The port it goes to, at the address the question came from: the relay's or the client's.
    #[must_use]
    pub const fn port(&self) -> u16 {
        if self.relays.is_empty() { CLIENT_PORT } else { SERVER_PORT }
    }

    /// The first address in it.
    #[must_use]
    pub fn address(&self) -> Option<Ipv6Addr> {
        let associations = self.message.options.associations();
        let given = associations.iter().flat_map(|ia| &ia.addresses).find(|address| address.valid > 0);
        given.map(|address| address.address)
    }

    /// True when the client was given something to boot.
    #[must_use]
    pub fn boots(&self) -> bool {
        self.message.options.has(OptionCode::BOOT_URL)
    }
}

/// To whom an address is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A machine of the board. Its firmware, loader and system send different identifiers and must all get the same
    /// address.
    Machine(MacAddr),
    /// Anybody else, by identifier and number of the association.
    Client(Duid, u32),
}

/// An address given for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// To whom.
    pub owner: Owner,
    /// The sender's Ethernet address, as far as it can be told.
    pub mac: Option<MacAddr>,
    /// Which address.
    pub address: Ipv6Addr,
    /// When it runs out, in milliseconds of the server's clock.
    pub until: u64,
    /// The machine's reserved name; may be empty.
    pub host_name: String,
}

/// Why a message got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// It is a server's message.
    NotARequest,
    /// It should name its sender and does not (RFC 8415 section 16).
    NoClientId,
    /// It names a server where it must not, or none where it must.
    BadServerId,
    /// The client speaks to another server.
    ForAnotherServer,
    /// It came through a relay of another link.
    ForeignRelay,
    /// The machine has no reservation and there is no pool.
    Stranger,
    /// It asks about no address.
    NamesNoAddress,
}

impl Ignored {
    /// A stable word for counters and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotARequest => "not-a-request",
            Self::NoClientId => "no-client-id",
            Self::BadServerId => "bad-server-id",
            Self::ForAnotherServer => "for-another-server",
            Self::ForeignRelay => "foreign-relay",
            Self::Stranger => "stranger",
            Self::NamesNoAddress => "names-no-address",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotARequest => "it is a server's message",
            Self::NoClientId => "it does not say who sends it",
            Self::BadServerId => "it names a server where it must not, or none where it must",
            Self::ForAnotherServer => "the client speaks to another server",
            Self::ForeignRelay => "it came through a relay of another link",
            Self::Stranger => "the machine is not on the board and there is no pool",
            Self::NamesNoAddress => "it asks about no address",
        })
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// ADVERTISEs.
    pub advertises: u64,
    /// REPLYs.
    pub replies: u64,
    /// Messages without an answer, by reason.
    pub ignored: BTreeMap<Ignored, u64>,
}

impl Tally {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Reply(reply) if reply.message.kind == MessageType::Advertise => &mut self.advertises,
            Outcome::Reply(_) => &mut self.replies,
            Outcome::Ignore(why) => self.ignored.entry(*why).or_default(),
        };
        *counter += 1;
    }
}
