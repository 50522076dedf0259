//! What an agent is told, and when it is left alone.

use model::{AgentBeat, AgentReport, Renewal, WipeState, WipeTold};

use super::*;

const OLD: Digest = Digest([1; 32]);
const NEW: Digest = Digest([2; 32]);

fn agent(boot_id: &str, build: Option<Digest>) -> AgentView {
    let report = AgentReport { boot_id: boot_id.to_owned(), build, ..AgentReport::default() };
    AgentView {
        report: Arc::new(report),
        beat: None,
        heard: model::Moment::default(),
        ailing: Vec::new(),
        proof: model::Proof::Key,
    }
}

fn tells(boot_id: &str, state: RenewalState, why: &str) -> AgentView {
    let renewal = Some(Arc::new(Renewal { digest: NEW, state, why: why.to_owned() }));
    AgentView { beat: Some(AgentBeat { renewal, ..AgentBeat::default() }), ..agent(boot_id, Some(OLD)) }
}

fn known() -> Known {
    Known { carried: Some(AgentBuild { digest: NEW, size: 1 }), ..Known::default() }
}

#[test]
fn another_build_is_told_once_a_minute_and_the_same_one_never() {
    let (mut known, node, now) = (known(), "node1".parse().unwrap(), Instant::now());
    assert_eq!(known.due(&node, &agent("a", Some(NEW)), now), Due::Nothing);
    assert_eq!(known.due(&node, &agent("a", None), now), Due::Nothing, "older than such orders");
    assert_eq!(known.due(&node, &agent("a", Some(OLD)), now), Due::Order);
    known.ordered(&node, NEW, "a", now);
    assert_eq!(known.due(&node, &agent("a", Some(OLD)), now), Due::Wait);
    assert_eq!(known.due(&node, &tells("a", RenewalState::Fetching, ""), now + AGAIN), Due::Wait);
    assert_eq!(known.due(&node, &tells("a", RenewalState::Fetching, "no way"), now + AGAIN), Due::Order);
    assert_eq!(known.due(&node, &agent("a", Some(OLD)), now + AGAIN), Due::Order);
}

#[test]
fn who_refused_it_who_wipes_and_a_lab_that_holds_are_left_alone() {
    let (mut known, node, now) = (known(), "node1".parse().unwrap(), Instant::now());
    assert_eq!(known.due(&node, &tells("a", RenewalState::Refused, "it panicked"), now), Due::Nothing);
    let told = WipeTold { number: 1, state: WipeState::Wiping { step: String::new(), done: 0, of: 1 } };
    let beat = AgentBeat { wipe: Some(told), ..AgentBeat::default() };
    let wiping = AgentView { beat: Some(beat), ..agent("a", Some(OLD)) };
    assert_eq!(known.due(&node, &wiping, now), Due::Wait);
    known.held = true;
    assert_eq!(known.due(&node, &agent("a", Some(OLD)), now), Due::Nothing);
}

#[test]
fn a_machine_that_is_lost_twice_with_a_build_is_not_given_it_again_but_another_one() {
    let (mut known, node, now) = (known(), "node1".parse().unwrap(), Instant::now());
    for (boot, next, due) in [("a", "b", Due::Order), ("b", "c", Due::Nothing)] {
        assert_ne!(known.due(&node, &agent(boot, Some(OLD)), now + AGAIN), Due::Nothing);
        known.ordered(&node, NEW, boot, now);
        assert_eq!(known.due(&node, &agent(next, Some(OLD)), now), due);
    }
    assert_ne!(known.due(&node, &agent("c", Some(OLD)), now + AGAIN), Due::Order);
    let renewals = Renewals(Arc::new(Mutex::new(known)));
    assert!(renewals.gave_up(&node));
    let mut known = renewals.known();
    known.carried = Some(AgentBuild { digest: Digest([3; 32]), size: 1 });
    assert_eq!(known.due(&node, &agent("c", Some(OLD)), now), Due::Order);
    drop(known);
    assert!(!renewals.gave_up(&node));
}

#[test]
fn a_machine_that_came_up_with_it_may_start_again_as_often_as_it_likes() {
    let (mut known, node, now) = (known(), "node1".parse().unwrap(), Instant::now());
    for boot in ["a", "b", "c", "d"] {
        assert_eq!(known.due(&node, &agent(boot, Some(OLD)), now), Due::Order, "its image is an older one");
        known.ordered(&node, NEW, boot, now);
        assert_eq!(known.due(&node, &agent(boot, Some(NEW)), now), Due::Nothing);
    }
}
