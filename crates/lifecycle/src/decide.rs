//! Judging: what to record, what to wish, what is waited for, and when to look again. Changes nothing.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{
    Command, Event, Fact, Fault, FaultCode, Goal, LabTime, Moment, NodeName, Outcome, Phase, PowerOrder,
    PowerState, Rung, Span, Waiting,
};

use crate::absorb::{Touched, absorb};
use crate::gates::{Gate, powering_down};
use crate::lab::{Lab, Machine};
use crate::rungs::{Step, climb, fades_at, is_by_hand, seen, switch};

/// How long an agent is given to switch its machine off by itself before the driver does it.
const SOFT_OFF: Span = Span::secs(10);
/// How many times the power limit a machine may take to go off before a person must look.
const OFF_ROUNDS: u64 = 3;

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

/// Judges the whole lab at `now`.
#[must_use]
pub fn decide(lab: &Lab, now: Moment) -> Decision {
    let mut decision = Decision::default();
    let gate = powering_down(lab);
    let time = now.since_start;
    for machine in lab.machines.values() {
        let rung = seen(lab, machine, time);
        if rung != machine.rung {
            decision.facts.push(Fact::Entered { node: machine.node.clone(), rung });
        }
        if let Some(at) = fades_at(lab, machine, rung) {
            decision.wake(at);
        }
        match step(lab, machine, rung, &gate, time) {
            Step::Rest => {}
            Step::Wait(waiting) => decision.wait(machine, waiting),
            Step::Switch(order, waiting) => {
                decision.wait(machine, waiting);
                if let Some(node) = lab.node(&machine.node) {
                    let (node, port) = (machine.node.clone(), node.power.clone());
                    decision.wishes.push(Command::Power { node, port, order });
                }
            }
            Step::Unanswered(id) => {
                decision.facts.push(Fact::Finished { id, outcome: Outcome::Unknown });
            }
            Step::Fail(fault) => {
                let bad = machine.tries >= lab.spec.limits.tries;
                decision.facts.push(Fact::Faulted { node: machine.node.clone(), fault, bad });
            }
            Step::GiveUp(fault) => {
                decision.facts.push(Fact::Faulted { node: machine.node.clone(), fault, bad: true });
            }
        }
    }
    let (phase, because) = phase(lab, &gate);
    if phase != lab.phase {
        decision.facts.push(Fact::PhaseEntered { phase, because });
    }
    decision
}

impl Decision {
    fn wake(&mut self, at: LabTime) {
        self.wake_at = Some(self.wake_at.map_or(at, |known| known.min(at)));
    }

    fn wait(&mut self, machine: &Machine, waiting: Waiting) {
        self.wake(waiting.until);
        self.waits.insert(machine.node.clone(), waiting);
    }
}

/// Decides and records what was decided until nothing new follows. `record` numbers and keeps a fact.
/// Returns the final decision; its wishes have not been issued.
pub fn settle(
    lab: &mut Lab,
    now: Moment,
    mut record: impl FnMut(Fact) -> Event,
    mut touched: impl FnMut(Touched),
) -> Decision {
    loop {
        let decision = decide(lab, now);
        if decision.facts.is_empty() {
            return decision;
        }
        for fact in decision.facts {
            let event = record(fact);
            touched(absorb(lab, &event));
        }
    }
}

fn step(lab: &Lab, machine: &Machine, rung: Rung, gate: &Gate, now: LabTime) -> Step {
    if machine.bad {
        return Step::Rest;
    }
    if let Some(since) = machine.off_wanted {
        return go_off(lab, machine, since, now);
    }
    match (machine.person, machine.goal) {
        (Some(PowerOrder::Off), _) | (None, Goal::Any | Goal::Off) => Step::Rest,
        (Some(PowerOrder::On), Goal::Any | Goal::Off) => match machine.power {
            PowerState::On => Step::Rest,
            PowerState::Off | PowerState::Unknown => switch(lab, machine, PowerOrder::On, now),
        },
        (_, Goal::Ready) if machine.tries > lab.spec.limits.tries && rung != Rung::Ready => {
            Step::GiveUp(Fault {
                code: FaultCode::KernelSilent,
                text: format!("boot {} of this machine began by itself, and so did others", machine.boots),
            })
        }
        (_, Goal::Ready) => match gate {
            Gate::Shut(others) if rung == Rung::Off => Step::Wait(behind_gate(lab, others, now)),
            Gate::Open | Gate::Shut(_) => climb(lab, machine, rung, now),
        },
    }
}

fn behind_gate(lab: &Lab, others: &[NodeName], now: LabTime) -> Waiting {
    let since = lab.run.as_ref().map_or(now, |run| run.since.since_start);
    let names: Vec<&str> = others.iter().map(NodeName::as_str).collect();
    // The machines waited for have limits of their own; this is only when to look again.
    let limit = Span(lab.spec.limits.power.0.saturating_add(SOFT_OFF.0));
    let rounds = now.since(since).0 / limit.0.max(1) + 1;
    Waiting {
        what: format!("{} to be seen off", names.join(", ")),
        since,
        until: since.after(Span(limit.0.saturating_mul(rounds))),
        then: String::from("look again; a machine that will not go off is marked bad"),
    }
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
    let soft_until = since.after(SOFT_OFF);
    let listens = machine.rung == Rung::Ready && machine.agent.is_some();
    if listens && now < soft_until && machine.in_flight.is_none() {
        return Step::Wait(Waiting {
            what: String::from("its agent to switch it off"),
            since,
            until: soft_until,
            then: String::from("switch it off by its power port"),
        });
    }
    let patience = Span(SOFT_OFF.0.saturating_add(lab.spec.limits.power.0.saturating_mul(OFF_ROUNDS)));
    if now >= since.after(patience) {
        let why = machine.refused.as_ref().map_or(machine.evidence.as_str(), |(_, why, _)| why);
        return Step::GiveUp(Fault {
            code: if machine.refused.is_some() { FaultCode::PowerRefused } else { FaultCode::PowerUnseen },
            text: format!("it could not be switched off in {}: {why}", now.since(since)),
        });
    }
    switch(lab, machine, PowerOrder::Off, now)
}

/// The lab as a whole, from its machines.
fn phase(lab: &Lab, gate: &Gate) -> (Phase, String) {
    let Some(run) = &lab.run else {
        return (Phase::Idle, lab.phase_because.clone());
    };
    let named = |nodes: &[&Machine]| nodes.iter().map(|m| m.node.as_str()).collect::<Vec<_>>().join(", ");
    if run.stopping {
        let on: Vec<&Machine> = lab
            .machines
            .values()
            .filter(|m| m.goal == Goal::Off && m.off_wanted.is_some() && !m.bad)
            .collect();
        return match on.is_empty() {
            true => (Phase::Idle, format!("scenario {} was stopped", run.scenario)),
            false => (Phase::Stopping, format!("{} to be seen off", named(&on))),
        };
    }
    if let Gate::Shut(_) = gate {
        return (Phase::PoweringDown, String::from("machines that run something else go off first"));
    }
    let members = || lab.machines.values().filter(|m| m.goal == Goal::Ready);
    let total = members().count();
    let bad: Vec<&Machine> = members().filter(|m| m.bad).collect();
    let ready = members().filter(|m| m.rung == Rung::Ready && !m.bad).count();
    let enough = lab.scenario().map_or(total, |s| usize::from(s.enough));
    if total.saturating_sub(bad.len()) < enough {
        let why = bad.iter().filter_map(|m| m.fault.as_ref()).next_back();
        let code = why.map_or(FaultCode::NeverAsked, |fault| fault.code);
        return (Phase::Failed, format!("{} bad ({code}); {enough} of {total} are needed", named(&bad)));
    }
    if ready >= enough && ready + bad.len() == total {
        return match bad.len() {
            0 => (Phase::Ready, format!("{ready} of {total} machines are ready")),
            _ => (Phase::Ready, format!("{ready} of {total} machines are ready, without {}", named(&bad))),
        };
    }
    match lab.phase {
        Phase::Ready | Phase::Degraded => (Phase::Degraded, format!("{ready} of {total} machines are ready")),
        Phase::Idle | Phase::PoweringDown | Phase::Booting | Phase::Failed | Phase::Stopping => {
            (Phase::Booting, format!("run {} of scenario {}", run.number, run.scenario))
        }
    }
}
