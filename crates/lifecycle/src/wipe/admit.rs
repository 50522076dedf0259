//! Whether a disk may be wiped: which one is meant, whose it is, and what must be typed first.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use model::{DiskId, DiskKnown, Fact, Goal, LabName, NodeName, Origin, WipePermit};

use crate::admit::Verdict;
use crate::lab::{Lab, Machine};

/// Why a disk is not wiped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WipeRefusal {
    /// What the machine runs, or is to run, has no agent of ours inside.
    NoAgent {
        /// Which machine.
        node: NodeName,
        /// True where it boots Talos.
        talos: bool,
    },
    /// Its agent did not show the word of its kernel line, so it could be anybody.
    Unproven {
        /// Which machine.
        node: NodeName,
    },
    /// No agent of this machine ever told which disks it has, or not so that they can be named in an order.
    DisksUnknown {
        /// Which machine.
        node: NodeName,
    },
    /// No such disk, or none was named and there are several.
    WhichDisk {
        /// Of which machine.
        node: NodeName,
        /// As typed.
        asked: Option<String>,
        /// What there is.
        known: Vec<DiskId>,
    },
    /// It is mounted, part of something, or not a disk of the box.
    InUse {
        /// Of which machine.
        node: NodeName,
        /// Which disk.
        disk: Box<DiskId>,
        /// How.
        why: String,
    },
    /// It is not recorded as this lab's, and its serial was not typed.
    Unconfirmed {
        /// Of which machine.
        node: NodeName,
        /// Which disk.
        disk: Box<DiskId>,
        /// The lab that it was last recorded to belong to.
        owner: Option<LabName>,
        /// What was typed instead.
        typed: Option<String>,
    },
    /// A wipe goes on, or is about to.
    Wiping {
        /// On which machine.
        node: NodeName,
        /// Which disk.
        disk: Box<DiskId>,
    },
}

impl WipeRefusal {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAgent { .. } => "no_agent",
            Self::Unproven { .. } => "agent_unproven",
            Self::DisksUnknown { .. } => "disks_unknown",
            Self::WhichDisk { .. } => "which_disk",
            Self::InUse { .. } => "disk_in_use",
            Self::Unconfirmed { .. } => "disk_unconfirmed",
            Self::Wiping { .. } => "wiping",
        }
    }

    /// What the person who asked can do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::NoAgent { talos: true, .. } => {
                "Talos wipes its own disk when it is given a config for the first time in a run".to_owned()
            }
            Self::NoAgent { talos: false, .. } => {
                "start a scenario whose image carries the agent, such as `rescue`, then ask again".to_owned()
            }
            Self::Unproven { .. } => {
                "boot it by a loader that takes a kernel line, not as one file over HTTP".to_owned()
            }
            Self::DisksUnknown { node } => {
                format!(
                    "let it boot an image with this release's agent; `labinator explain {node}` says when it reported"
                )
            }
            Self::WhichDisk { node, known, .. } => {
                let names: Vec<String> = known.iter().map(|disk| format!("{disk}")).collect();
                match known.first() {
                    Some(first) => format!(
                        "it has {}; name one, as in `labinator wipe {node} --disk {}`",
                        names.join(", "),
                        first.name
                    ),
                    None => "it told of no disk".to_owned(),
                }
            }
            Self::InUse { node, disk, .. } => {
                format!("free it, or start {node} again without what uses {}, then ask again", disk.name)
            }
            Self::Unconfirmed { node, disk, .. } => {
                let (name, word) = (&disk.name, disk.word(node));
                format!("if all of it may go: `labinator wipe {node} --disk {name} --confirm {word}`")
            }
            Self::Wiping { node, .. } => format!("wait: `labinator explain {node}` says how far it is"),
        }
    }
}

impl fmt::Display for WipeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent { node, talos: true } => {
                write!(f, "{node} boots Talos, which has no agent of ours")
            }
            Self::NoAgent { node, talos: false } => {
                write!(f, "nothing that {node} runs, or is to run, carries the agent that wipes")
            }
            Self::Unproven { node } => write!(f, "the agent of {node} did not prove which machine it is in"),
            Self::DisksUnknown { node } => write!(f, "the disks of {node} are not known"),
            Self::WhichDisk { node, asked: Some(asked), .. } => write!(f, "{node} has no disk `{asked}`"),
            Self::WhichDisk { node, asked: None, known } => {
                write!(f, "{node} has {} disks, and none was named", known.len())
            }
            Self::InUse { node, disk, why } => write!(f, "{disk} of {node} is not wiped: {why}"),
            Self::Unconfirmed { node, disk, owner, typed } => {
                write!(f, "{disk} of {node} is not recorded as this lab's; ")?;
                match owner {
                    Some(owner) => write!(f, "its last owner is lab {owner}")?,
                    None => f.write_str("no owner of it is known")?,
                }
                typed.as_ref().map_or(Ok(()), |typed| write!(f, "; `{typed}` is not its serial"))
            }
            Self::Wiping { node, disk } => write!(f, "{disk} of {node} is being wiped"),
        }
    }
}

/// Answers a request to wipe.
pub(crate) fn admit_wipe(
    lab: &Lab,
    machine: &Machine,
    (asked, typed): (Option<&str>, Option<&str>),
    by: Origin,
) -> Result<Verdict, WipeRefusal> {
    let node = machine.node.clone();
    agent_comes(lab, machine)?;
    let known = which(machine, asked)?;
    let disk = Box::new(known.disk.clone());
    if let Some(wipe) = machine.open_wipe() {
        return match wipe.disk.digest == disk.digest {
            true => Ok(Verdict::Already),
            false => Err(WipeRefusal::Wiping { node, disk: Box::new(wipe.disk.clone()) }),
        };
    }
    if let Some(why) = known.used.clone() {
        return Err(WipeRefusal::InUse { node, disk, why });
    }
    let permit = match (typed, &known.owner) {
        (Some(typed), _) if typed == disk.word(&node) => WipePermit::Typed,
        (None, Some(owner)) if *owner == lab.spec.lab => WipePermit::Recorded,
        (typed, owner) => {
            let (owner, typed) = (owner.clone(), typed.map(str::to_owned));
            return Err(WipeRefusal::Unconfirmed { node, disk, owner, typed });
        }
    };
    let number = machine.wipes.saturating_add(1);
    Ok(Verdict::Record(Fact::WipeAccepted { node, number, disk: *disk, permit, by }))
}

/// An agent that can be told is there, or comes with what the machine boots next.
fn agent_comes(lab: &Lab, machine: &Machine) -> Result<(), WipeRefusal> {
    let node = machine.node.clone();
    let talos = lab.cluster_of(machine).is_some();
    match &machine.agent {
        Some(agent) if agent.report.nonce.is_none() => Err(WipeRefusal::Unproven { node }),
        Some(_) => Ok(()),
        None => {
            let boots_it =
                machine.goal == Goal::Ready && lab.image_of(machine).is_some_and(|image| image.agent);
            if boots_it && !talos { Ok(()) } else { Err(WipeRefusal::NoAgent { node, talos }) }
        }
    }
}

fn which<'a>(machine: &'a Machine, asked: Option<&str>) -> Result<&'a DiskKnown, WipeRefusal> {
    let node = machine.node.clone();
    if machine.disks.is_empty() {
        return Err(WipeRefusal::DisksUnknown { node });
    }
    let found = match (asked, machine.disks.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(asked), disks) => {
            let name = asked.strip_prefix("/dev/").unwrap_or(asked);
            let is_it = |known: &&DiskKnown| known.disk.name == name || known.disk.serial == asked;
            let mut matching = disks.iter().filter(is_it);
            // Two disks of one serial: only the name tells them apart.
            matching.next().filter(|_| matching.next().is_none())
        }
    };
    found.ok_or_else(|| WipeRefusal::WhichDisk {
        node,
        asked: asked.map(str::to_owned),
        known: machine.disks.iter().map(|known| known.disk.clone()).collect(),
    })
}
