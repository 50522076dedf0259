//! The trial of a new generation of an image: who boots it, when a start of it is good, and when it is given up.
//!
//! ```text
//! found ─▶ tried ── a machine that took it is ready, `after` times ─▶ promoted: all machines get it
//!            └───── one that took it is at fault before it is ready ─▶ refused: nobody gets it any more
//! ```
//!
//! A start is one of the candidate when the machine asked for a file of it while it was answered with it. Only faults
//! that an image can have count against it: a power port that fails says nothing about an image.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    Candidate, Fact, Fault, FaultCode, FileRole, Goal, Image, NodeName, Rung, Sight, TrialState, TrialView,
};
use serde::{Deserialize, Serialize};

use crate::absorb::Touched;
use crate::lab::{Lab, Machine};

/// What is known of the trial of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which generation of it.
    pub generation: u32,
    /// Good starts so far.
    pub starts: u32,
    /// How it stands.
    pub state: TrialState,
    /// Why, for a person.
    pub because: String,
}

/// A boot in which a machine took a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedBoot {
    /// Number of the boot.
    pub boot: u32,
    /// Which generation.
    pub generation: u32,
    /// What came of it was counted.
    pub counted: bool,
}

/// Candidates were looked for: trials of others are over.
pub(crate) fn found(lab: &mut Lab, candidates: &[Candidate]) -> Touched {
    let before = core::mem::take(&mut lab.trials);
    for candidate in candidates {
        let known = before.get(&candidate.name).filter(|trial| trial.generation == candidate.generation);
        let mut trial = known.cloned().unwrap_or_else(|| Trial {
            generation: candidate.generation,
            starts: 0,
            state: TrialState::Tried,
            because: String::new(),
        });
        trial.starts = trial.starts.max(candidate.starts);
        lab.trials.insert(candidate.name.clone(), trial);
    }
    lab.candidates = candidates.iter().cloned().map(Arc::new).collect();
    Touched::All
}

/// The candidate that this machine is answered with in place of its usual image.
pub(crate) fn of<'a>(lab: &'a Lab, machine: &Machine) -> Option<&'a Arc<Candidate>> {
    let (candidate, trial) = offered(lab, machine)?;
    match trial.state {
        TrialState::Tried => (tester(lab, candidate)? == &machine.node).then_some(candidate),
        TrialState::Promoted => Some(candidate),
        TrialState::Refused => None,
    }
}

/// The candidate for the image that this machine usually boots.
fn offered<'a>(lab: &'a Lab, machine: &Machine) -> Option<(&'a Arc<Candidate>, &'a Trial)> {
    // There is hardly ever one, and every answer asks.
    if lab.candidates.is_empty() {
        return None;
    }
    let usual = lab.usual_image_of(machine)?;
    let candidate = lab.candidates.iter().find(|candidate| candidate.instead_of == **usual)?;
    Some((candidate, lab.trials.get(&candidate.name)?))
}

/// The machine that tries it: the one that was named, else the first of the scenario that was not given up.
fn tester<'a>(lab: &'a Lab, candidate: &Candidate) -> Option<&'a NodeName> {
    let fits = |node: &&NodeName| {
        let named = candidate.node.as_ref().is_none_or(|named| named == *node);
        named && lab.machines.get(*node).is_some_and(|machine| tests(lab, machine, candidate))
    };
    lab.scenario()?.nodes.iter().find(fits)
}

fn tests(lab: &Lab, machine: &Machine, candidate: &Candidate) -> bool {
    let usual = lab.usual_image_of(machine);
    machine.goal == Goal::Ready && !machine.bad && usual.is_some_and(|usual| **usual == candidate.instead_of)
}

/// What is added to the reason of an answer.
pub(crate) fn words(lab: &Lab, machine: &Machine) -> String {
    let Some((candidate, trial)) = of(lab, machine).zip(offered(lab, machine).map(|(_, trial)| trial)) else {
        return String::new();
    };
    let Candidate { name, generation, after, .. } = &**candidate;
    match trial.state {
        TrialState::Tried => {
            format!(", generation {generation} of {name} on trial ({} of {after} good starts)", trial.starts)
        }
        TrialState::Promoted => format!(", generation {generation} of {name}"),
        TrialState::Refused => String::new(),
    }
}

/// The generation whose file a machine asks for, if it is a candidate's.
pub(crate) fn taken(lab: &Lab, machine: &Machine, sight: &Sight) -> Option<u32> {
    let Sight::FileAsked { role: FileRole::Kernel | FileRole::Initrd | FileRole::Uki, size, .. } = sight
    else {
        return None;
    };
    let candidate = of(lab, machine)?;
    let Image { kernel, initrd, uki, .. } = &*candidate.image;
    let mut files = kernel.iter().chain(initrd).chain(uki);
    files.any(|file| file.size == *size).then_some(candidate.generation)
}

/// A machine asked for a file of this generation.
pub(crate) fn note(machine: &mut Machine, generation: u32) {
    let boot = machine.boots;
    let known = |tried: &TriedBoot| tried.boot == boot && tried.generation == generation;
    if !machine.tried.as_ref().is_some_and(known) {
        machine.tried = Some(TriedBoot { boot, generation, counted: false });
    }
}

/// The trial that what happens to this machine now decides about.
fn open<'a>(lab: &'a Lab, machine: &Machine) -> Option<&'a Candidate> {
    let tried = machine.tried.filter(|tried| !tried.counted)?;
    let (candidate, trial) = offered(lab, machine)?;
    (trial.state == TrialState::Tried && candidate.generation == tried.generation).then_some(candidate)
}

/// A machine that took a candidate is ready: a good start, to be counted once.
pub(crate) fn started(lab: &Lab, machine: &Machine, rung: Rung) -> Option<Fact> {
    let candidate = open(lab, machine).filter(|_| rung == Rung::Ready)?;
    machine.tried.filter(|tried| tried.boot == machine.boots)?;
    Some(fact(candidate, machine, true, format!("{} is ready", machine.node)))
}

/// A machine that took a candidate is at fault before it was ready: its image is to blame, and not the machine.
pub(crate) fn failed(lab: &Lab, machine: &Machine, fault: &Fault) -> Option<Fact> {
    let blames = match fault.code {
        FaultCode::NeverAsked
        | FaultCode::FetchStalled
        | FaultCode::KernelSilent
        | FaultCode::AgentLost
        | FaultCode::CrashLooping => true,
        FaultCode::InstallStalled
        | FaultCode::ConfigLost
        | FaultCode::ConfigRefused
        | FaultCode::Impostor
        | FaultCode::NotJoined
        | FaultCode::NoControlPlane
        | FaultCode::PowerRefused
        | FaultCode::PowerUnseen
        | FaultCode::PowerUnknown
        | FaultCode::HostLost
        | FaultCode::GuestRefused => false,
    };
    let candidate = open(lab, machine).filter(|_| blames)?;
    Some(fact(candidate, machine, false, format!("{}: {} ({})", machine.node, fault.text, fault.code)))
}

fn fact(candidate: &Candidate, machine: &Machine, good: bool, because: String) -> Fact {
    Fact::TrialCounted {
        image: candidate.name.clone(),
        generation: candidate.generation,
        node: machine.node.clone(),
        good,
        because,
    }
}

/// A start was counted.
pub(crate) fn counted(
    lab: &mut Lab,
    (image, generation): (&str, u32),
    node: &NodeName,
    (good, because): (bool, &str),
) -> Touched {
    if let Some(machine) = lab.machines.get_mut(node).map(Arc::make_mut) {
        if let Some(tried) = &mut machine.tried {
            tried.counted = true;
        }
        if !good {
            // What the image did is not held against the machine: it has all its tries for the one before.
            machine.tries = 0;
        }
    }
    let after =
        lab.candidates.iter().find(|candidate| candidate.name == image).map_or(1, |found| found.after);
    let Some(trial) = lab.trials.get_mut(image).filter(|trial| trial.generation == generation) else {
        return Touched::All;
    };
    because.clone_into(&mut trial.because);
    if !good {
        trial.state = TrialState::Refused;
        return Touched::All;
    }
    trial.starts = trial.starts.saturating_add(1);
    if trial.starts >= after {
        trial.state = TrialState::Promoted;
    }
    Touched::All
}

/// All trials, for people.
pub(crate) fn views(lab: &Lab) -> Vec<TrialView> {
    let trials: &BTreeMap<String, Trial> = &lab.trials;
    let view = |candidate: &Arc<Candidate>| {
        let trial = trials.get(&candidate.name)?;
        Some(TrialView {
            image: candidate.name.clone(),
            generation: trial.generation,
            starts: trial.starts,
            after: candidate.after,
            state: trial.state,
            because: trial.because.clone(),
            node: tester(lab, candidate).cloned(),
        })
    };
    lab.candidates.iter().filter_map(view).collect()
}
