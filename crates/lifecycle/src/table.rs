//! The boot table: per machine one answer with its reason, derived from the lab at any moment.

use alloc::format;
use alloc::string::String;

use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{AgentOrder, BootAnswer, BootEntry, BootTable, Goal};

use crate::lab::{Lab, Machine};

/// Seconds between two asks of a loader that waits.
const RETRY_SECONDS: u16 = 2;

/// What the counter shall answer now. `number` is the caller's: it counts publications.
#[must_use]
pub fn boot_table(lab: &Lab, number: u64) -> BootTable {
    let nodes: Vec<BootEntry> = lab.machines.values().filter_map(|machine| entry(lab, machine)).collect();
    BootTable { number, lab: lab.spec.lab.clone(), network: lab.spec.network.clone(), nodes }
}

fn entry(lab: &Lab, machine: &Machine) -> Option<BootEntry> {
    let node = lab.node(&machine.node)?;
    let (answer, because) = answer(lab, machine);
    Some(BootEntry {
        node: machine.node.clone(),
        mac: node.mac,
        ip: node.ip,
        ip6: node.ip6,
        run: lab.run.as_ref().map_or(0, |run| run.number),
        boot: machine.boots,
        answer,
        because,
        order: if machine.off_wanted.is_some() { AgentOrder::PowerOff } else { AgentOrder::Stay },
    })
}

fn answer(lab: &Lab, machine: &Machine) -> (BootAnswer, String) {
    let wait = |why: String| (BootAnswer::Wait { retry_seconds: RETRY_SECONDS }, why);
    let Some(run) = lab.active_run() else {
        return wait(String::from(if lab.run.is_some() {
            "the lab is being stopped"
        } else {
            "no scenario is chosen: start one on the page or with `labinator start`"
        }));
    };
    if machine.goal != Goal::Ready {
        return wait(format!("scenario {} does not use this machine", run.scenario));
    }
    if machine.off_wanted.is_some() {
        return wait(String::from("this machine is being switched off before it boots"));
    }
    match (lab.image(), lab.scenario()) {
        (Some(image), Some(scenario)) => (
            BootAnswer::Run { image: Arc::clone(image), args: scenario.args.clone() },
            format!("scenario {}, run {}", run.scenario, run.number),
        ),
        _ => wait(format!("the files of scenario {} are missing", run.scenario)),
    }
}
