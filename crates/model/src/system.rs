//! Somebody else's operating system: what it is told (seeds, variables), when it counts as ready, and
//! whether it installs itself.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Asset, GroupName, Image, ImageRef, NodeName, Span};

/// The image of a machine that boots its own disk. No file belongs to it.
pub const DISK_IMAGE: &str = "disk";

/// Variables of templates, as they were typed.
pub type Vars = BTreeMap<String, serde_json::Value>;

/// The lab's own variables and those of its groups and machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variables {
    /// Known to every template.
    pub lab: Vars,
    /// Groups in the order of the file; where two say the same, the later one holds.
    pub groups: Vec<GroupSpec>,
    /// Known to the templates of one machine.
    pub nodes: BTreeMap<NodeName, Vars>,
}

/// Machines that have something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSpec {
    /// Its name.
    pub name: GroupName,
    /// Its machines, in the board's order.
    pub nodes: Vec<NodeName>,
    /// Known to the templates of its machines.
    pub vars: Vars,
}

/// What a scenario says about the operating system it boots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemSpec {
    /// What each machine can fetch, and known to each template.
    pub common: SeedSpec,
    /// What some machines get instead: groups in the lab's order, then machines.
    pub overrides: Vec<OverrideSpec>,
    /// When a machine counts as ready.
    pub ready: Readiness,
    /// How long it may take from the whole image until it is ready; `limits.start` unless told.
    pub within: Option<Span>,
    /// Set where the image installs itself to the disk: how the disk is booted afterwards.
    pub install: Option<DiskBoot>,
}

/// Files a machine can fetch by its own address, and what templates know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeedSpec {
    /// Templates, by the name under which they are served.
    pub seed: BTreeMap<String, String>,
    /// Files served as they are, by the name under which they are served.
    pub files: BTreeMap<String, String>,
    /// A folder whose files are served as they are, by their paths in it.
    pub folder: Option<String>,
    /// Variables.
    pub vars: Vars,
}

/// What a group or a machine gets instead of what the scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideSpec {
    /// For whom.
    pub of: Whose,
    /// Another image.
    pub image: Option<ImageRef>,
    /// Kernel arguments after the scenario's.
    pub args: String,
    /// More files, and others under the same name.
    pub seed: SeedSpec,
}

/// A group or one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Every machine of a group.
    Group(GroupName),
    /// One machine.
    Node(NodeName),
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "group {group}"),
            Self::Node(node) => write!(f, "node {node}"),
        }
    }
}

/// When a machine whose image has no agent of ours counts as ready. Each is something that is seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "when", rename_all = "kebab-case")]
pub enum Readiness {
    /// Its system got its address from us. One that renews it is heard by that; one that never does
    /// (a live image keeps the address of its initramfs) is not called lost for it.
    #[default]
    Address,
    /// It took its whole image: nothing more of it will be seen.
    Fetched,
    /// It called `/n/<mac>/done`.
    Done,
    /// A TCP port of its reserved address accepts a connection.
    Port {
        /// Which port.
        port: u16,
    },
}

/// How iPXE hands a machine to its own disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBoot {
    /// UEFI: end with an error, so that the firmware goes on to its next boot entry. BIOS: start the
    /// first disk, and end where that fails.
    #[default]
    Auto,
    /// End, so that the firmware goes on to its next boot entry.
    Exit,
    /// Start the first disk from iPXE.
    Sanboot,
}

/// What one machine of a scenario gets that others do not, rendered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeBoot {
    /// Its image, where it is not the scenario's.
    pub image: Option<Arc<Image>>,
    /// All its kernel arguments after those of the image itself, where they are not the scenario's.
    pub args: Option<String>,
    /// What it can fetch below its own address, by name.
    pub files: Arc<BTreeMap<String, Asset>>,
}
