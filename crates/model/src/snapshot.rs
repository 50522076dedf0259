//! The one picture that everybody looks at: page, command line, display and metrics.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentBeat, AgentReport, Ailing, Cell, ClientKind, ClusterPods, Fault, Goal, GuestSeen, LabName, LabTime,
    MacAddr, Moment, NodeName, NodeWord, Notice, Phase, PortRef, PowerState, Proof, Rung, ScenarioName,
    TalosView, TrialView, Waterfall, WipeView,
};

/// The lab at one moment. It contains every event up to `through`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Which core wrote it; another one means: start over.
    pub epoch: String,
    /// Number of the last event it contains.
    pub through: u64,
    /// When it was made.
    pub at: Moment,
    /// The lab as a whole.
    pub lab: Arc<LabView>,
    /// The machines, in the board's order: by row, then column. Shared, so that a change copies one.
    pub machines: Vec<Arc<MachineView>>,
}

/// The lab as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabView {
    /// Its name.
    pub name: LabName,
    /// Columns of the board.
    pub columns: u8,
    /// Rows of the board.
    pub rows: u8,
    /// What is being done.
    pub phase: Phase,
    /// Since when.
    pub phase_since: Moment,
    /// Why, for a person.
    pub phase_because: String,
    /// The scenario that was started last; absent when idle.
    pub scenario: Option<ScenarioName>,
    /// Counts the runs.
    pub run: u32,
    /// When the run began.
    pub run_since: Option<Moment>,
    /// What the run waits for beside its machines.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// The pods of its cluster, once the cluster told.
    #[serde(default)]
    pub pods: Option<Arc<ClusterPods>>,
    /// True when the boot counter is connected.
    pub counter_up: bool,
    /// What is wrong with the segment or the boss, newest last.
    pub notices: Vec<Notice>,
    /// Machines that asked and are not on the board, newest last; at most 32.
    pub strangers: Vec<Stranger>,
    /// What can be started.
    pub scenarios: Vec<ScenarioView>,
    /// New generations of images that are tried.
    #[serde(default)]
    pub trials: Vec<TrialView>,
}

/// A scenario as a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioView {
    /// Its name.
    pub name: ScenarioName,
    /// The machines that take part.
    pub nodes: Vec<NodeName>,
    /// What they boot, for a person.
    pub image: String,
    /// What is missing before it can be started; empty when nothing is.
    pub missing: Vec<String>,
}

/// A machine that is not on the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stranger {
    /// Its address.
    pub mac: MacAddr,
    /// What asked last.
    pub client: ClientKind,
    /// When it was last seen.
    pub seen: Moment,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineView {
    /// Its name.
    pub node: NodeName,
    /// Its cell.
    pub cell: Cell,
    /// Its zone.
    pub zone: Option<u8>,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its reserved address.
    #[schemars(with = "String")]
    pub ip: Ipv4Addr,
    /// One word for its state.
    pub word: NodeWord,
    /// Since when that word is true.
    pub since: Moment,
    /// How far up it is.
    pub rung: Rung,
    /// What it shall be.
    pub goal: Goal,
    /// What it waits for, if it waits.
    pub waiting: Option<Waiting>,
    /// What is known of its power.
    pub power: PowerView,
    /// Its boot, if it has been seen to boot.
    pub boot: Option<Waterfall>,
    /// Which iPXE it boots by, once one told.
    #[serde(default)]
    pub ipxe: Option<IpxeView>,
    /// What its agent said.
    pub agent: Option<AgentView>,
    /// What is known of its Talos, in a run that boots it.
    #[serde(default)]
    pub talos: Option<TalosView>,
    /// The machine that runs it, where it is a guest of the scenario in hand.
    #[serde(default)]
    pub host: Option<NodeName>,
    /// True for a guest, in hand or not.
    #[serde(default)]
    pub is_guest: bool,
    /// True where the boss reaches its serial console and its screen: guests, and virtual machines of the boss.
    #[serde(default)]
    pub has_console: bool,
    /// What its hypervisor told of it.
    #[serde(default)]
    pub guest: Option<GuestSeen>,
    /// Its last wipe.
    #[serde(default)]
    pub wipe: Option<WipeView>,
    /// What went wrong last in this run.
    pub fault: Option<Fault>,
    /// Starts tried in this run.
    pub tries: u8,
}

impl MachineView {
    /// False for a guest of another scenario: it does not exist now.
    #[must_use]
    pub const fn is_in_hand(&self) -> bool {
        !self.is_guest || self.host.is_some() || matches!(self.power.state, PowerState::On)
    }
}

/// The iPXE that a machine boots by: the ROM of its card, or what its firmware loads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IpxeView {
    /// Its version, as long as it told it.
    pub version: String,
    /// What it was built with, in iPXE's own words; empty while it did not say.
    pub features: Vec<String>,
    /// Why it is too old, where it is.
    pub old: Option<OldIpxe>,
}

/// What is wrong with an iPXE from before 2020-10-14.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OldIpxe {
    /// What it does that a newer one does not.
    pub why: String,
    /// What replaces it.
    pub cure: String,
}

/// What is waited for, since when, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// For what, as a phrase that follows "waiting for".
    pub what: String,
    /// Since when.
    pub since: LabTime,
    /// Until when; then something else is tried.
    pub until: LabTime,
    /// What will be done then, as a phrase that follows "then".
    pub then: String,
}

/// What is known of a machine's power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PowerView {
    /// On, off or unknown.
    pub state: PowerState,
    /// How that is known.
    pub evidence: String,
    /// When it was seen.
    pub seen: Option<Moment>,
    /// What switches it.
    pub port: PortRef,
}

/// What an agent said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentView {
    /// Its report.
    pub report: Arc<AgentReport>,
    /// Its last heartbeat, once there was one.
    pub beat: Option<AgentBeat>,
    /// When it was last heard.
    pub heard: Moment,
    /// What became worse in this boot, the newest last.
    #[serde(default)]
    pub ailing: Vec<Ailing>,
    /// How surely it is the machine's: by the key of this boot, or by its address alone.
    #[serde(default)]
    pub proof: Proof,
}

/// Why a machine is as it is, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Which machine.
    pub node: NodeName,
    /// One sentence.
    pub headline: String,
    /// What is wanted of it, and since when.
    pub wanted: String,
    /// What is seen of it.
    pub seen: Vec<String>,
    /// Why it is not as wanted; empty when it is.
    pub because: String,
    /// What will be done without anybody's help.
    pub will: String,
    /// Commands a person can use now.
    pub you_can: Vec<String>,
}
