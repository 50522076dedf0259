//! Power that is seen: what tells whether a machine runs, how surely, and since when.

pub(crate) mod judge;
pub(crate) mod off;
pub(crate) mod record;
pub(crate) mod seen;
mod senses;

pub use senses::{DeviceKnown, Press, Senses};
