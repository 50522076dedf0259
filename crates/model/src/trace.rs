//! One boot of one machine: what was seen, when, and the bars a person reads.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Carrier, ClientKind, FileRole, LabTime, Moment, NodeName, ScriptAnswer, TftpTerms};

/// Marks kept for one boot; later ones are only counted.
pub const MARKS_KEPT: usize = 96;
/// Transfers kept for one boot; later ones are only counted.
pub const TRANSFERS_KEPT: usize = 24;
/// Files of one boot whose bytes are counted one by one; further ones share one line.
pub const FILES_KEPT: usize = 24;
/// Lines of iPXE's log kept for one boot: the first quarter and the latest; of Talos's half as many.
pub const LOG_KEPT: usize = 64;
/// Earlier boots kept for the median.
pub const BOOTS_KEPT: usize = 20;

/// One boot, from power on (or from the first ask, where power is not seen) to ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// Counts the boots of this machine.
    pub number: u32,
    /// When it began.
    pub began: Moment,
    /// True if the beginning was power seen on, false if it was the first packet.
    pub powered: bool,
    /// The first program that asked.
    pub firmware: Option<ClientKind>,
    /// iPXE's version, where it said one.
    pub ipxe: String,
    /// Points in time, in order.
    pub marks: Vec<Mark>,
    /// Files taken, in order of asking.
    pub transfers: Vec<Transfer>,
    /// What its loader, and then Talos, wrote to their logs, in order.
    #[serde(default)]
    pub log: Vec<LogLine>,
    /// Marks, transfers and lines over the limit.
    pub unrecorded: u32,
    /// Bytes sent to it, file by file, in order of first asking. Counted to the end, also beyond the limits above.
    pub files: Vec<FileBytes>,
    /// Where the heads of its packets were saved, if a start failed.
    pub packets: Option<SavedPackets>,
}

/// What one file cost one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileBytes {
    /// Its name; `…` for all files after the first [`FILES_KEPT`].
    pub name: String,
    /// What for.
    pub role: FileRole,
    /// Size in bytes.
    pub size: u64,
    /// Transfers begun.
    pub begun: u32,
    /// Transfers whose last byte was taken.
    pub whole: u32,
    /// Bytes sent in all: repeated and aborted transfers count.
    pub sent: u64,
}

impl FileBytes {
    /// Bytes sent beyond one copy of the file.
    #[must_use]
    pub const fn again(&self) -> u64 {
        self.sent.saturating_sub(self.size)
    }
}

/// Heads of packets kept of a failed boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SavedPackets {
    /// Name of the file in the folder `failures` of the state folder, and behind `/v1/failures/`.
    pub file: String,
    /// Frames in it.
    pub frames: u32,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// iPXE, by syslog.
    #[default]
    Ipxe,
    /// Talos: its kernel, or a service whose name the line begins with.
    Talos,
    /// The agent of its hypervisor.
    Host,
    /// Labinator's own loader.
    Loader,
}

/// A line of a log that was sent here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When it came.
    pub at: LabTime,
    /// 0 emergency to 7 debug (RFC 5424 table 2).
    pub severity: u8,
    /// What it says.
    pub text: String,
    /// The error number in it, read without ipxe.org.
    pub error: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub source: LogSource,
}

/// A point in time of a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// When.
    pub at: LabTime,
    /// What.
    #[serde(flatten)]
    pub what: MarkKind,
}

/// What a mark marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mark", rename_all = "kebab-case")]
pub enum MarkKind {
    /// The driver was asked to switch on.
    Ordered,
    /// Power was seen on.
    Powered,
    /// Its hypervisor started it with its kernel in memory.
    Started,
    /// The first frame after silence.
    Frame,
    /// DHCPDISCOVER.
    Discover {
        /// Who asked.
        client: ClientKind,
        /// Its `secs` field.
        secs: u16,
    },
    /// DHCPOFFER.
    Offer,
    /// DHCPREQUEST.
    Request {
        /// Who asked.
        client: ClientKind,
    },
    /// DHCPACK.
    Ack {
        /// Who asked.
        client: ClientKind,
    },
    /// DHCPNAK.
    Nak,
    /// SOLICIT or INFORMATION-REQUEST of DHCPv6.
    Solicit {
        /// Who asked.
        client: ClientKind,
        /// Milliseconds since it began, by its own account.
        elapsed_ms: u32,
    },
    /// ADVERTISE of DHCPv6.
    Advertise,
    /// REQUEST of DHCPv6.
    Request6 {
        /// Who asked.
        client: ClientKind,
    },
    /// REPLY of DHCPv6.
    Reply {
        /// Who asked.
        client: ClientKind,
    },
    /// An IPv6 router was asked for.
    RouterAsked {
        /// Whether we answered.
        answered: bool,
    },
    /// A script was handed out.
    Script {
        /// What it said.
        answer: ScriptAnswer,
    },
    /// The counter was full: come back later.
    Deferred,
    /// The system said that it is done.
    Done,
    /// The agent reported.
    Reported {
        /// Milliseconds since its kernel started, by its own clock.
        uptime_ms: u64,
    },
    /// Its Talos went a step on its way into the cluster; the first time in this boot.
    Talos {
        /// Which.
        step: TalosStep,
    },
    /// The machine became ready.
    Ready,
}

/// A machine's way into its cluster, as far as the boss saw it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TalosStep {
    /// It was seen to wait for a config.
    Waits,
    /// A config was pushed.
    Given,
    /// Both sides proved who they are.
    Known,
    /// The cluster knows it.
    Joined,
}

/// One file on its way to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transfer {
    /// Its name.
    pub name: String,
    /// What for.
    pub role: FileRole,
    /// Over what.
    pub carrier: Carrier,
    /// When it was asked for.
    pub asked: LabTime,
    /// When the last byte was taken.
    pub ended: Option<LabTime>,
    /// Bytes sent so far.
    pub bytes: u64,
    /// Whole size in bytes.
    pub size: u64,
    /// Blocks or ranges sent again.
    pub repeats: u32,
    /// Why it ended early, if it did.
    pub broken: Option<String>,
    /// Blocks and window, where it went over TFTP.
    #[serde(default)]
    pub terms: Option<TftpTerms>,
}

/// The parts of a boot, in the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// From the order to power seen on.
    Power,
    /// From power on to the first DISCOVER: POST and the firmware's own start.
    Firmware,
    /// The firmware's (or ROM's) address.
    Dhcp,
    /// The network boot program.
    Loader,
    /// The boot program's own start, its address and its script.
    Ipxe,
    /// Waiting for a scenario to be chosen.
    Wait,
    /// Kernel, initramfs or UKI.
    Image,
    /// From the last byte of the image to the first words of the system.
    Kernel,
    /// The agent's address, inventory and report.
    Agent,
    /// Talos waits for its config.
    Maintenance,
    /// Talos takes its config, writes itself to its disk and starts from there.
    Installing,
    /// Talos has its identity; the cluster is to know it and to give it work.
    Joining,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Power => "power",
            Self::Firmware => "firmware",
            Self::Dhcp => "dhcp",
            Self::Loader => "loader",
            Self::Ipxe => "ipxe",
            Self::Wait => "wait",
            Self::Image => "image",
            Self::Kernel => "kernel",
            Self::Agent => "agent",
            Self::Maintenance => "maintenance",
            Self::Installing => "installing",
            Self::Joining => "joining",
        })
    }
}

/// One bar of the waterfall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bar {
    /// Which part.
    pub stage: Stage,
    /// Milliseconds from the beginning of the boot.
    pub from_ms: u64,
    /// How long it took, or has taken so far.
    pub took_ms: u64,
    /// True while it goes on.
    pub open: bool,
    /// Bytes moved.
    pub bytes: u64,
    /// Bytes to move; 0 where nothing is moved.
    pub size: u64,
    /// Why it took long, or what happened, in words.
    pub note: Option<String>,
    /// Median of this machine's earlier boots with the same firmware.
    pub median_ms: Option<u64>,
}

/// A boot as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waterfall {
    /// Number of the boot.
    pub number: u32,
    /// When it began.
    pub began: Moment,
    /// The first program that asked.
    pub firmware: Option<ClientKind>,
    /// iPXE's version, where it said one.
    pub ipxe: String,
    /// Milliseconds from the beginning to ready, or so far.
    pub total_ms: u64,
    /// True while it goes on.
    pub open: bool,
    /// The bars, in order.
    pub bars: Vec<Bar>,
    /// Median total of earlier boots.
    pub median_ms: Option<u64>,
    /// How many boots are in the median.
    pub median_of: u16,
}

/// A boot with everything that was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// Which machine.
    pub node: NodeName,
    /// For people.
    pub waterfall: Waterfall,
    /// For those who look closer.
    pub boot: Boot,
}
