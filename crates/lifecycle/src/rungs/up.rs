//! Rung *up*: the agent was heard in this boot, and is silent now, or its disks are still to be wiped.

use alloc::format;
use alloc::string::String;

use model::{FaultCode, LabTime, Waiting};

use super::{Step, next_try, wait_or_fail};
use crate::lab::{Lab, Machine};
use crate::wipe;

pub(super) fn climb(lab: &Lab, machine: &Machine, now: LabTime) -> Step {
    if lab.cluster_of(machine).is_some() {
        return super::talos::waits(lab, machine, now);
    }
    let Some(agent) = &machine.agent else { return super::system::lost(lab, machine, now) };
    let heard = agent.heard.since_start;
    let since = heard.max(lab.listening);
    let limits = &lab.spec.limits;
    if let Some(step) = wipe::before::climb(lab, machine, since, now) {
        return step;
    }
    let wait = Waiting {
        what: String::from("its agent to be heard again"),
        since,
        until: since.after(limits.silence).after(limits.lost),
        then: next_try(lab, machine),
    };
    let last = format!("a heartbeat {} ago", now.since(heard));
    wait_or_fail(wait, FaultCode::AgentLost, &last, now)
}
