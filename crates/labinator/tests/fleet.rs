//! A lab of thousands: written in a few lines, read at once, shown page by page.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::Path;
use std::sync::Arc;

use api::MachinePage;
use labinator::cli::render::{render_page, render_status};
use labinator::config;
use labinator::paging::{Order, Wanted, page};
use lifecycle::{Lab, absorb, lab_view, machine_view};
use model::{Event, Fact, Fault, FaultCode, LabSpec, LabTime, Moment, NodeWord, Snapshot, WallTime};

fn spec() -> LabSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../labs/fleet.yaml");
    config::load(&path).unwrap()
}

const NOW: Moment = Moment { since_start: LabTime(5_000), wall: WallTime(1_700_000_000_000) };

/// The fleet as it is shown, with three machines given up.
fn picture() -> Snapshot {
    let mut lab = Lab::new(spec());
    for (seq, node) in [(1, "b-7"), (2, "c-4500"), (3, "a-12")] {
        let fault = Fault { code: FaultCode::NeverAsked, text: "it never asked".to_owned() };
        let fact = Fact::Faulted { node: node.parse().unwrap(), fault, bad: true };
        absorb(&mut lab, &Event { seq, at: NOW, fact });
    }
    let machines = lab.in_board_order();
    let machines = machines.iter().map(|m| Arc::new(machine_view(&lab, m, None, NOW, None).unwrap()));
    Snapshot {
        epoch: "e".to_owned(),
        through: 3,
        at: NOW,
        lab: Arc::new(lab_view(&lab)),
        machines: machines.collect(),
    }
}

fn names(page: &MachinePage) -> Vec<&str> {
    page.machines.iter().map(|machine| machine.node.as_str()).collect()
}

#[test]
fn three_lines_are_thirteen_thousand_five_hundred_machines() {
    let spec = spec();
    assert_eq!((spec.board.nodes.len(), spec.board.rows), (13_500, 113));
    let node = |name: &str| &spec.board.nodes[&name.parse().unwrap()];
    assert_eq!(node("a-1").ip.to_string(), "10.77.1.0");
    let last = node("c-4500");
    assert_eq!(
        (last.mac.to_string().as_str(), last.ip.to_string().as_str()),
        ("02:46:00:00:34:bb", "10.77.53.187")
    );
    assert_eq!((last.at.column, last.at.row, last.zone), (100, 113, Some(3)));
    assert_eq!(last.power.port, "13500");
    assert_eq!(node("b-41").at.row, 2, "the next row begins below the first machine");
    assert_eq!(node("b-41").at.column, 41);
    assert_eq!(spec.scenarios.values().next().unwrap().nodes.len(), 13_500);
}

#[test]
fn every_machine_is_on_exactly_one_page() {
    let picture = picture();
    for order in [Order::Board, Order::Trouble] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let wanted = Wanted { limit: Some(1_000), after, order, ..Wanted::default() };
            let part = page(&picture, &wanted);
            assert!(part.machines.len() <= 1_000 && part.matching == 13_500);
            seen.extend(names(&part).into_iter().map(str::to_owned));
            after = part.next.as_ref().map(ToString::to_string);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 13_500);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 13_500);
    }
}

#[test]
fn what_a_person_must_look_at_comes_first_when_asked_for() {
    let picture = picture();
    let trouble = page(&picture, &Wanted { limit: Some(4), order: Order::Trouble, ..Wanted::default() });
    assert_eq!(names(&trouble)[..3], ["a-12", "b-7", "c-4500"], "in the board's order among themselves");
    assert_eq!(trouble.words[0], api::WordCount { word: NodeWord::Bad, count: 3 });
    let bad = page(&picture, &Wanted { word: Some(NodeWord::Bad), zone: Some(2), ..Wanted::default() });
    assert_eq!((names(&bad), bad.matching, &bad.next), (vec!["b-7"], 1, &None));
    let found = page(&picture, &Wanted { node: Some("10.77.53.187".to_owned()), ..Wanted::default() });
    assert_eq!(names(&found), ["c-4500"]);
    let gone = page(&picture, &Wanted { after: Some("no-such".to_owned()), ..Wanted::default() });
    assert_eq!(gone.machines.len(), 100, "an unknown name begins at the beginning");
}

#[test]
fn a_terminal_shows_a_fleet_as_a_summary_and_a_page_as_lines() {
    let picture = picture();
    let text = render_status(&picture, 100, false);
    assert!(text.lines().count() < 30, "{text}");
    for words in ["     3  bad", " 13497  unknown", "b-7", "it never asked", "--word bad"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    let part = page(&picture, &Wanted { limit: Some(5), zone: Some(3), ..Wanted::default() });
    let text = render_page(&part, 100, false);
    for words in ["c-1", "5 of 4500 machines asked for", "3 bad, 13497 unknown", "--from c-5"] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}

#[test]
fn a_checkpoint_of_a_fleet_copies_no_machine_and_a_machine_that_changes_is_copied_alone() {
    let mut lab = Lab::new(spec());
    let held = lab.clone();
    let shared = |lab: &Lab| {
        lab.machines.iter().filter(|(name, machine)| Arc::ptr_eq(machine, &held.machines[*name])).count()
    };
    assert_eq!(shared(&lab), 13_500);
    assert!(Arc::ptr_eq(&lab.spec, &held.spec) && Arc::ptr_eq(&lab.by_mac, &held.by_mac));
    let fact = Fact::Entered { node: "b-7".parse().unwrap(), rung: model::Rung::On };
    absorb(&mut lab, &Event { seq: 1, at: NOW, fact });
    assert_eq!(shared(&lab), 13_499);
    assert_eq!(held.machines[&"b-7".parse().unwrap()].rung, model::Rung::Off);
}
