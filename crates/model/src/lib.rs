#![cfg_attr(not(test), no_std)]
//! The nouns of the house: what a lab, a machine, a fact and a picture are, and nothing that acts.
//!
//! | noun | file |
//! |---|---|
//! | names, addresses, quantities | `names.rs`, `moment.rs`, `secret.rs` |
//! | the lab as described | `lab.rs`, `system.rs`, `talos.rs`, `guest.rs`, `logs.rs`, `pdudaemon.rs` |
//! | what is seen, and what is only said | `sight.rs`, `agent.rs`, `renew.rs`, `spoken.rs`, `seal.rs`, `channel.rs`, `health.rs`, `said.rs` |
//! | what happened | `fact.rs` |
//! | what is wished | `command.rs`, `boot.rs`, `wipe.rs`, `disk_loader.rs` |
//! | what people look at | `machine.rs`, `trace.rs`, `trial.rs`, `snapshot.rs` |

extern crate alloc;

mod agent;
mod boot;
mod channel;
mod command;
mod disk_loader;
mod fact;
mod guest;
mod health;
mod lab;
mod logs;
mod machine;
mod moment;
mod mqtt_device;
mod names;
mod pdudaemon;
mod pods;
mod power;
mod relays_device;
mod renew;
mod said;
mod seal;
mod secret;
mod service;
mod sight;
mod snapshot;
mod snmp_device;
mod spoken;
mod switch;
mod system;
mod talos;
mod trace;
mod trial;
mod web_device;
mod wipe;

pub use agent::*;
pub use boot::*;
pub use channel::*;
pub use command::*;
pub use disk_loader::*;
pub use fact::*;
pub use guest::*;
pub use health::*;
pub use lab::*;
pub use logs::*;
pub use machine::*;
pub use moment::*;
pub use mqtt_device::*;
pub use names::*;
pub use pdudaemon::*;
pub use pods::*;
pub use power::*;
pub use relays_device::*;
pub use renew::*;
pub use said::*;
pub use seal::*;
pub use secret::*;
pub use service::*;
pub use sight::*;
pub use snapshot::*;
pub use snmp_device::*;
pub use spoken::*;
pub use switch::*;
pub use system::*;
pub use talos::*;
pub use trace::*;
pub use trial::*;
pub use web_device::*;
pub use wipe::*;
