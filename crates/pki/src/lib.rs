//! Trust: where secrets are kept, and who signed what.

pub mod signing;
pub mod vault;
