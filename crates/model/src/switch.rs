//! Switches: how each is reached, which of its ports nobody may cut, and what it tells of them.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MacAddr, NodeName, SecretRef, SnmpVersion, Span};

/// Code of an order to disable a port that leads to the boss itself.
pub const BOSS_PORT: &str = "boss-port";

/// A switch that the lab's machines hang on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchSpec {
    /// How it is spoken to.
    #[serde(flatten)]
    pub kind: SwitchKind,
    /// The port that the boss hangs on.
    #[serde(default)]
    pub boss: Option<String>,
    /// The port that leads to the router, or to another switch.
    #[serde(default)]
    pub uplink: Option<String>,
    /// Further ports that nobody may disable.
    #[serde(default)]
    pub protect: BTreeSet<String>,
    /// Pause between two looks at its links, in milliseconds.
    pub every: Span,
}

impl SwitchSpec {
    /// What a port is that nobody may disable; none for any other.
    #[must_use]
    pub fn guards(&self, port: &str) -> Option<&'static str> {
        if self.boss.as_deref() == Some(port) {
            return Some("the boss itself hangs on it");
        }
        if self.uplink.as_deref() == Some(port) {
            return Some("it is the uplink");
        }
        self.protect.contains(port).then_some("`protect` says so")
    }
}

/// How a switch is spoken to, one variant a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SwitchKind {
    /// The original's web-managed switch, and others with the same pages: a cookie, and a form of ports.
    #[serde(rename = "web-8port")]
    WebPages {
        /// Where it is: `http://HOST`.
        url: String,
        /// Where `USER:PASSWORD` is kept, or the password of `admin`.
        credentials: SecretRef,
    },
    /// OpenWrt, by ubus.
    #[serde(rename = "openwrt")]
    OpenWrt {
        /// Where it is: `http://HOST` or `https://HOST`.
        url: String,
        /// Where `USER:PASSWORD` is kept, or the password of `root`.
        credentials: SecretRef,
        /// SHA-256 of its certificate, for https.
        #[serde(default)]
        certificate: Option<String>,
        /// Name of its switch where that is one of swconfig, such as `switch0`; absent where each port is an interface
        /// (DSA).
        #[serde(default)]
        swconfig: Option<String>,
    },
    /// Whatever speaks SNMP, by IF-MIB, BRIDGE-MIB or Q-BRIDGE-MIB, and LLDP-MIB.
    #[serde(rename = "snmp")]
    Snmp {
        /// Where it is: a name or address, and `:PORT` where that is not 161.
        host: String,
        /// Where the community is kept that may write.
        credentials: SecretRef,
        /// Which version it speaks.
        version: SnmpVersion,
        /// What its ports are called.
        #[serde(default)]
        ports: SnmpPorts,
        /// Where its traps come in: `ADDRESS:PORT`; absent where nobody listens.
        #[serde(default)]
        #[schemars(with = "Option<String>")]
        traps: Option<SocketAddr>,
    },
}

/// What the ports of a switch that speaks SNMP are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SnmpPorts {
    /// As the switch calls them (`ifName`, or `ifDescr` where it has none), such as `GigabitEthernet1/0/6`.
    #[default]
    Names,
    /// By their numbers (`dot1dBasePort`), such as `6`.
    Numbers,
}

impl SwitchKind {
    /// The driver's name, as the lab file has it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::WebPages { .. } => "web-8port",
            Self::OpenWrt { .. } => "openwrt",
            Self::Snmp { .. } => "snmp",
        }
    }
}

/// What a switch told of one of its ports last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchPort {
    /// Its name.
    pub port: String,
    /// False while the switch keeps it off.
    pub enabled: bool,
    /// Speed of its link in megabits a second; absent where there is none.
    pub mbit: Option<u32>,
    /// Ethernet addresses that the switch has heard on it; absent where it does not tell.
    #[serde(default)]
    pub macs: Option<Vec<MacAddr>>,
    /// Who says of himself, by LLDP, that he is at the other end of its cable.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
    /// The machine that the lab file says hangs on it.
    #[serde(default)]
    pub node: Option<NodeName>,
    /// Why nobody may disable it; absent where that is allowed.
    #[serde(default)]
    pub guarded: Option<String>,
}

/// Who is at the other end of a port's cable, by his own word (LLDP, IEEE 802.1AB).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// What he calls himself; empty where he does not say.
    pub name: String,
    /// What he calls his end of the cable.
    pub port: String,
    /// Ethernet addresses by which he names himself and his end.
    pub macs: Vec<MacAddr>,
}
