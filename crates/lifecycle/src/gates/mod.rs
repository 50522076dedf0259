//! Lab-wide gates: what no machine may do before others have done theirs.

mod powering_down;

pub(crate) use powering_down::Gate;
