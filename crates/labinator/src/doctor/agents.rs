//! Agents that are another build or version than this boss, and why they stay so; and a second boss that answers them.

use api::{Check, Finding};
use model::{AgentView, Digest, NodeName, RenewalState, Snapshot};

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
    let heard = lab.machines.iter().filter_map(|machine| Some((&machine.node, machine.agent.as_ref()?)));
    for (node, agent) in heard {
        checks.extend(difference(node, agent, renewals));
        checks.extend(rival(node, agent));
    }
    checks
}

fn rival(node: &NodeName, agent: &AgentView) -> Option<Check> {
    let rival = agent.beat.as_ref()?.rival.as_ref()?;
    let seen = format!("{node} is told by two: {rival}; it obeys this one");
    Some(check("two-controllers", Finding::Warning, seen, OTHER))
}

fn difference(node: &NodeName, agent: &AgentView, renewals: &Renewals) -> Option<Check> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{AgentBeat, AgentReport, Moment, Proof, Renewal, Rival};

    use super::*;

    const OLD: Digest = Digest([1; 32]);
    const OWN: Digest = Digest([2; 32]);

    fn node() -> NodeName {
        "node1".parse().unwrap()
    }

    fn agent(build: Option<Digest>, beat: AgentBeat) -> AgentView {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let report = AgentReport { boot_id: "a".to_owned(), version, build, ..AgentReport::default() };
        let (report, beat, heard) = (Arc::new(report), Some(beat), Moment::default());
        AgentView { report, beat, heard, ailing: Vec::new(), proof: Proof::Key }
    }

    fn tells(state: RenewalState, why: &str) -> AgentView {
        let renewal = Some(Arc::new(Renewal { digest: OWN, state, why: why.to_owned() }));
        agent(Some(OLD), AgentBeat { renewal, ..AgentBeat::default() })
    }

    #[test]
    fn an_agent_of_another_build_says_why_it_is_one_and_one_of_the_same_build_nothing() {
        let told = |agent: &AgentView, held| {
            difference(&node(), agent, &Renewals::carrying(OWN, held))
                .map(|check| (check.finding, check.seen))
        };
        let old = || agent(Some(OLD), AgentBeat::default());
        assert_eq!(told(&agent(Some(OWN), AgentBeat::default()), false), None);
        let by_address = AgentView { proof: Proof::Address, ..old() };
        for (agent, held, finding, why) in [
            (old(), false, Finding::Well, "it is on its way"),
            (old(), true, Finding::Well, "held by the lab file"),
            (
                tells(RenewalState::Refused, "it panicked"),
                false,
                Finding::Warning,
                "it went back: it panicked",
            ),
            (tells(RenewalState::Fetching, "no way"), false, Finding::Warning, "no way"),
            (by_address, false, Finding::Well, "only one that is known by its key is told"),
            (
                agent(None, AgentBeat::default()),
                false,
                Finding::Warning,
                "older than builds that can be renewed",
            ),
        ] {
            let (found, seen) = told(&agent, held).unwrap();
            assert_eq!(found, finding, "{seen}");
            assert!(seen.starts_with("the agent of node1 is") && seen.ends_with(why), "{seen}");
        }
    }

    #[test]
    fn where_no_build_is_carried_only_another_version_is_told() {
        let mut view = agent(Some(OLD), AgentBeat::default());
        assert_eq!(difference(&node(), &view, &Renewals::default()), None);
        Arc::make_mut(&mut view.report).version = "0.0.1".to_owned();
        let seen = difference(&node(), &view, &Renewals::default()).unwrap().seen;
        assert!(seen.contains("of version 0.0.1, not "), "{seen}");
    }

    #[test]
    fn a_second_controller_is_named_with_its_address_and_lab() {
        let mut view = agent(Some(OWN), AgentBeat::default());
        assert_eq!(rival(&node(), &view), None);
        let other = Rival { at: [192, 0, 2, 9].into(), lab: "upstairs".parse().ok(), key: None };
        view.beat.as_mut().unwrap().rival = Some(Arc::new(other));
        let found = rival(&node(), &view).unwrap();
        assert_eq!(found.finding, Finding::Warning);
        for word in ["node1", "192.0.2.9", "upstairs"] {
            assert!(found.seen.contains(word), "{}", found.seen);
        }
    }
}
