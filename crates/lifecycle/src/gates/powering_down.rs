//! Gate *powering down*: nothing is switched on while a machine of the run still runs something else.

use alloc::collections::BTreeSet;

use model::NodeName;

/// Whether machines may be switched on. It opens once in a run and stays open: repairing one machine later
/// stops no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate<'a> {
    /// They may.
    Open,
    /// Not before these have been seen off.
    Shut(&'a BTreeSet<NodeName>),
}
