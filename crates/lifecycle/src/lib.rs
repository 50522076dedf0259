#![cfg_attr(not(test), no_std)]
#![warn(clippy::wildcard_enum_match_arm)]
//! The judgment of the house: facts are recorded by [`absorb`], judged by [`decide`], and requests are
//! answered by [`admit`]. None of them waits, reads a clock or opens a socket.
//!
//! ```text
//! request ─ admit ─▶ Fact ─ absorb ─▶ Lab ─ judge ──▶ Judgment { facts, wishes, wake_at }, waits
//!                      ▲                                   │
//!                      └───────── facts, Issued ◀──────────┘
//! ```
//!
//! Whoever drives this loop absorbs the decided facts and decides again until none are left
//! ([`Judge::settle`] does it), then hands the wishes to their drivers.

extern crate alloc;

mod absorb;
mod admit;
mod cluster;
mod cuts;
mod decide;
mod explain;
mod gates;
mod guests;
mod health;
mod hints;
mod judge;
mod keeping;
mod lab;
mod loader;
mod notices;
mod packed;
mod park;
mod past;
mod power;
mod record;
mod rungs;
mod table;
mod transfer;
mod trial;
mod view;
mod waterfall;
mod wipe;

pub use absorb::{Touched, absorb};
pub use admit::{PlanOutline, Refusal, Request, Verdict, admit, admit_disks, may_adopt, named, plan};
pub use cluster::{Cluster, Order, TalosKnown};
pub use cuts::{CutRefusal, PortCut};
pub use decide::{Decision, decide};
pub use explain::{explain, explain_lab};
pub use health::HealthWatch;
pub use judge::{Judge, Judgment};
pub use keeping::keeping;
pub use lab::{CoreStart, Install, Lab, Machine, Run, SystemHeard};
pub use packed::PackedBoot;
pub use park::{JumpFailed, Jumps, Park, Place as ParkPlace};
pub use past::PastBoot;
pub use power::{Cut, DeviceKnown, Press, Senses, may_cut};
pub use table::{boot_entry, boot_table};
pub use trial::{Trial, TriedBoot};
pub use view::{lab_view, machine_view};
pub use waterfall::{waterfall, waterfall_of};
pub use wipe::Wipe;
pub use wipe::admit::WipeRefusal;
pub use wipe::before::BeforeUse;
