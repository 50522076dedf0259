//! What a machine's kernel tells of its own health, and the changes for the worse that are kept.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Moment;

/// Processors, ports, sensors or disks that one [`Health`] names at most.
pub const HEALTH_EACH: usize = 8;
/// Characters of a name in a [`Health`] at most.
const NAME: usize = 64;
/// Changes for the worse kept of one boot.
pub const AILMENTS_KEPT: usize = 16;

/// What a kernel tells of itself. Counters run from the start of the machine; what it does not tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Health {
    /// Frames that the kernel did not take in time.
    pub softnet: Softnet,
    /// Datagrams that did not reach their socket.
    pub udp: UdpErrors,
    /// How long work stood still; absent in a kernel without pressure stall information.
    pub pressure: Option<Pressure>,
    /// Programs killed for want of memory.
    pub oom: OomKills,
    /// Network ports with hardware behind them, by name, at most [`HEALTH_EACH`].
    pub nics: Vec<NicHealth>,
    /// Temperatures, those nearest to their limit first, at most [`HEALTH_EACH`].
    pub sensors: Vec<Sensor>,
    /// Disks that told of themselves, those that fail first, at most [`HEALTH_EACH`].
    pub disks: Vec<DiskHealth>,
}

/// Columns 2 and 3 of `/proc/net/softnet_stat`, which has a line for each processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Softnet {
    /// Frames dropped because a processor's backlog was full, on all of them.
    pub dropped: u64,
    /// Rounds of taking frames that were cut short with work left (`time_squeeze`), on all of them.
    pub squeezed: u64,
    /// The processors with any of either, the worst first, at most [`HEALTH_EACH`].
    pub cpus: Vec<SoftnetCpu>,
}

/// One line of `/proc/net/softnet_stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SoftnetCpu {
    /// Number of the processor.
    pub cpu: u32,
    /// Frames dropped.
    pub dropped: u64,
    /// Rounds cut short.
    pub squeezed: u64,
}

/// `/proc/net/snmp`, group `Udp`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UdpErrors {
    /// `InErrors`: datagrams that were not delivered, for whatever reason.
    pub errors: u64,
    /// `RcvbufErrors`: those of them whose socket was full.
    pub buffer_errors: u64,
}

/// `/proc/pressure`: how much of the last ten seconds work stood still for want of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pressure {
    /// Processors.
    pub cpu: Stall,
    /// Memory.
    pub memory: Stall,
    /// Disks.
    pub io: Stall,
}

/// `avg10` of one resource, in hundredths of a percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stall {
    /// Some task stood still.
    pub some: u16,
    /// All tasks stood still.
    pub full: u16,
}

/// `oom_kill` of `/proc/vmstat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OomKills {
    /// Programs killed.
    pub count: u64,
    /// The last of them by the kernel's log: its name and process id, such as `qemu-system-x86 (1234)`.
    pub victim: Option<String>,
}

/// How a network port does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NicHealth {
    /// Kernel name, such as `eth0`.
    pub name: String,
    /// Kernel driver.
    pub driver: String,
    /// True when the other end of the cable is there.
    pub link: bool,
    /// Speed of the link in Mbit/s; absent without a link, or where the driver does not say.
    pub speed_mbps: Option<u32>,
    /// True for both directions at once; absent where the driver does not say.
    pub full_duplex: Option<bool>,
    /// The fastest this port can, in Mbit/s.
    pub fastest_mbps: Option<u32>,
    /// The fastest the other end offers, in Mbit/s.
    pub peer_mbps: Option<u32>,
    /// Work that the card or the driver takes from the kernel, of `rx-checksum`, `tso`, `gso`, `gro`, `lro`; absent
    /// where the kernel does not say.
    pub offloads: Option<Vec<String>>,
    /// Frames received with errors or sent in vain, as the card counts them.
    pub errors: u64,
    /// Its interrupts, at most [`HEALTH_EACH`].
    pub irqs: Vec<IrqPlace>,
    /// Processors that share its received frames by hash (receive packet steering), as a list such as `0-3`; empty
    /// when it is off.
    pub rps: String,
}

/// Where an interrupt is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IrqPlace {
    /// Its number.
    pub irq: u32,
    /// The processors that may serve it now (`effective_affinity_list`), such as `1` or `0-3`.
    pub cpus: String,
}

/// A temperature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sensor {
    /// Chip and place, such as `coretemp Package id 0`.
    pub name: String,
    /// Degrees Celsius.
    pub celsius: i16,
    /// From so many on the maker calls it critical; absent where he does not.
    pub critical: Option<i16>,
}

/// What a disk says of itself (SMART).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DiskHealth {
    /// Kernel name, such as `sda`.
    pub name: String,
    /// True when the disk itself expects to fail.
    pub failing: bool,
    /// Why, for a person; empty while there is nothing to say.
    pub why: String,
    /// Sectors replaced or waiting for it (attributes 5 and 197), or media errors of an `NVMe`.
    pub bad_sectors: Option<u64>,
    /// How much of its life is used, in percent of what the maker promises.
    pub used_percent: Option<u16>,
    /// Degrees Celsius.
    pub celsius: Option<i16>,
    /// Hours it has run.
    pub hours: Option<u64>,
}

impl Health {
    /// The same within its bounds: what comes over a wire may be of any size.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.softnet.cpus.truncate(HEALTH_EACH);
        self.nics.truncate(HEALTH_EACH);
        self.sensors.truncate(HEALTH_EACH);
        self.disks.truncate(HEALTH_EACH);
        self.oom.victim.as_mut().map(bound);
        for nic in &mut self.nics {
            [&mut nic.name, &mut nic.driver, &mut nic.rps].into_iter().for_each(bound);
            nic.irqs.truncate(HEALTH_EACH);
            nic.irqs.iter_mut().for_each(|irq| bound(&mut irq.cpus));
            for offloads in nic.offloads.iter_mut() {
                offloads.truncate(HEALTH_EACH);
                offloads.iter_mut().for_each(bound);
            }
        }
        self.sensors.iter_mut().for_each(|sensor| bound(&mut sensor.name));
        self.disks.iter_mut().for_each(|disk| {
            bound(&mut disk.name);
            bound(&mut disk.why);
        });
        self
    }
}

fn bound(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(NAME) {
        text.truncate(end);
    }
}

/// A change for the worse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ailment", rename_all = "kebab-case")]
pub enum Ailment {
    /// The kernel began to drop frames.
    FramesDropped {
        /// So many since the look before.
        count: u64,
        /// The processor with most of them.
        cpu: Option<u32>,
    },
    /// The kernel began to leave frames for later more often than is normal.
    RoundsCut {
        /// Rounds cut short since the look before.
        count: u64,
        /// The processor with most of them.
        cpu: Option<u32>,
    },
    /// Datagrams found their socket full.
    DatagramsLost {
        /// So many since the look before.
        count: u64,
    },
    /// A program was killed for want of memory.
    OomKill {
        /// Programs killed since the machine started.
        count: u64,
        /// The last of them: its name and process id.
        victim: Option<String>,
    },
    /// A disk expects to fail.
    DiskFailing {
        /// Its kernel name.
        disk: String,
        /// Why.
        why: String,
    },
    /// A link is slower than its port can.
    LinkSlow {
        /// Its kernel name.
        nic: String,
        /// Speed of the link in Mbit/s.
        mbps: u32,
        /// The fastest the port can, in Mbit/s.
        fastest: u32,
        /// The fastest the other end offers, in Mbit/s.
        peer: Option<u32>,
    },
    /// A temperature is critical.
    Hot {
        /// Chip and place.
        sensor: String,
        /// Degrees Celsius.
        celsius: i16,
        /// From so many on it is critical.
        critical: i16,
    },
}

impl Ailment {
    /// A stable word for programs, and its heading in `docs/operating/node-health.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FramesDropped { .. } => "frames-dropped",
            Self::RoundsCut { .. } => "rounds-cut",
            Self::DatagramsLost { .. } => "datagrams-lost",
            Self::OomKill { .. } => "oom-kill",
            Self::DiskFailing { .. } => "disk-failing",
            Self::LinkSlow { .. } => "link-slow",
            Self::Hot { .. } => "hot",
        }
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |f: &mut fmt::Formatter<'_>, cpu: &Option<u32>| match cpu {
            Some(cpu) => write!(f, ", most on processor {cpu}"),
            None => Ok(()),
        };
        match self {
            Self::FramesDropped { count, cpu } => {
                write!(f, "its kernel began to drop frames: {count}")?;
                on(f, cpu)
            }
            Self::RoundsCut { count, cpu } => {
                write!(f, "its kernel began to leave frames for later: {count} rounds cut short")?;
                on(f, cpu)
            }
            Self::DatagramsLost { count } => write!(f, "{count} datagrams found their socket full"),
            Self::OomKill { victim: Some(victim), count } => {
                write!(f, "its kernel killed {victim} for want of memory ({count} programs so far)")
            }
            Self::OomKill { victim: None, count } => {
                write!(f, "its kernel killed a program for want of memory ({count} so far)")
            }
            Self::DiskFailing { disk, why } => write!(f, "disk {disk} expects to fail: {why}"),
            Self::LinkSlow { nic, mbps, fastest, peer } => {
                write!(f, "{nic} came up with {mbps} Mbit/s and can {fastest}")?;
                match peer {
                    Some(peer) if peer < fastest => write!(f, "; the other end offers {peer}"),
                    Some(_) => f.write_str("; both ends can more, so look at the cable"),
                    None => Ok(()),
                }
            }
            Self::Hot { sensor, celsius, critical } => {
                write!(f, "{sensor} is at {celsius} °C, and {critical} °C is critical")
            }
        }
    }
}

/// A change for the worse, and when it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ailing {
    /// When.
    pub at: Moment,
    /// What.
    #[serde(flatten)]
    pub ailment: Ailment,
}
