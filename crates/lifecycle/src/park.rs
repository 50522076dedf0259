//! Parked: a machine that waits in its loader needs no firmware for the next start, and is believed only while it asks.
//!
//! ```text
//! end of a run ─▶ seen off ─▶ on ─▶ its loader asks ─▶ parked ─┬─ start: released as it is
//!                  └────────────┴──────────┴─────────────┴─────┴─ limit over, silent, or anything else: off
//! ```
//! How long it may cost power is its scenario's `park`. The loader counts by itself and switches the machine off also
//! while nobody is there to say so; the power port comes after it.

use alloc::format;
use alloc::string::String;

use model::{
    FileRole, Goal, LabTime, LoaderChoice, MarkKind, Moment, PowerDriver, PowerState, Rung, ScriptAnswer,
    Span, Waiting,
};
use serde::{Deserialize, Serialize};

use crate::lab::{Lab, Machine};
use crate::record;
use crate::rungs::{Step, asked_what, switch};

/// A loader that waits asks again within 20 s, the longest for which the counter holds its question; one that was not
/// heard for twice as long and a bit may be gone.
const SILENT: Span = Span::secs(45);

/// What is wanted of a machine that is to be parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Park {
    /// End of the run.
    pub since: LabTime,
    /// When it goes off, wherever it is by then.
    pub until: LabTime,
    /// Boots of this machine until then: what begins after them only takes its loader.
    pub boots: u32,
}

/// The park of a machine whose run ended now, where its scenario says so and it can.
pub(crate) fn begin(lab: &Lab, machine: &Machine, at: Moment) -> Option<Park> {
    let span = lab.scenario()?.park?;
    let node = lab.node(&machine.node)?;
    let driver = lab.spec.power.get(&node.power.driver)?;
    let switched = match driver {
        PowerDriver::Virtual { .. } | PowerDriver::Device(_) => true,
        PowerDriver::Manual | PowerDriver::Guests => false,
    };
    let can = switched && node.loader == LoaderChoice::Labinator && !machine.bad;
    let since = at.since_start;
    (can && machine.goal == Goal::Off).then(|| Park { since, until: since.after(span), boots: machine.boots })
}

/// True for a machine whose loader asked and took nothing of an image. One that is merely on runs something we never
/// heard of, and a system that asked for an address runs what is on its disk.
fn is_in_loader(machine: &Machine) -> bool {
    machine.live_boot().is_some_and(|boot| {
        let asked = boot.marks.iter().rev().find_map(|m| record::asker(&m.what));
        let image = |role| matches!(role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki);
        asked.is_some_and(record::is_before_system)
            && machine.agent.is_none()
            && record::image_taken(boot).is_none()
            && !boot.transfers.iter().any(|t| image(t.role))
    })
}

/// True for a machine whose loader asks and waits: it needs no switching. One that fell silent is not believed.
pub(crate) fn is_parked(machine: &Machine) -> bool {
    is_in_loader(machine) && machine.silent.is_none()
}

/// True for a machine that a start only lets go on: it is parked, or boots into its loader to be.
pub(crate) fn is_released(machine: &Machine) -> bool {
    let began = |park: &Park| machine.live_boot().is_some_and(|boot| boot.number > park.boots);
    let quiet = machine.agent.is_none() && machine.system.is_none();
    let taken = machine.live_boot().is_some_and(|boot| record::image_taken(boot).is_some());
    let comes = machine.rung <= Rung::On && machine.park.as_ref().is_some_and(began) && quiet && !taken;
    is_parked(machine) || comes
}

/// When it was heard last, where its loader was told to wait.
fn waited(machine: &Machine) -> Option<LabTime> {
    let boot = machine.live_boot().filter(|_| is_in_loader(machine))?;
    let told = boot
        .marks
        .iter()
        .rev()
        .find_map(|mark| if let MarkKind::Script { answer } = &mark.what { Some(*answer) } else { None });
    let waits = matches!(told, Some(ScriptAnswer::Wait | ScriptAnswer::Stranger));
    let heard = boot.marks.iter().rev().find(|mark| !matches!(mark.what, MarkKind::Frame))?;
    waits.then_some(heard.at)
}

/// When a loader that waits counts as silent, unless it asks before. Nobody is heard while the counter is away.
pub(crate) fn falls_silent_at(lab: &Lab, machine: &Machine) -> Option<LabTime> {
    let idle = machine.goal == Goal::Any && machine.power != PowerState::Off && machine.silent.is_none();
    let heard = waited(machine).filter(|_| idle && lab.counter_up)?;
    Some(heard.max(lab.listening).after(SILENT))
}

/// True where our own loader waits, which can switch its machine off.
pub(crate) fn switches_itself_off(lab: &Lab, machine: &Machine) -> bool {
    let ours = lab.node(&machine.node).is_some_and(|node| node.loader == LoaderChoice::Labinator);
    ours && is_parked(machine) && waited(machine).is_some()
}

/// When its loader switches it off by itself, in milliseconds of the boss's `CLOCK_BOOTTIME`.
pub(crate) fn off_at(lab: &Lab, machine: &Machine) -> Option<u64> {
    let park = machine.park.filter(|_| machine.goal == Goal::Any)?;
    let core = lab.core.as_ref()?;
    Some(core.boottime_ms.saturating_add(park.until.since(core.at).0))
}

/// The next step of a machine that nobody wants anything of, and that may be parked.
pub(crate) fn step(lab: &Lab, machine: &Machine, rung: Rung, now: LabTime) -> Step {
    let Some(park) = machine.park else { return Step::Rest };
    if now >= park.until {
        return Step::ParkEnds(format!("nothing was started for {}", now.since(park.since)));
    }
    let within = |what: String, since: LabTime, limit: Span| {
        let until = since.after(limit).min(park.until);
        if now >= until {
            return Step::ParkEnds(format!("it waited {} for {what}", now.since(since)));
        }
        Step::Wait(Waiting { what, since, until, then: String::from("switch it off") })
    };
    let limits = &lab.spec.limits;
    let began = machine.live_boot().map_or(park.since, |boot| boot.began.since_start);
    match rung {
        Rung::Off if machine.power == PowerState::Off && machine.boots > park.boots => {
            Step::ParkEnds(String::from("it went off by itself"))
        }
        Rung::Off => {
            let step = switch(lab, machine, model::PowerOrder::On, now);
            // One try: nothing waits for it.
            if let Step::Fail(fault) | Step::GiveUp(fault) = step { Step::ParkEnds(fault.text) } else { step }
        }
        Rung::On => within(String::from("its first DISCOVER"), began, limits.first_ask),
        Rung::Asked if machine.silent.is_some() => Step::ParkEnds(String::from("its loader asked no more")),
        Rung::Asked if waited(machine).is_some() => {
            within(String::from("the next start, parked in its loader"), park.since, Span(u64::MAX))
        }
        Rung::Asked => {
            let what = machine.live_boot().map(|boot| asked_what(boot, now)).unwrap_or_default();
            within(what, began, Span(limits.first_ask.0.saturating_add(limits.fetch.0)))
        }
        Rung::Fetched | Rung::Up | Rung::Configured | Rung::Joined | Rung::Ready => {
            Step::ParkEnds(String::from("it runs a system, and not its loader"))
        }
    }
}
