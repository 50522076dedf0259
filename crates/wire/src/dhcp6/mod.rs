//! DHCPv6 (RFC 8415) with its boot options (RFC 5970): the message, who is asking, the server's engine and a client's.

mod client;
mod code;
mod duid;
mod envelope;
mod fault;
mod identity;
mod kind;
mod message;
mod options;
pub mod server;

use core::net::Ipv6Addr;

use model::MacAddr;

use crate::ndp::group_mac;

pub use client::{Binding, Client, ClientSettings, ClientStep};
pub use code::{OptionCode, Status};
pub use duid::Duid;
pub use envelope::{Envelope, HOP_LIMIT, RelayHop};
pub use fault::{DecodeError, Fault};
pub use identity::{Ia, IaAddress};
pub use kind::{Caller, INTEL, OURS, classify};
pub use message::{LARGEST_MESSAGE, Message, MessageType};
pub use options::Options;

/// UDP port servers and relays listen on (RFC 8415 section 7.2).
pub const SERVER_PORT: u16 = 547;
/// UDP port clients listen on.
pub const CLIENT_PORT: u16 = 546;
/// All servers and relays of the link (RFC 8415 section 7.1): every client's message goes there.
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Ethernet group of [`ALL_SERVERS`].
pub const ALL_SERVERS_MAC: MacAddr = group_mac(ALL_SERVERS);
