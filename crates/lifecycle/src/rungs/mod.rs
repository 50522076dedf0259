//! The ladder: how far up a machine is, and what its next step is. One file per rung.

mod asked;
mod fetched;
mod off;
mod on;
mod pulled;
mod ready;
mod system;
mod talos;
mod up;

use alloc::string::String;

use model::{
    CommandId, DiskId, Fault, FaultCode, LabTime, MarkKind, PowerDriver, PowerOrder, PowerState, Rung, Span,
    TalosSight, Waiting,
};

use crate::lab::{Lab, Machine};
use crate::record::image_taken;
use crate::wipe;

/// What a machine needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is where it should be.
    Rest,
    /// It waits for this.
    Wait(Waiting),
    /// It waits for the powering-down gate.
    Behind(Waiting),
    /// Switch it, then wait for this.
    Switch(PowerOrder, Waiting),
    /// Give it its config, then wait for this.
    Push(Waiting),
    /// Lay its config ready for it to fetch, then wait for this.
    Offer(Waiting),
    /// Wipe this disk, which is recorded as the lab's, before anything counts on it.
    Wipe(DiskId),
    /// Have its Talos wipe what it keeps and start again, then wait for this.
    Reset(Waiting),
    /// It is parked no longer, for this reason.
    ParkEnds(String),
    /// Nobody told how its wipe ended, within the limit.
    WipeGivenUp(String),
    /// Its driver never answered this order: nobody knows what became of it.
    Unanswered(CommandId),
    /// Its limit has passed: start again from cold while there are tries left.
    Fail(Fault),
    /// It cannot even be switched: a person must look.
    GiveUp(Fault),
}

/// An agent must be heard this lately to be called ready; see also `Limits::silence`.
const FRESH: Span = Span::secs(10);

/// How far up a machine is, from what is seen of it. The rung it was on last matters only between ready
/// and up, where hearing an agent late is not yet losing it.
pub(crate) fn seen(lab: &Lab, machine: &Machine, now: LabTime) -> Rung {
    if machine.power == PowerState::Off {
        return Rung::Off;
    }
    if machine.talos.adopted && matches!(machine.talos.sight, TalosSight::Known { .. }) {
        return talos::seen(machine);
    }
    let Some(boot) = machine.live_boot() else {
        return if machine.power == PowerState::On { Rung::On } else { Rung::Off };
    };
    let in_cluster = lab.cluster_of(machine).is_some();
    if in_cluster && image_taken(boot).is_some() {
        return talos::seen(machine);
    }
    if in_cluster && machine.agent.is_some() {
        return Rung::Up;
    }
    if let Some(agent) = &machine.agent {
        let heard = agent.heard.since_start;
        let fresh = match machine.rung {
            // Nobody can be heard while the counter is away, so nobody is lost for it.
            Rung::Ready => !lab.counter_up || now.since(heard.max(lab.listening)) <= lab.spec.limits.silence,
            Rung::Off
            | Rung::On
            | Rung::Asked
            | Rung::Fetched
            | Rung::Up
            | Rung::Configured
            | Rung::Joined => now.since(heard) <= FRESH,
        };
        return if fresh && !wipe::before::holds(lab, machine) { Rung::Ready } else { Rung::Up };
    }
    let agentless = lab.image_of(machine).is_some_and(|image| !image.agent);
    if agentless && (image_taken(boot).is_some() || system::is_done(lab, machine)) {
        return system::seen(lab, machine, boot, now);
    }
    if image_taken(boot).is_some() {
        return Rung::Fetched;
    }
    // A loader with an address of its own asks without DHCP.
    let asks =
        |what: &MarkKind| crate::record::asker(what).is_some() || matches!(what, MarkKind::Script { .. });
    let asked = boot.marks.iter().any(|m| asks(&m.what)) || crate::park::is_jump(machine);
    match (asked, machine.power) {
        (true, _) => Rung::Asked,
        (false, PowerState::On) => Rung::On,
        (false, PowerState::Off | PowerState::Changing | PowerState::Unknown) => Rung::Off,
    }
}

/// When the last rung must be left at the latest, where only time takes a machine from it.
pub(crate) fn fades_at(lab: &Lab, machine: &Machine, rung: Rung) -> Option<LabTime> {
    if lab.cluster_of(machine).is_some() {
        // Whoever looks at its API tells when it is silent.
        return None;
    }
    if machine.agent.is_none() {
        return system::fades_at(lab, machine).filter(|_| rung == Rung::Ready && lab.counter_up);
    }
    let heard = machine.agent.as_ref()?.heard.since_start;
    match rung {
        Rung::Ready if machine.rung == Rung::Ready => {
            lab.counter_up.then(|| heard.max(lab.listening).after(lab.spec.limits.silence).after(Span(1)))
        }
        Rung::Ready => Some(heard.after(FRESH).after(Span(1))),
        Rung::Off | Rung::On | Rung::Asked | Rung::Fetched | Rung::Up | Rung::Configured | Rung::Joined => {
            None
        }
    }
}

/// The next step of a machine that shall become ready.
pub(crate) fn climb(lab: &Lab, machine: &Machine, rung: Rung, now: LabTime) -> Step {
    if let Some(wait) = talos::left_alone(lab, machine, now) {
        return Step::Behind(wait);
    }
    if let Some(clash) = &machine.clash {
        // Either of the two may be the machine: the boot is stopped, and the next one has another nonce.
        return Step::Fail(Fault { code: FaultCode::Impostor, text: alloc::format!("{clash}") });
    }
    match rung {
        Rung::Off => off::climb(lab, machine, now),
        Rung::On => on::climb(lab, machine, now),
        Rung::Asked => asked::climb(lab, machine, now),
        Rung::Fetched => fetched::climb(lab, machine, now),
        Rung::Up => up::climb(lab, machine, now),
        Rung::Configured | Rung::Joined => talos::joins(lab, machine, now),
        Rung::Ready => ready::climb(),
    }
}

pub(crate) use asked::{last_seen, turns_at as asked_turns_at, what as asked_what};
pub(crate) use off::switch;

/// True when a person switches this machine, not a driver.
pub(crate) fn is_by_hand(lab: &Lab, machine: &Machine) -> bool {
    lab.node(&machine.node)
        .and_then(|node| lab.spec.power.get(&node.power.driver))
        .is_none_or(|driver| matches!(driver, PowerDriver::Manual))
}

/// Waits until `since + limit`, or fails when that has passed.
pub(crate) fn wait_or_fail(wait: Waiting, code: FaultCode, last_seen: &str, now: LabTime) -> Step {
    if now < wait.until {
        return Step::Wait(wait);
    }
    Step::Fail(Fault {
        code,
        text: alloc::format!("waited {} for {}; last seen: {last_seen}", now.since(wait.since), wait.what),
    })
}

/// What will be done when a start fails, as a phrase after "then".
pub(crate) fn next_try(lab: &Lab, machine: &Machine) -> String {
    let left = lab.spec.limits.tries.saturating_sub(machine.tries);
    match left {
        0 => String::from("mark it bad and go on without it"),
        1 => String::from("switch it off and on once more"),
        n => alloc::format!("switch it off and on again, {n} more times at most"),
    }
}
