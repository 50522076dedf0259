//! What relays wrap a message in (RFC 8415 sections 9 and 19), taken off and put on again.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use model::MacAddr;

use super::code::OptionCode;
use super::fault::{DecodeError, Fault};
use super::message::{LARGEST_MESSAGE, Message};
use super::options::Options;
use crate::cursor::Cursor;
use crate::ndp::mac_of;

/// Most relays between a client and its server (RFC 8415 section 7.6).
pub const HOP_LIMIT: usize = 8;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
/// Type, hop count and two addresses.
const HEADER: usize = 34;

/// What one relay added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayHop {
    /// Relays passed before this one.
    pub hops: u8,
    /// Address that names the client's link; unspecified where the relay leaves that to its port's name.
    pub link: Ipv6Addr,
    /// Whom it got the message from.
    pub peer: Ipv6Addr,
    /// Its own options, the relayed message left out.
    pub options: Options,
}

/// A message and the relays it came through, outermost first; none for a client on our own link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The relays.
    pub relays: Vec<RelayHop>,
    /// The message.
    pub message: Message,
}

impl Envelope {
    /// A message that no relay wrapped.
    #[must_use]
    pub const fn plain(message: Message) -> Self {
        Self { relays: Vec::new(), message }
    }

    /// Reads what reached the server's port.
    ///
    /// # Errors
    /// [`DecodeError`] of the message, or of a relay's part.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fault = |fault| DecodeError { offset: 0, fault };
        if bytes.len() > LARGEST_MESSAGE {
            return Err(fault(Fault::TooLong));
        }
        let mut relays = Vec::new();
        let mut rest = bytes.to_vec();
        while rest.first() == Some(&RELAY_FORWARD) {
            if relays.len() >= HOP_LIMIT {
                return Err(fault(Fault::TooManyRelays));
            }
            let (hop, inner) = RelayHop::read(&rest)?;
            relays.push(hop);
            rest = inner;
        }
        Ok(Self { relays, message: Message::decode(&rest)? })
    }

    /// The bytes of an answer, wrapped so that each relay passes it on (section 19.3).
    #[must_use]
    pub fn seal(relays: &[RelayHop], answer: &Message) -> Vec<u8> {
        let mut bytes = answer.encode();
        for hop in relays.iter().rev() {
            bytes = hop.write(RELAY_REPLY, bytes);
        }
        bytes
    }

    /// The bytes of a relayed question, for the client's and the relay's side.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.message.encode();
        for hop in self.relays.iter().rev() {
            bytes = hop.write(RELAY_FORWARD, bytes);
        }
        bytes
    }

    /// Ethernet addresses the sender may have, the surest first: as its relay says (RFC 6939), as its link-local
    /// address says, as its identifier says. `peer` is whom the datagram came from. Firmware's identifier is the
    /// machine's UUID and a system's may be that of another port, so neither alone tells which machine it is.
    pub fn senders(&self, peer: Ipv6Addr) -> impl Iterator<Item = MacAddr> {
        let nearest = self.relays.last();
        let told = nearest.and_then(|hop| match hop.options.get(OptionCode::LINK_LAYER_ADDRESS) {
            Some([0, 1, a, b, c, d, e, f]) => Some(MacAddr([*a, *b, *c, *d, *e, *f])),
            _ => None,
        });
        let link_local = mac_of(nearest.map_or(peer, |hop| hop.peer));
        let own = self.message.client().and_then(|duid| duid.mac());
        [told, link_local, own].into_iter().flatten().filter(|mac| !mac.is_group())
    }
}

impl RelayHop {
    fn read(bytes: &[u8]) -> Result<(Self, Vec<u8>), DecodeError> {
        let short = DecodeError { offset: 0, fault: Fault::TooShort };
        let mut cursor = Cursor::new(bytes);
        cursor.u8().ok_or(short)?;
        let hops = cursor.u8().ok_or(short)?;
        let link = Ipv6Addr::from(cursor.array::<16>().ok_or(short)?);
        let peer = Ipv6Addr::from(cursor.array::<16>().ok_or(short)?);
        let all = Options::read(cursor.rest(), HEADER)?;
        let inner = all.get(OptionCode::RELAYED).map(<[u8]>::to_vec);
        let inner = inner.ok_or(DecodeError { offset: HEADER, fault: Fault::NothingRelayed })?;
        let mut options = Options::new();
        for (code, value) in all.iter().filter(|(code, _)| *code != OptionCode::RELAYED) {
            options.push(code, value);
        }
        Ok((Self { hops, link, peer, options }, inner))
    }

    /// A relay's message around another. An answer carries back the relay's own name for its port and nothing
    /// else of it.
    fn write(&self, kind: u8, inner: Vec<u8>) -> Vec<u8> {
        let mut out = alloc::vec![kind, self.hops];
        out.extend_from_slice(&self.link.octets());
        out.extend_from_slice(&self.peer.octets());
        let mut options = Options::new();
        let back = kind == RELAY_REPLY;
        for (code, value) in
            self.options.iter().filter(|(code, _)| !back || *code == OptionCode::INTERFACE_ID)
        {
            options.push(code, value);
        }
        options.push(OptionCode::RELAYED, inner);
        options.write(&mut out);
        out
    }
}
