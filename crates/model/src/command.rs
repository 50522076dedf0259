//! What the core wishes of the world. A wish, never a truth.

use alloc::string::String;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NodeName, PortRef, PowerState, Proof};

/// Counts the commands of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CommandId(pub u64);

/// What a power driver is asked to do with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerOrder {
    /// Make the machine run.
    On,
    /// Make the machine stop.
    Off,
    /// Ask what runs on it to stop: a short press of its button, or what its controller has for that.
    Soft,
    /// Press its button for a moment, whatever that does.
    Press,
}

impl PowerOrder {
    /// What is to be seen when it was carried out; nothing certain after a press.
    #[must_use]
    pub const fn result(self) -> Option<PowerState> {
        match self {
            Self::On => Some(PowerState::On),
            Self::Off | Self::Soft => Some(PowerState::Off),
            Self::Press => None,
        }
    }
}

impl fmt::Display for PowerOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Soft => "soft",
            Self::Press => "press",
        })
    }
}

/// Something a driver is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Switch a machine.
    Power {
        /// Which machine.
        node: NodeName,
        /// Its power port.
        port: PortRef,
        /// Which way.
        order: PowerOrder,
    },
    /// Enable or disable a port of a switch.
    Switch {
        /// Which port.
        port: PortRef,
        /// True to enable it.
        on: bool,
    },
    /// Make the secrets of a run's cluster and keep them, or find those that were kept.
    Mint {
        /// Which run.
        run: u32,
    },
    /// Give a machine its config.
    Push {
        /// Which machine.
        node: NodeName,
        /// SHA-256 of the public key it showed when it was seen to wait, in base64.
        fingerprint: String,
        /// How surely it was known then.
        #[serde(default)]
        proof: Proof,
    },
    /// Lay a machine's config ready for one boot of it to fetch.
    Offer {
        /// Which machine.
        node: NodeName,
        /// Number of the boot that may have it.
        boot: u32,
    },
    /// Begin the cluster's etcd on one machine. Never on another one afterwards.
    Bootstrap {
        /// Which machine.
        node: NodeName,
    },
    /// Have a machine's Talos wipe what it keeps of its cluster and start again by kexec: it comes back waiting for a config.
    Reset {
        /// Which machine.
        node: NodeName,
    },
    /// Apply the manifests that were pinned when a run began. Applying them twice is applying them once.
    Apply {
        /// Which run.
        run: u32,
    },
}

impl Command {
    /// The machine it is about; none for what concerns the lab.
    #[must_use]
    pub const fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Power { node, .. }
            | Self::Push { node, .. }
            | Self::Offer { node, .. }
            | Self::Reset { node }
            | Self::Bootstrap { node } => Some(node),
            Self::Switch { .. } | Self::Mint { .. } | Self::Apply { .. } => None,
        }
    }
}

/// What became of a command, as far as the driver knows. Seeing is another fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The driver did it.
    Done,
    /// The driver could not.
    Failed {
        /// Stable word of the reason.
        code: String,
        /// For a person.
        why: String,
    },
    /// Nobody knows: the core was started again meanwhile, or the driver never answered within its limit.
    Unknown,
}
