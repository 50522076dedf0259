//! Guests: machines of the lab that run inside another machine of it, and what its agent is told and tells of them.
//!
//! A guest is a machine like any other, with a name, an address and a ladder; its power port is its hypervisor's agent.
//! Which hypervisor runs it, and what it is made of, is the scenario's. The boot table tells each hypervisor's agent
//! what shall run there ([`GuestWish`]); the agent makes it so, also while nobody talks to it, and tells what is
//! ([`GuestSeen`]).

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Image, MacAddr, MachineUuid, Mebibytes, NodeName, PowerOrder};

/// Name of the power driver that every guest hangs on. No driver of a lab file may be called so.
pub const GUESTS_DRIVER: &str = "guests";

/// Memory that a hypervisor keeps for itself: its image in RAM, the agent, and room for what it boots guests from.
pub const HYPERVISOR_NEEDS: Mebibytes = Mebibytes(512);
/// Memory that QEMU takes beside a guest's own, seen with version 7.2: page tables, video memory, buffers.
pub const GUEST_NEEDS: Mebibytes = Mebibytes(64);

/// Memory that a machine must have, in MiB, to run guests of so many MiB each.
#[must_use]
pub fn memory_for_guests(guests: &[u32]) -> u32 {
    let each = guests.iter().map(|guest| guest.saturating_add(GUEST_NEEDS.0));
    each.fold(HYPERVISOR_NEEDS.0, u32::saturating_add)
}

/// What a guest of a scenario is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuestSpec {
    /// The machine whose agent runs it.
    pub host: NodeName,
    /// Its memory.
    pub memory: Mebibytes,
    /// Its processors.
    pub cpus: u8,
    /// Size of its disk `/dev/vda`, which takes only the room that is written to; none unless told.
    #[serde(default)]
    pub disk: Option<Mebibytes>,
    /// Its network card.
    #[serde(default)]
    pub nic: GuestNic,
    /// Where its kernel comes from.
    #[serde(default)]
    pub boot: GuestBoot,
    /// True when it has a watchdog (`i6300esb`) that starts it again when its system hangs.
    #[serde(default)]
    pub watchdog: bool,
}

/// Network card of a guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestNic {
    /// `virtio-net-pci`.
    #[default]
    Virtio,
    /// Intel 82574, for systems without virtio.
    E1000e,
}

/// Where a guest's kernel comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestBoot {
    /// Out of its hypervisor's store, which fetched it once for all of its guests.
    #[default]
    Kernel,
    /// Over the network, as metal does, through `SeaBIOS` and the card's iPXE ROM.
    Network,
    /// Over the network through OVMF.
    NetworkUefi,
}

/// What a hypervisor's agent shall make of one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuestWish {
    /// Its name.
    pub node: NodeName,
    /// Made of lab and name; the same for as long as the lab has it.
    pub uuid: MachineUuid,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// What it is made of.
    #[serde(flatten)]
    pub spec: GuestSpec,
    /// Whether it shall run.
    pub power: PowerOrder,
    /// Counts the orders to switch it: another number is another order, and ends what the last one led to, such as
    /// being called crash-looping.
    pub order: u64,
    /// What it boots out of its hypervisor's store; absent while nothing is decided, and for one that boots over the
    /// network.
    pub image: Option<Arc<Image>>,
    /// Kernel arguments after the image's own.
    pub args: String,
}

/// What is true of a guest, as its hypervisor's agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuestSeen {
    /// Its name.
    pub node: NodeName,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// The hypervisor.
    pub host: NodeName,
    /// Which boot of the hypervisor (`/proc/sys/kernel/random/boot_id`).
    pub host_boot: String,
    /// What it does.
    pub state: GuestState,
    /// The order it follows.
    pub order: u64,
    /// Times it was started in this boot of the hypervisor.
    pub starts: u32,
    /// How its last run ended, in this boot of the hypervisor.
    pub ended: Option<GuestEnd>,
    /// For a person: how the state is known, or why it is not as wished.
    pub evidence: String,
}

/// What a guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestState {
    /// It does not run, as wished.
    Off,
    /// What it boots is being fetched or checked.
    Fetching,
    /// It will be started again shortly.
    Starting,
    /// It runs.
    Running,
    /// It cannot be started: too little memory, or something that a person must mend.
    Refused,
    /// It ended more often than the budget allows; a person must look.
    CrashLooping,
}

impl GuestState {
    /// True when its hypervisor does nothing more before it is told anew.
    #[must_use]
    pub const fn is_given_up(self) -> bool {
        matches!(self, Self::Refused | Self::CrashLooping)
    }

    /// True while there is a virtual machine.
    #[must_use]
    pub const fn runs(self) -> bool {
        matches!(self, Self::Running)
    }
}

impl fmt::Display for GuestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::Fetching => "fetching",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Refused => "refused",
            Self::CrashLooping => "crash-looping",
        })
    }
}

/// How a run of a guest ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuestEnd {
    /// Why.
    pub cause: GuestCause,
    /// What shows it: a line of the kernel's log, an exit status, an event of QEMU's.
    pub evidence: String,
}

/// Why a run of a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GuestCause {
    /// It was wished off, or wished otherwise.
    Ordered,
    /// Its hypervisor started again, or went off.
    HostRestarted,
    /// The kernel of its hypervisor killed QEMU for its memory.
    OutOfMemory,
    /// QEMU ended by itself or was killed.
    QemuDied,
    /// The system in it switched it off.
    PoweredOff,
    /// Its firmware found nothing to boot and gave up.
    NothingBootable,
    /// The system in it panicked.
    Panicked,
    /// Its watchdog found it hanging.
    Hung,
    /// libvirt does not know it any more.
    Undefined,
    /// The hypervisor's disk or memory for files is full.
    NoRoom,
}

impl fmt::Display for GuestCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ordered => "ordered",
            Self::HostRestarted => "its hypervisor started again",
            Self::OutOfMemory => "its hypervisor ran out of memory",
            Self::QemuDied => "QEMU ended",
            Self::PoweredOff => "its system switched it off",
            Self::NothingBootable => "its firmware found nothing to boot",
            Self::Panicked => "its system panicked",
            Self::Hung => "its watchdog found it hanging",
            Self::Undefined => "libvirt does not know it any more",
            Self::NoRoom => "its hypervisor has no room left",
        })
    }
}
