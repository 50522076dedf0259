//! Power that is seen: what tells whether a machine runs, how surely, and since when.

mod senses;

pub use senses::{DeviceKnown, Press, Senses};
