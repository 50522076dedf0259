//! Rung *fetched*: the kernel starts, until the agent reports.

use alloc::string::String;

use model::{ClientKind, FaultCode, LabTime, Waiting};

use super::{Step, next_try, wait_or_fail};
use crate::lab::{Lab, Machine};
use crate::record::{asker, image_taken};

pub(super) fn climb(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let Some(boot) = machine.live_boot() else { return Step::Rest };
    let since = image_taken(boot).unwrap_or(machine.entered.since_start);
    let spoke =
        boot.marks.iter().any(|m| matches!(asker(&m.what), Some(ClientKind::Agent | ClientKind::Other)));
    let what = match (lab.image().is_some_and(|image| image.agent), spoke) {
        (true, true) => "its agent to report",
        (true, false) => "its kernel to start and its agent to ask for an address",
        (false, _) => "its system to ask for an address",
    };
    let wait = Waiting {
        what: String::from(what),
        since,
        until: since.after(lab.spec.limits.start),
        then: next_try(lab, machine),
    };
    wait_or_fail(wait, FaultCode::KernelSilent, "it took the whole image", now)
}
