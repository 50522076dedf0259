//! Wiping before use: a scenario may say that the disks of its machines are wiped once a start, before anything counts
//! on them.
//!
//! ```text
//! its agent reports ─▶ each disk: this lab's ──────▶ ordered, once a start ─▶ read back ─▶ the next
//!                                 nobody's, another's ─▶ waits until a person types its serial
//!                                 none left ─▶ ready: from now on every disk of it stays as it is
//! ```

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{Digest, DiskId, DiskKnown, Goal, LabTime, Span, Waiting, WipePermit};
use serde::{Deserialize, Serialize};

use crate::lab::{Lab, Machine};
use crate::rungs::Step;

/// When a wait that a person ends is looked at again.
const LOOK_AGAIN: Span = Span::secs(60);

/// What this run did about the disks of a machine before it used them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeUse {
    /// The machine was ready in this run: its disks are in use, and stay as they are.
    pub cleared: bool,
    /// How many times each disk was to be wiped in this run.
    pub ordered: Vec<(Digest, u8)>,
    /// Disks that were read back in this run.
    pub wiped: Vec<Digest>,
}

impl BeforeUse {
    /// A wipe of this disk was accepted.
    pub(super) fn count(&mut self, disk: Digest) {
        match self.ordered.iter_mut().find(|(known, _)| *known == disk) {
            Some((_, times)) => *times = times.saturating_add(1),
            None => self.ordered.push((disk, 1)),
        }
    }

    /// A wipe of this disk was read back.
    pub(super) fn note(&mut self, disk: Digest) {
        if !self.wiped.contains(&disk) {
            self.wiped.push(disk);
        }
    }

    fn times(&self, disk: Digest) -> u8 {
        self.ordered.iter().find(|(known, _)| *known == disk).map_or(0, |(_, times)| *times)
    }
}

/// What stands between a machine and the use of its disks.
enum Next<'a> {
    /// This one is to be wiped.
    Order(&'a DiskId),
    /// A person must do something first.
    Person(String),
}

/// True while a machine whose agent is heard does not count as ready: one of its disks is still to be wiped.
pub(crate) fn holds(lab: &Lab, machine: &Machine) -> bool {
    is_asked(lab, machine) && (machine.open_wipe().is_some() || next(lab, machine).is_some())
}

/// True where the scenario says so, and the machine was not ready in this run. Talos wipes its own disk.
fn is_asked(lab: &Lab, machine: &Machine) -> bool {
    let says = lab.active_run().is_some() && lab.scenario().is_some_and(|scenario| scenario.wipe_before_use);
    says && machine.goal == Goal::Ready && !machine.before_use.cleared && lab.cluster_of(machine).is_none()
}

/// What is to be done about its disks, while its agent is heard: since when it could be lost, and for how long it may be
/// silent before it is.
pub(crate) fn climb(lab: &Lab, machine: &Machine, heard: LabTime, now: LabTime) -> Option<Step> {
    let silent = heard.after(lab.spec.limits.silence);
    if now > silent || !is_asked(lab, machine) {
        return None;
    }
    Some(match next(lab, machine)? {
        Next::Order(disk) => Step::Wipe(disk.clone()),
        Next::Person(what) => {
            let since = machine.entered.since_start;
            let rounds = now.since(since).0 / LOOK_AGAIN.0 + 1;
            // Sooner where silence would be what counts.
            let until = since.after(Span(LOOK_AGAIN.0.saturating_mul(rounds))).min(silent.after(Span(1)));
            let then = String::from("look again: nothing of the machine is used before");
            Step::Wait(Waiting { what, since, until, then })
        }
    })
}

/// Why every order of the scenario carries this permit: no other disk is ordered by it.
pub(crate) const PERMIT: WipePermit = WipePermit::Recorded;

fn next<'a>(lab: &Lab, machine: &'a Machine) -> Option<Next<'a>> {
    let agent = machine.agent.as_ref()?;
    if agent.report.nonce.is_none() {
        let what = "a boot by a loader that takes a kernel line: this agent cannot prove which machine it is in, and \
                    wipes nothing";
        return Some(Next::Person(String::from(what)));
    }
    if agent.report.inventory.disks.iter().any(|disk| disk.digest.is_none()) {
        let what = "an image with an agent of this release: this one cannot name disks, and wipes nothing";
        return Some(Next::Person(String::from(what)));
    }
    let open = || machine.disks.iter().filter(|known| !machine.before_use.wiped.contains(&known.disk.digest));
    let tries = lab.spec.limits.tries.max(1);
    let is_ours = |known: &DiskKnown| known.owner.as_ref() == Some(&lab.spec.lab) && known.used.is_none();
    let due = open().find(|known| is_ours(known) && machine.before_use.times(known.disk.digest) < tries);
    if let Some(known) = due {
        return Some(Next::Order(&known.disk));
    }
    open().find_map(|known| obstacle(lab, machine, known)).map(Next::Person)
}

/// What a person must do about this disk; `None` where it is no disk of the box.
fn obstacle(lab: &Lab, machine: &Machine, known: &DiskKnown) -> Option<String> {
    let (node, disk) = (&machine.node, &known.disk);
    let (name, word) = (&disk.name, disk.word(node));
    let ask = || format!("`labinator wipe {node} --disk {name}`");
    match (&known.used, &known.owner) {
        // What uses a disk is told by the disk's or the partition's name. Else it is removable, on USB or
        // write-protected, and nobody counts on it.
        (Some(why), _) if why.starts_with(name.as_str()) => Some(format!("{disk} to be free: {why}")),
        (Some(_), _) => None,
        (None, Some(owner)) if *owner == lab.spec.lab => {
            Some(format!("a wipe of {disk} that succeeds: {} tries again", ask()))
        }
        (None, owner) => {
            let owner = owner.as_ref().map_or_else(
                || String::from("no owner of it is known"),
                |owner| format!("its last owner is lab {owner}"),
            );
            Some(format!(
                "a person's word about {disk}: it is not recorded as this lab's, {owner}; if all of it may go: {} --confirm \
                 {word}`",
                ask().trim_end_matches('`')
            ))
        }
    }
}
