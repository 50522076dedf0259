//! DHCPv4 (RFC 2131): the message, who is asking, the server's engine and a client's.

mod client;
mod code;
mod fault;
mod kind;
mod message;
mod options;
mod pxe;
pub mod server;

pub use client::{Binding, Client, ClientSettings, ClientStep, Sending};
pub use code::OptionCode;
pub use fault::{DecodeError, EncodeError, Fault};
pub use kind::{AGENT_VENDOR_CLASS, Caller, classify};
pub use message::{LARGEST_MESSAGE, Message, MessageType, Op, SMALLEST_LIMIT, message_limit};
pub use options::Options;
pub(crate) use pxe::printable;
pub use pxe::{Architecture, IpxeFacts, Suboptions};

/// UDP port servers and relays listen on.
pub const SERVER_PORT: u16 = 67;
/// UDP port clients listen on.
pub const CLIENT_PORT: u16 = 68;
