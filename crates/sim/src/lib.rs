//! A lab that does not exist: machines with wire-true firmware, the segment they share, and their power.
//!
//! | what | file |
//! |---|---|
//! | one box: power, POST, firmware, loader, kernel, agent | `machine.rs` |
//! | what it is and how badly it behaves | `config.rs`, `manners/`, `port.rs`, `relay.rs` |
//! | its firmware's network boot | `firmware/` |
//! | iPXE: the wait for a router, DHCP, scripts | `ipxe/` |
//! | our agent, as seen from outside | `agent.rs`, `key.rs` |
//! | what a hypervisor runs | `guests.rs` |
//! | its disk, and how it is wiped | `disk.rs`, `wipe.rs` |
//! | DHCP and TFTP from the client's side | `exchange.rs`, `program.rs`, `download.rs` |
//! | DHCPv6 from the client's side | `exchange6.rs`, `program6.rs` |
//! | several boxes and one server on a cable | `segment.rs`, `cable.rs` |
//! | the power ports | `board.rs` |
//! | a relay board with boxes on its buttons; a serial line to it | `buttons.rs`, `pty.rs` |
//! | the original status display | `status_display.rs` |
//! | a router that runs OpenWrt | `router.rs` |
//! | a boot as a capture of it shows it; its questions, asked again | `observe/`, `replay/` |
//! | all of it running by itself over streams | `net/` |
//! | a cluster's API server, with what runs behind it | `kubernetes/` |
//! | Talos nodes and their machine API | `talos/` |
//! | who was connected to these two | `visits.rs` |
//! | switches, and OpenWrt's door | `switch/`, `ubus.rs` |
//!
//! Outside `net`, `pty`, `kubernetes`, `talos` and `switch::door` nothing reads a clock or opens a socket: time is an argument in
//! milliseconds, frames and HTTP
//! answers go in, [`Effect`]s come out, and the same seed gives the same history. Timers are those of
//! the named firmware's source; what only a real chip can tell (POST, decompression) is drawn from
//! the seed.

mod agent;
mod board;
mod body;
pub mod buttons;
mod cable;
mod config;
pub mod dice;
mod disk;
mod download;
mod exchange;
mod exchange6;
mod fetch;
mod firmware;
mod guests;
mod http;
mod ipxe;
mod key;
pub mod kubernetes;
mod machine;
mod manners;
mod merge;
pub mod net;
pub mod observe;
mod parked;
mod port;
mod program;
mod program6;
pub mod pty;
mod relay;
pub mod replay;
pub mod router;
mod segment;
pub mod status_display;
mod step;
mod stuck;
pub mod switch;
pub mod talos;
pub mod ubus;
mod visits;
mod wipe;

pub use board::{PortConfig, PowerBoard, PowerReport};
pub use cable::{Cable, Copied, Fate, Lane, Passed, Way};
pub use config::{Config, Ipxe, Kind, Stranding};
pub use disk::Disk;
pub use guests::GuestAct;
pub use http::{HttpEvent, HttpRequest, Method};
pub use machine::{Effect, Machine};
pub use manners::Manner;
pub use segment::{Arrival, Segment};
pub use step::{Phase, Step, Teller};
pub use stuck::Stuck;
pub use visits::Visits;
