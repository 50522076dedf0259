//! pdudaemon's interface, as a lab file asks for it.

use alloc::string::String;
use core::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// The port that pdudaemon's clients ask unless told (pdudaemon, `httplistener.py`).
pub const PDUDAEMON_PORT: u16 = 16421;

/// Where other programs switch machines as they do through pdudaemon, and what they must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PdudaemonSpec {
    /// Address that it listens on.
    #[schemars(with = "String")]
    pub address: Ipv4Addr,
    /// TCP port.
    pub port: u16,
    /// Where its password, or `USER:PASSWORD`, is kept.
    pub credentials: SecretRef,
}
