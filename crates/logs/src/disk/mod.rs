//! What outlives the ring: warnings, and what happens in the lab, in segments on disk, within a share of writes a day.
//!
//! ```text
//!  ring ──every 5 s, at the disk's own pace──▶ keeper: what is worth it, how much today ──▶ folder ──▶ 000007.20261128
//!                                                                                             │
//!  viewers, before what the ring has ◀───────────────────────────────────────────────────────┘
//! ```
//!
//! The disk is one more viewer: while it hangs, or is full, nothing else waits, and what it misses is counted and said at
//! its place.

mod folder;
mod form;
mod keeper;

pub use folder::{Folder, keep};
pub(crate) use form::{Kept, Piece};
pub use keeper::{Spent, Wear};
