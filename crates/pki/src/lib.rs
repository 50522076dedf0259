//! Trust: where secrets are kept, the lab's own authority and its leaves, and who signed what, here and for firmware.

pub mod acme;
pub mod ca;
pub mod clock;
pub mod renewal;
pub mod secure_boot;
pub mod signing;
pub mod slot;
pub mod vault;
pub mod x509;
