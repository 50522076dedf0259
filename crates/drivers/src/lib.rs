//! Hands and eyes: what switches machines and their links, and the one place that starts programs.
//!
//! A driver is a task behind a typed queue. A wish goes in; what became of it, and what is seen, comes out
//! of one queue for all drivers. Drivers know neither the conductor nor the boot counter.

pub mod channel;
pub mod display;
pub mod here;
mod openwrt;
pub mod power;
pub mod process;
pub mod router;
mod snmp;
pub mod switch;
pub mod way;
