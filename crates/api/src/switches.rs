//! Switches: how their ports stand, and which of them are disabled for a while.

use model::{DriverName, Origin, PortRef, Span, SwitchPort};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The switches of a lab, looked at for this answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchList {
    /// By name.
    pub switches: Vec<SwitchView>,
    /// Ports that are disabled for a while, or are enabled again after that.
    pub cuts: Vec<CutView>,
}

/// One switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwitchView {
    /// Its name in the lab file.
    pub name: DriverName,
    /// What it says it is.
    pub about: String,
    /// Why it does not answer; absent when it does.
    pub lost: Option<String>,
    /// Its ports, in its order.
    pub ports: Vec<SwitchPort>,
}

/// A port that is disabled for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CutView {
    /// Which.
    pub port: PortRef,
    /// How much longer, in milliseconds; absent when that is over and it is being enabled again.
    pub left: Option<Span>,
    /// Whether the switch did what was wanted of it last.
    pub done: bool,
    /// Why it did not.
    pub refused: Option<String>,
}

/// Body of a request to disable ports for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CutAsk {
    /// Ports (`core/6`), machines (`node1`) or zones (`zone:2`).
    pub what: Vec<String>,
    /// For how long, in milliseconds, from 500 to 3600000. They are enabled again by themselves.
    pub span: Span,
    /// Who asks.
    pub by: Origin,
}

/// Body of a request to enable ports again before their time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreAsk {
    /// Ports, machines, zones, or `all`.
    pub what: Vec<String>,
    /// Who asks.
    pub by: Origin,
}

/// Body of a request to copy what goes through a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorAsk {
    /// From which port to which; absent to end it.
    pub copy: Option<MirrorPorts>,
}

/// Two ports of one switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorPorts {
    /// What goes through this one
    pub from: String,
    /// comes out of this one, too.
    pub to: String,
}

/// Answer to a request about mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mirrored {
    /// As it is now.
    pub copy: Option<MirrorPorts>,
}
