//! Power that is seen: what tells whether a machine runs, how surely, and since when.

mod cut;
pub(crate) mod judge;
pub(crate) mod off;
pub(crate) mod record;
pub(crate) mod seen;
mod senses;

pub use cut::{Cut, may_cut};
pub use senses::{DeviceKnown, Press, Senses};
