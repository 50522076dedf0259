//! Talos Linux as a scenario boots it: what its cluster shall be, and what is heard of its machines.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LabSpec, NodeName, NodePods, ScenarioName, Span, TalosHeard};

/// Kernel argument that makes Talos wipe its own partitions before it looks for a config. It acts in every boot that has
/// it, so only boots before the config was pushed do.
pub const TALOS_WIPE: &str = "talos.experimental.wipe=system";

/// Kernel argument with documents that Talos reads before it has a config: base64 of zstd.
pub const TALOS_INLINE: &str = "talos.config.inline";

/// How long a config stays laid ready for the boot that is to fetch it.
pub const CONFIG_LAID_READY: Span = Span::secs(600);

/// A Kubernetes cluster of the machines of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TalosSpec {
    /// Release of Talos, such as `1.12.11`; or `1.12`, any of these.
    pub version: String,
    /// Release of Kubernetes, such as `1.35.4`; what Talos's comes with unless told.
    pub kubernetes: Option<String>,
    /// Machines of the control plane, in the board's order. The scenario's others are workers.
    pub control_plane: Vec<NodeName>,
    /// Name or address of the control plane, where told; see [`LabSpec::endpoint`].
    pub endpoint: Option<String>,
    /// Patches of the machine configs, in the order in which they are applied.
    pub patches: Vec<TalosPatch>,
    /// Paths of manifests, files or folders of files, that the cluster gets once its machines are there.
    #[serde(default)]
    pub install: Vec<String>,
    /// How surely a machine must be known before it gets a config.
    #[serde(default)]
    pub proof: Proof,
    /// How they get to the machines.
    #[serde(default)]
    pub carrier: ConfigCarrier,
    /// At the end of a run whose scenario has a `park`, its machines are reset and wait for their next config: they lose
    /// what they kept of this cluster.
    #[serde(default)]
    pub park_by_reset: bool,
    /// Documents without secrets that its machines read from their kernel lines until they have a config: the value of
    /// [`TALOS_INLINE`].
    #[serde(default)]
    pub inline: Option<String>,
}

/// How a config gets to its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigCarrier {
    /// Pushed over TLS to the key that the machine showed.
    #[default]
    Push,
    /// Fetched once by the machine, in the clear, below a word that only its kernel line has (`talos.config`).
    Pull,
}

/// How surely a machine is known to be the one that a config is meant for. Each level includes those before it.
///
/// An Ethernet address is none: anybody can send with it. Nor are a lease, a UUID and a nonce: they keep mistakes away,
/// not somebody who wants the config.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// It answers at its reserved address, and the config goes to the key that it showed there.
    #[default]
    Address,
    /// A switch sees its Ethernet address at its own port, and at no other.
    Place,
    /// It showed a key that was made in this boot by what was booted there, or that lives in its TPM.
    Key,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Address => "address",
            Self::Place => "place",
            Self::Key => "key",
        })
    }
}

impl TalosSpec {
    /// True for a machine of the control plane.
    #[must_use]
    pub fn controls(&self, node: &NodeName) -> bool {
        self.control_plane.contains(node)
    }
}

impl LabSpec {
    /// Name or address under which a scenario's control plane is reached; its API listens there on port 6443.
    #[must_use]
    pub fn endpoint(&self, scenario: &ScenarioName) -> Option<String> {
        let talos = self.scenarios.get(scenario)?.talos.as_ref()?;
        let named = || self.network.names.as_ref().map(|names| alloc::format!("{scenario}.{}", names.domain));
        let first = || Some(alloc::format!("{}", self.board.nodes.get(talos.control_plane.first()?)?.ip));
        talos.endpoint.clone().or_else(named).or_else(first)
    }
}

/// One patch file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TalosPatch {
    /// Whose configs it changes.
    pub of: PatchTarget,
    /// Path of the file.
    pub path: String,
}

/// Whose configs a patch changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PatchTarget {
    /// All machines.
    All,
    /// The control plane.
    ControlPlane,
    /// The workers.
    Worker,
    /// One machine.
    Node(NodeName),
}

/// What one look at a machine's Talos API tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "talos", rename_all = "kebab-case")]
pub enum TalosSight {
    /// Nobody answers.
    #[default]
    Silent,
    /// It waits for a config. Nothing proves who says so.
    Maintenance {
        /// SHA-256 of the public key it showed, in base64: the push goes to this key alone.
        fingerprint: String,
        /// How surely it is the machine that was looked for.
        #[serde(default)]
        proof: Proof,
    },
    /// It has a config and asks for a certificate; whose it is, is not known yet.
    Locked,
    /// It has an identity that is not this cluster's.
    Foreign,
    /// Both sides proved who they are: it has the config of this cluster.
    Known {
        /// Its release.
        version: String,
        /// What it is doing.
        stage: TalosStage,
        /// True when all it watches over is well.
        ready: bool,
        /// What is not, for a person.
        unmet: Vec<String>,
        /// True when its etcd runs and is healthy.
        etcd: bool,
    },
}

/// What its Talos is, in words that follow "is".
impl fmt::Display for TalosSight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("silent"),
            Self::Maintenance { fingerprint, .. } => {
                write!(f, "waiting for its config, with key {fingerprint}")
            }
            Self::Locked => f.write_str("asking for a certificate, and taking none of ours"),
            Self::Foreign => f.write_str("part of another cluster"),
            Self::Known { version, stage, unmet, etcd, .. } => {
                let etcd = if *etcd { ", with etcd" } else { "" };
                write!(f, "{version}, {stage}, known by its identity{etcd}")?;
                if unmet.is_empty() { Ok(()) } else { write!(f, ", not well: {}", unmet.join(", ")) }
            }
        }
    }
}

/// What a Talos machine is doing (`MachineStatuses.runtime.talos.dev`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TalosStage {
    /// It does not say.
    #[default]
    Unknown,
    /// It starts its services.
    Booting,
    /// It writes itself to its disk.
    Installing,
    /// It waits for a config.
    Maintenance,
    /// All it has to do is done.
    Running,
    /// It starts again.
    Rebooting,
    /// It switches itself off.
    ShuttingDown,
    /// It wipes itself.
    Resetting,
    /// It puts another release on its disk.
    Upgrading,
}

impl TalosStage {
    /// The stage that Talos calls so in its resources; a word of a newer release is [`Self::Unknown`].
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "booting" => Self::Booting,
            "installing" => Self::Installing,
            "maintenance" => Self::Maintenance,
            "running" => Self::Running,
            "rebooting" => Self::Rebooting,
            "shutting down" => Self::ShuttingDown,
            "resetting" => Self::Resetting,
            "upgrading" => Self::Upgrading,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for TalosStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Booting => "booting",
            Self::Installing => "installing",
            Self::Maintenance => "in maintenance",
            Self::Running => "running",
            Self::Rebooting => "rebooting",
            Self::ShuttingDown => "shutting down",
            Self::Resetting => "resetting",
            Self::Upgrading => "upgrading",
        })
    }
}

/// What the cluster says of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "member", rename_all = "kebab-case")]
pub enum Membership {
    /// It does not know it.
    #[default]
    Absent,
    /// It knows it and gives it no work.
    NotReady {
        /// Why, in Kubernetes' words.
        why: String,
    },
    /// It gives it work.
    Ready,
}

/// What is known of a machine's Talos, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TalosView {
    /// True for a machine of the control plane.
    pub controls: bool,
    /// What the last look told.
    pub seen: TalosSight,
    /// Times a config was pushed in this run.
    pub pushes: u8,
    /// How surely it was known when its config was pushed last.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// How it gets there.
    #[serde(default)]
    pub carrier: ConfigCarrier,
    /// What the cluster says of it.
    pub cluster: Membership,
    /// What it says itself, without proof; absent until it was heard in this boot.
    #[serde(default)]
    pub heard: Option<TalosHeard>,
    /// Its pods, once the cluster told.
    #[serde(default)]
    pub pods: Option<NodePods>,
}
