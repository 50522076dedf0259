//! One who judges again and again and looks only at what may have changed: machines that were touched, and
//! those whose time has come.
//!
//! ```text
//! touched machines ─┐                       ┌─▶ facts, wishes
//! due timers ───────┼─▶ judged again ──▶ ───┼─▶ waits, the next timers
//! the gate moved ───┘                       └─▶ tally ──▶ the lab's phase
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use model::{
    Command, Event, Fact, Fault, Goal, LabTime, Moment, NodeName, Origin, Outcome, PowerOrder, Rung,
    TalosSight, Waiting,
};

use crate::absorb::{Touched, absorb};
use crate::cluster::Around;
use crate::cuts;
use crate::decide::{phase, step, turns_at};
use crate::gates::{Gate, cluster, manifests};
use crate::lab::{Lab, Machine};
use crate::park;
use crate::power::judge::{judged, learns};
use crate::rungs::{Step, fades_at, seen};
use crate::trial;
use crate::wipe;

/// What follows from what is known, for the machines that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgment {
    /// What must be recorded first: rungs, faults and phases that were found. While there are any, the
    /// rest is not final.
    pub facts: Vec<Fact>,
    /// What to ask of drivers.
    pub wishes: Vec<Command>,
    /// When to judge again if nothing happens until then.
    pub wake_at: Option<LabTime>,
}

/// What a machine counts as in the lab.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "five questions, each answered yes or no by itself")]
pub(crate) struct Standing {
    /// It is one of the run's.
    pub(crate) member: bool,
    /// One of those that was given up.
    pub(crate) bad: bool,
    /// One of those that is ready.
    pub(crate) ready: bool,
    /// It must be seen off before the run may switch anything on.
    first_off: bool,
    /// It must be seen off before the lab is idle.
    leaving: bool,
}

impl Standing {
    pub(crate) fn of(machine: &Machine) -> Self {
        let goes_off = machine.off_wanted.is_some() && !machine.bad;
        let member = machine.goal == Goal::Ready;
        Self {
            member,
            bad: member && machine.bad,
            ready: member && !machine.bad && machine.rung == Rung::Ready,
            first_off: member && goes_off,
            leaving: machine.goal == Goal::Off && goes_off,
        }
    }
}

/// The machines by what they count as.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Machines of the run.
    pub(crate) members: usize,
    /// Those of them that are ready.
    pub(crate) ready: usize,
    /// Those of them that were given up.
    pub(crate) bad: BTreeSet<NodeName>,
    /// Those that must be seen off before anything is switched on.
    pub(crate) first_off: BTreeSet<NodeName>,
    /// Those that must be seen off before the lab is idle.
    pub(crate) leaving: BTreeSet<NodeName>,
}

impl Tally {
    fn count(&mut self, node: &NodeName, before: Standing, now: Standing) {
        let number = |count: &mut usize, was: bool, is: bool| match (was, is) {
            (false, true) => *count += 1,
            (true, false) => *count = count.saturating_sub(1),
            (true, true) | (false, false) => {}
        };
        let name = |names: &mut BTreeSet<NodeName>, is: bool| {
            if is {
                names.insert(node.clone());
            } else {
                names.remove(node);
            }
        };
        number(&mut self.members, before.member, now.member);
        number(&mut self.ready, before.ready, now.ready);
        name(&mut self.bad, now.bad);
        name(&mut self.first_off, now.first_off);
        name(&mut self.leaving, now.leaving);
    }
}

/// What was found of a machine last.
#[derive(Debug, Clone, Default)]
struct Found {
    standing: Standing,
    timer: Option<LabTime>,
    behind_gate: bool,
}

/// The judge. It must be told of everything that is absorbed; it changes nothing itself.
#[derive(Debug, Clone)]
pub struct Judge {
    /// Nothing is known any more: look at every machine.
    all: bool,
    stale: BTreeSet<NodeName>,
    found: BTreeMap<NodeName, Found>,
    timers: BTreeSet<(LabTime, NodeName)>,
    waits: BTreeMap<NodeName, Waiting>,
    rewritten: BTreeSet<NodeName>,
    tally: Tally,
    /// What machines that wait for others were judged by.
    around: Around,
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Judge {
    /// One who has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            all: true,
            stale: BTreeSet::new(),
            found: BTreeMap::new(),
            timers: BTreeSet::new(),
            waits: BTreeMap::new(),
            rewritten: BTreeSet::new(),
            tally: Tally::default(),
            around: Around::default(),
        }
    }

    /// Something was absorbed.
    pub fn touch(&mut self, touched: &Touched) {
        match touched {
            Touched::Lab => {}
            Touched::Machine(node) => {
                self.stale.insert(node.clone());
            }
            Touched::All => self.all = true,
        }
    }

    /// What each machine waits for.
    #[must_use]
    pub fn waits(&self) -> &BTreeMap<NodeName, Waiting> {
        &self.waits
    }

    /// Gives up its waits.
    pub(crate) fn into_waits(self) -> BTreeMap<NodeName, Waiting> {
        self.waits
    }

    /// The machines that wait for something else, or no longer, since this was last asked.
    pub fn take_rewritten(&mut self) -> BTreeSet<NodeName> {
        core::mem::take(&mut self.rewritten)
    }

    /// Judges what may have changed since the last time.
    pub fn judge(&mut self, lab: &Lab, now: Moment) -> Judgment {
        let time = now.since_start;
        self.gather(lab, time);
        let mut judgment = Judgment::default();
        let shut = lab.active_run().is_some_and(|run| !run.released) && !self.tally.first_off.is_empty();
        let first_off = core::mem::take(&mut self.tally.first_off);
        let gate = if shut { Gate::Shut(&first_off) } else { Gate::Open };
        for node in core::mem::take(&mut self.stale) {
            let Some(machine) = lab.machines.get(&node) else { continue };
            self.judge_one(lab, machine, &gate, (time, &mut judgment));
        }
        self.tally.first_off = first_off;
        let (phase, because) = phase(lab, shut, &self.tally, time);
        if phase != lab.phase {
            judgment.facts.push(Fact::PhaseEntered { phase, because });
        }
        judgment.wake_at = self.timers.first().map(|(at, _)| *at);
        for wanted in [cluster::wanted(lab, time), manifests::wanted(lab, time)] {
            judgment.wishes.extend(wanted.wish);
            let lost = |id| Fact::Finished { id, outcome: Outcome::Unknown };
            judgment.facts.extend(wanted.unanswered.map(lost));
            judgment.wake_at = [judgment.wake_at, wanted.look_at].into_iter().flatten().min();
        }
        let cut = cuts::wanted(lab, time);
        judgment.facts.extend(cut.facts);
        judgment.wishes.extend(cut.wishes);
        judgment.wake_at = [judgment.wake_at, cut.look_at].into_iter().flatten().min();
        judgment
    }

    /// Finds out which machines must be judged again, and counts them anew.
    fn gather(&mut self, lab: &Lab, now: LabTime) {
        if core::mem::take(&mut self.all) {
            let gone: Vec<NodeName> =
                self.waits.keys().filter(|node| !lab.machines.contains_key(*node)).cloned().collect();
            for node in gone {
                self.waits.remove(&node);
                self.rewritten.insert(node);
            }
            self.timers.clear();
            self.found.clear();
            self.tally = Tally::default();
            self.stale = lab.machines.keys().cloned().collect();
        }
        while let Some((at, node)) = self.timers.pop_first() {
            if at > now {
                self.timers.insert((at, node));
                break;
            }
            if let Some(found) = self.found.get_mut(&node) {
                found.timer = None;
            }
            self.stale.insert(node);
        }
        let before = self.tally.first_off.len();
        let mut moved = false;
        for node in &self.stale {
            let Some(machine) = lab.machines.get(node) else { continue };
            let found = self.found.entry(node.clone()).or_default();
            let standing = Standing::of(machine);
            moved |= standing.first_off != found.standing.first_off;
            self.tally.count(node, found.standing, standing);
            found.standing = standing;
        }
        let around = Around::of(lab);
        moved |= around != self.around;
        self.around = around;
        if moved || before != self.tally.first_off.len() {
            let waiting = self.found.iter().filter(|(_, found)| found.behind_gate);
            self.stale.extend(waiting.map(|(node, _)| node.clone()));
        }
    }

    fn judge_one(
        &mut self,
        lab: &Lab,
        machine: &Machine,
        gate: &Gate<'_>,
        (time, judgment): (LabTime, &mut Judgment),
    ) {
        let node = &machine.node;
        let rung = seen(lab, machine, time);
        let entered = rung != machine.rung;
        judgment.facts.extend(entered.then(|| Fact::Entered { node: node.clone(), rung }));
        judgment.facts.extend(trial::started(lab, machine, rung));
        let silent = park::falls_silent_at(lab, machine);
        let fell_silent = silent.is_some_and(|at| at <= time);
        judgment.facts.extend(fell_silent.then(|| Fact::LoaderSilent { node: node.clone() }));
        let powered = power(lab, machine, time, judgment);
        let fades = [fades_at(lab, machine, rung), silent.filter(|at| *at > time), powered.turns_at];
        let mut timer = fades.into_iter().flatten().min();
        let Taken { waits, behind_gate, again } =
            take(lab, machine, step(lab, machine, rung, gate, time), judgment);
        if let Some(until) = waits.as_ref().map(|waiting| waiting.until) {
            timer = [timer, Some(until), turns_at(lab, machine, rung, time)].into_iter().flatten().min();
        }
        self.set_timer(node, timer);
        if let Some(found) = self.found.get_mut(node) {
            // Whatever a guest waits for, it ends when its hypervisor goes away.
            found.behind_gate = behind_gate || lab.guest_of(machine).is_some();
        }
        self.set_wait(node, waits);
        if entered || again || fell_silent || powered.changed {
            self.stale.insert(node.clone());
        }
    }

    fn set_timer(&mut self, node: &NodeName, timer: Option<LabTime>) {
        let Some(found) = self.found.get_mut(node) else { return };
        if found.timer == timer {
            return;
        }
        if let Some(old) = found.timer {
            self.timers.remove(&(old, node.clone()));
        }
        found.timer = timer;
        if let Some(new) = timer {
            self.timers.insert((new, node.clone()));
        }
    }

    fn set_wait(&mut self, node: &NodeName, waits: Option<Waiting>) {
        if self.waits.get(node) == waits.as_ref() {
            return;
        }
        self.rewritten.insert(node.clone());
        match waits {
            Some(waiting) => {
                self.waits.insert(node.clone(), waiting);
            }
            None => {
                self.waits.remove(node);
            }
        }
    }

    /// Judges and records what was found until nothing new follows. `record` numbers and keeps a fact.
    /// Returns the final judgment; its wishes have not been issued.
    pub fn settle(
        &mut self,
        lab: &mut Lab,
        now: Moment,
        mut record: impl FnMut(Fact) -> Event,
        mut touched: impl FnMut(Touched),
    ) -> Judgment {
        loop {
            let judgment = self.judge(lab, now);
            if judgment.facts.is_empty() {
                return judgment;
            }
            for fact in judgment.facts {
                let event = record(fact);
                let what = absorb(lab, &event);
                self.touch(&what);
                touched(what);
            }
        }
    }
}

/// What was found of a machine's power.
#[derive(Default)]
struct Powered {
    changed: bool,
    turns_at: Option<LabTime>,
}

/// Judges its power, where its driver's word is not the truth by itself.
fn power(lab: &Lab, machine: &Machine, now: LabTime, judgment: &mut Judgment) -> Powered {
    let Some(judged) = judged(lab, machine, now) else { return Powered::default() };
    let learned = learns(machine, &judged, now);
    let settles = learned.filter(|lesson| !lesson.due).map(|lesson| lesson.at);
    let turns_at = [judged.turns_at, settles].into_iter().flatten().filter(|at| *at > now).min();
    let learned = learned.filter(|lesson| lesson.due).map(|lesson| lesson.mbit);
    let changed = judged.state != machine.power;
    let node = &machine.node;
    if changed {
        let (state, evidence) = (judged.state, judged.evidence);
        judgment.facts.push(Fact::PowerSeen { node: node.clone(), state, evidence });
    }
    judgment.facts.extend(learned.map(|mbit| Fact::StandbyLearned { node: node.clone(), mbit }));
    Powered { changed: changed || learned.is_some(), turns_at }
}

/// The order to its port.
fn switching(lab: &Lab, node: &NodeName, order: PowerOrder) -> Option<Command> {
    let port = lab.node(node)?.power.clone();
    Some(Command::Power { node: node.clone(), port, order })
}

/// What came of a step.
#[derive(Default)]
struct Taken {
    waits: Option<Waiting>,
    behind_gate: bool,
    /// It is judged again with what was recorded or wished.
    again: bool,
}

/// Takes a step: records what it comes to, and wishes what it asks for.
fn take(lab: &Lab, machine: &Machine, step: Step, judgment: &mut Judgment) -> Taken {
    let node = &machine.node;
    let (facts, wishes) = (&mut judgment.facts, &mut judgment.wishes);
    let recorded = Taken { again: true, ..Taken::default() };
    // Until it is issued it is wished again.
    let wished = |waiting| Taken { waits: Some(waiting), again: true, behind_gate: false };
    match step {
        Step::Rest => Taken::default(),
        Step::Wait(waiting) => Taken { waits: Some(waiting), ..Taken::default() },
        Step::Behind(waiting) => Taken { waits: Some(waiting), behind_gate: true, again: false },
        Step::Switch(order, waiting) => {
            wishes.extend(switching(lab, node, order));
            wished(waiting)
        }
        Step::Push(waiting) => {
            wishes.extend(push_of(machine));
            wished(waiting)
        }
        Step::Offer(waiting) => {
            wishes.push(Command::Offer { node: node.clone(), boot: machine.boots });
            wished(waiting)
        }
        Step::Reset(waiting) => {
            wishes.push(Command::Reset { node: node.clone() });
            wished(waiting)
        }
        Step::Wipe(disk) => {
            let number = machine.wipes.saturating_add(1);
            let (node, permit, by) = (node.clone(), wipe::before::PERMIT, Origin::Scenario);
            facts.push(Fact::WipeAccepted { node, number, disk, permit, by });
            recorded
        }
        Step::ParkEnds(because) => {
            facts.push(Fact::ParkEnded { node: node.clone(), because });
            recorded
        }
        Step::WipeGivenUp(why) => {
            facts.push(Fact::WipeGivenUp { node: node.clone(), number: machine.wipes, why });
            recorded
        }
        Step::Unanswered(id) => {
            facts.push(Fact::Finished { id, outcome: Outcome::Unknown });
            recorded
        }
        Step::Fail(fault) => {
            fail(lab, machine, (fault, machine.tries >= lab.spec.limits.tries), facts);
            recorded
        }
        Step::GiveUp(fault) => {
            fail(lab, machine, (fault, true), facts);
            recorded
        }
    }
}

/// A start failed. One of an image that was tried is no start of the machine's own: it goes on with the image before.
fn fail(lab: &Lab, machine: &Machine, (fault, bad): (Fault, bool), facts: &mut Vec<Fact>) {
    let tried = trial::failed(lab, machine, &fault);
    facts.push(Fact::Faulted { node: machine.node.clone(), fault, bad: bad && tried.is_none() });
    facts.extend(tried);
}

/// The order to push its config to the key that a machine shows.
fn push_of(machine: &Machine) -> Option<Command> {
    let TalosSight::Maintenance { fingerprint, proof } = &machine.talos.sight else { return None };
    Some(Command::Push { node: machine.node.clone(), fingerprint: fingerprint.clone(), proof: *proof })
}
