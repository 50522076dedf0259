//! The cache of a local medium: two slots and a journal, written so that every broken-off write leaves it bootable.
//!
//! ```text
//! block 0 ……… JOURNAL-1 │ slot 0 …………………… │ slot 1 ……………………
//! records, in a ring     │ files of one image, each from a block of its own
//! ```
//!
//! - A record is one block and says everything: what is in each slot, which image started well last, how much was
//!   written. The newest one that is whole counts, so a torn record is as if it were not there.
//! - An image goes to the slot that is not the good one: the slot is given up in a record, filled, and named in the
//!   next. Between them the medium is told to write down what it holds back.
//! - A slot that is found to be something else than its record says is given up first, whether it was good or not.
//! - Whatever is started is hashed first, so a slot that is not what its record says is noticed and never started.

mod record;
mod store;

pub use record::{Held, Record, RecordError};
pub use store::{Layout, LayoutError, Note, Step, Store, newest};

/// Bytes of a block; what disks and sticks write at once, or a multiple of it.
pub const BLOCK: usize = 4096;
/// Blocks of the journal: each is written once in so many records.
pub const JOURNAL: u64 = 64;
/// Slots.
pub const SLOTS: usize = 2;
