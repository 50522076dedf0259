//! Why a machine is as it is, in words: what is wanted, what is seen, and what comes next.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use model::{
    ConfigCarrier, Explanation, Goal, Kexec, LabTime, Membership, Moment, NodeWord, Outcome, PowerOrder,
    PowerState, Proof, Waiting,
};

use crate::cuts;
use crate::gates::manifests;
use crate::guests;
use crate::health;
use crate::hints;
use crate::lab::{Lab, Machine};
use crate::loader;
use crate::park;
use crate::power;
use crate::rungs::is_by_hand;
use crate::view::word;
use crate::waterfall::times;
use crate::wipe;

/// One sentence about the lab.
#[must_use]
pub fn explain_lab(lab: &Lab, now: Moment) -> String {
    let since = now.since_start.since(lab.phase_since.since_start);
    let sentence = format!("{} is {} for {since}: {}.", lab.spec.lab, lab.phase, lab.phase_because);
    match manifests::waiting(lab, now.since_start) {
        None => sentence,
        Some(waiting) => {
            let (waited, left) = (now.since_start.since(waiting.since), waiting.until.since(now.since_start));
            format!("{sentence} Waiting {waited} for {}; in {left}, {}.", waiting.what, waiting.then)
        }
    }
}

/// One machine. `waiting` is what the last decision said it waits for.
#[must_use]
pub fn explain(lab: &Lab, machine: &Machine, waiting: Option<&Waiting>, now: Moment) -> Explanation {
    let word = word(machine);
    let as_wanted = matches!(
        (machine.goal, word),
        (Goal::Ready, NodeWord::Ready) | (Goal::Off, NodeWord::Off) | (Goal::Any, _)
    );
    let node = &machine.node;
    let headline = match (as_wanted, machine.goal) {
        (true, Goal::Any) if machine.park.is_some() => {
            format!("{node} is {word}, and is to wait in its {} for the next start.", park::place(machine))
        }
        (true, Goal::Any) => format!("{node} is {word}, and nothing is wanted of it."),
        (true, Goal::Ready | Goal::Off) => format!("{node} is {word}, as it should be."),
        (false, goal) => format!("{node} is {word}, and should be {}.", goal_word(goal)),
    };
    Explanation {
        node: node.clone(),
        headline,
        wanted: wanted(lab, machine, now),
        seen: seen(lab, machine, now),
        because: because(machine, waiting, as_wanted, now),
        will: will(machine, waiting, now),
        you_can: you_can(lab, machine, as_wanted),
    }
}

const fn goal_word(goal: Goal) -> &'static str {
    match goal {
        Goal::Any => "as it is",
        Goal::Off => "off",
        Goal::Ready => "ready",
    }
}

fn wanted(lab: &Lab, machine: &Machine, now: Moment) -> String {
    if let Some(order) = machine.person {
        return format!("{order}: a person asked for it");
    }
    if let Some(park) = machine.park.filter(|_| machine.goal == Goal::Any) {
        let left = park.until.since(now.since_start);
        return format!("parked after its run, {left} more at most: the next start needs no firmware");
    }
    match (machine.goal, &lab.run) {
        (Goal::Any, _) | (_, None) => String::from("nothing"),
        (goal, Some(run)) => format!(
            "{}, for {}, scenario {}, run {}",
            goal_word(goal),
            now.since_start.since(run.since.since_start),
            run.scenario,
            run.number
        ),
    }
}

fn seen(lab: &Lab, machine: &Machine, now: Moment) -> Vec<String> {
    let ago = |at: Moment| now.since_start.since(at.since_start);
    let mut lines = Vec::new();
    let power = match machine.power_seen {
        Some(at) => format!("power {} ({}, {} ago)", machine.power, machine.evidence, ago(at)),
        None => format!("power {} ({})", machine.power, machine.evidence),
    };
    lines.push(power);
    lines.extend(cuts::line(lab, machine, now.since_start));
    lines.extend(power::seen::lines(lab, machine, now.since_start));
    if let Some(boot) = machine.live_boot() {
        let firmware =
            boot.firmware.map_or_else(|| String::from("firmware not heard yet"), |f| f.to_string());
        lines.push(format!(
            "boot {} of this machine, {firmware}, began {} ago",
            boot.number,
            ago(boot.began)
        ));
        lines.push(format!("last on the wire: {}", crate::rungs::last_seen(boot)));
    }
    lines.extend(guests::told(lab, machine));
    lines.extend(loader::seen(machine));
    if let Some(silent) = machine.silent {
        let ago = now.since_start.since(silent);
        lines.push(format!("its loader waited, and asks no more for {ago}: whether it waits, nothing tells"));
    }
    lines.extend(jumps(machine, now));
    if let Some(agent) = &machine.agent {
        let report = &agent.report;
        lines.push(format!(
            "agent {}, known by {}, on {}, heard {} ago, kernel {}",
            report.version,
            match agent.proof {
                Proof::Address => "its address alone",
                Proof::Place => "its place",
                Proof::Key => "the key of this boot",
            },
            report.address.map_or_else(|| String::from("no address"), |a| a.to_string()),
            ago(agent.heard),
            report.kernel
        ));
    }
    lines.extend(health::seen(machine, now.since_start));
    lines.extend(machine.clash.iter().map(|clash| format!("{clash}")));
    if let Some(system) = machine.system.filter(|system| system.heard != LabTime::default()) {
        let how = if system.renewed { "renewed its address" } else { "got its address" };
        lines.push(format!("its system {how} {} ago", now.since_start.since(system.heard)));
    }
    lines.extend(talos(lab, machine, now));
    if let Some((open, at)) = machine.port {
        let how = if open { "accepts" } else { "accepts no" };
        lines.push(format!("its port {how} connections, for {}", now.since_start.since(at)));
    }
    if let Some(boot) = machine.install.and_then(|install| install.spent_in) {
        lines.push(format!("installed in boot {boot}; it boots its disk from then on"));
    }
    lines.extend(wipe::seen(machine, now.since_start));
    if machine.tries > 0 {
        lines.push(format!("started {} since it was last ready", times(machine.tries.into())));
    }
    lines
}

/// Whether it can start without firmware, and how that went.
fn jumps(machine: &Machine, now: Moment) -> Vec<String> {
    let failed = machine.jumps.failed.as_ref().map(|failed| {
        let ago = now.since_start.since(failed.at);
        format!(
            "kexec failed in boot {}, {ago} ago, from kernel {}: {}; from there it boots cold until a person switches it",
            failed.boot, failed.kernel, failed.why
        )
    });
    let able = machine.agent.as_ref().and_then(|agent| agent.report.kexec.as_ref()).map(|able| match able {
        Kexec::Possible => String::from("kexec: it can start the next kernel by itself"),
        Kexec::Impossible { why } => format!("kexec: not from here: {why}"),
    });
    failed.into_iter().chain(able).collect()
}

/// What its Talos and the cluster say.
fn talos(lab: &Lab, machine: &Machine, now: Moment) -> Vec<String> {
    let Some((cluster, spec)) = lab.cluster_of(machine) else { return Vec::new() };
    let talos = &machine.talos;
    let ago = |at: LabTime| now.since_start.since(at);
    let role = if spec.controls(&machine.node) { "control plane" } else { "worker" };
    let mut lines = vec![format!("Talos ({role}) is {}, for {}", talos.sight, ago(talos.seen))];
    if let Some(push) = &talos.push {
        let became = match &push.ended {
            None => String::from("on its way"),
            Some((Outcome::Done, at)) => format!("taken {} ago", ago(*at)),
            Some((Outcome::Failed { why, .. }, at)) => format!("refused {} ago: {why}", ago(*at)),
            Some((Outcome::Unknown, at)) => format!("without an answer since {}", ago(*at)),
        };
        let target = lab.node(&machine.node).map_or_else(String::new, |node| format!(" to {}", node.ip));
        let proof = talos.proof.unwrap_or_default();
        lines.push(match spec.carrier {
            ConfigCarrier::Push => format!("its config was pushed{target}, proven by {proof}, {became}"),
            ConfigCarrier::Pull => {
                format!("its config was laid ready{target} to fetch, proven by {proof}, {became}")
            }
        });
    }
    lines.extend(talos.heard.iter().flat_map(|heard| hints::told(heard, now.since_start)));
    match &talos.member {
        Membership::Absent => {}
        Membership::NotReady { why } => lines.push(format!("the cluster gives it no work: {why}")),
        Membership::Ready => lines.push(String::from("the cluster gives it work")),
    }
    if let Some(pods) = &talos.pods {
        lines.push(format!("{} of its {} pods are ready or done", pods.counts.done(), pods.counts.all()));
        lines.extend(pods.troubles.iter().map(|trouble| format!("pod {trouble}")));
    }
    if let Some(secrets) = &cluster.secrets {
        let short: String = secrets.chars().take(12).collect();
        lines.push(format!("the cluster's secrets are {short}"));
    }
    lines
}

fn because(machine: &Machine, waiting: Option<&Waiting>, as_wanted: bool, now: Moment) -> String {
    if let Some(fault) = &machine.fault {
        return format!("{} ({})", fault.text, fault.code);
    }
    match waiting {
        Some(waiting) => {
            format!("waiting {} for {}", now.since_start.since(waiting.since), waiting.what)
        }
        None if as_wanted => String::new(),
        None => String::from("its next step is being decided"),
    }
}

fn will(machine: &Machine, waiting: Option<&Waiting>, now: Moment) -> String {
    if machine.bad {
        return String::from("nothing more in this run: it was given up");
    }
    waiting.map_or_else(
        || String::from("nothing: there is nothing to do"),
        |waiting| match waiting.until.since(now.since_start) {
            left if left.0 == 0 => waiting.then.clone(),
            left => format!("wait {left} more, then {}", waiting.then),
        },
    )
}

fn you_can(lab: &Lab, machine: &Machine, as_wanted: bool) -> Vec<String> {
    let node = &machine.node;
    let mut acts = Vec::new();
    if is_by_hand(lab, machine) {
        if !as_wanted {
            acts.push(format!("press the button of {node}"));
        }
    } else if power::judge::presses(lab, machine)
        && matches!(machine.power, PowerState::Unknown | PowerState::Changing)
    {
        acts.push(format!("look at it, then labinator power set {node} on, or off"));
        acts.push(format!("labinator power press {node}"));
    } else {
        let order = match machine.power {
            PowerState::On => PowerOrder::Off,
            PowerState::Off | PowerState::Changing | PowerState::Unknown => PowerOrder::On,
        };
        acts.push(format!("labinator power {order} {node}"));
    }
    if lab.guest_of(machine).is_some() {
        acts.push(format!("labinator console {node}"));
    }
    if machine.install.is_some_and(|install| install.spent_in.is_some()) {
        acts.push(format!("labinator install {node}"));
    }
    if machine.boot.is_some() {
        acts.push(format!("labinator boot trace {node}"));
    }
    if let Some(old) = machine.ipxe.as_ref().and_then(|ipxe| ipxe.old.as_ref()) {
        acts.push(format!("replace its iPXE: {}", old.cure));
    }
    acts.extend(health::pages(machine));
    if let Some(fault) = &machine.fault {
        acts.push(format!("read docs/operating/{}.md", fault.code));
    }
    acts
}
