//! Whether a machine runs, from what was seen of it. Link is not power, silence is not off, and a press is no proof.
//!
//! ```text
//!   its device senses it      on, off              LED, controller, supply cut, watts against `standby`
//!   a person looked           on, off, unknown     until something else is seen
//!   it was heard              on                   a frame, a request, its agent; until the link fell, or for a while
//!   link above its speed off  on                   only while its switch port is enabled
//!   silent for DARK, and its link is as it is off  off
//!   silent for `first-ask` after a hold, or after it took the order to stop, link not watched  off
//!   anything else             unknown              and no button is pressed
//! ```
//!
//! A port that is disabled, by us or by others, takes link and silence away as evidence. What a device believes counts
//! for nothing.

use alloc::format;
use alloc::string::String;

use model::{DeviceSpec, LabTime, PortSense, PowerDriver, PowerOrder, PowerState, Span};

use super::senses::Senses;
use crate::lab::{Lab, Machine};

/// How long a machine whose link is watched must be silent, and its link unchanged, before it may count as off. More
/// than a link stays away in POST.
pub(crate) const DARK: Span = Span::secs(15);
/// How long a link may still be seen up after the machine went off: switches are asked every second or two.
const LINK_LAG: Span = Span::secs(3);
/// Longest that a button is held.
const HOLD: Span = Span::secs(6);
/// A word this old may have been on its way while the supply was cut.
const LATE_WORD: Span = Span::secs(2);

/// A judgment of a machine's power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    /// On, off or unknown.
    pub(crate) state: PowerState,
    /// How that is known.
    pub(crate) evidence: String,
    /// When it may be judged otherwise although nothing happened.
    pub(crate) turns_at: Option<LabTime>,
}

impl Judged {
    const fn new(state: PowerState, evidence: String) -> Self {
        Self { state, evidence, turns_at: None }
    }

    fn until(self, at: LabTime) -> Self {
        Self { turns_at: Some(at), ..self }
    }
}

/// The device that switches a machine; none where its driver's word is the truth, or a person's.
pub(crate) fn device_of<'a>(lab: &'a Lab, machine: &Machine) -> Option<&'a DeviceSpec> {
    match lab.spec.power.get(&lab.node(&machine.node)?.power.driver)? {
        PowerDriver::Device(device) => Some(device),
        PowerDriver::Virtual { .. } | PowerDriver::Manual | PowerDriver::Guests => None,
    }
}

/// True for a machine whose power port is a button.
pub(crate) fn presses(lab: &Lab, machine: &Machine) -> bool {
    device_of(lab, machine).is_some_and(|device| device.kind.presses())
}

/// How long its result may take to be seen after an order was carried out.
pub(crate) fn patience(lab: &Lab, machine: &Machine) -> Span {
    let limits = &lab.spec.limits;
    let Some(device) = device_of(lab, machine) else { return limits.power };
    let watched = machine.senses.link.is_some_and(|(link, _)| link.enabled);
    match (senses_it(lab, machine, device), watched) {
        (true, _) => limits.power,
        (false, true) => limits.power.max(Span(DARK.0 + LINK_LAG.0 + 2000)),
        (false, false) => limits.power.max(Span(limits.first_ask.0 + 2000)),
    }
}

/// How long its port may take to answer an order: other ports of the same device may be before it.
pub(crate) fn answers_within(lab: &Lab, machine: &Machine) -> Span {
    let limit = lab.spec.limits.power;
    let Some((device, node)) = device_of(lab, machine).zip(lab.node(&machine.node)) else { return limit };
    let ports = lab.spec.board.nodes.values().filter(|other| other.power.driver == node.power.driver).count();
    let turns = device.stagger.0.saturating_mul(u64::try_from(ports).unwrap_or(u64::MAX));
    Span(limit.0.saturating_add(turns).saturating_add(HOLD.0))
}

/// True where the device itself tells of the machine, and is there to tell.
fn senses_it(lab: &Lab, machine: &Machine, device: &DeviceSpec) -> bool {
    !is_lost(lab, machine)
        && machine.senses.reading.is_some_and(|(reading, _)| match reading.sense {
            PortSense::Machine(_) | PortSense::Supply(_) => true,
            PortSense::Nothing | PortSense::Believed(_) => {
                reading.milliwatts.is_some() && device.standby.is_some()
            }
        })
}

fn is_lost(lab: &Lab, machine: &Machine) -> bool {
    let driver = lab.node(&machine.node).map(|node| &node.power.driver);
    driver.and_then(|driver| lab.devices.get(driver)).is_some_and(|device| device.lost.is_some())
}

/// Judges a machine whose driver's word is not the truth by itself; none for one whose driver's word is.
pub(crate) fn judged(lab: &Lab, machine: &Machine, now: LabTime) -> Option<Judged> {
    let device = device_of(lab, machine)?;
    let senses = &machine.senses;
    let port = lab.node(&machine.node).map(|node| format!("{}", node.power)).unwrap_or_default();
    if !is_lost(lab, machine)
        && let Some(judged) = sensed(senses, device, &port, now)
    {
        return Some(judged);
    }
    if let Some(judged) = said(senses) {
        return Some(judged);
    }
    if let Some(judged) = heard(lab, senses, now) {
        return Some(judged);
    }
    if let Some(judged) = linked(lab, senses, now) {
        return Some(judged);
    }
    if let Some(judged) = silent(lab, senses, &port, now) {
        return Some(judged);
    }
    Some(Judged::new(PowerState::Unknown, unknown(lab, machine, &port)))
}

/// What the device senses.
fn sensed(senses: &Senses, device: &DeviceSpec, port: &str, now: LabTime) -> Option<Judged> {
    let (reading, since) = senses.reading?;
    let by_watts = reading.milliwatts.zip(device.standby).map(|(taken, standby)| {
        (taken > standby, format!("{port} gives {}.{} W", taken / 1000, taken % 1000 / 100))
    });
    let (on, evidence) = match reading.sense {
        PortSense::Machine(true) => (true, format!("{port} senses that it runs")),
        PortSense::Machine(false) => (false, format!("{port} senses that it is off")),
        PortSense::Supply(false) => (false, format!("{port} has cut its supply")),
        PortSense::Supply(true) => by_watts.unwrap_or_else(|| (true, format!("{port} gives it supply"))),
        PortSense::Nothing | PortSense::Believed(_) => by_watts?,
    };
    if on {
        return Some(Judged::new(PowerState::On, evidence));
    }
    // What speaks does run, whatever a wrongly wired sense says.
    let spoke = senses.heard.filter(|heard| *heard > since.after(LATE_WORD));
    Some(match spoke.map(|heard| heard.after(DARK)) {
        Some(until) if now < until => Judged::new(
            PowerState::Unknown,
            format!("{evidence}, but it speaks: is it wired to another port?"),
        )
        .until(until),
        Some(_) | None => Judged::new(PowerState::Off, evidence),
    })
}

/// What a person said, until something was seen since.
fn said(senses: &Senses) -> Option<Judged> {
    let (state, at) = senses.said?;
    let pressed = senses.press.is_some_and(|press| press.at >= at);
    let linked = senses.link.is_some_and(|(link, changed)| link.enabled && changed > at);
    if senses.heard.is_some_and(|heard| heard > at) || pressed || linked {
        return None;
    }
    Some(Judged::new(state, format!("a person looked, and said {state}")))
}

/// It was heard a short while ago, and nothing tells that it ended since.
fn heard(lab: &Lab, senses: &Senses, now: LabTime) -> Option<Judged> {
    let heard = senses.heard?;
    if senses.press.is_some_and(|press| press.at > heard) || unsaid(senses, heard) {
        return None;
    }
    let watched = senses.link.filter(|(link, _)| link.enabled);
    let span = match watched {
        // The link fell, or came to its speed off, after the last word.
        Some((link, changed)) if changed > heard && senses.is_standby(link.mbit) != Some(false) => {
            return None;
        }
        Some(_) => DARK,
        // Cut off, it could go unheard: nothing else would tell.
        None if senses.link.is_some() => DARK,
        None => lab.spec.limits.first_ask,
    };
    let until = heard.after(span);
    (now < until).then(|| Judged::new(PowerState::On, String::from("it was heard")).until(until))
}

/// A person said since that this is not so any more.
fn unsaid(senses: &Senses, since: LabTime) -> bool {
    senses.said.is_some_and(|(_, at)| at >= since)
}

/// What its link tells, where the switch port is enabled.
fn linked(lab: &Lab, senses: &Senses, now: LabTime) -> Option<Judged> {
    let (link, changed) = senses.link.filter(|(link, _)| link.enabled)?;
    let pressed = senses.press.map(|press| press.at);
    if let Some(settles) = pressed.map(|at| at.after(LINK_LAG)).filter(|at| now < *at) {
        let evidence = String::from("its button was pressed just now");
        return Some(Judged::new(PowerState::Unknown, evidence).until(settles));
    }
    if senses.is_standby(link.mbit)? {
        // Silence counts only while everybody who could hear it listens.
        let quiet = [senses.heard, pressed, Some(changed), Some(lab.listening)].into_iter().flatten().max();
        let dark = quiet.unwrap_or_default().after(DARK);
        if !lab.counter_up {
            return None;
        }
        let evidence = format!("silent, and {link}, as when it is off");
        return Some(match now < dark {
            true => {
                Judged::new(PowerState::Unknown, format!("{link}, as when it is off; not silent for long"))
                    .until(dark)
            }
            false => Judged::new(PowerState::Off, evidence),
        });
    }
    let off = senses.standby.iter().max().copied().unwrap_or_default();
    let off = if off == 0 { String::from("no link") } else { format!("{off} Mbit/s") };
    Some(Judged::new(PowerState::On, format!("{link}; off it has {off}")))
}

/// It was switched off, and nothing came of it for as long as a start takes at most to be heard.
fn silent(lab: &Lab, senses: &Senses, port: &str, now: LabTime) -> Option<Judged> {
    // A port that is disabled says nothing, and while nobody listens nothing is silence.
    if senses.link.is_some_and(|(link, _)| !link.enabled) || !lab.counter_up {
        return None;
    }
    let held = senses
        .press
        .filter(|press| press.order == PowerOrder::Off && press.sure && press.from == PowerState::On)
        .map(|press| (press.at, format!("{port} was held until it went off")));
    let parted = senses.parted.map(|at| (at, String::from("it took the order to stop")));
    let (at, how) = held.into_iter().chain(parted).max_by_key(|(at, _)| *at)?;
    let newer = senses.heard.is_some_and(|heard| heard > at)
        || senses.press.is_some_and(|press| press.at > at)
        || unsaid(senses, at);
    if newer {
        return None;
    }
    let changed = senses.link.map(|(_, changed)| changed);
    let quiet = [Some(at), changed, Some(lab.listening)].into_iter().flatten().max().unwrap_or_default();
    let until = quiet.after(lab.spec.limits.first_ask);
    Some(match now < until {
        true => Judged::new(PowerState::Unknown, format!("{how}; not silent for long enough")).until(until),
        false => Judged::new(PowerState::Off, format!("{how}, and it was silent since")),
    })
}

/// Why nothing is known.
fn unknown(lab: &Lab, machine: &Machine, port: &str) -> String {
    let senses = &machine.senses;
    let mut why = String::from(match (senses.heard, senses.press) {
        (_, Some(press)) if senses.heard.is_none_or(|heard| heard < press.at) => {
            "nothing was seen since its button was pressed"
        }
        (Some(_), _) => "silent since it was heard",
        (None, _) => "never heard",
    });
    match senses.link {
        Some((link, _)) if !link.enabled => why.push_str("; its switch port is off, so silence says nothing"),
        Some((link, _)) => why.push_str(&format!("; {link}, and what it has when it is off is not known")),
        None => why.push_str("; no switch tells of its link"),
    }
    if is_lost(lab, machine) {
        why.push_str(&format!("; {port} does not answer"));
    } else if let Some((reading, _)) = senses.reading
        && let PortSense::Believed(_) = reading.sense
    {
        why.push_str(&format!("; {port} tells {}, which proves nothing", reading.sense));
    }
    why
}

/// The speed of a link while its machine is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// Megabits a second, 0 for no link.
    pub(crate) mbit: u32,
    /// When it has settled.
    pub(crate) at: LabTime,
    /// It has.
    pub(crate) due: bool,
}

/// The link of a machine that is known to be off, where that is worth remembering: its speed in megabits a second, 0 for
/// none.
pub(crate) fn learns(machine: &Machine, judged: &Judged, now: LabTime) -> Option<Lesson> {
    let senses = &machine.senses;
    let (link, changed) = senses.link.filter(|(link, _)| link.enabled)?;
    let quiet = [senses.heard, Some(changed)].into_iter().flatten().max()?;
    let speed = link.mbit.unwrap_or_default();
    // A link that is off as fast as it runs tells nothing.
    let tells = senses.running.is_none_or(|running| speed < running);
    let known = senses.standby.contains(&speed);
    let at = quiet.after(DARK);
    (judged.state == PowerState::Off && tells && !known).then_some(Lesson { mbit: speed, at, due: now >= at })
}

/// True while it is safe to hold the button: it runs now, or did when it was heard last and was not asked to stop since.
pub(crate) fn runs_still(lab: &Lab, machine: &Machine, asked: LabTime, now: LabTime) -> bool {
    let senses = &machine.senses;
    let spoke_since = senses.heard.is_some_and(|heard| heard >= asked);
    match judged(lab, machine, now) {
        Some(judged) if judged.state == PowerState::On => {
            let only_heard = heard(lab, senses, now).is_some()
                && !device_of(lab, machine).is_some_and(|device| senses_it(lab, machine, device))
                && linked(lab, senses, now).is_none_or(|linked| linked.state != PowerState::On);
            spoke_since || !only_heard
        }
        Some(_) | None => false,
    }
}
