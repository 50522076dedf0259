//! Parked: a machine that waits in its loader, in its live image, or in its Talos, needs no firmware for the next start,
//! and is believed only while it asks or answers.
//!
//! ```text
//! end of a run ─▶ seen off ─▶ on ─▶ its loader asks ─▶ parked ─┬─ start: released as it is
//!        ├─ its agent stays in memory, and asks ────▶         ├─ limit over, silent, or anything else: off
//!        │  as a loader does                                  └─ a kernel that never speaks: off, and cold from then on
//!        └─ its Talos is reset, starts again by kexec,
//!           and waits for a config ─────────────────▶ parked ─── start: released to a cluster with the same Talos
//! ```
//! How long it may cost power is its scenario's `park`. Whoever waits counts by itself and switches the machine off also
//! while nobody is there to say so; the power port comes after it.

pub(crate) mod talos;

use alloc::format;
use alloc::string::String;

use model::{
    ClientKind, FileRole, Goal, Kexec, LabTime, LoaderChoice, MarkKind, Moment, PowerDriver, PowerState,
    Rung, ScenarioName, ScriptAnswer, Span, TalosSight, Waiting,
};
use serde::{Deserialize, Serialize};

use crate::lab::{Lab, Machine};
use crate::record;
use crate::rungs::{Step, asked_what, switch};

/// A loader that waits asks again within 20 s, the longest for which the counter holds its question; one that was not
/// heard for twice as long and a bit may be gone.
const SILENT: Span = Span::secs(45);

/// An agent that was not heard for longer is not asked to stay.
const HEARD: Span = Span::secs(10);

/// Where a machine waits for the next start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In our loader, to which its firmware brings it.
    #[default]
    Loader,
    /// In the live image that it ran, which starts the next kernel by itself.
    Image,
    /// In the Talos on its disk, which was reset and waits for its next config.
    Talos,
}

impl Place {
    const fn word(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Image => "image",
            Self::Talos => "Talos",
        }
    }
}

/// What is known of a machine's starts without firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jumps {
    /// The kernel (`uname -r`) that parked last; of Talos its release, such as `Talos 1.12.11`.
    pub kernel: String,
    /// Where it parked last without firmware.
    #[serde(default)]
    pub place: Place,
    /// The last start by kexec that failed.
    pub failed: Option<JumpFailed>,
}

/// A start by kexec that failed. It is not tried again from the same kernel until a person switches the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JumpFailed {
    /// When that was known.
    pub at: LabTime,
    /// The boot that began by it.
    pub boot: u32,
    /// The kernel that did it.
    pub kernel: String,
    /// What was seen.
    pub why: String,
}

/// What is wanted of a machine that is to be parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Park {
    /// End of the run.
    pub since: LabTime,
    /// When it goes off, wherever it is by then.
    pub until: LabTime,
    /// Boots of this machine until then: what begins after them only takes its loader.
    pub boots: u32,
    /// Where it waits.
    #[serde(default)]
    pub place: Place,
}

/// How long a machine of this run may be parked, where it can be switched off again.
fn span(lab: &Lab, machine: &Machine) -> Option<(Span, LoaderChoice)> {
    let span = lab.scenario()?.park?;
    let node = lab.node(&machine.node)?;
    let driver = lab.spec.power.get(&node.power.driver)?;
    let switched = match driver {
        PowerDriver::Virtual { .. } | PowerDriver::Device(_) => true,
        PowerDriver::Manual | PowerDriver::Guests => false,
    };
    (switched && !machine.bad).then_some((span, node.loader))
}

/// The park of a machine whose run is being stopped now, where it can wait in what it runs. One that has our loader waits
/// there, unless its Talos is to be reset.
pub(crate) fn may_stay(lab: &Lab, machine: &Machine, at: Moment) -> Option<Park> {
    let (span, loader) = span(lab, machine)?;
    if talos::may_be_reset(lab, machine) {
        let since = at.since_start;
        return Some(Park { since, until: since.after(span), boots: machine.boots, place: Place::Talos });
    }
    let agent = machine.agent.as_ref()?;
    let since = at.since_start;
    let heard = since.since(agent.heard.since_start) <= HEARD;
    let can = agent.report.kexec == Some(Kexec::Possible) && failed(machine).is_none();
    let stays = machine.goal == Goal::Ready && loader != LoaderChoice::Labinator && machine.clash.is_none();
    let until = since.after(span);
    (heard && can && stays).then_some(Park { since, until, boots: machine.boots, place: Place::Image })
}

/// True for a machine that a start of this scenario only lets go on.
pub(crate) fn is_released_to(lab: &Lab, scenario: &ScenarioName, machine: &Machine) -> bool {
    is_released(machine) && (!talos::waits(machine) || talos::fits(lab, scenario, machine))
}

/// The start by kexec that failed from the kernel that runs now.
pub(crate) fn failed(machine: &Machine) -> Option<&JumpFailed> {
    let kernel = machine.agent.as_ref().map_or(&machine.jumps.kernel, |agent| &agent.report.kernel);
    machine.jumps.failed.as_ref().filter(|failed| failed.kernel == *kernel)
}

/// The park of a machine whose run ended now, where its scenario says so and it can.
pub(crate) fn begin(lab: &Lab, machine: &Machine, at: Moment) -> Option<Park> {
    let (span, loader) = span(lab, machine).filter(|_| machine.goal == Goal::Off)?;
    let since = at.since_start;
    let park = Park { since, until: since.after(span), boots: machine.boots, place: Place::Loader };
    match machine.park {
        Some(stayed) if stayed.place != Place::Loader && is_in_memory(machine) => {
            Some(Park { since, until: park.until, ..stayed })
        }
        Some(_) | None => (loader == LoaderChoice::Labinator).then_some(park),
    }
}

/// True in a boot that began without firmware, in a live image or in Talos.
pub(crate) fn is_jump(machine: &Machine) -> bool {
    machine.live_boot().is_some_and(|boot| boot.firmware == Some(ClientKind::Kexec))
}

/// True for a machine that waits in its live image, or in its Talos.
fn is_in_memory(machine: &Machine) -> bool {
    is_jump(machine) && is_in_loader(machine)
}

/// Remembers that a start by kexec failed.
pub(crate) fn jump_failed(machine: &mut Machine, why: &str, at: Moment) {
    let kernel = machine.jumps.kernel.clone();
    let why = String::from(why);
    machine.jumps.failed = Some(JumpFailed { at: at.since_start, boot: machine.boots, kernel, why });
}

/// True for a machine whose loader, or whose agent in its place, asked and took nothing of an image. One that is merely on
/// runs something we never heard of, and a system that asked for an address runs what is on its disk.
fn is_in_loader(machine: &Machine) -> bool {
    machine.live_boot().is_some_and(|boot| {
        let asked = boot.marks.iter().rev().find_map(|m| record::asker(&m.what));
        let image = |role| matches!(role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki);
        (asked.is_some_and(record::is_before_system) || boot.firmware == Some(ClientKind::Kexec))
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
fn is_released(machine: &Machine) -> bool {
    let began = |park: &Park| machine.live_boot().is_some_and(|boot| boot.number > park.boots);
    // Whose agent was only told to stay runs what it ran.
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
    // Whoever looks at a Talos that waits tells when it is silent.
    let asks = !talos::waits(machine);
    let idle =
        asks && machine.goal == Goal::Any && machine.power != PowerState::Off && machine.silent.is_none();
    let heard = waited(machine).filter(|_| idle && lab.counter_up)?;
    Some(heard.max(lab.listening).after(SILENT))
}

/// Who waits and can switch its machine off: our own loader, or an image's agent in its place.
pub(crate) fn switches_itself_off(lab: &Lab, machine: &Machine) -> Option<&'static str> {
    let ours = lab.node(&machine.node).is_some_and(|node| node.loader == LoaderChoice::Labinator);
    let jump = is_jump(machine) && machine.jumps.place != Place::Talos;
    let who = if jump { "agent" } else { "loader" };
    ((ours || jump) && is_parked(machine) && waited(machine).is_some()).then_some(who)
}

/// True for a machine whose agent is to leave the run, and to wait in memory.
pub(crate) fn is_to_stay(machine: &Machine) -> bool {
    machine.goal == Goal::Off
        && machine.off_wanted.is_some()
        && machine.agent.is_some()
        && machine.park.is_some_and(|park| park.place == Place::Image)
}

/// Where a machine that is parked waits, in a word.
pub(crate) fn place(machine: &Machine) -> &'static str {
    machine.park.map(|park| park.place).unwrap_or_default().word()
}

/// When its loader switches it off by itself, in milliseconds of the boss's `CLOCK_BOOTTIME`.
pub(crate) fn off_at(lab: &Lab, machine: &Machine) -> Option<u64> {
    // Who stays in its image counts from the end that was asked for, until it hears another time.
    let counts = |park: &Park| machine.goal == Goal::Any || park.place == Place::Image;
    let park = machine.park.filter(counts)?;
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
    let left = rung != Rung::Off && park.place != Place::Loader && !is_jump(machine);
    if left {
        return Step::ParkEnds(format!("it started again, and waits in its {} no longer", park.place.word()));
    }
    let limits = &lab.spec.limits;
    let began = machine.live_boot().map_or(park.since, |boot| boot.began.since_start);
    match rung {
        Rung::Off if machine.power == PowerState::Off && machine.boots > park.boots => {
            Step::ParkEnds(String::from("it went off by itself"))
        }
        Rung::Off if park.place != Place::Loader => {
            Step::ParkEnds(format!("whether it waits in its {}, nothing tells", park.place.word()))
        }
        Rung::Off => {
            let step = switch(lab, machine, model::PowerOrder::On, now);
            // One try: nothing waits for it.
            if let Step::Fail(fault) | Step::GiveUp(fault) = step { Step::ParkEnds(fault.text) } else { step }
        }
        Rung::On => within(String::from("its first DISCOVER"), began, limits.first_ask),
        Rung::Asked if machine.silent.is_some() => {
            Step::ParkEnds(format!("its {} asked no more", park.place.word()))
        }
        Rung::Asked if talos::waits(machine) => match machine.talos.sight {
            TalosSight::Maintenance { .. } => {
                within(String::from("the next start, parked in its Talos"), park.since, Span(u64::MAX))
            }
            TalosSight::Silent => {
                within(String::from("its Talos to answer again"), machine.talos.seen, SILENT)
            }
            TalosSight::Locked | TalosSight::Foreign | TalosSight::Known { .. } => {
                Step::ParkEnds(String::from("somebody else gave its Talos a config"))
            }
        },
        Rung::Asked if waited(machine).is_some() => {
            let what = format!("the next start, parked in its {}", park.place.word());
            within(what, park.since, Span(u64::MAX))
        }
        Rung::Asked => {
            let what = machine.live_boot().map(|boot| asked_what(boot, now)).unwrap_or_default();
            within(what, began, Span(limits.first_ask.0.saturating_add(limits.fetch.0)))
        }
        Rung::Fetched | Rung::Up | Rung::Configured | Rung::Joined | Rung::Ready => {
            Step::ParkEnds(String::from("it runs a system, and waits for no start"))
        }
    }
}
