//! Rung *on*: POST and the firmware's own start, until it asks for an address.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use model::{FaultCode, LabTime, Stage, Waiting};

use super::{Step, next_try, wait_or_fail};
use crate::lab::{Lab, Machine};

pub(super) fn climb(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let since = machine.live_boot().map_or(machine.entered.since_start, |boot| boot.began.since_start);
    let wait = Waiting {
        what: format!("its first DISCOVER{}", usual(machine)),
        since,
        until: since.after(lab.spec.limits.first_ask),
        then: next_try(lab, machine),
    };
    wait_or_fail(wait, FaultCode::NeverAsked, &machine.evidence, now)
}

/// How long this machine's firmware took earlier, in brackets.
fn usual(machine: &Machine) -> String {
    let mut took: Vec<u64> = machine.past.iter().filter_map(|p| p.took(Stage::Firmware)).collect();
    took.sort_unstable();
    took.get(took.len() / 2)
        .map_or_else(String::new, |ms| format!(" (usually after {}, {} boots)", model::Span(*ms), took.len()))
}
