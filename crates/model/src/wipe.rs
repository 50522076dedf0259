//! Wiping a disk: what is ordered, what the agent tells of it, and whose disk it is.
//!
//! ```text
//! accepted ──▶ offered to one boot ──claim──▶ wiping ──▶ wiped (read back) | failed | cut off
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, LabName, LabTime, NodeName};

/// Which disk: what is printed on it, and a digest that says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskId {
    /// Kernel name in the boot that told of it, such as `sda`. Another boot may call it otherwise.
    pub name: String,
    /// Model as the device says it.
    pub model: String,
    /// Serial number as the device says it; empty where it has none.
    pub serial: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of serial, model and size, made by the agent.
    pub digest: Digest,
}

impl DiskId {
    /// What a person types to say that this disk is meant: its serial, or where it has none, the machine and its name.
    #[must_use]
    pub fn word(&self, node: &NodeName) -> String {
        match self.serial.as_str() {
            "" => alloc::format!("{node}/{}", self.name),
            serial => String::from(serial),
        }
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = if self.serial.is_empty() { "none" } else { &self.serial };
        let gb = self.bytes / 1_000_000_000;
        match gb {
            0 => write!(f, "{} (serial {serial}, {} MB)", self.name, self.bytes / 1_000_000),
            gb => write!(f, "{} (serial {serial}, {gb} GB)", self.name),
        }
    }
}

/// What is written on a disk of a lab, in the 4 KiB before its first mebibyte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskLabel {
    /// Whose it is.
    pub lab: LabName,
    /// The machine it was in.
    pub node: NodeName,
    /// Which wipe of that machine wrote it.
    pub number: u32,
    /// How far that wipe came.
    pub state: LabelState,
}

/// How far the wipe came that wrote a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabelState {
    /// It began. Found in a later boot, it says that the disk is half wiped.
    Begun,
    /// It was read back.
    Wiped,
}

/// Why a disk may be wiped. Without one of these it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WipePermit {
    /// It is recorded as this lab's, on the disk or by the boss.
    Recorded,
    /// A person typed its serial.
    Typed,
}

/// One wipe of one disk, for one boot of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WipeOrder {
    /// Counts the wipes of this machine.
    pub number: u32,
    /// The kernel's boot id of the one boot that may carry it out.
    pub boot_id: String,
    /// Which disk; only its digest counts, its name may have changed.
    pub disk: DiskId,
    /// Why it may be wiped.
    pub permit: WipePermit,
    /// Whose the disk is afterwards, and whose it must be now where the permit is a record.
    pub lab: LabName,
    /// The machine it is in.
    pub node: NodeName,
}

/// How a disk's content is destroyed, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WipeMethod {
    /// `NVMe` Sanitize (NVM Express base specification 2.0 section 5.24): also what the drive keeps in reserve.
    NvmeSanitize,
    /// `NVMe` Format NVM with secure erase (section 5.14).
    NvmeFormat,
    /// Every block is discarded, and the device promises that nothing is left of it (`BLKSECDISCARD`, as eMMC has it).
    SecureDiscard,
    /// Every block is discarded, and the device promises zeros.
    Discard,
    /// Every block is discarded, and without a promise all samples read as zeros; partitions that hold secrets are
    /// overwritten all the same.
    Trim,
    /// Heads, tails, superblocks, and partitions that hold secrets are overwritten. The rest is not touched.
    Overwrite,
}

impl WipeMethod {
    /// True when it reaches every block that can be addressed.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        match self {
            Self::NvmeSanitize | Self::NvmeFormat | Self::SecureDiscard | Self::Discard | Self::Trim => true,
            Self::Overwrite => false,
        }
    }
}

impl fmt::Display for WipeMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NvmeSanitize => "NVMe sanitize",
            Self::NvmeFormat => "NVMe format with secure erase",
            Self::SecureDiscard => "secure discard of every block",
            Self::Discard => "discard of every block",
            Self::Trim => "discard of every block without a promise of zeros",
            Self::Overwrite => "overwriting of headers and of partitions with secrets",
        })
    }
}

/// What an agent tells of a wipe with each heartbeat, until the machine's boot ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WipeTold {
    /// Which wipe.
    pub number: u32,
    /// How it goes, or how it ended.
    pub state: WipeState,
}

/// How a wipe goes, or how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum WipeState {
    /// It goes on.
    Wiping {
        /// What it does now, as a phrase.
        step: String,
        /// Bytes of this step that are done.
        done: u64,
        /// Bytes of this step.
        of: u64,
    },
    /// It was done and read back.
    Wiped {
        /// What was done and seen.
        report: WipeReport,
    },
    /// It was refused, or it failed.
    Failed {
        /// True when something of the disk was destroyed already.
        touched: bool,
        /// For a person: where, and what was found there.
        why: String,
    },
}

impl WipeState {
    /// True when nothing more comes.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        match self {
            Self::Wiping { .. } => false,
            Self::Wiped { .. } | Self::Failed { .. } => true,
        }
    }
}

/// What a wipe did, and what was seen when it was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WipeReport {
    /// How.
    pub method: WipeMethod,
    /// Stronger methods, and why they were not used.
    pub passed_over: Vec<String>,
    /// Bytes overwritten, beside what the device destroyed by itself.
    pub overwritten: u64,
    /// Places where signatures are known to live that were read back: none was there.
    pub places: u32,
    /// Samples read back over the whole disk; none where the method does not reach all of it.
    pub samples: u32,
    /// Milliseconds it took.
    pub took_ms: u64,
}

/// What is known of a disk of a machine, from one boot to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskKnown {
    /// Which disk.
    pub disk: DiskId,
    /// What was written on it when it was last looked at.
    pub label: Option<DiskLabel>,
    /// Why it could not be wiped then: mounted, swap, part of something, or removable.
    pub used: Option<String>,
    /// The lab that it was recorded to belong to last: by its label, or by a wipe that this boss ordered.
    pub owner: Option<LabName>,
    /// When a wipe of it was last said to be done.
    pub wiped: Option<LabTime>,
}

/// The last wipe of a machine, as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WipeView {
    /// Counts the wipes of this machine.
    pub number: u32,
    /// Which disk.
    pub disk: DiskId,
    /// When it was accepted.
    pub since: LabTime,
    /// True once a boot of the machine was given the order.
    pub given: bool,
    /// What its agent told last, or how it ended; absent while nothing was told.
    pub state: Option<WipeState>,
}
