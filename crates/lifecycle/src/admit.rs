//! The front desk: says yes to a request, or why not, in words a person can act on.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use model::{
    Fact, Goal, NodeName, NodeSpec, Origin, PowerDriver, PowerOrder, PowerState, ScenarioName, Span,
};

use crate::cuts::{self, CutRefusal};
use crate::lab::{Lab, Machine};
use crate::park::is_released_to;
use crate::power::judge::presses;
use crate::rungs::is_by_hand;
use crate::wipe::admit::{WipeRefusal, admit_wipe};

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start a scenario.
    Start {
        /// Which; as typed.
        scenario: String,
        /// Who asks.
        by: Origin,
    },
    /// Take over a cluster that runs, whose secrets are kept.
    Adopt {
        /// The scenario that describes it; as typed.
        scenario: String,
        /// The run that its secrets were kept for.
        run: u32,
        /// Tells its secrets from others.
        fingerprint: String,
        /// Who asks.
        by: Origin,
    },
    /// Switch the lab's machines off.
    Stop {
        /// Who asks.
        by: Origin,
    },
    /// Install one machine again, in the run that goes on.
    Install {
        /// Which; as typed.
        node: String,
        /// Who asks.
        by: Origin,
    },
    /// Wipe a disk of one machine.
    Wipe {
        /// Which machine; as typed.
        node: String,
        /// Which disk, by name or serial; may be left out where there is one.
        disk: Option<String>,
        /// The serial, typed to say that this disk is meant.
        confirm: Option<String>,
        /// Who asks.
        by: Origin,
    },
    /// A person looked whether a machine runs.
    Confirm {
        /// Which; as typed, or its power port.
        node: String,
        /// What was seen.
        state: PowerState,
        /// Who says so.
        by: Origin,
    },
    /// Disable ports of switches for a while.
    Cut {
        /// Ports, machines or zones; as typed.
        what: Vec<String>,
        /// For how long.
        span: Span,
        /// Who asks.
        by: Origin,
    },
    /// Enable ports of switches again before their time.
    Restore {
        /// Ports, machines, zones, or `all`; as typed.
        what: Vec<String>,
        /// Who asks.
        by: Origin,
    },
    /// Switch one machine.
    Power {
        /// Which; as typed.
        node: String,
        /// Which way.
        order: PowerOrder,
        /// Who asks.
        by: Origin,
    },
}

/// The answer to a request that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes: record this.
    Record(Fact),
    /// It is so already.
    Already,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such scenario in the lab file.
    UnknownScenario {
        /// As typed.
        asked: String,
        /// What there is.
        known: Vec<ScenarioName>,
    },
    /// No such machine on the board.
    UnknownNode {
        /// As typed.
        asked: String,
        /// What there is.
        known: Vec<NodeName>,
    },
    /// Files of the scenario's image are missing, or are not what it is described for.
    ImageMissing {
        /// Which scenario.
        scenario: ScenarioName,
        /// What it lacks, for a person.
        lacks: Vec<String>,
    },
    /// The files of the scenarios are still being read.
    ImagesUnread,
    /// Manifests that the scenario installs cannot be applied as they are.
    ManifestsWrong {
        /// Which scenario.
        scenario: ScenarioName,
    },
    /// Another scenario runs.
    AnotherRunning {
        /// Which.
        running: ScenarioName,
    },
    /// The lab is being stopped.
    Stopping,
    /// The boot counter is not there, so no machine could boot.
    CounterAway,
    /// The scenario builds no cluster.
    NoCluster {
        /// Which.
        scenario: ScenarioName,
    },
    /// Nothing that runs now installs this machine.
    NotInstalling {
        /// Which.
        node: NodeName,
    },
    /// A person switches this machine.
    SwitchedByHand {
        /// Which.
        node: NodeName,
    },
    /// Whether this machine runs is not known, so its button is not pressed.
    PowerUnknown {
        /// Which.
        node: NodeName,
        /// What is known.
        evidence: String,
    },
    /// Its power port has no button.
    NoButton {
        /// Which.
        node: NodeName,
    },
    /// The port is protected.
    Protected {
        /// Which.
        port: String,
    },
    /// The disk cannot be wiped so.
    Wipe(WipeRefusal),
    /// These ports cannot be disabled so.
    Cut(CutRefusal),
}

impl Refusal {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownScenario { .. } => "unknown_scenario",
            Self::UnknownNode { .. } => "unknown_node",
            Self::ImageMissing { .. } => "image_missing",
            Self::ImagesUnread => "images_unread",
            Self::ManifestsWrong { .. } => "manifests_wrong",
            Self::AnotherRunning { .. } => "another_running",
            Self::Stopping => "stopping",
            Self::CounterAway => "counter_away",
            Self::NoCluster { .. } => "no_cluster",
            Self::NotInstalling { .. } => "not_installing",
            Self::SwitchedByHand { .. } => "switched_by_hand",
            Self::PowerUnknown { .. } => "power_unknown",
            Self::NoButton { .. } => "no_button",
            Self::Protected { .. } => "protected",
            Self::Wipe(refusal) => refusal.code(),
            Self::Cut(refusal) => refusal.code(),
        }
    }

    /// What the person who asked can do.
    #[must_use]
    pub fn advice(&self) -> String {
        let list = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
        match self {
            Self::UnknownScenario { known, .. } => {
                format!("this lab has: {}", list(&mut known.iter().map(ScenarioName::as_str)))
            }
            Self::UnknownNode { known, .. } => {
                format!("this board has: {}", list(&mut known.iter().map(NodeName::as_str)))
            }
            Self::ImageMissing { scenario, .. } => {
                format!("`labinator scenarios` says all that {scenario} lacks and how to get it")
            }
            Self::ImagesUnread => "ask again in a moment".to_owned(),
            Self::ManifestsWrong { .. } => {
                "`labinator check` on the lab file says what is wrong with them, and where".to_owned()
            }
            Self::AnotherRunning { .. } => "stop it first: `labinator stop`".to_owned(),
            Self::Stopping => "wait until its machines are off, then ask again".to_owned(),
            Self::CounterAway => {
                "it is started again within seconds; if not, `labinator doctor` says why".to_owned()
            }
            Self::NoCluster { .. } => {
                "describe the cluster in a scenario with `talos`, `control-plane` and `workers`".to_owned()
            }
            Self::NotInstalling { .. } => "start a scenario with `install` first".to_owned(),
            Self::SwitchedByHand { node } => format!("press the button of {node}; the lab sees what happens"),
            Self::PowerUnknown { node, .. } => format!(
                "look at it, then `labinator power set {node} off` or `on`; standing before it, `labinator power press {node}`"
            ),
            Self::NoButton { node } => format!("`labinator power on {node}` or `off`"),
            Self::Protected { .. } => {
                "it is the boss's own, or no machine of the lab: change `protect` in the lab file if that is wrong"
                    .to_owned()
            }
            Self::Wipe(refusal) => refusal.advice(),
            Self::Cut(refusal) => refusal.advice(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownScenario { asked, .. } => write!(f, "there is no scenario `{asked}`"),
            Self::UnknownNode { asked, .. } => write!(f, "there is no machine `{asked}`"),
            Self::ImageMissing { scenario, lacks } => {
                write!(f, "scenario {scenario} cannot be started")?;
                lacks.first().map_or(Ok(()), |first| write!(f, ": {first}"))?;
                if lacks.len() > 1 { write!(f, "; and {} more", lacks.len() - 1) } else { Ok(()) }
            }
            Self::ImagesUnread => f.write_str("the files of the scenarios are still being read"),
            Self::ManifestsWrong { scenario } => {
                write!(f, "manifests that scenario {scenario} installs are wrong")
            }
            Self::AnotherRunning { running } => write!(f, "scenario {running} is running"),
            Self::Stopping => f.write_str("the lab is being stopped"),
            Self::CounterAway => f.write_str("the boot counter is not answering"),
            Self::NoCluster { scenario } => write!(f, "scenario {scenario} is no cluster"),
            Self::NotInstalling { node } => write!(f, "no scenario that installs {node} is running"),
            Self::SwitchedByHand { node } => write!(f, "{node} is switched by hand"),
            Self::PowerUnknown { node, evidence } => {
                write!(f, "whether {node} runs is not known ({evidence}), and a press does one or the other")
            }
            Self::NoButton { node } => write!(f, "{node} is not switched by a button"),
            Self::Protected { port } => write!(f, "{port} is protected"),
            Self::Wipe(refusal) => refusal.fmt(f),
            Self::Cut(refusal) => refusal.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

/// Answers a request. Asking for what is so already is a yes.
///
/// # Errors
/// A [`Refusal`]: nothing was changed.
pub fn admit(lab: &Lab, request: &Request) -> Result<Verdict, Refusal> {
    match request {
        Request::Start { scenario, by } => admit_start(lab, scenario, *by),
        Request::Adopt { scenario, run, fingerprint, by } => {
            admit_adopt(lab, scenario, (*run, fingerprint), *by)
        }
        Request::Stop { by } => Ok(match lab.active_run() {
            Some(_) => Verdict::Record(Fact::StopAccepted { by: *by }),
            None => Verdict::Already,
        }),
        Request::Install { node, by } => admit_install(lab, node, *by),
        Request::Wipe { node, disk, confirm, by } => {
            let machine = named(lab, node)?;
            admit_wipe(lab, machine, (disk.as_deref(), confirm.as_deref()), *by).map_err(Refusal::Wipe)
        }
        Request::Cut { what, span, by } => cuts::admit_cut(lab, what, *span, *by),
        Request::Restore { what, by } => cuts::admit_restore(lab, what, *by),
        Request::Power { node, order, by } => admit_power(lab, node, *order, *by),
        Request::Confirm { node, state, by } => {
            let node = switched(lab, node)?.node.clone();
            Ok(Verdict::Record(Fact::PowerConfirmed { node, state: *state, by: *by }))
        }
    }
}

fn scenario_named<'a>(lab: &'a Lab, asked: &str) -> Result<&'a ScenarioName, Refusal> {
    lab.spec.scenarios.keys().find(|name| name.as_str() == asked).ok_or_else(|| {
        let known = lab.spec.scenarios.keys().cloned().collect();
        Refusal::UnknownScenario { asked: asked.to_owned(), known }
    })
}

/// Whether a cluster can be taken over as a run of this scenario.
///
/// # Errors
/// A [`Refusal`].
pub fn may_adopt<'a>(lab: &'a Lab, asked: &str) -> Result<&'a ScenarioName, Refusal> {
    let scenario = scenario_named(lab, asked)?;
    if lab.spec.scenarios.get(scenario).is_none_or(|spec| spec.talos.is_none()) {
        return Err(Refusal::NoCluster { scenario: scenario.clone() });
    }
    match &lab.run {
        Some(run) if run.stopping => Err(Refusal::Stopping),
        Some(run) => Err(Refusal::AnotherRunning { running: run.scenario.clone() }),
        None => Ok(scenario),
    }
}

fn admit_adopt(
    lab: &Lab,
    asked: &str,
    (run, fingerprint): (u32, &str),
    by: Origin,
) -> Result<Verdict, Refusal> {
    let scenario = may_adopt(lab, asked)?.clone();
    if run != lab.runs.saturating_add(1) {
        // Another run came and went since the secrets were kept for this one.
        return Err(Refusal::AnotherRunning { running: scenario });
    }
    Ok(Verdict::Record(Fact::AdoptAccepted { run, scenario, fingerprint: fingerprint.to_owned(), by }))
}

fn admit_start(lab: &Lab, asked: &str, by: Origin) -> Result<Verdict, Refusal> {
    let scenario = scenario_named(lab, asked)?;
    if !lab.images.contains_key(scenario) && !lab.images_known {
        return Err(Refusal::ImagesUnread);
    }
    if !lab.images.contains_key(scenario) {
        let lacks = lab.missing.get(scenario).cloned().unwrap_or_default();
        return Err(Refusal::ImageMissing { scenario: scenario.clone(), lacks });
    }
    let installs = lab.spec.scenarios.get(scenario).and_then(|spec| spec.talos.as_ref());
    match lab.manifests.get(scenario) {
        None if installs.is_some_and(|talos| !talos.install.is_empty()) => {
            return Err(Refusal::ImagesUnread);
        }
        Some(read) if !read.mistakes.is_empty() => {
            return Err(Refusal::ManifestsWrong { scenario: scenario.clone() });
        }
        Some(_) | None => {}
    }
    if let Some(run) = &lab.run {
        let failed = lab.phase == model::Phase::Failed;
        match (run.stopping, run.scenario == *scenario) {
            (true, _) => return Err(Refusal::Stopping),
            (false, true) if !failed => return Ok(Verdict::Already),
            (false, true) => {}
            (false, false) => return Err(Refusal::AnotherRunning { running: run.scenario.clone() }),
        }
    }
    if !lab.counter_up {
        return Err(Refusal::CounterAway);
    }
    let run = lab.runs.saturating_add(1);
    Ok(Verdict::Record(Fact::StartAccepted { run, scenario: scenario.clone(), by }))
}

/// The machine that is meant by this word.
///
/// # Errors
/// There is none; what there is.
pub fn named<'a>(lab: &'a Lab, asked: &str) -> Result<&'a Machine, Refusal> {
    let machine = asked.parse().ok().and_then(|name: NodeName| lab.machines.get(&name));
    machine.map(AsRef::as_ref).ok_or_else(|| {
        let known = lab.machines.keys().cloned().collect();
        Refusal::UnknownNode { asked: asked.to_owned(), known }
    })
}

fn admit_install(lab: &Lab, asked: &str, by: Origin) -> Result<Verdict, Refusal> {
    let machine = named(lab, asked)?;
    let node = machine.node.clone();
    match machine.install {
        Some(install) if lab.active_run().is_some() => match install.spent_in {
            Some(_) => Ok(Verdict::Record(Fact::InstallAccepted { node, by })),
            None => Ok(Verdict::Already),
        },
        Some(_) | None => Err(Refusal::NotInstalling { node }),
    }
}

/// A machine by its name or its power port.
fn switched<'a>(lab: &'a Lab, asked: &str) -> Result<&'a Machine, Refusal> {
    let Some((driver, port)) = asked.split_once('/') else { return named(lab, asked) };
    let device = lab.spec.power.iter().find(|(name, _)| name.as_str() == driver).map(|(_, spec)| spec);
    if let Some(PowerDriver::Device(device)) = device
        && device.protect.contains(port)
    {
        return Err(Refusal::Protected { port: asked.to_owned() });
    }
    let on_it = |node: &NodeSpec| node.power.driver.as_str() == driver && node.power.port == port;
    let node = lab.spec.board.nodes.iter().find(|(_, node)| on_it(node)).map(|(name, _)| name.as_str());
    named(lab, node.unwrap_or(asked))
}

/// Whether a person may switch a machine whose port is a button.
fn admit_button(lab: &Lab, machine: &Machine, order: PowerOrder) -> Result<(), Refusal> {
    let node = machine.node.clone();
    let presses = presses(lab, machine);
    match order {
        PowerOrder::Press if !presses => Err(Refusal::NoButton { node }),
        PowerOrder::On | PowerOrder::Off | PowerOrder::Soft
            if presses
                && machine.agent.is_none()
                && matches!(machine.power, PowerState::Unknown | PowerState::Changing) =>
        {
            Err(Refusal::PowerUnknown { node, evidence: machine.evidence.clone() })
        }
        PowerOrder::On | PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press => Ok(()),
    }
}

/// Refuses what must not come between while a disk of the machine may be being wiped.
fn not_wiping(machine: &Machine) -> Result<(), Refusal> {
    machine.may_be_wiping().map_or(Ok(()), |wipe| {
        let (node, disk) = (machine.node.clone(), Box::new(wipe.disk.clone()));
        Err(Refusal::Wipe(WipeRefusal::Wiping { node, disk }))
    })
}

/// The machine that is meant by this word, whose disks may be written to besides what runs there.
///
/// # Errors
/// There is no such machine, or a disk of it is being wiped.
pub fn admit_disks(lab: &Lab, asked: &str) -> Result<NodeName, Refusal> {
    let machine = named(lab, asked)?;
    not_wiping(machine).map(|()| machine.node.clone())
}

fn admit_power(lab: &Lab, asked: &str, order: PowerOrder, by: Origin) -> Result<Verdict, Refusal> {
    let machine = switched(lab, asked)?;
    if is_by_hand(lab, machine) {
        return Err(Refusal::SwitchedByHand { node: machine.node.clone() });
    }
    not_wiping(machine)?;
    admit_button(lab, machine, order)?;
    let so_already = match order {
        PowerOrder::On => {
            machine.power == PowerState::On && machine.person.is_none() && machine.off_wanted.is_none()
        }
        PowerOrder::Off | PowerOrder::Soft => !machine.may_run() && machine.goal != Goal::Ready,
        PowerOrder::Press => false,
    };
    if so_already {
        return Ok(Verdict::Already);
    }
    Ok(Verdict::Record(Fact::PowerAccepted { node: machine.node.clone(), order, by }))
}

/// What a start would do to the machines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOutline {
    /// Switched off first.
    pub switched_off: Vec<NodeName>,
    /// Released from waiting.
    pub released: Vec<NodeName>,
    /// Switched on.
    pub switched_on: Vec<NodeName>,
    /// To be switched by a person.
    pub by_hand: Vec<NodeName>,
    /// Milliseconds until all are ready, from the medians of earlier boots.
    pub about_ms: Option<u64>,
}

/// Looks ahead: what a start of `scenario` would do, nothing being changed.
#[must_use]
pub fn plan(lab: &Lab, scenario: &ScenarioName) -> PlanOutline {
    let mut outline = PlanOutline::default();
    let members = lab.spec.scenarios.get(scenario).map(|s| s.nodes.as_slice()).unwrap_or_default();
    let mut slowest = Some(0);
    for machine in members.iter().filter_map(|name| lab.machines.get(name)) {
        let node = machine.node.clone();
        match machine.power {
            PowerState::On | PowerState::Changing | PowerState::Unknown
                if is_released_to(lab, scenario, machine) =>
            {
                outline.released.push(node);
            }
            _ if is_by_hand(lab, machine) => outline.by_hand.push(node),
            PowerState::Off => outline.switched_on.push(node),
            PowerState::Changing | PowerState::Unknown if machine.live_boot().is_none() => {
                outline.switched_on.push(node);
            }
            PowerState::On | PowerState::Changing | PowerState::Unknown => {
                outline.switched_off.push(node.clone());
                outline.switched_on.push(node);
            }
        }
        let mut totals: Vec<u64> = machine.past.iter().map(|p| p.total_ms.into()).collect();
        totals.sort_unstable();
        slowest = slowest.zip(totals.get(totals.len() / 2)).map(|(a, b): (u64, &u64)| a.max(*b));
    }
    outline.about_ms = slowest.filter(|ms| *ms > 0);
    outline
}
