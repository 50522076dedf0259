//! The picture: what people and programs are shown, made from what is known.

use alloc::string::String;
use alloc::vec::Vec;

use model::{
    FileRole, LabView, MachineView, MarkKind, Moment, NodeWord, PowerOrder, PowerState, PowerView, Rung,
    ScenarioName, ScenarioView, ScriptAnswer, TalosSight, TalosView, Waiting,
};

use crate::gates::manifests;
use crate::lab::{Lab, Machine};
use crate::power;
use crate::trial;
use crate::waterfall::waterfall;
use crate::wipe;

/// The lab as a whole.
#[must_use]
pub fn lab_view(lab: &Lab) -> LabView {
    let scenarios = lab.spec.scenarios.iter().map(|(name, scenario)| ScenarioView {
        name: name.clone(),
        nodes: scenario.nodes.clone(),
        image: match &scenario.image {
            model::ImageRef::Named(image) => image.clone(),
            model::ImageRef::Files { kernel, uki, .. } => {
                kernel.as_ref().or(uki.as_ref()).cloned().unwrap_or_default()
            }
        },
        missing: lacks(lab, name),
    });
    LabView {
        name: lab.spec.lab.clone(),
        columns: lab.spec.board.columns,
        rows: lab.spec.board.rows,
        phase: lab.phase,
        phase_since: lab.phase_since,
        phase_because: lab.phase_because.clone(),
        scenario: lab.run.as_ref().map(|run| run.scenario.clone()),
        run: lab.runs,
        run_since: lab.run.as_ref().map(|run| run.since),
        waiting: manifests::waiting(lab, lab.latest.since_start),
        pods: lab.cluster().and_then(|(cluster, _)| cluster.pods.clone()),
        counter_up: lab.counter_up,
        notices: lab.notices.clone(),
        strangers: lab.strangers.clone(),
        scenarios: scenarios.collect(),
        trials: trial::views(lab),
    }
}

/// What is missing before a scenario can be started.
fn lacks(lab: &Lab, name: &ScenarioName) -> Vec<String> {
    let manifests = lab.manifests.get(name).map(|read| read.mistakes.as_slice()).unwrap_or_default();
    lab.missing.get(name).into_iter().flatten().chain(manifests).cloned().collect()
}

/// One machine. `before` is its last picture: a word that is still true keeps its time.
#[must_use]
pub fn machine_view(
    lab: &Lab,
    machine: &Machine,
    waiting: Option<&Waiting>,
    now: Moment,
    before: Option<&MachineView>,
) -> Option<MachineView> {
    let node = lab.node(&machine.node)?;
    let word = word(machine);
    Some(MachineView {
        node: machine.node.clone(),
        cell: node.at,
        zone: node.zone,
        mac: node.mac,
        ip: node.ip,
        word,
        since: before.filter(|b| b.word == word).map_or(now, |b| b.since),
        rung: machine.rung,
        goal: machine.goal,
        waiting: waiting.cloned(),
        power: PowerView {
            state: power::seen::shown(lab, machine),
            evidence: machine.evidence.clone(),
            seen: machine.power_seen,
            port: node.power.clone(),
        },
        boot: waterfall(machine, now.since_start),
        ipxe: machine.ipxe.clone(),
        agent: machine.agent.clone(),
        talos: lab.cluster_of(machine).map(|(_, spec)| TalosView {
            controls: spec.controls(&machine.node),
            seen: machine.talos.sight.clone(),
            pushes: machine.talos.pushes,
            proof: machine.talos.proof,
            carrier: spec.carrier,
            cluster: machine.talos.member.clone(),
            heard: machine.talos.heard.clone(),
            pods: machine.talos.pods.clone(),
        }),
        host: lab.host_of(&machine.node).cloned(),
        is_guest: node.guest.is_some(),
        has_console: lab.spec.has_console(node),
        guest: machine.guest.clone(),
        wipe: wipe::view(machine),
        fault: machine.fault.clone(),
        tries: machine.tries,
    })
}

/// One word for a machine.
pub(crate) fn word(machine: &Machine) -> NodeWord {
    if machine.bad {
        return NodeWord::Bad;
    }
    if machine.off_wanted.is_some() {
        return NodeWord::Stopping;
    }
    let going_on = matches!(machine.in_flight, Some((_, PowerOrder::On, _)))
        || matches!(machine.carried_out, Some((PowerOrder::On, _)));
    match machine.rung {
        Rung::Off => match machine.power {
            PowerState::Off | PowerState::Changing | PowerState::Unknown if going_on => NodeWord::Starting,
            PowerState::Off => NodeWord::Off,
            PowerState::Changing | PowerState::Unknown | PowerState::On => NodeWord::Unknown,
        },
        Rung::On => NodeWord::Starting,
        Rung::Asked if machine.silent.is_some() => NodeWord::Unknown,
        Rung::Asked if machine.park.is_some() && asked_word(machine) == NodeWord::Waiting => NodeWord::Parked,
        Rung::Asked => asked_word(machine),
        Rung::Fetched if machine.talos.push.is_some() => joining_word(machine),
        Rung::Fetched => NodeWord::Kernel,
        Rung::Up if matches!(machine.talos.sight, TalosSight::Maintenance { .. }) => NodeWord::Maintenance,
        Rung::Up if machine.talos.asks.is_some() => NodeWord::Maintenance,
        Rung::Up => NodeWord::Degraded,
        Rung::Configured | Rung::Joined => joining_word(machine),
        Rung::Ready => NodeWord::Ready,
    }
}

/// A machine on its way into its cluster, or one that was there before.
fn joining_word(machine: &Machine) -> NodeWord {
    let was_ready = |boot: &model::Boot| boot.marks.iter().any(|mark| matches!(mark.what, MarkKind::Ready));
    if machine.live_boot().is_some_and(was_ready) { NodeWord::Degraded } else { NodeWord::Joining }
}

fn asked_word(machine: &Machine) -> NodeWord {
    let Some(boot) = machine.live_boot() else { return NodeWord::Dhcp };
    if boot.transfers.iter().any(|t| matches!(t.role, FileRole::Kernel | FileRole::Initrd | FileRole::Uki)) {
        return NodeWord::Image;
    }
    let script = boot.marks.iter().rev().find_map(|m| match m.what {
        MarkKind::Script { answer } => Some(answer),
        MarkKind::Ordered
        | MarkKind::Powered
        | MarkKind::Started
        | MarkKind::Frame
        | MarkKind::Discover { .. }
        | MarkKind::Offer
        | MarkKind::Request { .. }
        | MarkKind::Ack { .. }
        | MarkKind::Nak
        | MarkKind::Solicit { .. }
        | MarkKind::Advertise
        | MarkKind::Request6 { .. }
        | MarkKind::Reply { .. }
        | MarkKind::RouterAsked { .. }
        | MarkKind::Deferred
        | MarkKind::Done
        | MarkKind::Talos { .. }
        | MarkKind::Reported { .. }
        | MarkKind::Ready => None,
    });
    match script {
        Some(ScriptAnswer::Boot) => NodeWord::Image,
        Some(ScriptAnswer::Disk) => NodeWord::Kernel,
        Some(ScriptAnswer::Wait | ScriptAnswer::Stranger) => NodeWord::Waiting,
        None if boot.transfers.is_empty() => NodeWord::Dhcp,
        None => NodeWord::Loader,
    }
}
