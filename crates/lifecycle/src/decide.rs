//! Judging: what to record, what to wish, what is waited for, and when to look again. Changes nothing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{
    Command, Fact, Fault, FaultCode, Goal, LabTime, Moment, NodeName, Phase, PowerOrder, PowerState, Rung,
    Span, Waiting,
};

use crate::cuts;
use crate::gates::Gate;
use crate::gates::manifests::{self, Pods};
use crate::judge::{Judge, Judgment, Tally};
use crate::lab::{Lab, Machine};
use crate::park;
use crate::power::{self, judge::presses};
use crate::rungs::{Step, asked_turns_at, climb, is_by_hand, switch};
use crate::wipe;

/// How long an agent is given to switch its machine off by itself before the driver does it.
const SOFT_OFF: Span = Span::secs(10);
/// How long an agent is given to leave its run and wait in memory: its guests and what it wipes come first.
const SOFT_PARK: Span = Span::secs(30);
/// How many times the power limit a machine may take to go off before a person must look.
const OFF_ROUNDS: u64 = 3;
/// Machines that are named in a sentence about many.
const NAMED: usize = 8;

/// What follows from what is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// What must be recorded first: rungs, faults and phases that were found. While there are any, the
    /// rest is not final.
    pub facts: Vec<Fact>,
    /// What to ask of drivers.
    pub wishes: Vec<Command>,
    /// What each machine waits for.
    pub waits: BTreeMap<NodeName, Waiting>,
    /// When to decide again if nothing happens until then.
    pub wake_at: Option<LabTime>,
}

/// Judges the whole lab at `now`, as [`Judge`] does who has seen nothing yet.
#[must_use]
pub fn decide(lab: &Lab, now: Moment) -> Decision {
    let mut judge = Judge::new();
    let Judgment { facts, wishes, wake_at } = judge.judge(lab, now);
    Decision { facts, wishes, waits: judge.into_waits(), wake_at }
}

pub(crate) fn step(lab: &Lab, machine: &Machine, rung: Rung, gate: &Gate<'_>, now: LabTime) -> Step {
    if let Some(fenced) = wipe::fence(lab, machine, now) {
        return fenced;
    }
    if machine.press_wanted.is_some() && machine.in_flight.is_none() {
        return switch(lab, machine, PowerOrder::Press, now);
    }
    if machine.bad {
        return Step::Rest;
    }
    if let Some(since) = off_since(lab, machine) {
        return go_off(lab, machine, since, now);
    }
    match (machine.person, machine.goal) {
        (Some(PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press), _) | (None, Goal::Off) => Step::Rest,
        (None, Goal::Any) => park::step(lab, machine, rung, now),
        (Some(PowerOrder::On), Goal::Any | Goal::Off) => match machine.power {
            PowerState::On => Step::Rest,
            PowerState::Off | PowerState::Changing | PowerState::Unknown => {
                switch(lab, machine, PowerOrder::On, now)
            }
        },
        (_, Goal::Ready) if machine.tries > lab.spec.limits.tries && rung != Rung::Ready => {
            Step::GiveUp(Fault {
                code: FaultCode::KernelSilent,
                text: format!("boot {} of this machine began by itself, and so did others", machine.boots),
            })
        }
        (_, Goal::Ready) => match gate {
            Gate::Shut(others) if rung == Rung::Off => Step::Behind(behind_gate(lab, others, now)),
            Gate::Open | Gate::Shut(_) => match cuts::hold(lab, machine, now).filter(|_| rung != Rung::Ready)
            {
                Some(waiting) => Step::Wait(waiting),
                None => climb(lab, machine, rung, now),
            },
        },
    }
}

fn behind_gate(lab: &Lab, others: &BTreeSet<NodeName>, now: LabTime) -> Waiting {
    let since = lab.run.as_ref().map_or(now, |run| run.since.since_start);
    // The machines waited for have limits of their own; this is only when to look again.
    let limit = Span(lab.spec.limits.power.0.saturating_add(SOFT_OFF.0));
    let rounds = now.since(since).0 / limit.0.max(1) + 1;
    Waiting {
        what: format!("{} to be seen off", listed(others)),
        since,
        until: since.after(Span(limit.0.saturating_mul(rounds))),
        then: String::from("look again; a machine that will not go off is marked bad"),
    }
}

/// When a machine that must go off since `since` is given up.
fn patience_ends(lab: &Lab, since: LabTime) -> LabTime {
    since.after(Span(SOFT_OFF.0.saturating_add(lab.spec.limits.power.0.saturating_mul(OFF_ROUNDS))))
}

/// When a machine that waits is judged otherwise although its wait has not ended.
pub(crate) fn turns_at(lab: &Lab, machine: &Machine, rung: Rung, now: LabTime) -> Option<LabTime> {
    let turn = match off_since(lab, machine) {
        Some(since) if presses(lab, machine) => Some(power::off::patience_ends(lab, since)),
        Some(since) if !is_by_hand(lab, machine) => Some(patience_ends(lab, since)),
        Some(_) => None,
        None if rung == Rung::Asked => asked_turns_at(machine),
        None => None,
    };
    turn.filter(|at| *at > now)
}

/// Since when it may go off: what was wanted while its disk was wiped, or its Talos reset, counts from the end of that.
fn off_since(lab: &Lab, machine: &Machine) -> Option<LabTime> {
    let wiped = machine.wipe.as_ref().and_then(|wipe| wipe.ended);
    let reset = park::talos::ends(lab, machine);
    machine.off_wanted.map(|since| since.max(wiped.unwrap_or_default()).max(reset.unwrap_or_default()))
}

/// Off first by its own agent, then by its driver, and never believed before it is seen.
fn go_off(lab: &Lab, machine: &Machine, since: LabTime, now: LabTime) -> Step {
    if is_by_hand(lab, machine) {
        let limit = lab.spec.limits.first_ask;
        let rounds = now.since(since).0 / limit.0.max(1) + 1;
        let stopping = machine.goal == Goal::Off;
        if stopping && rounds > 1 {
            return Step::GiveUp(Fault {
                code: FaultCode::PowerUnseen,
                text: format!("nobody was seen to switch it off in {}", now.since(since)),
            });
        }
        let what =
            if stopping { "somebody to switch it off" } else { "somebody to switch it off and on again" };
        return Step::Wait(Waiting {
            what: String::from(what),
            since,
            until: since.after(Span(limit.0.saturating_mul(rounds))),
            then: String::from(if stopping { "go on without it" } else { "go on waiting" }),
        });
    }
    if let Some(wait) = stays(machine, since, now).or_else(|| park::talos::resets(lab, machine, now)) {
        return wait;
    }
    if presses(lab, machine) {
        return power::off::go_off(lab, machine, since, now);
    }
    let soft_until = since.after(SOFT_OFF);
    // A guest that switches itself off is started again by whoever wants it on.
    let is_guest = lab.guest_of(machine).is_some();
    let listens = machine.rung == Rung::Ready && machine.agent.is_some() && !is_guest;
    let who = park::switches_itself_off(lab, machine).or_else(|| listens.then_some("agent"));
    if let Some(who) = who.filter(|_| now < soft_until && machine.in_flight.is_none()) {
        return Step::Wait(Waiting {
            what: format!("its {who} to switch it off"),
            since,
            until: soft_until,
            then: String::from("switch it off by its power port"),
        });
    }
    if now >= patience_ends(lab, since) {
        let why = machine.refused.as_ref().map_or(machine.evidence.as_str(), |(_, why, _)| why);
        return Step::GiveUp(Fault {
            code: if machine.refused.is_some() { FaultCode::PowerRefused } else { FaultCode::PowerUnseen },
            text: format!("it could not be switched off in {}: {why}", now.since(since)),
        });
    }
    switch(lab, machine, PowerOrder::Off, now)
}

/// The wait for an agent that is to leave its run and to wait in memory.
fn stays(machine: &Machine, since: LabTime, now: LabTime) -> Option<Step> {
    let until = since.after(SOFT_PARK);
    let waits = park::is_to_stay(machine) && now < until && machine.in_flight.is_none();
    waits.then(|| {
        Step::Wait(Waiting {
            what: String::from("its agent to wait in memory for the next start"),
            since,
            until,
            then: String::from("switch it off by its power port"),
        })
    })
}

/// Names for a sentence; of many, the first few.
fn listed(names: &BTreeSet<NodeName>) -> String {
    let mut text = String::new();
    for (i, name) in names.iter().take(NAMED).enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        text.push_str(name.as_str());
    }
    match names.len().saturating_sub(NAMED) {
        0 => text,
        others => format!("{text} and {others} others"),
    }
}

/// The lab whose machines are there: ready with the pods that its manifests ask for.
fn with_pods(lab: &Lab, machines: String, now: LabTime) -> (Phase, String) {
    match (manifests::pods(lab, now), lab.phase) {
        (Pods::None, _) => (Phase::Ready, machines),
        (Pods::There(1), _) => (Phase::Ready, format!("{machines}, and the pod of its manifests is")),
        (Pods::There(pods), _) => (Phase::Ready, format!("{machines}, and {pods} pods of its manifests are")),
        (Pods::Late(waiting), _) => (Phase::Degraded, format!("{machines}, but {}", too_long(&waiting, now))),
        // What is missing for a moment is no news yet.
        (Pods::Coming(_), phase @ (Phase::Ready | Phase::Degraded)) => (phase, lab.phase_because.clone()),
        (
            Pods::Coming(waiting),
            Phase::Idle | Phase::PoweringDown | Phase::Booting | Phase::Failed | Phase::Stopping,
        ) => (Phase::Booting, format!("{machines}; waiting for {}", waiting.what)),
    }
}

fn too_long(waiting: &Waiting, now: LabTime) -> String {
    format!("it waited {} for {}", now.since(waiting.since), waiting.what)
}

/// The lab as a whole, from its machines. `shut` says that the powering-down gate is.
pub(crate) fn phase(lab: &Lab, shut: bool, tally: &Tally, now: LabTime) -> (Phase, String) {
    let Some(run) = &lab.run else {
        return (Phase::Idle, lab.phase_because.clone());
    };
    if run.stopping {
        return match tally.leaving.is_empty() {
            true => (Phase::Idle, format!("scenario {} was stopped", run.scenario)),
            false => (Phase::Stopping, format!("{} to be seen off", listed(&tally.leaving))),
        };
    }
    if shut {
        return (Phase::PoweringDown, String::from("machines that run something else go off first"));
    }
    let (total, ready, bad) = (tally.members, tally.ready, tally.bad.len());
    let enough = lab.scenario().map_or(total, |s| usize::from(s.enough));
    if total.saturating_sub(bad) < enough {
        let mut faults = tally.bad.iter().filter_map(|node| lab.machines.get(node)?.fault.as_ref());
        let code = faults.next_back().map_or(FaultCode::NeverAsked, |fault| fault.code);
        return (
            Phase::Failed,
            format!("{} bad ({code}); {enough} of {total} are needed", listed(&tally.bad)),
        );
    }
    let mut machines = format!("{ready} of {total} machines are ready");
    if ready >= enough && ready + bad == total {
        if bad > 0 {
            machines = format!("{machines}, without {}", listed(&tally.bad));
        }
        return with_pods(lab, machines, now);
    }
    match lab.phase {
        Phase::Ready | Phase::Degraded => (Phase::Degraded, machines),
        Phase::Idle | Phase::PoweringDown | Phase::Booting | Phase::Failed | Phase::Stopping => {
            let how = if run.cluster.adopted { ", a cluster that is taken over" } else { "" };
            (Phase::Booting, format!("run {} of scenario {}{how}", run.number, run.scenario))
        }
    }
}
