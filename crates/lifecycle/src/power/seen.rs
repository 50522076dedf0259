//! What people are shown of a machine's power: the judgment, and all that tells of it with its age.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{LabTime, PowerState};

use super::judge::{device_of, presses};
use super::record::clock;
use crate::lab::{Lab, Machine};

/// The state as it is shown: while an order is carried out and its result is not seen yet, it changes.
pub(crate) fn shown(lab: &Lab, machine: &Machine) -> PowerState {
    let ordered =
        machine.in_flight.map(|(_, order, _)| order).or_else(|| machine.carried_out.map(|(order, _)| order));
    match ordered {
        Some(order) if presses(lab, machine) && order.result() != Some(machine.power) => PowerState::Changing,
        Some(_) | None => machine.power,
    }
}

/// Everything that tells of its power, a line each, with its age.
pub(crate) fn lines(lab: &Lab, machine: &Machine, now: LabTime) -> Vec<String> {
    let mut lines = Vec::new();
    if device_of(lab, machine).is_none() {
        return lines;
    }
    let Some(node) = lab.node(&machine.node) else { return lines };
    let (senses, port, ago) = (&machine.senses, &node.power, |at: LabTime| now.since(at));
    if let Some(device) = lab.devices.get(&port.driver) {
        if let Some((since, _, why)) = &device.lost {
            lines.push(format!("power control lost {}: {why}", clock(ago(*since))));
        }
        if let Some((at, how)) = &device.restarted {
            lines.push(format!("{} began anew {} ago: {how}", port.driver, ago(*at)));
        }
    }
    if let Some((reading, since)) = senses.reading {
        let lost = lab.devices.get(&port.driver).is_some_and(|device| device.lost.is_some());
        let stale = if lost { "; stale" } else { "" };
        lines.push(format!("{port} tells {reading}, for {}{stale}", ago(since)));
    }
    if let Some((link, since)) = senses.link {
        lines.push(format!("{link}, for {}", ago(since)));
    }
    if let Some(heard) = senses.heard {
        lines.push(format!("heard {} ago", ago(heard)));
    }
    if let Some((state, at)) = senses.said {
        lines.push(format!("a person said {state} {} ago", ago(at)));
    }
    if let Some(press) = senses.press {
        let doubt = if press.sure { "" } else { ", as far as it is known" };
        lines.push(format!("last press {} ago, for \"{}\", by {port}{doubt}", ago(press.at), press.order));
    }
    lines
}
