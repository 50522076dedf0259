//! What shall be, what is, and so what is done next; pure: time is an argument, and nothing is done here.
//!
//! ```text
//!            ┌────────── ended: at once, then after 1, 2, 4, 8 s; more than the budget: crash-looping ──┐
//!            ▼                                                                                          │
//!   none ──start──▶ starting ──it answers──▶ runs ──wished off or otherwise──▶ stopping ──ended──▶ none │
//!                      └──────────────────────┴──────────────────────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;

use model::{GuestCause, GuestEnd, GuestSeen, GuestState, GuestWish, NodeName, PowerOrder};
use serde::{Deserialize, Serialize};

use super::admit::{self, Capacity, Claim};
use super::plan::definition;

/// Ends within [`WINDOW_MS`] after which a guest is started again; one more and a person must look.
pub(super) const BUDGET: usize = 5;
/// How long an end counts.
pub(super) const WINDOW_MS: u64 = 10 * 60 * 1000;
/// Pauses before the next start, by the number of ends that count.
const PAUSES_MS: [u64; BUDGET] = [0, 1000, 2000, 4000, 8000];
/// Restarts that a guest's own system may ask for within [`WINDOW_MS`]: they are no losses, and a system that does
/// nothing else is one all the same.
const OWN_RESTARTS: usize = 30;
/// From pressing the power button until QEMU is told to quit, and from then until it is killed.
const QUIT_AFTER_MS: u64 = 10_000;
const KILL_AFTER_MS: u64 = 13_000;
/// How long a guest that is not listed any more is told of after its end.
const TOLD_MS: u64 = 10_000;

/// What a guest's next boot needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Have {
    /// It is there.
    Here,
    /// Nobody has said yet what it boots.
    Undecided,
    /// It is on its way.
    Coming(String),
    /// What starts guests is not there yet.
    Waits(String),
    /// It cannot be used.
    Bad(String),
    /// The hypervisor has no room for it.
    NoRoom(String),
}

/// Says how it stands with what a guest boots.
pub(super) type Supply<'a> = &'a dyn Fn(&GuestWish) -> Have;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Start QEMU.
    Start(NodeName),
    /// Press its power button.
    PowerDown(NodeName),
    /// Tell QEMU to quit.
    Quit(NodeName),
    /// Kill QEMU.
    Kill(NodeName),
    /// Remove what is left of it.
    Forget(NodeName),
}

/// What outlives the agent of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    /// Times it was started in this boot of the hypervisor.
    pub(super) starts: u32,
    /// The order it follows.
    pub(super) order: u64,
    /// When it was lost, in milliseconds of the hypervisor's uptime.
    pub(super) losses: Vec<u64>,
    /// When its own system asked for a restart.
    pub(super) restarts: Vec<u64>,
    /// How its last run ended.
    pub(super) ended: Option<GuestEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Asked,
    Quitting,
    Killed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    None,
    Starting,
    Running,
    Stopping { since: u64, step: Stop },
}

#[derive(Debug, Clone)]
struct Guest {
    wish: Option<GuestWish>,
    listed: bool,
    run: Run,
    /// Definition of what runs.
    made_of: String,
    past: Past,
    /// Not before this.
    next: u64,
    /// Nothing can be done about it before this, and why.
    trouble: Option<(u64, String)>,
    state: GuestState,
    evidence: String,
    /// How the running one is known.
    running: String,
    /// Since when one that is not listed is off.
    gone: Option<u64>,
}

impl Guest {
    const fn new() -> Self {
        Self {
            wish: None,
            listed: false,
            run: Run::None,
            made_of: String::new(),
            past: Past { starts: 0, order: 0, losses: Vec::new(), restarts: Vec::new(), ended: None },
            next: 0,
            trouble: None,
            state: GuestState::Off,
            evidence: String::new(),
            running: String::new(),
            gone: None,
        }
    }

    fn is_wished_on(&self) -> bool {
        self.listed && self.wish.as_ref().is_some_and(|wish| wish.power == PowerOrder::On)
    }

    /// The losses that count; more than the budget is crash-looping.
    fn losses(&self, now: u64) -> usize {
        self.past.losses.iter().filter(|at| now.saturating_sub(**at) < WINDOW_MS).count()
    }

    /// Once said, it stays said: not time but another order ends it.
    fn is_crash_looping(&self) -> bool {
        let Some(last) = self.past.losses.last() else { return false };
        self.losses(*last) > BUDGET
    }

    fn set(&mut self, state: GuestState, evidence: impl Into<String>) {
        self.state = state;
        self.evidence = evidence.into();
    }

    fn last_end(&self) -> String {
        let end = self.past.ended.as_ref().filter(|end| !end.evidence.is_empty());
        end.map_or_else(|| "as wished".to_owned(), |end| format!("{}: {}", end.cause, end.evidence))
    }
}

/// The guests of a hypervisor.
#[derive(Debug)]
pub(super) struct Judge {
    capacity: Capacity,
    guests: BTreeMap<NodeName, Guest>,
    /// As listed; none while nobody has said.
    listed: Option<Vec<NodeName>>,
}

impl Judge {
    pub(super) const fn new(capacity: Capacity) -> Self {
        Self { capacity, guests: BTreeMap::new(), listed: None }
    }

    /// What the machine has.
    pub(super) const fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Takes up what an earlier agent left: `running` is what its QEMU was made of, if that runs still. It is told as
    /// running before it answers again: an agent that begins anew is no new start of its guests.
    pub(super) fn recall(&mut self, node: NodeName, past: Past, running: Option<String>) {
        let guest = self.guests.entry(node).or_insert_with(Guest::new);
        guest.past = past;
        if let Some(definition) = running {
            (guest.run, guest.made_of) = (Run::Running, definition);
            "QEMU runs, as the agent before this one left it".clone_into(&mut guest.running);
        }
    }

    /// Takes the list of what shall be there.
    pub(super) fn wish(&mut self, list: &[GuestWish]) {
        for guest in self.guests.values_mut() {
            guest.listed = false;
        }
        for wish in list {
            let guest = self.guests.entry(wish.node.clone()).or_insert_with(Guest::new);
            (guest.listed, guest.gone) = (true, None);
            if guest.past.order != wish.order {
                guest.past.order = wish.order;
                guest.past.losses.clear();
                guest.past.restarts.clear();
                (guest.trouble, guest.next) = (None, 0);
            }
            guest.wish = Some(wish.clone());
        }
        self.listed = Some(list.iter().map(|wish| wish.node.clone()).collect());
    }

    /// A QEMU answers.
    pub(super) fn started(&mut self, node: &NodeName, evidence: String) {
        if let Some(guest) = self.guests.get_mut(node) {
            guest.running = evidence;
            if guest.run == Run::Starting {
                guest.run = Run::Running;
            }
        }
    }

    /// A QEMU could not be started, for a reason that lies outside the guest.
    pub(super) fn hindered(&mut self, node: &NodeName, why: String, until: u64) {
        if let Some(guest) = self.guests.get_mut(node) {
            guest.run = Run::None;
            guest.trouble = Some((until, why));
        }
    }

    /// A QEMU was not started, because what starts guests is away: no start, and nobody's fault.
    pub(super) fn not_started(&mut self, node: &NodeName) {
        if let Some(guest) = self.guests.get_mut(node) {
            guest.run = Run::None;
            guest.past.starts = guest.past.starts.saturating_sub(1);
        }
    }

    /// A QEMU runs that this agent did not start: somebody else did, or an agent before this one.
    pub(super) fn found(&mut self, node: &NodeName, made_of: String) {
        if let Some(guest) = self.guests.get_mut(node) {
            if guest.run == Run::None {
                guest.run = Run::Starting;
                guest.past.starts = guest.past.starts.saturating_add(1);
            }
            guest.made_of = made_of;
        }
    }

    /// What a person should know of the running one.
    pub(super) fn remark(&mut self, node: &NodeName, text: &str) {
        if let Some(guest) = self.guests.get_mut(node).filter(|guest| guest.run == Run::Running) {
            guest.running = format!("{}; {text}", guest.running.split("; ").next().unwrap_or_default());
        }
    }

    /// What was lost turns out not to be known to libvirt any more.
    pub(super) fn undefined(&mut self, node: &NodeName, evidence: &str) {
        let guest = self.guests.get_mut(node);
        let end = guest.and_then(|guest| guest.past.ended.as_mut());
        if let Some(end) = end.filter(|end| end.cause == GuestCause::QemuDied) {
            end.cause = GuestCause::Undefined;
            end.evidence = format!("{evidence}; {}", end.evidence);
        }
    }

    /// A QEMU is gone.
    pub(super) fn ended(&mut self, node: &NodeName, end: Ended, now: u64) {
        let Some(guest) = self.guests.get_mut(node) else { return };
        let was = std::mem::replace(&mut guest.run, Run::None);
        let Ended { end, own_restart } = end;
        let in_time = |times: &mut Vec<u64>| {
            times.retain(|at| now.saturating_sub(*at) < WINDOW_MS);
            times.push(now);
            times.len()
        };
        if matches!(was, Run::Stopping { .. }) {
            let evidence = end.evidence;
            guest.past.ended = Some(GuestEnd { cause: GuestCause::Ordered, evidence });
            guest.next = now;
            return;
        }
        if own_restart && in_time(&mut guest.past.restarts) <= OWN_RESTARTS {
            // What its system wants is no loss; the next boot has the newest kernel and words.
            guest.past.ended = Some(GuestEnd { cause: GuestCause::Ordered, evidence: end.evidence });
            guest.next = now;
            return;
        }
        guest.past.ended = Some(end);
        if !guest.is_crash_looping() {
            let count = in_time(&mut guest.past.losses);
            guest.next = now + PAUSES_MS.get(count.saturating_sub(1)).copied().unwrap_or_default();
        }
    }

    /// A guest's firmware gave up and begins again, in the same QEMU.
    pub(super) fn began_again(&mut self, node: &NodeName, evidence: String) {
        if let Some(guest) = self.guests.get_mut(node) {
            guest.past.starts = guest.past.starts.saturating_add(1);
            guest.past.ended = Some(GuestEnd { cause: GuestCause::NothingBootable, evidence });
        }
    }

    /// What is to be done now. Asked twice without news, it gives nothing the second time.
    pub(super) fn decide(&mut self, now: u64, have: Supply<'_>) -> Vec<Act> {
        let Some(listed) = self.listed.clone() else { return Vec::new() };
        let mut acts = Vec::new();
        let others: Vec<_> = self.guests.keys().filter(|node| !listed.contains(node)).cloned().collect();
        for node in others {
            let Some(guest) = self.guests.get_mut(&node) else { continue };
            if guest.run == Run::None {
                guest.set(GuestState::Off, "it belongs here no longer");
                if guest.gone.is_none() {
                    guest.gone = Some(now);
                    acts.push(Act::Forget(node.clone()));
                }
                if guest.gone.is_some_and(|gone| now >= gone + TOLD_MS) {
                    self.guests.remove(&node);
                }
            } else {
                stop(&node, guest, now, &mut acts);
            }
        }
        let refused = admit::refused(self.capacity, &self.claims(&listed));
        for node in &listed {
            let sum = refused.iter().find(|(who, _)| who == node).map(|(_, sum)| sum.as_str());
            let Some(guest) = self.guests.get_mut(node) else { continue };
            follow(node, guest, now, (have, sum), &mut acts);
        }
        acts
    }

    /// Running ones of whatever list, then those that shall run.
    fn claims<'a>(&'a self, listed: &'a [NodeName]) -> Vec<Claim<'a>> {
        let running = self.guests.iter().filter(|(_, guest)| guest.run != Run::None);
        let wished = listed.iter().filter_map(|node| Some((node, self.guests.get(node)?)));
        let wished = wished.filter(|(_, guest)| guest.run == Run::None && guest.is_wished_on());
        let claim = |(node, guest): (&'a NodeName, &'a Guest)| {
            let memory = guest.wish.as_ref()?.spec.memory;
            Some(Claim { node, memory, runs: guest.run != Run::None })
        };
        running.filter_map(claim).chain(wished.filter_map(claim)).collect()
    }

    /// When something is due although nothing happens.
    pub(super) fn due(&self, now: u64) -> Option<u64> {
        let of = |guest: &Guest| match guest.run {
            Run::Stopping { since, step: Stop::Asked } => Some(since + QUIT_AFTER_MS),
            Run::Stopping { since, step: Stop::Quitting } => Some(since + KILL_AFTER_MS),
            Run::None if guest.is_wished_on() => {
                Some(guest.next.max(guest.trouble.as_ref().map_or(0, |t| t.0)))
            }
            Run::None | Run::Starting | Run::Running | Run::Stopping { .. } => {
                guest.gone.map(|gone| gone + TOLD_MS)
            }
        };
        self.guests.values().filter_map(of).filter(|at| *at > now).min()
    }

    /// What is true, for the boss.
    pub(super) fn seen(&self, host: &NodeName, host_boot: &str) -> Vec<GuestSeen> {
        let seen = |(node, guest): (&NodeName, &Guest)| {
            Some(GuestSeen {
                node: node.clone(),
                mac: guest.wish.as_ref()?.mac,
                host: host.clone(),
                host_boot: host_boot.to_owned(),
                state: guest.state,
                order: guest.past.order,
                starts: guest.past.starts,
                ended: guest.past.ended.clone(),
                evidence: guest.evidence.clone(),
            })
        };
        self.guests.iter().filter_map(seen).collect()
    }

    /// What shall outlive the agent.
    pub(super) fn past(&self, node: &NodeName) -> Option<&Past> {
        self.guests.get(node).map(|guest| &guest.past)
    }

    /// The wish that a start follows.
    pub(super) fn wish_of(&self, node: &NodeName) -> Option<&GuestWish> {
        self.guests.get(node)?.wish.as_ref()
    }
}

/// How a QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) end: GuestEnd,
    /// The system in it asked for a restart.
    pub(super) own_restart: bool,
}

fn stop(node: &NodeName, guest: &mut Guest, now: u64, acts: &mut Vec<Act>) {
    let (since, step, act) = match guest.run {
        Run::Stopping { since, step: Stop::Asked } if now >= since + QUIT_AFTER_MS => {
            (since, Stop::Quitting, Act::Quit(node.clone()))
        }
        Run::Stopping { since, step: Stop::Quitting } if now >= since + KILL_AFTER_MS => {
            (since, Stop::Killed, Act::Kill(node.clone()))
        }
        Run::Stopping { .. } | Run::None => return,
        Run::Starting | Run::Running => (now, Stop::Asked, Act::PowerDown(node.clone())),
    };
    guest.run = Run::Stopping { since, step };
    acts.push(act);
    guest.set(
        GuestState::Running,
        match step {
            Stop::Asked => "its power button was pressed",
            Stop::Quitting => "it did not switch itself off: QEMU was told to quit",
            Stop::Killed => "QEMU did not quit and was killed",
        },
    );
}

fn follow(
    node: &NodeName,
    guest: &mut Guest,
    now: u64,
    (have, sum): (Supply<'_>, Option<&str>),
    acts: &mut Vec<Act>,
) {
    let Some(wish) = guest.wish.clone() else { return };
    let wanted = definition(&wish);
    match guest.run {
        Run::Running | Run::Starting if wish.power == PowerOrder::Off || guest.made_of != wanted => {
            return stop(node, guest, now, acts);
        }
        Run::Stopping { .. } => return stop(node, guest, now, acts),
        Run::Running => {
            let evidence = guest.running.clone();
            return guest.set(GuestState::Running, evidence);
        }
        Run::Starting => return guest.set(GuestState::Starting, "QEMU starts"),
        Run::None => {}
    }
    if wish.power == PowerOrder::Off {
        let how = guest.last_end();
        return guest.set(GuestState::Off, how);
    }
    if guest.is_crash_looping() {
        let text = format!(
            "it ended {} times within {} min, at last: {}; another order starts it again",
            guest.past.losses.len(),
            WINDOW_MS / 60_000,
            guest.last_end()
        );
        return guest.set(GuestState::CrashLooping, text);
    }
    if let Some(sum) = sum {
        return guest.set(GuestState::Refused, sum);
    }
    if let Some((until, why)) = guest.trouble.clone() {
        if now < until {
            return guest.set(GuestState::Refused, why);
        }
        guest.trouble = None;
    }
    if now < guest.next {
        let text = format!("start {} of {BUDGET}, after: {}", guest.losses(now), guest.last_end());
        return guest.set(GuestState::Starting, text);
    }
    match have(&wish) {
        Have::Here => {}
        Have::Undecided => {
            return guest.set(GuestState::Fetching, "the boss has not said yet what it boots");
        }
        Have::Coming(how) => return guest.set(GuestState::Fetching, how),
        Have::Waits(why) => return guest.set(GuestState::Starting, why),
        Have::Bad(why) => return guest.set(GuestState::Refused, why),
        Have::NoRoom(why) => {
            let evidence = why.clone();
            guest.past.ended = Some(GuestEnd { cause: GuestCause::NoRoom, evidence });
            return guest.set(GuestState::Refused, why);
        }
    }
    guest.run = Run::Starting;
    guest.made_of = wanted;
    guest.past.starts = guest.past.starts.saturating_add(1);
    guest.set(GuestState::Starting, "QEMU starts");
    acts.push(Act::Start(node.clone()));
}

#[cfg(test)]
mod tests;
