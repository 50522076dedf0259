//! Wiping a disk: when it is offered to a boot, when it counts, and what must wait meanwhile.
//!
//! ```text
//! accepted ──its agent reports──▶ offered ──claim──▶ given ──▶ told ──▶ ended
//!    ▲                              │ not taken in time: given up     ▲
//!    └── its boot ended before ─────┘        its boot ended, or silence ┘
//! ```
//! From *offered* to *ended* its disk may be half wiped: the machine is neither switched nor told to switch itself.

pub(crate) mod admit;
pub(crate) mod before;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{
    AgentBeat, AgentReport, DiskId, DiskKnown, LabName, LabTime, Span, Waiting, WipeOrder, WipePermit,
    WipeReport, WipeState, WipeView,
};
use serde::{Deserialize, Serialize};

use crate::lab::{Lab, Machine};
use crate::rungs::Step;

/// How long an agent is given to take the order: it asks every three seconds.
const TAKE: Span = Span::secs(60);
/// How long an agent that wipes may be silent. A device that erases itself may hold up whatever else reads a disk.
const SILENT: Span = Span::secs(600);

/// A wipe of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wipe {
    /// Counts the wipes of this machine.
    pub number: u32,
    /// Which disk.
    pub disk: DiskId,
    /// Why it may be wiped.
    pub permit: WipePermit,
    /// When it was accepted.
    pub since: LabTime,
    /// Since when the boot that goes on is offered the order.
    pub offered: Option<LabTime>,
    /// The boot that was given it, by the kernel's boot id, and when.
    pub given: Option<(String, LabTime)>,
    /// What was told of it last.
    pub told: Option<WipeState>,
    /// When it ended.
    pub ended: Option<LabTime>,
}

impl Wipe {
    fn fail(&mut self, touched: bool, why: String, now: LabTime) {
        if self.ended.is_none() {
            self.told = Some(WipeState::Failed { touched, why });
            self.ended = Some(now);
        }
    }

    /// Its boot is over: what was given to it is lost, what was only offered is for the next one.
    fn cut(&mut self, how: &str, now: LabTime) {
        if self.given.is_some() {
            let what = self.disk.name.as_str();
            self.fail(true, format!("{how} while {what} was being wiped: it is half wiped"), now);
        }
        self.offered = None;
    }

    const fn was_done(&self) -> Option<&WipeReport> {
        match &self.told {
            Some(WipeState::Wiped { report }) => Some(report),
            Some(WipeState::Wiping { .. } | WipeState::Failed { .. }) | None => None,
        }
    }
}

impl Machine {
    /// The wipe that its present boot may be carrying out, whether or not anybody heard so.
    #[must_use]
    pub fn may_be_wiping(&self) -> Option<&Wipe> {
        self.wipe.as_ref().filter(|wipe| wipe.ended.is_none() && wipe.offered.is_some())
    }

    /// The wipe that is still to come or goes on.
    #[must_use]
    pub fn open_wipe(&self) -> Option<&Wipe> {
        self.wipe.as_ref().filter(|wipe| wipe.ended.is_none())
    }
}

/// A wipe was accepted.
pub(crate) fn accepted(
    machine: &mut Machine,
    (number, disk): (u32, &DiskId),
    permit: WipePermit,
    now: LabTime,
) {
    machine.wipes = machine.wipes.max(number);
    machine.before_use.count(disk.digest);
    let offered = machine.agent.as_ref().filter(|_| machine.running).map(|_| now);
    machine.wipe = Some(Wipe {
        number,
        disk: disk.clone(),
        permit,
        since: now,
        offered,
        given: None,
        told: None,
        ended: None,
    });
}

/// The judge gave it up.
pub(crate) fn given_up(machine: &mut Machine, number: u32, why: &str, now: LabTime) {
    if let Some(wipe) = of(machine, number) {
        let touched = wipe.given.is_some();
        wipe.fail(touched, String::from(why), now);
    }
}

/// The counter handed the order to a boot, or that boot tells of it.
pub(crate) fn given(machine: &mut Machine, number: u32, boot_id: &str, now: LabTime) {
    let present = machine.running && machine.agent.as_ref().is_some_and(|a| a.report.boot_id == boot_id);
    let Some(wipe) = of(machine, number).filter(|wipe| wipe.ended.is_none()) else { return };
    if wipe.given.is_none() {
        wipe.given = Some((String::from(boot_id), now));
    }
    if wipe.given.as_ref().is_some_and(|(holder, _)| holder == boot_id) && !present {
        // Another boot goes on by now, or none.
        wipe.cut("its boot ended", now);
    }
    let digest = wipe.disk.digest;
    machine.disks.iter_mut().filter(|known| known.disk.digest == digest).for_each(|known| known.wiped = None);
}

/// The machine went off, or another boot of it began.
pub(crate) fn boot_ended(machine: &mut Machine, how: &str, now: LabTime) {
    if let Some(wipe) = machine.wipe.as_mut() {
        wipe.cut(how, now);
    }
}

/// Its agent reported: its disks are known, and it is offered what waits for it.
pub(crate) fn reported(machine: &mut Machine, report: &AgentReport, now: LabTime) {
    let before = core::mem::take(&mut machine.disks);
    let known = report.inventory.disks.iter().filter_map(|disk| {
        let id = DiskId {
            name: disk.name.clone(),
            model: disk.model.clone(),
            serial: disk.serial.clone(),
            bytes: disk.bytes,
            digest: disk.digest?,
        };
        let old = before.iter().find(|old| old.disk.digest == id.digest);
        let recorded = old.and_then(|old| old.owner.clone());
        Some(DiskKnown {
            owner: disk.label.as_ref().map(|label| label.lab.clone()).or(recorded),
            wiped: old.and_then(|old| old.wiped),
            disk: id,
            label: disk.label.clone(),
            used: disk.used.clone(),
        })
    });
    machine.disks = known.collect();
    if let Some(wipe) = machine.wipe.as_mut().filter(|wipe| wipe.ended.is_none()) {
        if wipe.given.as_ref().is_some_and(|(boot, _)| *boot != report.boot_id) {
            wipe.cut("the machine started again", now);
        } else if wipe.offered.is_none() {
            wipe.offered = Some(now);
        }
    }
}

/// Its agent told how it goes. What was said to be wiped before the power went is wiped all the same.
pub(crate) fn told(machine: &mut Machine, beat: &AgentBeat, lab: &LabName, now: LabTime) {
    let Some(word) = &beat.wipe else { return };
    // The word that it was given the order may have been lost on its way.
    given(machine, word.number, &beat.boot_id, now);
    let Some(wipe) = of(machine, word.number) else { return };
    let holds = wipe.given.as_ref().is_some_and(|(holder, _)| *holder == beat.boot_id);
    if !holds || wipe.was_done().is_some() {
        return;
    }
    let done = matches!(word.state, WipeState::Wiped { .. });
    if wipe.ended.is_some() && !done {
        return;
    }
    wipe.told = Some(word.state.clone());
    wipe.ended = word.state.is_end().then_some(now);
    let digest = wipe.disk.digest;
    if done {
        machine.before_use.note(digest);
    }
    if done && let Some(known) = machine.disks.iter_mut().find(|known| known.disk.digest == digest) {
        known.owner = Some(lab.clone());
        known.wiped = Some(now);
    }
}

/// True when a heartbeat says of a wipe what is known already.
pub(crate) fn repeats(machine: &Machine, beat: &AgentBeat) -> bool {
    let Some(word) = &beat.wipe else { return false };
    match machine.wipe.as_ref().filter(|wipe| wipe.number == word.number) {
        Some(wipe) => wipe.ended.is_some() && wipe.told.as_ref() == Some(&word.state),
        None => true,
    }
}

fn of(machine: &mut Machine, number: u32) -> Option<&mut Wipe> {
    machine.wipe.as_mut().filter(|wipe| wipe.number == number)
}

/// What the counter may hand out now: to the boot whose report is here, so that whoever judges knows of it before.
pub(crate) fn order(lab: &Lab, machine: &Machine) -> Option<WipeOrder> {
    let wipe = machine.may_be_wiping()?;
    let agent = machine.agent.as_ref()?;
    Some(WipeOrder {
        number: wipe.number,
        boot_id: agent.report.boot_id.clone(),
        disk: wipe.disk.clone(),
        permit: wipe.permit,
        lab: lab.spec.lab.clone(),
        node: machine.node.clone(),
    })
}

/// What a machine waits for whose disk may be half wiped: before everything else.
pub(crate) fn fence(lab: &Lab, machine: &Machine, now: LabTime) -> Option<Step> {
    let wipe = machine.may_be_wiping()?;
    let disk = &wipe.disk;
    let heard = machine.agent.as_ref().map_or(wipe.since, |agent| agent.heard.since_start);
    let (what, since, limit, then) = match (&wipe.given, &wipe.told) {
        (None, _) => (
            format!("its agent to take the order to wipe {disk}"),
            wipe.offered.unwrap_or(wipe.since),
            TAKE,
            "give the wipe up: nothing of the disk was touched",
        ),
        (Some(_), Some(WipeState::Wiping { step, done, of })) => {
            (format!("its agent to wipe {disk}: {step}{}", percent(*done, *of)), heard, SILENT, GIVE_UP)
        }
        (Some((_, at)), _) => (format!("its agent to wipe {disk}"), heard.max(*at), SILENT, GIVE_UP),
    };
    let since = since.max(lab.listening);
    let mut until = since.after(limit);
    if now >= until {
        if lab.counter_up {
            return Some(Step::WipeGivenUp(format!("waited {} for {what}", now.since(since))));
        }
        // Nobody can be heard while the counter is away.
        let rounds = now.since(since).0 / limit.0 + 1;
        until = since.after(Span(limit.0.saturating_mul(rounds)));
    }
    Some(Step::Wait(Waiting { what, since, until, then: String::from(then) }))
}

/// How much of a step is done; nothing where the disk does not tell.
fn percent(done: u64, of: u64) -> String {
    let percent = done.saturating_mul(100).checked_div(of);
    percent.map_or_else(String::new, |percent| format!(", {percent} %"))
}

const GIVE_UP: &str = "give the wipe up: the disk is half wiped";

/// What is known of its wipe and its disks, as sentences.
pub(crate) fn seen(machine: &Machine, now: LabTime) -> Vec<String> {
    let mut lines: Vec<String> = machine.wipe.iter().map(|wipe| sentence(wipe, now)).collect();
    let half = machine.disks.iter().filter(|known| {
        let begun = known.label.as_ref().is_some_and(|label| label.state == model::LabelState::Begun);
        begun && machine.open_wipe().is_none_or(|wipe| wipe.disk.digest != known.disk.digest)
    });
    lines.extend(
        half.filter(|known| known.wiped.is_none())
            .map(|known| format!("{} was found half wiped: `labinator wipe` wipes it again", known.disk)),
    );
    lines
}

fn sentence(wipe: &Wipe, now: LabTime) -> String {
    let disk = &wipe.disk;
    let ago = wipe.ended.map_or_else(String::new, |at| format!("{} ago", now.since(at)));
    match &wipe.told {
        Some(WipeState::Wiped { report }) => {
            let rest = if report.method.is_whole() {
                format!("and {} samples", report.samples)
            } else {
                String::from("other data may still be there")
            };
            format!(
                "{disk} was wiped {ago} by {}; {} places were read back, {rest}",
                report.method, report.places
            )
        }
        Some(WipeState::Failed { touched: true, why }) => format!("wiping {disk} failed {ago}: {why}"),
        Some(WipeState::Failed { touched: false, why }) => {
            format!("wiping {disk} was refused {ago}, nothing of it was touched: {why}")
        }
        Some(WipeState::Wiping { step, done, of }) => {
            format!("{disk} is being wiped: {step}{}", percent(*done, *of))
        }
        None if wipe.given.is_some() => format!("{disk} is being wiped"),
        None => format!("{disk} is to be wiped as soon as its agent reports and takes the order"),
    }
}

/// Its last wipe, for people.
pub(crate) fn view(machine: &Machine) -> Option<WipeView> {
    machine.wipe.as_ref().map(|wipe| WipeView {
        number: wipe.number,
        disk: wipe.disk.clone(),
        since: wipe.since,
        given: wipe.given.is_some(),
        state: wipe.told.clone(),
    })
}
