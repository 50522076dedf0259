//! What is known to have happened. Facts are past tense; a new one needs a story that produces it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Candidate, ClusterPods, Command, CommandId, DeviceSight, DiskId, DriverName, Fault, Image, LabSpec,
    LinkReading, MacAddr, ManifestFiles, Membership, Moment, NodeBoot, NodeName, NodePods, Notice, Outcome,
    PortReading, PortRef, PowerOrder, PowerState, Rung, ScenarioName, Sight, Span, TalosSight, WipePermit,
};

/// A fact with its number and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Counts up without gaps while a core runs.
    pub seq: u64,
    /// When.
    pub at: Moment,
    /// What.
    pub fact: Fact,
}

/// Who asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The page.
    Page,
    /// The command line.
    Cli,
    /// The demo.
    Demo,
    /// The scenario that was started, as its lab file says.
    Scenario,
    /// Another program, by pdudaemon's interface.
    Pdudaemon,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Page => "the page",
            Self::Cli => "the command line",
            Self::Demo => "the demo",
            Self::Scenario => "the scenario",
            Self::Pdudaemon => "another program (pdudaemon)",
        })
    }
}

/// What is being done with the lab as a whole; derived from the machines, for people.
///
/// ```text
/// idle → powering-down → booting → ready ⇄ degraded
///   ↑                        ↘ failed
///   └────── stopping ←── (from any)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No scenario is chosen.
    #[default]
    Idle,
    /// Machines that run something else are switched off first.
    PoweringDown,
    /// Machines climb.
    Booting,
    /// Enough machines are ready.
    Ready,
    /// Was ready; too few are now, and they are being repaired.
    Degraded,
    /// Too many machines are bad for the scenario.
    Failed,
    /// Machines are switched off.
    Stopping,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "idle",
            Self::PoweringDown => "powering down",
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        })
    }
}

/// How carefully a fact is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeping {
    /// Only in memory: it comes again every few seconds.
    Fleeting,
    /// In the journal, flushed each second; may be lost in a power cut, and will be seen again.
    Sighting,
    /// In the journal and synced before anything is done about it.
    Intent,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// The core began, with this description of the lab.
    CoreStarted {
        /// Version of the program.
        version: String,
        /// The lab as described.
        spec: Box<LabSpec>,
        /// Which start of the boss's own kernel this was (`/proc/sys/kernel/random/boot_id`).
        kernel: String,
        /// `CLOCK_BOOTTIME` then, in milliseconds: within one start of the kernel it tells, better than any
        /// date, how long no core ran.
        boottime_ms: u64,
    },
    /// The files that scenarios boot were looked for.
    ImagesFound {
        /// What each scenario boots, by content; one whose files are missing is absent.
        images: BTreeMap<ScenarioName, Image>,
        /// What the others lack, for a person.
        missing: BTreeMap<ScenarioName, Vec<String>>,
        /// What single machines get besides, rendered for each.
        #[serde(default)]
        boots: BTreeMap<ScenarioName, BTreeMap<NodeName, NodeBoot>>,
    },
    /// The boot counter was found or lost.
    CounterSeen {
        /// True when the core is connected to it.
        up: bool,
    },
    /// The counter noticed something about the segment or itself.
    Noticed {
        /// What.
        #[serde(flatten)]
        notice: Notice,
    },
    /// A scenario's start was accepted.
    StartAccepted {
        /// Counts the runs of this lab.
        run: u32,
        /// Which scenario.
        scenario: ScenarioName,
        /// Who asked.
        by: Origin,
    },
    /// The taking over of a cluster that runs was accepted, as a run of this scenario.
    AdoptAccepted {
        /// Counts the runs of this lab.
        run: u32,
        /// Which scenario describes it.
        scenario: ScenarioName,
        /// Tells its secrets, which are kept, from others: SHA-256 of the certificate of its Talos CA, in hexadecimal.
        fingerprint: String,
        /// Who asked.
        by: Origin,
    },
    /// Stop was accepted.
    StopAccepted {
        /// Who asked.
        by: Origin,
    },
    /// A person wants one machine on or off, whatever the scenario wants.
    PowerAccepted {
        /// Which machine.
        node: NodeName,
        /// Which way.
        order: PowerOrder,
        /// Who asked.
        by: Origin,
    },
    /// A person wants one machine to be installed again.
    InstallAccepted {
        /// Which machine.
        node: NodeName,
        /// Who asked.
        by: Origin,
    },
    /// The wipe of a disk was accepted.
    WipeAccepted {
        /// Of which machine.
        node: NodeName,
        /// Counts the wipes of this machine.
        number: u32,
        /// Which disk.
        disk: DiskId,
        /// Why it may be wiped.
        permit: WipePermit,
        /// Who asked.
        by: Origin,
    },
    /// A wipe was given up: nobody told how it ended.
    WipeGivenUp {
        /// Of which machine.
        node: NodeName,
        /// Which wipe.
        number: u32,
        /// What was waited for.
        why: String,
    },
    /// A loader that waited asks no more: nothing tells whether its machine still waits.
    LoaderSilent {
        /// Which machine.
        node: NodeName,
    },
    /// A machine is parked no longer, and nobody started it.
    ParkEnded {
        /// Which machine.
        node: NodeName,
        /// Why, for a person.
        because: String,
    },
    /// Our loader was put onto a disk of a machine, or taken from it, and the firmware's order with it.
    DiskLoaderChanged {
        /// Of which machine.
        node: NodeName,
        /// What was done, step by step.
        done: Vec<String>,
        /// Who asked.
        by: Origin,
    },
    /// A TCP port of a machine began or ceased to accept connections.
    PortSeen {
        /// Of which machine.
        node: NodeName,
        /// Which port.
        port: u16,
        /// True when it accepts.
        open: bool,
    },
    /// The secrets of a run's cluster are made and kept.
    SecretsReady {
        /// Which run.
        run: u32,
        /// Tells them from others: SHA-256 of the certificate of the Talos CA, in hexadecimal.
        fingerprint: String,
    },
    /// A machine's Talos API was looked at, and tells something else than before.
    TalosSeen {
        /// Which machine.
        node: NodeName,
        /// What it tells.
        #[serde(flatten)]
        sight: TalosSight,
    },
    /// The cluster says something else of a machine than before.
    MemberSeen {
        /// Which machine.
        node: NodeName,
        /// What it says.
        #[serde(flatten)]
        membership: Membership,
    },
    /// The manifests of a scenario were read and kept by content.
    ManifestsRead {
        /// Which scenario.
        scenario: ScenarioName,
        /// What was read.
        #[serde(flatten)]
        manifests: ManifestFiles,
    },
    /// The cluster tells something else of its pods than before.
    PodsSeen {
        /// In which run.
        run: u32,
        /// What it tells.
        #[serde(flatten)]
        pods: Arc<ClusterPods>,
    },
    /// The pods of a machine are others than before, or do something else.
    NodePodsSeen {
        /// Which machine.
        node: NodeName,
        /// What they do.
        #[serde(flatten)]
        pods: NodePods,
    },
    /// A command was handed to its driver.
    Issued {
        /// Its number.
        id: CommandId,
        /// What.
        #[serde(flatten)]
        command: Command,
    },
    /// A driver answered.
    Finished {
        /// Which command.
        id: CommandId,
        /// What became of it.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Power was seen.
    PowerSeen {
        /// Of which machine.
        node: NodeName,
        /// On, off or unknown.
        state: PowerState,
        /// How that is known.
        evidence: String,
    },
    /// A power device told of a port. Told anew only when it changed: while the device answers, it is still so.
    PortRead {
        /// Of which machine.
        node: NodeName,
        /// What.
        reading: PortReading,
    },
    /// A power device answers, began anew, or is lost.
    DeviceSeen {
        /// Which.
        driver: DriverName,
        /// What was seen.
        #[serde(flatten)]
        sight: DeviceSight,
    },
    /// A switch told of the port that a machine is plugged into, when it changed.
    LinkSeen {
        /// Of which machine.
        node: NodeName,
        /// What.
        link: LinkReading,
    },
    /// Ports of switches are to be disabled for a while.
    CutAccepted {
        /// Which.
        ports: Vec<PortRef>,
        /// For how long, in milliseconds. It ends by itself, also when nobody asks for it.
        span: Span,
        /// Who asked.
        by: Origin,
    },
    /// Ports of switches are to be enabled again.
    CutEnded {
        /// Which.
        ports: Vec<PortRef>,
        /// Who asked; absent where their time was over.
        #[serde(default)]
        by: Option<Origin>,
    },
    /// A machine is off, and this is the speed of its link meanwhile: from now on that tells something.
    StandbyLearned {
        /// Which machine.
        node: NodeName,
        /// Megabits a second; 0 for no link.
        mbit: u32,
    },
    /// A person looked, and said whether a machine runs; or that nobody knows.
    PowerConfirmed {
        /// Which machine.
        node: NodeName,
        /// On, off or unknown.
        state: PowerState,
        /// Who said so.
        by: Origin,
    },
    /// The counter saw something of a machine.
    Sighted {
        /// Which address.
        mac: MacAddr,
        /// What.
        #[serde(flatten)]
        sight: Sight,
    },
    /// A boot table was handed to the counter.
    Published {
        /// Its number.
        table: u64,
    },
    /// A machine is on another rung than before.
    Entered {
        /// Which machine.
        node: NodeName,
        /// The rung.
        rung: Rung,
    },
    /// A start of a machine failed, or a ready one was lost.
    Faulted {
        /// Which machine.
        node: NodeName,
        /// What went wrong.
        #[serde(flatten)]
        fault: Fault,
        /// True if it is given up for this run.
        bad: bool,
    },
    /// Generations of images that one machine each is to try were looked for.
    CandidatesFound {
        /// All there are.
        candidates: Vec<Candidate>,
    },
    /// What came of a start of a generation that is tried.
    TrialCounted {
        /// Name of the image.
        image: String,
        /// Which generation of it.
        generation: u32,
        /// The machine that tried it.
        node: NodeName,
        /// True when it was ready.
        good: bool,
        /// Why, for a person.
        because: String,
    },
    /// The lab as a whole is in another phase.
    PhaseEntered {
        /// Which.
        phase: Phase,
        /// Why, for a person.
        because: String,
    },
}

impl Fact {
    /// How carefully this fact is kept.
    #[must_use]
    pub const fn keeping(&self) -> Keeping {
        match self {
            Self::StartAccepted { .. }
            | Self::AdoptAccepted { .. }
            | Self::StopAccepted { .. }
            | Self::PowerAccepted { .. }
            | Self::PowerConfirmed { .. }
            | Self::InstallAccepted { .. }
            | Self::WipeAccepted { .. }
            | Self::CutAccepted { .. }
            | Self::CutEnded { .. }
            | Self::Issued { .. }
            | Self::CoreStarted { .. } => Keeping::Intent,
            // How a wipe ended is told until it is heard, and must be known after a restart.
            Self::Sighted { sight: Sight::Beat { beat }, .. } if matches!(&beat.wipe, Some(told) if told.state.is_end()) => {
                Keeping::Sighting
            }
            Self::Sighted {
                sight:
                    Sight::Beat { .. }
                    | Sight::FileMoved { .. }
                    | Sight::Frame
                    | Sight::Logged { error: None, .. }
                    | Sight::LoaderSaid { error: None, step: None, .. }
                    | Sight::TalosSaid { .. }
                    | Sight::TalosLogged { .. },
                ..
            }
            | Self::NodePodsSeen { .. } => Keeping::Fleeting,
            Self::ImagesFound { .. }
            | Self::CandidatesFound { .. }
            | Self::TrialCounted { .. }
            | Self::CounterSeen { .. }
            | Self::Noticed { .. }
            | Self::Finished { .. }
            | Self::WipeGivenUp { .. }
            | Self::LoaderSilent { .. }
            | Self::ParkEnded { .. }
            | Self::PowerSeen { .. }
            | Self::PortRead { .. }
            | Self::DeviceSeen { .. }
            | Self::LinkSeen { .. }
            | Self::StandbyLearned { .. }
            | Self::DiskLoaderChanged { .. }
            | Self::PortSeen { .. }
            | Self::SecretsReady { .. }
            | Self::TalosSeen { .. }
            | Self::MemberSeen { .. }
            | Self::ManifestsRead { .. }
            | Self::PodsSeen { .. }
            | Self::Sighted { .. }
            | Self::Published { .. }
            | Self::Entered { .. }
            | Self::Faulted { .. }
            | Self::PhaseEntered { .. } => Keeping::Sighting,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned as _;

    use super::*;
    use crate::{AgentBeat, AgentReport, Ailment, Inventory};

    #[test]
    fn no_fact_writes_the_same_field_twice() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let report = AgentReport {
            mac,
            boot_id: "b".to_owned(),
            nonce: None,
            address: None,
            version: "0".to_owned(),
            kernel: "6.1".to_owned(),
            uptime_ms: 1,
            inventory: Inventory::default(),
            key: None,
            build: None,
            kexec: None,
        };
        let beat = AgentBeat {
            mac,
            boot_id: "b".to_owned(),
            uptime_ms: 1,
            load_milli: 0,
            memory_available_mib: 1,
            ..AgentBeat::default()
        };
        let ailment = Ailment::OomKill { count: 1, victim: Some("qemu (7)".to_owned()) };
        let facts = [
            Fact::Sighted { mac, sight: Sight::Agent { report: Arc::new(report) } },
            Fact::Sighted { mac, sight: Sight::Beat { beat } },
            Fact::Sighted { mac, sight: Sight::Ailing { boot_id: "b".to_owned(), ailment } },
            Fact::Noticed {
                notice: Notice::ForeignRouter { mac, address: "fe80::1".parse().unwrap(), names_dns: true },
            },
        ];
        for fact in facts {
            let text = serde_json::to_string(&fact).unwrap();
            let back: Fact = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(back, fact);
        }
    }
}
