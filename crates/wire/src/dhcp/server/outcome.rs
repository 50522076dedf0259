//! What becomes of a message: a reply and where it goes, or the reason there is none.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use model::MacAddr;

use crate::dhcp::message::{Message, MessageType, message_limit};
use crate::dhcp::{CLIENT_PORT, EncodeError, OptionCode, SERVER_PORT};

/// What the server decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An OFFER or ACK to send.
    Reply(Reply),
    /// A NAK to send.
    Nak(Reply),
    /// Nothing to send, and why.
    Ignore(Ignored),
    /// A machine gave its address back; write that down.
    Released(Lease),
    /// A machine found its address in use by another. Nothing to send; worth telling a person.
    Declined {
        /// Who found it.
        mac: MacAddr,
        /// The address that is left alone for ten minutes.
        address: Ipv4Addr,
    },
}

/// A message to send and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub message: Message,
    /// Where it goes.
    pub to: Destination,
    /// Set with an ACK: must be written down before the message is sent.
    pub lease: Option<Lease>,
    /// Largest message the client takes, in bytes.
    pub limit: usize,
}

impl Reply {
    pub(super) fn new(request: &Message, reply: Message, lease: Option<Lease>) -> Self {
        let to = Destination::of(request, &reply);
        Self { message: reply, to, lease, limit: message_limit(&request.options) }
    }

    /// A reply of a proxy: there is no address to send an OFFER to.
    pub(in crate::dhcp) fn without_address(request: &Message, reply: Message) -> Self {
        let mut new = Self::new(request, reply, None);
        if matches!(new.to, Destination::Relay(_)) {
            // A relay passes on to `yiaddr` what is not to be broadcast, and there is none.
            new.message.broadcast = true;
        }
        let to = match new.to {
            Destination::Raw { .. } => Destination::Broadcast,
            Destination::Relay(_) | Destination::Broadcast | Destination::Unicast(_) => new.to,
        };
        Self { to, ..new }
    }

    /// The UDP payload.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] when the client accepts less than the reply takes.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        self.message.encode(self.limit)
    }

    /// True when the client was given something to boot.
    #[must_use]
    pub fn boots(&self) -> bool {
        !self.message.file.is_empty()
            || self.message.options.has(OptionCode::BOOT_FILE)
            || self.message.options.has(OptionCode::BOOT_SERVER)
    }
}

/// Where a reply goes (RFC 2131 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To the relay, port 67.
    Relay(Ipv4Addr),
    /// To everybody, port 68: the client asked for that, or has no address to trust.
    Broadcast,
    /// To an address the client does not answer ARP for yet, port 68: needs a raw frame to its
    /// Ethernet address. OVMF and our agent ask for broadcast; iPXE and udhcpc get this.
    Raw {
        /// Ethernet destination.
        mac: MacAddr,
        /// IP destination.
        address: Ipv4Addr,
    },
    /// To the address the client already uses, port 68.
    Unicast(Ipv4Addr),
}

impl Destination {
    fn of(request: &Message, reply: &Message) -> Self {
        let refused = reply.kind() == Some(MessageType::Nak);
        let informs = request.kind() == Some(MessageType::Inform) && !request.ciaddr.is_unspecified();
        if informs {
            // It has its address: past every relay (RFC 2131 section 4.3.5).
            Self::Unicast(request.ciaddr)
        } else if !request.giaddr.is_unspecified() {
            Self::Relay(request.giaddr)
        } else if refused {
            Self::Broadcast
        } else if !request.ciaddr.is_unspecified() {
            Self::Unicast(request.ciaddr)
        } else if request.broadcast {
            Self::Broadcast
        } else {
            match request.mac() {
                Some(mac) => Self::Raw { mac, address: reply.yiaddr },
                None => Self::Broadcast,
            }
        }
    }

    /// The IP address the datagram carries.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        match self {
            Self::Relay(address) | Self::Raw { address, .. } | Self::Unicast(address) => *address,
            Self::Broadcast => Ipv4Addr::BROADCAST,
        }
    }

    /// The UDP port the datagram goes to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self {
            Self::Relay(_) => SERVER_PORT,
            Self::Broadcast | Self::Raw { .. } | Self::Unicast(_) => CLIENT_PORT,
        }
    }
}

/// An address given to a machine for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which machine.
    pub mac: MacAddr,
    /// Which address.
    pub address: Ipv4Addr,
    /// When it runs out, in milliseconds of the server's clock.
    pub until: u64,
    /// The machine's name: reserved, or as it calls itself, cleaned; may be empty.
    pub host_name: String,
}

/// Why a message got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// It is a server's message.
    NotARequest,
    /// No Ethernet address a machine can own.
    NotEthernet,
    /// No option 53 we know: BOOTP, or a lease query.
    NoMessageType,
    /// It came through a relay of another network.
    ForeignRelay,
    /// The client took another server's offer.
    ForAnotherServer,
    /// The machine has no reservation and there is no pool.
    Stranger,
    /// Every address of the pool is taken.
    PoolExhausted,
    /// It should name an address and does not.
    NamesNoAddress,
    /// It speaks of an address that is not its own.
    NotItsAddress,
    /// It does not boot, and a proxy has nothing else to say.
    NotBooting,
    /// There is nothing that this client can boot.
    NothingToBoot,
}

impl Ignored {
    /// A stable word for counters and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotARequest => "not-a-request",
            Self::NotEthernet => "not-ethernet",
            Self::NoMessageType => "no-message-type",
            Self::ForeignRelay => "foreign-relay",
            Self::ForAnotherServer => "for-another-server",
            Self::Stranger => "stranger",
            Self::PoolExhausted => "pool-exhausted",
            Self::NamesNoAddress => "names-no-address",
            Self::NotItsAddress => "not-its-address",
            Self::NotBooting => "not-booting",
            Self::NothingToBoot => "nothing-to-boot",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotARequest => "it is a server's message",
            Self::NotEthernet => "it has no Ethernet address",
            Self::NoMessageType => "it does not say what it wants",
            Self::ForeignRelay => "it came through a relay of another network",
            Self::ForAnotherServer => "the client took another server's offer",
            Self::Stranger => "the machine is not on the board and there is no pool",
            Self::PoolExhausted => "every address of the pool is taken",
            Self::NamesNoAddress => "it names no address",
            Self::NotItsAddress => "the address it names is not its own",
            Self::NotBooting => "it does not boot, and the addresses are another's",
            Self::NothingToBoot => "there is nothing that it can boot",
        })
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// OFFERs.
    pub offers: u64,
    /// ACKs.
    pub acks: u64,
    /// NAKs.
    pub naks: u64,
    /// Addresses given back.
    pub released: u64,
    /// Addresses found in use by their clients.
    pub declined: u64,
    /// Messages without an answer, by reason.
    pub ignored: BTreeMap<Ignored, u64>,
}

impl Tally {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Reply(reply) if reply.message.kind() == Some(MessageType::Offer) => &mut self.offers,
            Outcome::Reply(_) => &mut self.acks,
            Outcome::Nak(_) => &mut self.naks,
            Outcome::Released(_) => &mut self.released,
            Outcome::Declined { .. } => &mut self.declined,
            Outcome::Ignore(why) => self.ignored.entry(*why).or_default(),
        };
        *counter += 1;
    }
}
