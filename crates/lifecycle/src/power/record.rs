//! Recording what tells of power.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use model::{
    DriverName, Fact, LabTime, LinkReading, Moment, NodeName, OUT_OF_STEP, Outcome, PortReading, PowerOrder,
    PowerState, Sight,
};

use super::senses::{DeviceKnown, Press, Senses};
use crate::absorb::{Touched, about, forget_trouble, power_seen};
use crate::guests;
use crate::lab::{Lab, Machine};

/// Records a fact about devices, ports, links, or of a person who looked.
pub(crate) fn absorb(lab: &mut Lab, fact: &Told<'_>, at: Moment) -> Touched {
    let now = at.since_start;
    match fact {
        Told::Port(node, reading) => about(lab, node, |m| m.senses.reading = Some((**reading, now))),
        Told::Link(node, link) => about(lab, node, |m| {
            if m.senses.link.is_none_or(|(known, _)| known != **link) {
                m.senses.link = Some((**link, now));
            }
        }),
        Told::Standby(node, mbit) => about(lab, node, |m| m.senses.learn(*mbit)),
        Told::Device(driver, sight) => {
            device(&mut lab.devices, driver).see(sight, now);
            Touched::All
        }
    }
}

/// What is told of power.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told<'a> {
    /// A port.
    Port(&'a NodeName, &'a PortReading),
    /// A link.
    Link(&'a NodeName, &'a LinkReading),
    /// A link's speed while its machine is off.
    Standby(&'a NodeName, u32),
    /// A device.
    Device(&'a DriverName, &'a model::DeviceSight),
}

fn device<'a>(
    devices: &'a mut alloc::collections::BTreeMap<DriverName, DeviceKnown>,
    driver: &DriverName,
) -> &'a mut DeviceKnown {
    devices.entry(driver.clone()).or_default()
}

/// A machine was heard, if this sight is its own word.
pub(crate) fn heard(machine: &mut Machine, sight: &Sight, at: LabTime) {
    if !is_own_word(sight) {
        return;
    }
    let senses = &mut machine.senses;
    if senses.heard.is_some_and(|heard| heard > at) {
        // Packets are told of late.
        return;
    }
    senses.heard = Some(at);
    if let Some((link, changed)) = senses.link.filter(|(link, _)| link.enabled)
        && at > changed
        && let Some(mbit) = link.mbit
    {
        senses.running = senses.running.max(Some(mbit));
    }
    // An agent that is heard while its machine is to go off has been told so with the answer.
    let takes_order =
        machine.off_wanted.is_some() && matches!(sight, Sight::Beat { .. } | Sight::Agent { .. });
    senses.parted = takes_order.then_some(at);
}

/// True for what only the machine itself can have sent.
const fn is_own_word(sight: &Sight) -> bool {
    match sight {
        Sight::Frame
        | Sight::Discover { .. }
        | Sight::Request { .. }
        | Sight::Solicit { .. }
        | Sight::Request6 { .. }
        | Sight::RouterAsked { .. }
        | Sight::ScriptAsked { .. }
        | Sight::IpxeTold { .. }
        | Sight::Logged { .. }
        | Sight::LoaderSaid { .. }
        | Sight::TalosSaid { .. }
        | Sight::TalosLogged { .. }
        | Sight::FileAsked { .. }
        | Sight::FileMoved { .. }
        | Sight::FileAgreed { .. }
        | Sight::ConfigAsked { .. }
        | Sight::Done
        | Sight::Agent { .. }
        | Sight::Beat { .. } => true,
        // Said by us or about it, or told of when it is over.
        Sight::Offer { .. }
        | Sight::Ack { .. }
        | Sight::Nak
        | Sight::Advertise { .. }
        | Sight::Reply { .. }
        | Sight::Deferred { .. }
        | Sight::FileServed { .. }
        | Sight::FileBroken { .. }
        | Sight::FileRepeated { .. }
        | Sight::PacketsSaved { .. }
        | Sight::AgentClash { .. }
        | Sight::Ailing { .. }
        | Sight::WipeGiven { .. }
        | Sight::Guest { .. } => false,
    }
}

/// An order came to its end: a button was pressed, or may have been.
pub(crate) fn pressed(machine: &mut Machine, order: PowerOrder, outcome: &Outcome, at: LabTime) {
    let (order, sure) = match outcome {
        Outcome::Done => (order, true),
        Outcome::Unknown => (order, false),
        // It was pressed the other way, to bring the board's belief in step.
        Outcome::Failed { code, .. } if code == OUT_OF_STEP => (PowerOrder::Press, false),
        Outcome::Failed { .. } => return,
    };
    machine.senses.press = Some(Press { order, at, from: machine.power, sure });
}

/// The boss itself was started anew, or its clock lost: nobody saw what people did meanwhile.
pub(crate) fn gap(senses: &mut Senses) {
    senses.heard = None;
    senses.said = None;
    senses.press = None;
    senses.parted = None;
    senses.reading = None;
    senses.link = None;
}

/// A person looked. What went wrong for want of that is forgotten.
pub(crate) fn confirmed(machine: &mut Machine, state: PowerState, at: Moment) {
    machine.senses.said = Some((state, at.since_start));
    forget_trouble(machine);
}

/// Power was seen.
pub(crate) fn seen(
    lab: &mut Lab,
    node: &NodeName,
    (state, evidence): (PowerState, &str),
    at: Moment,
) -> Touched {
    let room = lab.room();
    let touched = about(lab, node, |m| {
        power_seen(m, state, at, room);
        evidence.clone_into(&mut m.evidence);
    });
    if state == PowerState::Off && guests::lost_with(lab, node, None, at) {
        return Touched::All;
    }
    touched
}

impl<'a> Told<'a> {
    /// The part of a fact that is about power; none of others.
    pub(crate) fn of(fact: &'a Fact) -> Option<Self> {
        if let Fact::PortRead { node, reading } = fact {
            return Some(Self::Port(node, reading));
        }
        if let Fact::LinkSeen { node, link } = fact {
            return Some(Self::Link(node, link));
        }
        if let Fact::StandbyLearned { node, mbit } = fact {
            return Some(Self::Standby(node, *mbit));
        }
        if let Fact::DeviceSeen { driver, sight } = fact {
            return Some(Self::Device(driver, sight));
        }
        None
    }
}

/// "00:59:12": how long a device has been lost.
pub(crate) fn clock(span: model::Span) -> String {
    let seconds = span.0 / 1000;
    alloc::format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
