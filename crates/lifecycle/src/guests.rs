//! Guests: machines whose power is another machine's doing. What their hypervisor tells of them, what it is told, and
//! what becomes of them when it goes away.
//!
//! ```text
//! order on a guest ──▶ boot table ──▶ its hypervisor's agent makes it so ──▶ what is true comes back as a sight
//! ```

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    BootAnswer, FaultCode, Goal, GuestBoot, GuestCause, GuestEnd, GuestSeen, GuestSpec, GuestState,
    GuestWish, LabTime, LogLine, LogSource, MarkKind, Moment, NodeName, PowerOrder, PowerState, Rung,
    Waiting,
};

use crate::absorb::power_seen;
use crate::lab::{Lab, Machine};
use crate::past::Room;
use crate::record;
use crate::rungs::{Step, next_try, wait_or_fail};
use crate::table::answer;
use crate::waterfall::times;

/// Severity of a line about a guest that ended (RFC 5424 table 2: warning).
const ENDED: u8 = 4;

impl Lab {
    /// What a guest is made of in the scenario in hand; none for metal, and for one that has no part in it.
    #[must_use]
    pub fn guest_of(&self, machine: &Machine) -> Option<&GuestSpec> {
        self.scenario()?.guests.get(&machine.node)
    }

    /// The machine that runs a guest in the scenario in hand.
    #[must_use]
    pub fn host_of(&self, guest: &NodeName) -> Option<&NodeName> {
        self.scenario()?.guests.get(guest).map(|spec| &spec.host)
    }

    /// True for a machine that runs guests in the scenario in hand.
    #[must_use]
    pub fn is_hypervisor(&self, node: &NodeName) -> bool {
        self.scenario().is_some_and(|scenario| scenario.hypervisors.contains(node))
    }

    /// The guests of a machine in the scenario in hand.
    fn guests_on<'a>(&'a self, host: &'a NodeName) -> impl Iterator<Item = (&'a NodeName, &'a GuestSpec)> {
        self.scenario().into_iter().flat_map(|s| &s.guests).filter(move |(_, guest)| guest.host == *host)
    }
}

/// True when everything that runs in this machine is known to be off.
pub(crate) fn are_off(lab: &Lab, host: &NodeName) -> bool {
    lab.guests_on(host).filter_map(|(guest, _)| lab.machines.get(guest)).all(|guest| !guest.may_run())
}

/// What a hypervisor's agent shall run; none for a machine that is no hypervisor of the run.
pub(crate) fn wishes(lab: &Lab, host: &NodeName) -> Option<Vec<GuestWish>> {
    lab.run.as_ref()?;
    lab.is_hypervisor(host).then(|| lab.guests_on(host).filter_map(|(guest, _)| wish(lab, guest)).collect())
}

fn wish(lab: &Lab, guest: &NodeName) -> Option<GuestWish> {
    let machine = lab.machines.get(guest)?;
    let (node, spec) = (lab.node(guest)?, lab.guest_of(machine)?);
    let (order, power) = machine.ordered.map_or((0, PowerOrder::Off), |(id, order)| (id.0, order));
    let (image, args) = match answer(lab, machine).0 {
        BootAnswer::Run { image, args } if spec.boot == GuestBoot::Kernel => (Some(image), args),
        BootAnswer::Run { .. } | BootAnswer::Disk { .. } | BootAnswer::Wait { .. } => (None, String::new()),
    };
    Some(GuestWish {
        node: guest.clone(),
        uuid: node.guest?,
        mac: node.mac,
        spec: spec.clone(),
        power,
        order,
        image,
        args,
    })
}

/// True when it is told of a boot of its hypervisor that another one has followed: a late word.
pub(crate) fn is_over(lab: &Lab, seen: &GuestSeen) -> bool {
    let agent = lab.machines.get(&seen.host).and_then(|host| host.agent.as_ref());
    agent.is_some_and(|agent| agent.report.boot_id != seen.host_boot)
}

/// Records what its hypervisor tells of a guest.
pub(crate) fn seen(machine: &mut Machine, seen: &GuestSeen, direct: bool, at: Moment, room: Room) {
    let before = machine.guest.take();
    let same_run = before.as_ref().is_some_and(|b| {
        (&b.host, &b.host_boot, b.starts) == (&seen.host, &seen.host_boot, seen.starts) && b.state.runs()
    });
    if let Some(end) = &seen.ended
        && before.as_ref().is_none_or(|before| before.ended != seen.ended || before.starts != seen.starts)
    {
        note_end(machine, end, at.since_start);
    }
    if seen.state.runs() {
        if !same_run {
            // A start that nobody ordered is a try all the same, or one that ends at once would be started for ever.
            if machine.goal == Goal::Ready && record::ordered_on(machine).is_none() && before.is_some() {
                machine.tries = machine.tries.saturating_add(1);
            }
            machine.running = false;
            power_seen(machine, PowerState::On, at, room);
            if !machine.running {
                record::begin(machine, at, true, room);
            }
            if direct {
                record::mark(machine, at.since_start, MarkKind::Started);
            }
        }
    } else {
        power_seen(machine, PowerState::Off, at, room);
    }
    seen.evidence.clone_into(&mut machine.evidence);
    machine.guest = Some(seen.clone());
}

/// The line about an end belongs to the boot that ended.
fn note_end(machine: &mut Machine, end: &GuestEnd, at: LabTime) {
    if end.cause == GuestCause::Ordered {
        return;
    }
    let text = format!("{}: {}", end.cause, end.evidence);
    if let Some(boot) = machine.boot.as_mut() {
        // A boot ends once: what is told of that again takes the place of what was told before.
        boot.log.retain(|line| line.source != LogSource::Host);
        boot.log.push(LogLine { at, severity: ENDED, text, error: None, source: LogSource::Host });
    }
}

/// Records that a machine went off, or began the boot `since`: its guests of before went with it. True when there were
/// any.
pub(crate) fn lost_with(lab: &mut Lab, host: &NodeName, since: Option<&str>, at: Moment) -> bool {
    let why = if since.is_some() { "started again" } else { "went off" };
    let guests: Vec<NodeName> = lab
        .machines
        .values()
        .filter(|m| m.power != PowerState::Off)
        .filter(|m| {
            let seen = m.guest.as_ref().filter(|seen| seen.host == *host);
            seen.is_some_and(|seen| since.is_none_or(|boot| seen.host_boot != boot))
        })
        .map(|m| m.node.clone())
        .collect();
    let room = lab.room();
    for guest in &guests {
        let Some(machine) = lab.machines.get_mut(guest).map(Arc::make_mut) else { continue };
        let end = GuestEnd { cause: GuestCause::HostRestarted, evidence: format!("{host}: {why}") };
        note_end(machine, &end, at.since_start);
        power_seen(machine, PowerState::Off, at, room);
        machine.evidence = format!("{host}, which runs it, {why}");
        if let Some(seen) = machine.guest.as_mut() {
            (seen.state, seen.ended) = (GuestState::Off, Some(end));
        }
    }
    !guests.is_empty()
}

/// What is known of a guest beside what is known of any machine, in lines for a person.
pub(crate) fn told(lab: &Lab, machine: &Machine) -> Vec<String> {
    let Some(spec) = lab.guest_of(machine) else { return Vec::new() };
    let mut lines = Vec::new();
    let made = format!("{}, {} MiB, {} processors", spec.host, spec.memory.0, spec.cpus);
    lines.push(match &machine.guest {
        None => format!("a guest of {made}, which has not told of it"),
        Some(seen) => {
            let starts = usize::try_from(seen.starts).unwrap_or(usize::MAX);
            format!("a guest of {made}; {}, started {}", seen.state, times(starts))
        }
    });
    if let Some(end) = machine.guest.as_ref().and_then(|seen| seen.ended.as_ref()) {
        lines.push(format!("its last run ended, {}: {}", end.cause, end.evidence));
    }
    lines
}

/// What hypervisors are, for their guests that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    ready: BTreeSet<NodeName>,
    bad: BTreeSet<NodeName>,
    /// A person wants it off.
    put_off: BTreeSet<NodeName>,
}

impl Hosts {
    /// Of the run in hand.
    pub(crate) fn of(lab: &Lab) -> Self {
        let hosts = lab.scenario().map(|scenario| scenario.hypervisors.as_slice()).unwrap_or_default();
        let those = |wanted: fn(&Machine) -> bool| {
            let machines = hosts.iter().filter_map(|host| lab.machines.get(host));
            machines.filter(|machine| wanted(machine)).map(|machine| machine.node.clone()).collect()
        };
        Self {
            ready: those(|machine| machine.rung == Rung::Ready),
            bad: those(|machine| machine.bad),
            put_off: those(is_put_off),
        }
    }
}

fn is_put_off(host: &Machine) -> bool {
    host.person == Some(PowerOrder::Off)
}

fn no_room(seen: &GuestSeen) -> bool {
    seen.ended.as_ref().is_some_and(|end| end.cause == GuestCause::NoRoom)
}

/// What a guest that is off waits for before it is switched on as any other machine is; or the reason why it is not.
pub(crate) fn before_on(lab: &Lab, machine: &Machine, now: LabTime) -> Option<Step> {
    let spec = lab.guest_of(machine)?;
    let host = lab.machines.get(&spec.host)?;
    let give_up = |code, text| Some(Step::GiveUp(model::Fault { code, text }));
    if host.bad {
        let why = host.fault.as_ref().map_or("it was given up", |fault| fault.text.as_str());
        return give_up(FaultCode::HostLost, format!("{}, which was to run it, is bad: {why}", host.node));
    }
    if host.rung != Rung::Ready {
        // Nothing of the hypervisor's: a guest is not judged again with each of its rungs.
        let since =
            lab.run.as_ref().map_or(now, |run| run.since.since_start).max(machine.entered.since_start);
        // The hypervisor has limits of its own; this is only when to look again.
        let rounds = now.since(since).0 / lab.spec.limits.start.0.max(1) + 1;
        let what = if is_put_off(host) {
            format!("somebody to switch {} on, which runs it: somebody wanted it off", host.node)
        } else {
            format!("{}, which runs it, to be ready", host.node)
        };
        return Some(Step::Behind(Waiting {
            what,
            since,
            until: since.after(model::Span(lab.spec.limits.start.0.saturating_mul(rounds))),
            then: String::from("look again"),
        }));
    }
    let (id, order) = machine.ordered?;
    let seen = machine.guest.as_ref().filter(|seen| seen.order == id.0 && order == PowerOrder::On)?;
    match seen.state {
        // Its hypervisor tries again by itself when there may be room.
        GuestState::Refused if no_room(seen) => {
            let since = machine.power_seen.map_or(now, |at| at.since_start);
            let wait = Waiting {
                what: format!("{} to have room for it", spec.host),
                since,
                until: since.after(lab.spec.limits.start),
                then: next_try(lab, machine),
            };
            Some(wait_or_fail(wait, FaultCode::GuestRefused, &seen.evidence, now))
        }
        GuestState::Refused => give_up(FaultCode::GuestRefused, seen.evidence.clone()),
        GuestState::CrashLooping => give_up(FaultCode::CrashLooping, seen.evidence.clone()),
        GuestState::Fetching => {
            let since = machine.power_seen.map_or(now, |at| at.since_start);
            let wait = Waiting {
                what: format!("{} to have what it boots ({})", spec.host, seen.evidence),
                since,
                until: since.after(lab.spec.limits.fetch),
                then: next_try(lab, machine),
            };
            Some(wait_or_fail(wait, FaultCode::FetchStalled, &seen.evidence, now))
        }
        GuestState::Starting => {
            let since = machine.power_seen.map_or(now, |at| at.since_start);
            let wait = Waiting {
                what: format!("{} to start it again ({})", spec.host, seen.evidence),
                since,
                until: since.after(lab.spec.limits.start),
                then: next_try(lab, machine),
            };
            Some(wait_or_fail(wait, FaultCode::PowerUnseen, &seen.evidence, now))
        }
        GuestState::Off | GuestState::Running => None,
    }
}
