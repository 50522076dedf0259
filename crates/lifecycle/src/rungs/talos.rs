//! Talos: from its kernel's start to a machine that the cluster gives work.
//!
//! ```text
//! fetched ─▶ up (maintenance) ─push─▶ fetched ─▶ configured ─▶ joined ─▶ ready
//!              ▲ secrets kept; for a worker, one control plane has its config
//! ```
//!
//! Only an identity that both sides proved counts as "has the config"; an open port or a taken push does not.

use alloc::format;
use alloc::string::String;

use model::{
    Boot, ConfigCarrier, Fault, FaultCode, LabTime, Membership, Outcome, Rung, Span, TalosSight, TalosSpec,
    TalosStage, Waiting,
};

use super::{Step, next_try, wait_or_fail};
use crate::cluster::{Around, ControlPlane};
use crate::lab::{Lab, Machine};
use crate::record::image_taken;

/// How long a push may take: Talos checks a config within a second.
pub(super) const PUSH: Span = Span::secs(60);
/// Time between a push that failed and the next.
pub(super) const AFTER_FAILURE: Span = Span::secs(3);
/// How long a machine may still be seen to wait after it took a config: it answers first, then closes.
pub(super) const SETTLE: Span = Span::secs(10);
/// Pushes in one boot.
pub(super) const PUSHES: u8 = 5;
/// How long a machine may show another identity before it is started again, wiped.
const STRANGE: Span = Span::secs(20);
/// When a wait that others end is looked at again.
const LOOK_AGAIN: Span = Span::secs(60);

/// How far up a machine is that took its image.
pub(super) fn seen(machine: &Machine) -> Rung {
    let talos = &machine.talos;
    let TalosSight::Known { stage, ready, .. } = &talos.sight else {
        let waits = matches!(talos.sight, TalosSight::Maintenance { .. }) || talos.asks.is_some();
        return if waits { Rung::Up } else { Rung::Fetched };
    };
    // A service that starts again does not take a machine from the lab that the cluster gives work.
    let well = *stage == TalosStage::Running && (*ready || machine.rung == Rung::Ready);
    match talos.member {
        Membership::Absent => Rung::Configured,
        Membership::Ready if well => Rung::Ready,
        Membership::Ready | Membership::NotReady { .. } => Rung::Joined,
    }
}

/// What a machine of a cluster that was taken over waits for while nothing is done to it: it is neither switched nor
/// given a config before it was known as part of that cluster, and never given one by itself.
pub(super) fn left_alone(lab: &Lab, machine: &Machine, now: LabTime) -> Option<Waiting> {
    let talos = &machine.talos;
    if !talos.adopted {
        return None;
    }
    let what = match &talos.sight {
        TalosSight::Known { .. } => return None,
        TalosSight::Maintenance { .. } => {
            "a config, which a machine of a cluster that was taken over gets by hand: `labinator talos apply`"
        }
        TalosSight::Silent | TalosSight::Locked | TalosSight::Foreign if talos.applied.is_some() => {
            return None;
        }
        TalosSight::Silent => "its Talos to answer; a cluster that is taken over is not switched",
        TalosSight::Locked | TalosSight::Foreign => {
            "it to show the identity of the cluster that is taken over; it shows another one"
        }
    };
    Some(behind(lab, what, now))
}

/// Its API is silent, or says something that is no step forward.
pub(super) fn starts(lab: &Lab, machine: &Machine, boot: &Boot, now: LabTime) -> Step {
    let talos = &machine.talos;
    let limits = &lab.spec.limits;
    let taken = image_taken(boot).unwrap_or(machine.entered.since_start);
    let wait = |what: &str, since: LabTime, limit: Span| Waiting {
        what: String::from(what),
        since,
        until: since.after(limit),
        then: next_try(lab, machine),
    };
    let (pushed, applied) = (talos.push.as_ref(), talos.applied.is_some());
    match (&talos.sight, pushed) {
        (TalosSight::Foreign, _) | (TalosSight::Locked, None) if !talos.adopted => {
            let wait = wait("it to give up the identity of another cluster", talos.seen, STRANGE);
            let seen = "a config that is not this cluster's";
            wait_or_fail(wait, FaultCode::Impostor, seen, now)
        }
        (_, Some(push)) if !applied => {
            let since = push.ended.as_ref().map_or(push.given, |(_, at)| *at).max(taken);
            let wait = wait("Talos to come back with its config", since, limits.install);
            wait_or_fail(wait, FaultCode::ConfigLost, last(talos.sight == TalosSight::Locked), now)
        }
        (_, pushed) if pushed.is_some() || talos.adopted => {
            let wait = wait("Talos to answer again", talos.seen.max(taken), limits.start);
            wait_or_fail(wait, FaultCode::AgentLost, last(talos.sight == TalosSight::Locked), now)
        }
        (_, _) => {
            let wait = wait("Talos to start and to wait for its config", taken, limits.start);
            wait_or_fail(wait, FaultCode::KernelSilent, &super::last_seen(boot), now)
        }
    }
}

const fn last(locked: bool) -> &'static str {
    if locked { "it asks for a certificate, and takes none of ours" } else { "nothing" }
}

/// It waits for its config.
pub(super) fn waits(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let Some((_, spec)) = lab.cluster_of(machine) else { return Step::Rest };
    if machine.agent.is_some() {
        let text = String::from("an agent of ours is heard: it booted something else than Talos");
        return Step::Fail(Fault { code: FaultCode::KernelSilent, text });
    }
    let around = Around::of(lab);
    if machine.talos.two_keys {
        return Step::GiveUp(Fault {
            code: FaultCode::Impostor,
            text: String::from("two keys were shown at its address in one boot: somebody else answers there"),
        });
    }
    if let TalosSight::Maintenance { proof, .. } = &machine.talos.sight
        && *proof < spec.proof
    {
        let what = format!("a proof of it by {}: so far there is one by {proof}", spec.proof);
        return Step::Behind(behind(lab, &what, now));
    }
    if !around.secrets {
        return Step::Behind(behind(lab, "the cluster's secrets to be made and kept", now));
    }
    let what = "a control plane that has its config: a worker gets its certificate there";
    match around.control {
        ControlPlane::Coming | ControlPlane::Lost if spec.controls(&machine.node) => give(spec, machine, now),
        ControlPlane::There => give(spec, machine, now),
        ControlPlane::Coming => Step::Behind(behind(lab, what, now)),
        ControlPlane::Lost => no_control_plane(),
    }
}

fn give(spec: &TalosSpec, machine: &Machine, now: LabTime) -> Step {
    match spec.carrier {
        ConfigCarrier::Push => push(machine, now),
        ConfigCarrier::Pull => super::pulled::lay_ready(machine, now),
    }
}

fn no_control_plane() -> Step {
    let text = String::from("no machine of the control plane is left that it could join");
    Step::GiveUp(Fault { code: FaultCode::NoControlPlane, text })
}

/// A wait that others end, and that has limits of its own with them.
fn behind(lab: &Lab, what: &str, now: LabTime) -> Waiting {
    let since = lab.run.as_ref().map_or(now, |run| run.since.since_start);
    let rounds = now.since(since).0 / LOOK_AGAIN.0 + 1;
    Waiting {
        what: String::from(what),
        since,
        until: since.after(Span(LOOK_AGAIN.0.saturating_mul(rounds))),
        then: String::from("look again"),
    }
}

fn push(machine: &Machine, now: LabTime) -> Step {
    let talos = &machine.talos;
    let wait = |what: String, since: LabTime, until: LabTime, then: &str| {
        Step::Wait(Waiting { what, since, until, then: String::from(then) })
    };
    let Some(last) = &talos.push else { return give_it(now) };
    let Some((outcome, ended)) = &last.ended else {
        let until = last.given.after(PUSH);
        return if now < until {
            wait(String::from("it to take its config"), last.given, until, "look what became of it")
        } else {
            Step::Unanswered(last.id)
        };
    };
    let (why, again) = match outcome {
        Outcome::Failed { code, why } if code == "refused" => {
            let text = format!("it refused its config: {why}");
            return Step::GiveUp(Fault { code: FaultCode::ConfigRefused, text });
        }
        Outcome::Failed { code, why } if code == "impostor" => {
            return Step::GiveUp(Fault { code: FaultCode::Impostor, text: why.clone() });
        }
        Outcome::Failed { why, .. } => (why.as_str(), ended.after(AFTER_FAILURE)),
        Outcome::Done => ("it took its config and waits again", talos.seen.after(SETTLE)),
        Outcome::Unknown => ("nobody knows whether it took its config", talos.seen.after(SETTLE)),
    };
    if talos.pushes >= PUSHES {
        let text = format!("its config was pushed {} times; the last time: {why}", talos.pushes);
        return Step::Fail(Fault { code: FaultCode::ConfigLost, text });
    }
    if now < again {
        return wait(format!("its next push: {why}"), *ended, again, "push its config again");
    }
    give_it(now)
}

fn give_it(now: LabTime) -> Step {
    let what = String::from("it to take its config");
    let then = String::from("look what became of it");
    Step::Push(Waiting { what, since: now, until: now.after(PUSH), then })
}

/// It has its config; the cluster is to know it and to give it work.
pub(super) fn joins(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let Some((_, spec)) = lab.cluster_of(machine) else { return Step::Rest };
    let around = Around::of(lab);
    let talos = &machine.talos;
    if around.control == ControlPlane::Lost && !spec.controls(&machine.node) {
        return no_control_plane();
    }
    let what = match (&talos.member, &talos.sight) {
        (Membership::Absent | Membership::NotReady { .. }, _) if !around.before_etcd.is_empty() => {
            around.before_etcd
        }
        (Membership::Absent, _) => String::from("the cluster to know it"),
        (Membership::NotReady { why }, _) => format!("the cluster to give it work ({why})"),
        (Membership::Ready, TalosSight::Known { unmet, stage, .. }) if unmet.is_empty() => {
            format!("Talos to be running; it is {stage}")
        }
        (Membership::Ready, TalosSight::Known { unmet, .. }) => {
            format!("Talos to be ready ({})", unmet.join(", "))
        }
        (Membership::Ready, _) => String::from("Talos to answer again"),
    };
    let since = talos.known.unwrap_or(talos.seen).max(talos.member_since);
    let wait =
        Waiting { what, since, until: since.after(lab.spec.limits.join), then: next_try(lab, machine) };
    if now < wait.until {
        // What it waits for may be somebody else's doing.
        return Step::Behind(wait);
    }
    wait_or_fail(wait, FaultCode::NotJoined, "it has its config", now)
}
