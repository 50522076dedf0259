//! DHCPv4 (RFC 2131): the message, who is asking, the engines of a server, a proxy and a client.

mod boss;
mod client;
mod code;
mod fault;
mod give;
mod kind;
mod mark;
mod message;
mod options;
pub mod proxy;
mod pxe;
pub mod quirks;
mod relay;
pub mod server;

pub use boss::{BossSearch, boss_url};
pub use client::{Binding, Client, ClientSettings, ClientStep, Sending};
pub use code::OptionCode;
pub use fault::{DecodeError, EncodeError, Fault};
pub use give::Boot;
pub use kind::{AGENT_VENDOR_CLASS, Caller, LOADER_VENDOR_CLASS, classify};
pub use mark::ControllerMark;
pub use message::{LARGEST_MESSAGE, Message, MessageType, Op, SMALLEST_LIMIT, message_limit};
pub use options::Options;
pub(crate) use pxe::printable;
pub use pxe::{Architecture, Family, IpxeFacts, Suboptions};
pub use relay::Relayed;

/// UDP port servers and relays listen on.
pub const SERVER_PORT: u16 = 67;
/// UDP port clients listen on.
pub const CLIENT_PORT: u16 = 68;
