//! Talos nodes that do not exist: their machine API on the wire, as genuine ones answer in both characters.
//!
//! | what | file |
//! |---|---|
//! | a node, its connections and its port | `node.rs` |
//! | its way up, boot by boot | `boot.rs` |
//! | its certificates and whom it takes | `tls.rs` |
//! | what it answers | `machine.rs`, `reads.rs` |
//! | its config | `config.rs` |
//! | the words of its kernel line | `line.rs` |
//! | another release | `upgrade.rs` |
//! | a config that it fetches | `pulled.rs` |
//! | its events, and what it pushes | `events.rs`, `pushed.rs` |
//! | what nodes share | `cluster.rs` |
//! | bad manners | `manner.rs` |
//! | one that has a machine to itself, with disk, network and Kubernetes | `metal/` |
//!
//! Time is tokio's clock, so that it can be paused; the wall clock starts where it is told, and randomness comes from a
//! seed. Texts and codes of refusals are those of Talos 1.12 and 1.13.

mod boot;
mod cluster;
mod config;
mod definitions;
mod events;
mod line;
mod machine;
mod manner;
mod metal;
mod node;
mod orders;
mod pulled;
mod pushed;
mod reads;
mod tls;
mod upgrade;
mod written;

pub use cluster::{Cluster, Member};
pub use line::{Line, Receivers};
pub use manner::{Manner, Place};
pub use metal::{Disk, Metal, MetalError};
pub use node::{End, Kept, Node, Pace, Settings, Stage};
