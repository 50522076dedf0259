//! Agents that are another build or version than this boss, and why they stay so; and a second boss that answers them.

use api::{Check, Finding};
use model::{AgentView, Digest, MachineView, RenewalState, Snapshot};

use super::check;
use crate::renewal::Renewals;

const OTHER: &str = "another controller answers this machine: give the two different addresses and segments, or take the \
                     machine off one board";
const NEXT_BOOT: &str = "nothing need be done: it is as its image has it, and every order that it knows is carried out; \
                         build the image anew with this version's agent to end the difference";

/// Checks of every agent that reported.
pub(super) fn examine(lab: &Snapshot, renewals: &Renewals) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(why) = renewals.unfit() {
        let help = "name one that is linked statically with `labinator serve --agent`, or leave it so: agents stay as \
                    their images have them";
        checks.push(check(
            "agent-build",
            Finding::Skipped,
            format!("no agent is given to machines: {why}"),
            help,
        ));
    }
    let heard = lab.machines.iter().filter_map(|machine| Some((&**machine, machine.agent.as_ref()?)));
    for (machine, agent) in heard {
        checks.extend(difference(machine, agent, renewals));
        let rival = agent.beat.as_ref().and_then(|beat| beat.rival.as_ref());
        if let Some(rival) = rival {
            let seen = format!("{} is told by two: {rival}; it obeys this one", machine.node);
            checks.push(check("two-controllers", Finding::Warning, seen, OTHER));
        }
    }
    checks
}

fn difference(machine: &MachineView, agent: &AgentView, renewals: &Renewals) -> Option<Check> {
    let node = &machine.node;
    let (version, own) = (agent.report.version.as_str(), env!("CARGO_PKG_VERSION"));
    let versions = if version == own { String::new() } else { format!(" of version {version}, not {own},") };
    let Some(carried) = renewals.carried() else {
        let seen = format!("the agent of {node} is{versions} as its image has it");
        return (version != own).then(|| check("agent-build", Finding::Warning, seen, NEXT_BOOT));
    };
    let Some(build) = agent.report.build else {
        let seen = format!("the agent of {node} is{versions} older than builds that can be renewed");
        return Some(check("agent-build", Finding::Warning, seen, NEXT_BOOT));
    };
    if build == carried.digest {
        return None;
    }
    let is =
        format!("the agent of {node} is{versions} build {}, not {}", short(build), short(carried.digest));
    let told = agent.beat.as_ref().and_then(|beat| beat.renewal.as_ref());
    let told = told.filter(|told| told.digest == carried.digest);
    let (finding, why, help) = match told {
        _ if renewals.held() => {
            (Finding::Well, "held by the lab file".to_owned(), "`agent-updates: auto` lets it go on")
        }
        Some(told) if told.state == RenewalState::Refused => (
            Finding::Warning,
            format!("it went back: {}", told.why),
            "it is not tried again before the machine's next boot; say which build it was when you report it",
        ),
        _ if renewals.gave_up(node) => (
            Finding::Warning,
            "the machine started again twice while it took it, and it is not tried again".to_owned(),
            "look at the machine's console; a restart of the controller lets it be tried again",
        ),
        _ if agent.proof != model::Proof::Key => (
            Finding::Well,
            "only one that is known by its key is told".to_owned(),
            "boot it by the boss's script, whose kernel line has a nonce",
        ),
        Some(told) if !told.why.is_empty() => {
            (Finding::Warning, told.why.clone(), "it is tried again each minute")
        }
        Some(_) | None => (Finding::Well, "it is on its way".to_owned(), "wait a minute"),
    };
    Some(check("agent-build", finding, format!("{is}: {why}"), help))
}

/// Enough to compare.
fn short(digest: Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
