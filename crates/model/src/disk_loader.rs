//! Our loader on a machine's own disk: what the core orders, and what the agent in a live image finds and does.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AgentBuild, AgentKey, Digest};

/// POST on the channel: a [`DiskLoaderOrder`]. 200 with [`DiskLoaders`]: it was done; 409 with a sentence: it was not, and
/// what starts the machine is what started it before; 404: the agent is older than this.
pub const CHANNEL_LOADER_PATH: &str = "/v1/loader";
/// Name of the loader where an agent fetches it, at `/f/DIGEST/NAME`.
pub const LOADER_PROGRAM: &str = "labinator-x64.efi";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum DiskLoaderOrder {
    /// Nothing: tell how it is.
    Look,
    /// Put it onto a system partition, and let the firmware start it first.
    Install {
        /// The loader with the lab's key in it, on the boss's shelf.
        program: AgentBuild,
        /// The lab's key: loaders of other labs are left alone.
        lab_key: AgentKey,
        /// Text of its settings.
        settings: String,
        /// Which disk, by its kernel name; none where there is one that it could be.
        disk: Option<String>,
        /// Also in place of another lab's.
        force: bool,
    },
    /// Take it away, from the firmware's order first.
    Remove {
        /// The lab's key: loaders of other labs are left alone.
        lab_key: AgentKey,
        /// Which disk, by its kernel name; every one where none is named.
        disk: Option<String>,
        /// Also another lab's.
        force: bool,
    },
}

/// What is on the disks of a machine, and what its firmware starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskLoaders {
    /// Its EFI system partitions.
    pub places: Vec<SystemPartition>,
    /// Boot entries of its firmware, in the order in which they are tried; those that are not tried come last.
    pub entries: Vec<FirmwareEntry>,
    /// What was done, step by step; nothing where all was as it should be.
    #[serde(default)]
    pub done: Vec<String>,
}

/// A partition from which firmware starts programs (UEFI 2.10 section 13.3.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemPartition {
    /// Kernel name of its disk, such as `nvme0n1`.
    pub disk: String,
    /// Kernel name of itself, such as `nvme0n1p1`.
    pub partition: String,
    /// Free bytes; none where it cannot be read.
    pub free: Option<u64>,
    /// Loaders of ours that are there.
    pub loaders: Vec<FoundLoader>,
    /// Why nothing can be put there; empty where nothing speaks against it.
    #[serde(default)]
    pub fault: String,
}

/// A loader of ours on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundLoader {
    /// Its file, written with `/`.
    pub file: String,
    /// SHA-256 of it.
    pub digest: Digest,
    /// The key of its lab; none where the file is damaged, or no loader.
    pub lab_key: Option<AgentKey>,
}

/// A boot entry of firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirmwareEntry {
    /// Its number, as in `Boot0003`.
    pub number: u16,
    /// What the firmware's menu calls it.
    pub name: String,
    /// True for one that starts a loader of ours from a disk.
    pub is_ours: bool,
    /// True where the firmware tries it.
    pub is_tried: bool,
}

impl fmt::Display for FirmwareEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X} {}", self.number, self.name)
    }
}
