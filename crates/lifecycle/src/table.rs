//! The boot table: per machine one answer with its reason, derived from the lab at any moment.

use alloc::format;
use alloc::string::String;

use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    AgentOrder, BootAnswer, BootEntry, BootTable, ConfigCarrier, DiskBoot, Goal, Image, InstallTicket,
    PowerOrder, TALOS_EVENTS_PORT, TALOS_INLINE, TALOS_LINES_PORT, TALOS_WIPE,
};

use crate::guests;
use crate::lab::{Lab, Machine};
use crate::park;
use crate::trial;
use crate::wipe;

/// Seconds between two asks of a loader that waits.
const RETRY_SECONDS: u16 = 2;

/// What the counter shall answer now. `number` is the caller's: it counts publications.
#[must_use]
pub fn boot_table(lab: &Lab, number: u64) -> BootTable {
    let nodes: Vec<Arc<BootEntry>> =
        lab.machines.values().filter_map(|machine| boot_entry(lab, machine)).map(Arc::new).collect();
    BootTable { number, lab: lab.spec.lab.clone(), network: lab.spec.network.clone(), nodes }
}

/// What one machine is answered now.
#[must_use]
pub fn boot_entry(lab: &Lab, machine: &Machine) -> Option<BootEntry> {
    let node = lab.node(&machine.node)?;
    let (answer, because) = answer(lab, machine);
    // What it was told it may ask for again for as long as the run goes on, whatever it boots next.
    let takes_part = lab.active_run().is_some() && machine.goal == Goal::Ready;
    let files = lab.boot_of(machine).filter(|_| takes_part).map(|boot| Arc::clone(&boot.files));
    let fetches = |spec: &model::TalosSpec| spec.carrier == ConfigCarrier::Pull && !machine.talos.adopted;
    let pulls = matches!(answer, BootAnswer::Run { .. })
        && lab.cluster_of(machine).is_some_and(|(_, spec)| fetches(spec));
    // What is done once, by order of the core, is not done again because nobody answers.
    let may_repeat = |args: &str| !args.split(' ').any(|arg| arg == TALOS_WIPE);
    let alone = !pulls
        && machine.install.is_none()
        && !matches!(&answer, BootAnswer::Run { args, .. } if !may_repeat(args));
    let good = if alone { machine.good.clone() } else { Vec::new() };
    let ticket = machine.install.filter(|_| matches!(answer, BootAnswer::Run { .. }));
    // A disk that may be half wiped is wiped to the end first.
    let goes_off = machine.off_wanted.is_some() && machine.may_be_wiping().is_none();
    // At the end of a run what runs in it goes off first; a person who switches it off switches off both.
    let may_go = machine.person == Some(PowerOrder::Off) || guests::are_off(lab, &machine.node);
    let may_go = goes_off && may_go && lab.guest_of(machine).is_none();
    let parks = may_go && park::is_to_stay(machine);
    Some(BootEntry {
        node: machine.node.clone(),
        mac: node.mac,
        ip: node.ip,
        ip6: node.ip6,
        also: control_plane_name(lab, machine),
        run: lab.run.as_ref().map_or(0, |run| run.number),
        boot: machine.boots,
        answer,
        because,
        files: files.unwrap_or_default(),
        pulls,
        install: ticket.map(|install| InstallTicket { number: install.number, then: disk_boot(lab) }),
        // A guest is its hypervisor's to switch.
        order: if may_go && !parks && !park::talos::is_to_be_reset(machine) {
            AgentOrder::PowerOff
        } else {
            AgentOrder::Stay
        },
        parks,
        guests: guests::wishes(lab, &machine.node).map(Arc::new),
        wipe: wipe::order(lab, machine),
        loader: node.loader,
        off_at: park::off_at(lab, machine),
        good,
    })
}

/// The name of the cluster's control plane, for its machines.
fn control_plane_name(lab: &Lab, machine: &Machine) -> Option<String> {
    let run = lab.active_run()?;
    let (_, spec) = lab.cluster_of(machine)?;
    lab.spec.endpoint(&run.scenario).filter(|_| spec.controls(&machine.node))
}

pub(crate) fn answer(lab: &Lab, machine: &Machine) -> (BootAnswer, String) {
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
    let disk = BootAnswer::Disk { how: disk_boot(lab) };
    if let Some(boot) = machine.install.and_then(|install| install.spent_in) {
        let again = "`labinator install` installs it again";
        return (disk, format!("it was installed in boot {boot} and boots its disk; {again}"));
    }
    match (lab.image_of(machine), lab.scenario()) {
        (Some(image), Some(_)) if image.is_disk() => {
            (disk, format!("scenario {}, run {}: its own disk", run.scenario, run.number))
        }
        (Some(image), Some(scenario)) => {
            let args = lab.boot_of(machine).and_then(|boot| boot.args.as_ref()).unwrap_or(&scenario.args);
            if let Some(answer) = talos_answer(lab, machine, image, args) {
                return answer;
            }
            (
                BootAnswer::Run { image: Arc::clone(image), args: args.clone() },
                format!("scenario {}, run {}{}", run.scenario, run.number, trial::words(lab, machine)),
            )
        }
        _ => wait(format!("the files of scenario {} are missing", run.scenario)),
    }
}

/// Talos is wiped in boots before its config was pushed, and never afterwards: not by a retry, and not when it starts
/// again by itself. What it has on its disk goes on where it was.
fn talos_answer(
    lab: &Lab,
    machine: &Machine,
    image: &Arc<Image>,
    args: &str,
) -> Option<(BootAnswer, String)> {
    let (_, spec) = lab.cluster_of(machine)?;
    let run = lab.run.as_ref()?;
    let of = format!("scenario {}, run {}", run.scenario, run.number);
    let wipes = !machine.talos.is_ours();
    let mut all = String::from(args);
    let mut add = |arg: &str| {
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(arg);
    };
    let boss = lab.spec.network.boss;
    let feed = [
        ("talos.events.sink", format!("{boss}:{TALOS_EVENTS_PORT}")),
        ("talos.logging.kernel", format!("tcp://{boss}:{TALOS_LINES_PORT}/")),
    ];
    for (key, value) in feed {
        // Where the owner has a receiver of his own, it is told there.
        if !args.split_whitespace().any(|arg| arg.split_once('=').is_some_and(|(own, _)| own == key)) {
            add(&format!("{key}={value}"));
        }
    }
    if let Some(documents) = &spec.inline {
        add(&format!("{TALOS_INLINE}={documents}"));
    }
    if wipes {
        add(TALOS_WIPE);
    }
    let because = match wipes {
        true => format!("{of}: Talos, which wipes what it finds of itself in this boot"),
        false if machine.talos.adopted => {
            format!("{of}: Talos, with the config of the cluster that was taken over")
        }
        false => format!("{of}: Talos, with the config that it was given"),
    };
    Some((BootAnswer::Run { image: Arc::clone(image), args: all }, because))
}

fn disk_boot(lab: &Lab) -> DiskBoot {
    lab.scenario().and_then(|scenario| scenario.system.install).unwrap_or_default()
}
