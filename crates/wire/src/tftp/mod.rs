//! TFTP (RFC 1350) with options (RFC 2347), block size (2348), size and timeout (2349), window (7440).

mod fetch;
mod netascii;
mod pace;
mod packet;
mod request;
mod sessions;
mod transfer;

pub use fetch::{Fetch, FetchEnd, FetchSettings, FetchStep};
pub use netascii::netascii;
pub use pace::Pace;
pub use packet::{ErrorCode, Packet, PacketError};
pub use request::{Mode, Request};
pub use sessions::{Arrival, Peer, Room, Sessions, Turn};
pub use transfer::{Block, Blocks, End, Limits, Statistics, Step, Transfer};

/// UDP port requests go to.
pub const PORT: u16 = 69;
/// Block size without an option (RFC 1350 section 2).
pub const STANDARD_BLOCK: u16 = 512;
/// Largest block that fits one Ethernet frame: 1500 less IP, UDP and TFTP headers.
pub const LARGEST_BLOCK: u16 = 1468;
/// Largest window this house agrees to (RFC 7440 section 3 allows 65535).
pub const LARGEST_WINDOW: u16 = 64;
