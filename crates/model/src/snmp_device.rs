//! Strips of outlets that speak SNMP, and what they are asked with.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// A strip of outlets, or whatever else switches by SNMP. Ports are its outlets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnmpDevice {
    /// Where it is: a name or address, and `:PORT` where that is not 161.
    pub host: String,
    /// Where the community is kept that may write.
    pub credentials: SecretRef,
    /// Which version it speaks.
    pub version: SnmpVersion,
    /// What its outlets are called.
    pub outlets: SnmpOutlets,
}

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnmpVersion {
    /// Version 1.
    #[serde(rename = "1")]
    One,
    /// Version 2c.
    #[serde(rename = "2c")]
    TwoC,
}

/// What the outlets of a strip are called, and what its numbers mean. `{port}` in a name becomes the port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "profile", rename_all = "kebab-case")]
pub enum SnmpOutlets {
    /// APC's `MasterSwitch` (`sPDUOutletCtl` of PowerNet-MIB).
    ApcMasterswitch,
    /// APC's switched strips of the first generation (`rPDU`).
    ApcRpdu,
    /// APC's switched strips of the second generation (`rPDU2`).
    ApcRpdu2,
    /// As the lab file says.
    Own {
        /// The name that is set.
        set: String,
        /// The name that is read.
        state: String,
        /// What is set to switch on.
        on: i32,
        /// What is set to switch off.
        off: i32,
        /// What is read of an outlet that is on.
        is_on: i32,
        /// What is read of one that is off.
        is_off: i32,
    },
}
