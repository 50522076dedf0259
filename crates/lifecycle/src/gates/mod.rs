//! Lab-wide gates: what no machine may do before others have done theirs.

pub(crate) mod cluster;
pub(crate) mod manifests;
mod powering_down;

pub(crate) use powering_down::Gate;
