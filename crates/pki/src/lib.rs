//! Trust: where secrets are kept.

pub mod vault;
