//! What the agent inside a live image reports, and where it reports to.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AgentChannel, AgentKey, Digest, DiskLabel, GuestSeen, GuestWish, Health, LabName, MacAddr, NodeName,
    Renewal, Rival, WipeOrder, WipeTold,
};

/// DHCP vendor class (option 60) of the agent.
pub const AGENT_VENDOR_CLASS: &str = "labinator-agent";
/// Path of [`AgentReport`], answered by [`AgentWelcome`]. POST, on the boot HTTP port.
pub const AGENT_HELLO_PATH: &str = "/agent/v1/hello";
/// Path of [`AgentBeat`], answered by [`AgentWelcome`]. POST, on the boot HTTP port.
pub const AGENT_BEAT_PATH: &str = "/agent/v1/heartbeat";
/// Seconds between two heartbeats.
pub const AGENT_BEAT_SECONDS: u64 = 3;

/// Everything an agent says once per boot: what the machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentReport {
    /// Ethernet address of the port that reaches the boss.
    pub mac: MacAddr,
    /// The kernel's own boot id (`/proc/sys/kernel/random/boot_id`): another one means another boot.
    pub boot_id: String,
    /// The nonce of the kernel line, if there was one.
    pub nonce: Option<String>,
    /// Address the agent was given.
    #[schemars(with = "Option<String>")]
    pub address: Option<IpAddr>,
    /// Version of the agent.
    pub version: String,
    /// `uname -r`.
    pub kernel: String,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// What is in the box.
    pub inventory: Inventory,
    /// The key that it made in this boot, and seals what it says with. Absent in older agents. The counter hands it on
    /// only once it is claimed for this boot.
    #[serde(default)]
    pub key: Option<AgentKey>,
    /// SHA-256 of the program that the agent runs. Absent in agents that cannot take another build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Digest>,
    /// Whether it can wait in memory for the next start, and start that by kexec. Absent in older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kexec: Option<Kexec>,
}

/// Whether a running kernel can start another one without firmware in between (`kexec_file_load(2)`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Kexec {
    /// As far as can be told before it is tried.
    Possible,
    /// It cannot.
    Impossible {
        /// What stands against it, for a person.
        why: String,
    },
}

/// What is in a machine, as its kernel sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// `uefi` or `bios`.
    pub firmware: String,
    /// SMBIOS: manufacturer and product name.
    pub product: String,
    /// SMBIOS: serial number, empty where the maker left it out.
    pub serial: String,
    /// SMBIOS: UUID, text form.
    pub uuid: String,
    /// Processor model.
    pub cpu: String,
    /// Logical processors.
    pub cpus: u16,
    /// Memory the kernel manages, in MiB.
    pub memory_mib: u32,
    /// Block devices.
    pub disks: Vec<Disk>,
    /// Network ports.
    pub nics: Vec<Nic>,
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Kernel name, such as `sda`.
    pub name: String,
    /// Model as the device says it.
    pub model: String,
    /// Serial number as the device says it.
    pub serial: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of serial, model and size: an order to wipe names it. Absent from an agent that cannot wipe.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// What a lab wrote on it.
    #[serde(default)]
    pub label: Option<DiskLabel>,
    /// Why it cannot be wiped now, for a person.
    #[serde(default)]
    pub used: Option<String>,
}

/// A network port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Kernel name, such as `eth0`.
    pub name: String,
    /// Ethernet address.
    pub mac: MacAddr,
    /// Kernel driver.
    pub driver: String,
    /// Link speed in Mbit/s; absent where the driver does not say.
    pub speed_mbps: Option<u32>,
}

/// What an agent says every [`AGENT_BEAT_SECONDS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentBeat {
    /// As in the report.
    pub mac: MacAddr,
    /// As in the report.
    pub boot_id: String,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// Load average of one minute, in thousandths.
    pub load_milli: u32,
    /// Memory that could be given out, in MiB.
    pub memory_available_mib: u32,
    /// Its guests, where it runs some.
    #[serde(default)]
    pub guests: Vec<GuestSeen>,
    /// What its kernel tells of its health. An agent sends it when something changed for the worse, and else in every
    /// fifth heartbeat; in the picture it is the last one that was sent.
    #[serde(default)]
    pub health: Option<Arc<Health>>,
    /// How the wipe goes that was ordered in this boot, or how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wipe: Option<WipeTold>,
    /// How it is with another build that it was told to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Arc<Renewal>>,
    /// The last one in this boot who answered as its boss does and was not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<Arc<Rival>>,
}

/// What the counter answers to a report or a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentWelcome {
    /// The node's name; absent for a machine that is not on the board.
    pub node: Option<NodeName>,
    /// What the agent shall do now.
    pub order: AgentOrder,
    /// True if the counter does not know this boot and wants the whole report again.
    pub report_again: bool,
    /// The guests that shall be there, and no others. Absent where nobody says: what runs goes on.
    #[serde(default)]
    pub guests: Option<Arc<Vec<GuestWish>>>,
    /// A disk to wipe, in this boot only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wipe: Option<WipeOrder>,
    /// A word that the agent's next seals must contain: another one for each start of the counter, so that nothing that
    /// was said to an earlier one can be said again. Absent from older counters.
    #[serde(default)]
    pub word: Option<String>,
    /// Where the core is asked for more than this; absent while it is away, and from older counters.
    #[serde(default)]
    pub channel: Option<AgentChannel>,
    /// Which lab this is. Absent from older counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabName>,
    /// Whether the nonce that the agent reported is one that this counter gave to its machine. Absent from older
    /// counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<bool>,
    /// Leave the run, and wait in memory for the next start. Only agents that can are told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub park: Option<ParkOrder>,
}

/// An order to wait in memory: from then on the agent asks as our loader does, and starts by kexec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParkOrder {
    /// Seconds after which the machine switches itself off, whoever is there, if it is not told another time.
    pub seconds: u32,
    /// The lab's key: what it does not stand behind is not started.
    pub lab_key: AgentKey,
}

/// What an agent is asked to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentOrder {
    /// Go on.
    #[default]
    Stay,
    /// Sync the disks and switch the machine off.
    PowerOff,
}
