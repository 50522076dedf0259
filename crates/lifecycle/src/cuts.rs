//! Ports of switches that are disabled for a while: who is cut off, until when, and that it ends by itself.
//!
//! ```text
//!   CutAccepted ─▶ wish "off" ─▶ done ─┬─ its time is over ─▶ CutEnded ─▶ wish "on" ─▶ done ─▶ settles ─▶ forgotten
//!                                      └─ asked for ───────────▲            └ failed: again, ever more rarely
//! ```
//!
//! A machine that is cut off is neither judged off by that nor started anew: it waits until its port is back, and is
//! given time to be heard again.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use model::{
    BOSS_PORT, Command, CommandId, DriverName, Fact, LabTime, NodeName, Origin, Outcome, PortRef, Span,
    Waiting,
};
use serde::{Deserialize, Serialize};

use crate::absorb::Touched;
use crate::admit::{Refusal, Verdict, named};
use crate::lab::{Lab, Machine};

/// Shortest cut: less is not seen by anybody.
const SHORTEST: Span = Span(500);
/// Longest: who wants more asks again.
const LONGEST: Span = Span::secs(3600);
/// How long a switch may take to answer; its driver has limits of its own, far below.
const ANSWER: Span = Span::secs(60);
/// Pause before a switch is told again what it did not do; doubled each time.
const FIRST_PAUSE: u64 = 5_000;
/// Longest such pause.
const LONGEST_PAUSE: u64 = 300_000;

/// One port that is disabled for a while, or is enabled again after that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCut {
    /// Which.
    pub port: PortRef,
    /// Since when it is wanted.
    pub since: LabTime,
    /// When it ends by itself; absent once it has ended, and the port is to be enabled.
    pub until: Option<LabTime>,
    /// The order that its switch has not answered yet: true to enable.
    pub in_flight: Option<(CommandId, bool, LabTime)>,
    /// What its switch did last: true when it was enabled.
    pub done: Option<(bool, LabTime)>,
    /// Why the last order failed, and when it is given again.
    pub refused: Option<(String, LabTime)>,
    /// Orders that failed one after the other.
    pub tries: u8,
}

impl PortCut {
    /// True when it is to be enabled.
    const fn wants(&self) -> bool {
        self.until.is_none()
    }

    /// When nothing is left of it: it was enabled, and its machine had time to be heard.
    fn settled(&self, settles: Span) -> Option<LabTime> {
        let (on, at) = self.done?;
        (self.until.is_none() && on && self.in_flight.is_none()).then(|| at.after(settles))
    }
}

/// Ports are to be disabled.
pub(crate) fn begin(lab: &mut Lab, ports: &[PortRef], span: Span, at: LabTime) -> Touched {
    forget_settled(lab, at);
    for port in ports {
        let until = Some(at.after(span));
        match lab.cuts.iter_mut().find(|cut| cut.port == *port) {
            Some(cut) => {
                cut.since = if cut.until.is_some() { cut.since } else { at };
                cut.until = until;
                cut.refused = None;
                cut.tries = 0;
            }
            None => lab.cuts.push(PortCut {
                port: port.clone(),
                since: at,
                until,
                in_flight: None,
                done: None,
                refused: None,
                tries: 0,
            }),
        }
    }
    Touched::All
}

/// Ports are to be enabled again.
pub(crate) fn end(lab: &mut Lab, ports: &[PortRef], at: LabTime) -> Touched {
    forget_settled(lab, at);
    for cut in lab.cuts.iter_mut().filter(|cut| ports.contains(&cut.port)) {
        cut.until = None;
        cut.refused = None;
        cut.tries = 0;
    }
    Touched::All
}

/// A switch was told.
pub(crate) fn issued(lab: &mut Lab, (id, port, on): (CommandId, &PortRef, bool), at: LabTime) -> Touched {
    if let Some(cut) = lab.cuts.iter_mut().find(|cut| cut.port == *port) {
        cut.in_flight = Some((id, on, at));
    }
    Touched::Lab
}

/// A switch answered; none when the order was another's.
pub(crate) fn finished(lab: &mut Lab, id: CommandId, outcome: &Outcome, at: LabTime) -> Option<Touched> {
    let flies = |cut: &PortCut| cut.in_flight.is_some_and(|(flying, ..)| flying == id);
    let place = lab.cuts.iter().position(flies)?;
    let cut = lab.cuts.get_mut(place)?;
    let (_, on, _) = cut.in_flight.take()?;
    let failed = |why: &str, cut: &mut PortCut| {
        let pause = FIRST_PAUSE.checked_shl(u32::from(cut.tries)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        cut.tries = cut.tries.saturating_add(1).min(16);
        // It may have been done all the same.
        cut.done = None;
        cut.refused = Some((why.to_owned(), at.after(Span(pause))));
    };
    match outcome {
        Outcome::Done => {
            cut.done = Some((on, at));
            cut.refused = None;
            cut.tries = 0;
        }
        // Nothing was done, and nothing will be.
        Outcome::Failed { code, .. } if code == BOSS_PORT => {
            lab.cuts.remove(place);
        }
        Outcome::Failed { why, .. } => failed(why, cut),
        Outcome::Unknown => failed("its switch did not answer", cut),
    }
    Some(Touched::All)
}

/// A core began: what was on its way is lost, and what is no part of the lab any more is forgotten.
pub(crate) fn core_started(lab: &mut Lab) {
    let spec = lab.spec.clone();
    lab.cuts.retain(|cut| spec.switch.contains_key(&cut.port.driver));
    for cut in &mut lab.cuts {
        if cut.in_flight.take().is_some() {
            cut.done = None;
        }
        cut.refused = None;
    }
    for machine in lab.machines.values_mut() {
        let port = spec.board.nodes.get(&machine.node).and_then(|node| node.port.as_ref());
        let watched = port.is_some_and(|port| spec.switch.contains_key(&port.driver));
        if !watched && machine.senses.link.is_some() {
            alloc::sync::Arc::make_mut(machine).senses.link = None;
        }
    }
}

fn forget_settled(lab: &mut Lab, at: LabTime) {
    let settles = lab.spec.limits.silence;
    lab.cuts.retain(|cut| cut.settled(settles).is_none_or(|end| at < end));
}

/// What follows from the cuts at this time.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) facts: Vec<Fact>,
    pub(crate) wishes: Vec<Command>,
    pub(crate) look_at: Option<LabTime>,
}

/// Which cuts are over, and what switches are to be told.
pub(crate) fn wanted(lab: &Lab, now: LabTime) -> Wanted {
    let mut wanted = Wanted::default();
    let mut over = Vec::new();
    let mut looks = Vec::new();
    for cut in &lab.cuts {
        match cut.until {
            Some(until) if until <= now => over.push(cut.port.clone()),
            Some(until) => looks.push(until),
            None => {}
        }
        if let Some((id, _, since)) = cut.in_flight {
            let limit = since.after(ANSWER);
            if limit <= now {
                wanted.facts.push(Fact::Finished { id, outcome: Outcome::Unknown });
            }
            looks.push(limit);
        } else if cut.done.is_none_or(|(on, _)| on != cut.wants()) {
            match &cut.refused {
                Some((_, again)) if *again > now => looks.push(*again),
                Some(_) | None => {
                    wanted.wishes.push(Command::Switch { port: cut.port.clone(), on: cut.wants() });
                }
            }
        }
    }
    if !over.is_empty() {
        wanted.facts.push(Fact::CutEnded { ports: over, by: None });
    }
    wanted.look_at = looks.into_iter().filter(|at| *at > now).min();
    wanted
}

fn of<'a>(lab: &'a Lab, machine: &Machine) -> Option<&'a PortCut> {
    let port = lab.node(&machine.node)?.port.as_ref()?;
    lab.cuts.iter().find(|cut| cut.port == *port)
}

/// What a machine waits for whose port is cut, or was a moment ago; none for any other.
pub(crate) fn hold(lab: &Lab, machine: &Machine, now: LabTime) -> Option<Waiting> {
    let cut = of(lab, machine)?;
    let waits = |what: String, since: LabTime, until: LabTime| Waiting {
        what,
        since,
        until,
        then: String::from("go on where it was"),
    };
    if let Some(until) = cut.until {
        return Some(waits(format!("{}, its switch port, to be enabled again", cut.port), cut.since, until));
    }
    let settles = lab.spec.limits.silence;
    match cut.settled(settles) {
        Some(until) if now < until => {
            let (_, back) = cut.done?;
            Some(waits(format!("it to be heard again, since {} is enabled", cut.port), back, until))
        }
        Some(_) => None,
        None => {
            let flies = cut.in_flight.map(|(_, _, since)| since.after(ANSWER));
            let again = cut.refused.as_ref().map(|(_, at)| *at);
            let until = flies.or(again).unwrap_or(now).max(now.after(Span::secs(1)));
            Some(waits(format!("its switch to enable {} again", cut.port), cut.since, until))
        }
    }
}

/// What people are told of a machine whose port is cut.
pub(crate) fn line(lab: &Lab, machine: &Machine, now: LabTime) -> Option<String> {
    let cut = of(lab, machine)?;
    let refused = cut.refused.as_ref().map(|(why, _)| format!("; {why}")).unwrap_or_default();
    match (cut.until, cut.done) {
        (Some(until), Some((false, _))) => {
            Some(format!("cut off by us: {} is disabled for {} more", cut.port, until.since(now)))
        }
        (Some(_), _) => Some(format!("{} is to be disabled{refused}", cut.port)),
        (None, Some((true, _))) => None,
        (None, _) => Some(format!("{} is to be enabled again{refused}", cut.port)),
    }
}

/// Why ports cannot be disabled, or not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CutRefusal {
    /// The lab file has no such switch.
    UnknownSwitch {
        /// As typed.
        asked: String,
        /// What there is.
        known: Vec<DriverName>,
    },
    /// No machine of this zone hangs on a switch of the lab.
    UnknownZone {
        /// As typed.
        asked: String,
    },
    /// The lab file does not say which port of which switch this machine hangs on.
    NotWired {
        /// Which.
        node: NodeName,
    },
    /// Nobody may disable this port.
    Guarded {
        /// Which.
        port: PortRef,
        /// Why.
        why: &'static str,
    },
    /// It is too long, or too short to be seen.
    Span {
        /// As asked.
        asked: Span,
    },
}

impl CutRefusal {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSwitch { .. } => "unknown_switch",
            Self::UnknownZone { .. } => "unknown_zone",
            Self::NotWired { .. } => "not_wired",
            Self::Guarded { .. } => "port_guarded",
            Self::Span { .. } => "cut_span",
        }
    }

    /// What the person who asked can do.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::UnknownSwitch { known, .. } if known.is_empty() => {
                "the lab file has no `switch`: describe one there".to_owned()
            }
            Self::UnknownSwitch { known, .. } => {
                let names: Vec<&str> = known.iter().map(DriverName::as_str).collect();
                format!("switches of this lab: {}; a port is written SWITCH/PORT", names.join(", "))
            }
            Self::UnknownZone { .. } => "`zone` of a machine and its `port` stand in the lab file".to_owned(),
            Self::NotWired { node } => {
                format!("write `port: SWITCH/PORT` behind {node}; `labinator wiring learn` finds out which")
            }
            Self::Guarded { port, .. } => {
                format!("whoever disables {port} may not reach the switch to enable it again")
            }
            Self::Span { .. } => {
                format!("from {SHORTEST} to {LONGEST}; ask again before it is over to go on")
            }
        }
    }
}

impl fmt::Display for CutRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSwitch { asked, .. } => write!(f, "`{asked}` is no port of a switch of this lab"),
            Self::UnknownZone { asked } => write!(f, "no machine of `{asked}` hangs on a switch of this lab"),
            Self::NotWired { node } => write!(f, "which switch port {node} hangs on is not written down"),
            Self::Guarded { port, why } => write!(f, "{port} is never disabled: {why}"),
            Self::Span { asked } => write!(f, "ports are not disabled for {asked}"),
        }
    }
}

fn refused(why: CutRefusal) -> Refusal {
    Refusal::Cut(why)
}

/// The ports that are meant: of a machine, of a zone (`zone:2`), or one by its name (`core/6`).
fn ports(lab: &Lab, asked: &str) -> Result<Vec<PortRef>, Refusal> {
    let spec = &lab.spec;
    let unknown = || {
        let known = spec.switch.keys().cloned().collect();
        refused(CutRefusal::UnknownSwitch { asked: asked.to_owned(), known })
    };
    let is_watched = |port: &&PortRef| spec.switch.contains_key(&port.driver);
    if let Some(zone) = asked.strip_prefix("zone:") {
        let nodes = spec.board.nodes.values();
        let there = nodes.filter(|node| node.zone.is_some_and(|number| number.to_string() == zone));
        let ports: Vec<PortRef> =
            there.filter_map(|node| node.port.as_ref()).filter(is_watched).cloned().collect();
        if ports.is_empty() {
            return Err(refused(CutRefusal::UnknownZone { asked: asked.to_owned() }));
        }
        return Ok(ports);
    }
    if let Some((driver, port)) = asked.split_once('/') {
        let name: DriverName = driver.parse().map_err(|_| unknown())?;
        if !spec.switch.contains_key(&name) || port.is_empty() {
            return Err(unknown());
        }
        return Ok(vec![PortRef { driver: name, port: port.to_owned() }]);
    }
    let node = &named(lab, asked)?.node;
    let port = lab.node(node).and_then(|spec| spec.port.as_ref()).filter(is_watched);
    match port {
        Some(port) => Ok(vec![port.clone()]),
        None => Err(refused(CutRefusal::NotWired { node: node.clone() })),
    }
}

fn all_ports(lab: &Lab, what: &[String]) -> Result<Vec<PortRef>, Refusal> {
    let mut all = Vec::new();
    for asked in what {
        all.extend(ports(lab, asked)?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Whether ports may be disabled.
///
/// # Errors
/// A [`Refusal`].
pub(crate) fn admit_cut(lab: &Lab, what: &[String], span: Span, by: Origin) -> Result<Verdict, Refusal> {
    let ports = all_ports(lab, what)?;
    for port in &ports {
        let guarded = lab.spec.switch.get(&port.driver).and_then(|switch| switch.guards(&port.port));
        if let Some(why) = guarded {
            return Err(refused(CutRefusal::Guarded { port: port.clone(), why }));
        }
    }
    if span < SHORTEST || span > LONGEST {
        return Err(refused(CutRefusal::Span { asked: span }));
    }
    Ok(Verdict::Record(Fact::CutAccepted { ports, span, by }))
}

/// Whether ports are to be enabled again.
///
/// # Errors
/// A [`Refusal`].
pub(crate) fn admit_restore(lab: &Lab, what: &[String], by: Origin) -> Result<Verdict, Refusal> {
    let asked = match what {
        [all] if all == "all" => None,
        some => Some(all_ports(lab, some)?),
    };
    let is_cut =
        |cut: &&PortCut| cut.until.is_some() && asked.as_ref().is_none_or(|ports| ports.contains(&cut.port));
    let ports: Vec<PortRef> = lab.cuts.iter().filter(is_cut).map(|cut| cut.port.clone()).collect();
    if ports.is_empty() {
        return Ok(Verdict::Already);
    }
    Ok(Verdict::Record(Fact::CutEnded { ports, by: Some(by) }))
}
