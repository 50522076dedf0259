//! Rung *fetched*: the kernel starts, until the agent reports.

use alloc::string::String;

use model::{ClientKind, FaultCode, LabTime, Waiting};

use super::{Step, next_try, wait_or_fail};
use crate::lab::{Lab, Machine};
use crate::record::{asker, image_taken};

pub(super) fn climb(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    let Some(boot) = machine.live_boot() else { return Step::Rest };
    if lab.cluster_of(machine).is_some() {
        return super::talos::starts(lab, machine, boot, now);
    }
    if lab.image_of(machine).is_some_and(|image| !image.agent) {
        return super::system::starts(lab, machine, boot, now);
    }
    let since = image_taken(boot).unwrap_or(machine.entered.since_start);
    let spoke =
        boot.marks.iter().any(|m| matches!(asker(&m.what), Some(ClientKind::Agent | ClientKind::Other)));
    let what = match spoke {
        true => "its agent to report",
        false => "its kernel to start and its agent to ask for an address",
    };
    let wait = Waiting {
        what: String::from(what),
        since,
        until: since.after(lab.spec.limits.start),
        then: next_try(lab, machine),
    };
    wait_or_fail(wait, FaultCode::KernelSilent, "it took the whole image", now)
}
