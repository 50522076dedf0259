//! What a machine says of its Talos without proving who it is: shown to people, believed by nobody.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LabTime, TalosStage};

/// TCP port of the event sink, where machines that boot Talos tell what happens to them (gRPC over plain HTTP/2).
pub const TALOS_EVENTS_PORT: u16 = 4002;
/// TCP port of their kernel's and services' lines (JSON, one object a line).
pub const TALOS_LINES_PORT: u16 = 4001;

/// What somebody at a machine's address said last of its Talos. Nothing proves who it was: no rung stands on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TalosSaid {
    /// The sequence that runs: `initialize`, `install`, `boot`, `reboot`, `reset`, ...; empty between two.
    pub sequence: String,
    /// The phase of it that runs; empty between two.
    pub phase: String,
    /// What it is doing.
    pub stage: TalosStage,
    /// True when it says that all it watches over is well. Means something while it boots and runs.
    pub ready: bool,
    /// What is not, for a person.
    pub unmet: Vec<String>,
    /// What went wrong last in this boot, in its words.
    pub trouble: Option<String>,
    /// Events of this boot of kinds that this version does not know, and such as could not be read.
    pub unread: u32,
    /// Lines of its logs that were more than are taken, in this boot.
    pub left_out: u32,
}

/// What was heard of a machine's Talos without proof, in this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TalosHeard {
    /// What it said last.
    pub said: TalosSaid,
    /// Since when it says this stage.
    pub stage_since: LabTime,
    /// When it was heard last.
    pub at: LabTime,
    /// The last line of its kernel.
    pub line: String,
}
