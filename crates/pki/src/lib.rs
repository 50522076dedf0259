//! Trust: where secrets are kept, and who signed what, here and for firmware.

pub mod secure_boot;
pub mod signing;
pub mod vault;
