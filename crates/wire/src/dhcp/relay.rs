//! What a relay adds (RFC 3046): which subnet a message comes from, and as whom the server is to speak.

use core::net::Ipv4Addr;

use super::code::OptionCode;
use super::message::Message;
use super::pxe::Suboptions;

/// Link selection (RFC 3527): the subnet, where `giaddr` is not in it.
const LINK_SELECTION: u8 = 5;
/// Server identifier override (RFC 5107): the relay wants renewals, too.
const SERVER_OVERRIDE: u8 = 11;

/// A relay's word on a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// The relay's own address, where replies go.
    pub relay: Option<Ipv4Addr>,
    /// The subnet it says the client is in.
    pub link: Option<Ipv4Addr>,
    /// What it wants to be called in the server's place.
    pub server: Option<Ipv4Addr>,
}

impl Relayed {
    /// Reads it. Option 82 without a relay's address is a client's own and means nothing (RFC 3046 section 2.1).
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let relay = message.giaddr;
        if relay.is_unspecified() {
            return Self::default();
        }
        let value = message.options.get(OptionCode::RELAY_INFORMATION).unwrap_or_default();
        let address = |code| {
            let found = Suboptions::new(value).find_code(code)?.first_chunk::<4>()?;
            Some(Ipv4Addr::from(*found)).filter(|address| !address.is_unspecified())
        };
        Self { relay: Some(relay), link: address(LINK_SELECTION), server: address(SERVER_OVERRIDE) }
    }

    /// An address in the client's subnet, as far as the message tells: link selection, then option 118 (RFC 3011),
    /// then the relay, then the address the client uses already.
    #[must_use]
    pub fn subnet(&self, message: &Message) -> Option<Ipv4Addr> {
        let told = |address: &Ipv4Addr| !address.is_unspecified();
        let asked = message.options.address(OptionCode::SUBNET_SELECTION).filter(told);
        self.link.or(asked).or(self.relay).or_else(|| Some(message.ciaddr).filter(told))
    }
}
