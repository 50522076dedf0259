//! `ProxyDHCP` (PXE 2.1 sections 2.2 to 2.4): says what to boot beside a server that gives the addresses.
//!
//! ```text
//!   port 67    DISCOVER of a boot client ─▶ OFFER without an address, with the file
//!              REQUEST of another server's offer ─▶ nothing; whose address it names is worth knowing
//!              INFORM of our agent ─▶ ACK with the place to report
//!   port 4011  REQUEST or INFORM ─▶ ACK with the file, to whoever sent it
//! ```
//!
//! What each client does with two answers, the address of one server and the file of another:
//!
//! | client | waits for this OFFER | takes it | then |
//! |---|---|---|---|
//! | iPXE | 3 s | with class `PXEClient` | with `siaddr`: starts the file of highest rank; without: asks port 4011 |
//! | EDK2, PXE | 4 s | with class `PXEClient`; before 2017 without 43.6 only | with 43.6 starts the file, else asks 4011 |
//! | EDK2, HTTP | 4 s | with class `HTTPClient` and a URL | starts the URL |
//! | BIOS PXE | 4 s | with class `PXEClient` | bit 3 of 43.6: starts the file |
//!
//! Neither cares which of the two OFFERs comes first.

use core::net::Ipv4Addr;

use model::ClientKind;

use super::code::OptionCode;
use super::give::{Boot, Style, give_boot};
use super::kind::classify;
use super::message::{Message, MessageType, Op};
use super::options::Options;
use super::pxe::Suboptions;
use super::server::{Ignored, Reply};

/// UDP port of PXE boot servers (PXE 2.1 section 2.2.3).
pub const BOOT_SERVER_PORT: u16 = 4011;
/// iPXE's sub-option 1: the rank of this answer among all, 0 where it says nothing.
const FIRST_RANK: [u8; 3] = [1, 1, 1];
/// Sub-option 71 of option 43: the boot server type and layer that a client chose (PXE 2.1 table 2-1).
const BOOT_ITEM: u8 = 71;

/// Where a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Port 67, which the DHCP servers of the segment hear too.
    Server,
    /// Port 4011, where a client asks this server alone.
    BootServer,
}

/// A proxy. It holds no state: what it says follows from the message and the boot table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// This server's own address (option 54).
    pub boss: Ipv4Addr,
    /// Further options for every answer; an option that the proxy writes itself wins.
    pub extra: Options,
}

impl Proxy {
    /// Answers one message, or says why not.
    ///
    /// # Errors
    /// [`Ignored`]: the message is not for a proxy, or this client cannot boot what it is given.
    pub fn answer(&self, message: &Message, boot: &Boot, door: Door) -> Result<Reply, Ignored> {
        if message.op != Op::Request {
            return Err(Ignored::NotARequest);
        }
        message.mac().ok_or(Ignored::NotEthernet)?;
        let kind = message.kind().ok_or(Ignored::NoMessageType)?;
        let style = Style::of(message);
        // An agent asks for its boss once it has an address; until then it is a system as any other.
        let boots = style != Style::Plain && (style != Style::Agent || kind == MessageType::Inform);
        if !boots {
            return Err(Ignored::NotBooting);
        }
        let server = message.options.address(OptionCode::SERVER_ID);
        let answer = match (door, kind) {
            (_, MessageType::Discover) => MessageType::Offer,
            // At the common port only what names this server; at its own one whatever comes.
            (Door::Server, MessageType::Request) if server != Some(self.boss) => {
                return Err(Ignored::ForAnotherServer);
            }
            (Door::Server, MessageType::Inform) if style != Style::Agent => {
                return Err(Ignored::ForAnotherServer);
            }
            (_, MessageType::Request | MessageType::Inform) => MessageType::Ack,
            (_, MessageType::Decline | MessageType::Release) => return Err(Ignored::ForAnotherServer),
            (_, MessageType::Offer | MessageType::Ack | MessageType::Nak) => {
                return Err(Ignored::NotARequest);
            }
        };
        let mut reply = message.reply(answer);
        if answer == MessageType::Ack {
            reply.ciaddr = message.ciaddr;
        }
        reply.options.set_address(OptionCode::SERVER_ID, self.boss);
        if !give_boot(&mut reply, message, boot) {
            return Err(Ignored::NothingToBoot);
        }
        if style == Style::Ipxe {
            self.stand_beside(&mut reply);
        }
        if let Some(item) = boot_item(message) {
            answer_item(&mut reply, item);
        }
        for (code, value) in self.extra.iter() {
            if !reply.options.has(code) {
                reply.options.set(code, value);
            }
        }
        for code in [OptionCode::MACHINE_UUID, OptionCode::RELAY_INFORMATION] {
            if let Some(value) = message.options.get(code) {
                reply.options.set(code, value);
            }
        }
        Ok(Reply::without_address(message, reply))
    }

    /// An OFFER to UEFI's PXE client once more without option 43, to be sent after the first. EDK2 before April 2017
    /// forgets offers that have it when they come without an address, and asks port 4011 after one that has not
    /// (`PxeBcCacheDhcp4Offer`); later ones prefer the first, and save that question and its second of waiting.
    #[must_use]
    pub fn without_discovery(request: &Message, offer: &Reply) -> Option<Reply> {
        let wanted = classify(request) == ClientKind::UefiPxe
            && offer.message.kind() == Some(MessageType::Offer)
            && offer.message.options.has(OptionCode::VENDOR_SPECIFIC);
        let mut plain = wanted.then(|| offer.clone())?;
        drop(plain.message.options.remove(OptionCode::VENDOR_SPECIFIC));
        Some(plain)
    }

    /// Changes what iPXE would take of one server alone into what it takes beside another.
    fn stand_beside(&self, reply: &mut Message) {
        // Without a next server it asks port 4011 instead, and drops that answer for the same reason, even where the
        // file is a URL (`dhcp_has_pxeopts`).
        if reply.siaddr.is_unspecified() {
            reply.siaddr = self.boss;
        }
        // "No second server" is a word for the one that gives the address. Ours is that its own file counts.
        reply.options.set(OptionCode::IPXE, FIRST_RANK);
    }
}

/// The boot item a client asks a boot server for.
pub(super) fn boot_item(message: &Message) -> Option<[u8; 4]> {
    let vendor = message.options.get(OptionCode::VENDOR_SPECIFIC)?;
    Suboptions::new(vendor).find_code(BOOT_ITEM)?.first_chunk().copied()
}

/// Returns the item, or the client takes the answer for another's (PXE 2.1 section 2.3.3).
fn answer_item(reply: &mut Message, [type_high, type_low, layer_high, layer_low]: [u8; 4]) {
    let Some(mut value) = reply.options.remove(OptionCode::VENDOR_SPECIFIC) else { return };
    if value.last() == Some(&OptionCode::END.0) {
        value.pop();
    }
    value.extend([BOOT_ITEM, 4, type_high, type_low, layer_high, layer_low, OptionCode::END.0]);
    reply.options.set(OptionCode::VENDOR_SPECIFIC, value);
}

/// The address that this machine takes from another server, as its broadcast request tells.
#[must_use]
pub fn address_taken(message: &Message, boss: Ipv4Addr) -> Option<(Ipv4Addr, Ipv4Addr)> {
    if message.op != Op::Request || message.kind() != Some(MessageType::Request) {
        return None;
    }
    let server = message.options.address(OptionCode::SERVER_ID).filter(|server| *server != boss)?;
    let asked = message.options.address(OptionCode::REQUESTED_ADDRESS);
    let address = asked.unwrap_or(message.ciaddr);
    (!address.is_unspecified()).then_some((address, server))
}
