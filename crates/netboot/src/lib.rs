//! The boot counter: DHCP, TFTP, router advertisements and boot HTTP from a published table, without ever thinking.
//!
//! ```text
//!  machines ──▶ dhcp, tftp, sniff (own thread) ─┐            ┌─▶ ledger: leases and claims, before they are told
//!  machines ──▶ http ───────────────────────────┼─▶ counter ─┼─▶ board: the boot table, swapped whole
//!  core ◀─────▶ link (Unix socket) ─────────────┘            └─▶ sights: bounded, merged, never waited for
//! ```

mod accept;
mod agents;
mod board;
mod bpf;
mod cable;
mod clock;
mod counter;
mod dhcp;
mod dhcp6;
pub mod dns;
mod feed;
mod flood;
mod grub;
mod heads;
mod heard;
pub mod http;
mod install;
mod kept;
pub mod ledger;
pub mod link;
mod loaders;
mod log;
mod neighbours;
pub mod ntp;
mod own;
mod packet;
mod process;
mod pull;
mod pxelinux;
mod script;
mod sights;
mod sniff;
mod sockets;
mod sockets6;
mod tftp;
mod told;
mod wipe;

pub use board::Board;
pub use cable::Cable;
pub use clock::boottime_ms;
pub use counter::{Counter, OpenError, Over, Parts};
pub use dhcp::{BOOT_SERVER_PORT, Dhcp};
pub use dhcp6::Dhcp6;
pub use heads::{HeadSocket, failures, is_capture_name};
pub use loaders::{BIOS_LOADER, Loader, LoaderError, Loaders, UEFI_LOADER, loader_names};
pub use log::LogPort;
pub use own::LoaderTrust;
pub use packet::{PacketPort, PacketSocket};
pub use process::{Bench, RunError, Settings, TRANSFERS};
pub use pull::{ConfigOffer, Sealed};
pub use sights::{Down, SIGHTS_KEPT, Sights, Up};
pub use sniff::Sniffer;
pub use sockets::{BindConfig, BindError, FeedPorts, Sockets};
pub use sockets6::{BindConfig6, Sockets6};
pub use tftp::Tftp;
