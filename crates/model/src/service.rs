//! What the boss serves beside booting: names and time.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The boss as name server of the lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsSpec {
    /// The lab's domain, lower case, without a dot at its end. Its names are answered here and never asked elsewhere.
    pub domain: String,
    /// Servers that are asked for all other names, in this order; without any, other names are refused.
    #[schemars(with = "Vec<String>")]
    pub forward: Vec<SocketAddr>,
    /// What every name below `apps.` of the domain leads to: where the cluster's ingress listens.
    #[schemars(with = "Vec<String>")]
    pub ingress: Vec<Ipv4Addr>,
}

/// Whether the boss serves time, and whose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NtpMode {
    /// While its own clock is kept by somebody: by another server, or set by a person since the counter began.
    #[default]
    Auto,
    /// Its own clock is good enough for the lab, whoever set it: a lab without any other.
    Trust,
    /// It answers no NTP.
    Off,
}
