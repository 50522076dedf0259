//! Any order: whatever happens to a lab, in whatever order, what must never happen does not, and in a
//! world that plays along it gets there in the end.
//!
//! Every turn is also watched by the oracle and the rules in `world`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

#[path = "any_order/cooperation.rs"]
mod cooperation;
#[path = "any_order/fate.rs"]
mod fate;
#[path = "any_order/guests.rs"]
mod guests;
mod world;

use cooperation::Cooperation;
use fate::{Fate, fates};
use lifecycle::Lab;
use model::{Goal, NodeName, Phase, PowerOrder, Rung, ScenarioName, Span};
use proptest::prelude::*;
use world::{Board, World};

/// What kind of lab it is.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// The third machine is switched by a person.
    by_hand: bool,
    /// Its scenario `demo` builds a cluster, with this many machines in its control plane.
    control_plane: usize,
    /// What else `demo` does.
    more: More,
    /// After a run its machines wait, two in our loader and the others in their images, but for those that a person
    /// switches.
    parks: bool,
}

/// Nobody types the serials of guests' disks here, so it is one or the other; a story has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Nothing,
    /// The first machine runs two guests.
    Guests,
    /// Disks are wiped before use.
    Wipes,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let control_plane = prop_oneof![3 => Just(0), 2 => Just(1), 1 => Just(2)];
    let more = prop_oneof![1 => Just(More::Nothing), 2 => Just(More::Guests), 1 => Just(More::Wipes)];
    (any::<bool>(), control_plane, more, any::<bool>())
        .prop_map(|(by_hand, control_plane, more, parks)| Kind { by_hand, control_plane, more, parks })
}

/// Three machines, the third by hand in half of the cases, and a fourth that takes part in nothing.
fn board(lab: Kind) -> Board {
    let by_hand: &[&str] = if lab.by_hand { &["n3"] } else { &[] };
    let mut board = Board::new(&["n1", "n2", "n3", "n4"], by_hand);
    let names = |names: &[&str]| names.iter().map(|n| n.parse().unwrap()).collect();
    board.scenario("demo", names(&["n1", "n2", "n3"]), Some(3));
    board.scenario("pair", names(&["n1", "n2"]), Some(1));
    let demo = board.spec.scenarios.get_mut(&"demo".parse::<ScenarioName>().unwrap()).unwrap();
    demo.wipe_before_use = lab.more == More::Wipes;
    if lab.parks {
        board.spec.scenarios.values_mut().for_each(|scenario| scenario.park = Some(Span::secs(300)));
        let loaders: Vec<NodeName> = names(&["n2", "n4"]);
        let nodes = board.spec.board.nodes.iter_mut().filter(|(name, _)| loaders.contains(name));
        nodes.for_each(|(_, node)| node.loader = model::LoaderChoice::Labinator);
    }
    board.later(2, 2, None);
    if lab.more == More::Guests {
        guests::add(&mut board);
    }
    if lab.control_plane > 0 {
        // Who runs guests has no other part in the cluster.
        let all: Vec<NodeName> = names(if lab.more == More::Guests { &["n2", "n5"] } else { &["n1", "n2"] });
        board.cluster("demo", all.into_iter().take(lab.control_plane).collect());
    }
    board
}

/// A world after some fates, with the rules checked on the way.
fn reached(fates: &[Fate], lab: Kind) -> Result<World, TestCaseError> {
    let mut world = World::new(board(lab)).map_err(TestCaseError::fail)?;
    for (number, fate) in fates.iter().enumerate() {
        fate.befalls(&mut world).map_err(|why| TestCaseError::fail(format!("{number}. {fate:?}: {why}")))?;
    }
    Ok(world)
}

proptest! {
    #[test]
    fn the_journal_tells_the_lab_and_the_kept_part_of_it_the_same_judgment(
        fates in fates(), lab in kinds(),
    ) {
        let world = reached(&fates, lab)?;
        prop_assert_eq!(&world.replayed(|_| true), &world.lab);
        world.rule_of_the_journal().map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_checkpoint_anywhere_tells_the_same_lab_as_all_that_happened(
        fates in fates(), lab in kinds(), every in 1..40_usize,
    ) {
        let world = reached(&fates, lab)?;
        world.rule_of_the_checkpoint(|number| number % every == 0).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn silence_ends_by_its_limit(fates in fates(), lab in kinds()) {
        let mut world = reached(&fates, lab)?;
        let before = world.events.len();
        let until = world.now.after(Span::secs(3600));
        world.pass(until).map_err(TestCaseError::fail)?;
        let facts = world.events.len() - before;
        prop_assert!(facts < 200, "{} facts in an hour of silence", facts);
        for machine in world.lab.machines.values() {
            let wait = world.decision.waits.get(&machine.node);
            // Nobody can tell how a wipe ends while the counter is away.
            if !world.lab.counter_up && world.lab.machines.values().any(|m| m.may_be_wiping().is_some()) {
                continue;
            }
            let for_a_person = |what: &str| {
                what.starts_with("somebody to switch n1 on, which runs it")
                    || lab.by_hand && (what.starts_with("somebody to") || what.contains("n3 to be seen off"))
            };
            prop_assert!(
                wait.is_none_or(|w| for_a_person(&w.what)),
                "{} still waits for {:?}", machine.node, wait
            );
            let settled = machine.bad
                || wait.is_some()
                || machine.goal == Goal::Any
                || machine.person == Some(PowerOrder::Off)
                || (machine.rung == Rung::Ready && !world.lab.counter_up);
            prop_assert!(settled, "{} is {} in the end", machine.node, machine.rung);
        }
    }

    #[test]
    fn a_world_that_plays_along_brings_the_lab_where_it_was_going(fates in fates(), lab in kinds()) {
        gets_there(&fates, lab)?;
    }
}

/// In a world that plays along from now on the lab comes to some end, and stopped and started again it is ready.
fn gets_there(fates: &[Fate], lab: Kind) -> Result<(), TestCaseError> {
    let mut world = reached(fates, lab)?;
    let mut cooperation = Cooperation::with(&world);
    let ends = |lab: &Lab| {
        let off = lab.machines.values().any(|m| m.goal == Goal::Ready && m.person == Some(PowerOrder::Off));
        match lab.phase {
            Phase::Idle | Phase::Ready | Phase::Failed => true,
            Phase::Degraded | Phase::Booting => off,
            Phase::PoweringDown | Phase::Stopping => false,
        }
    };
    cooperation.goes_on(&mut world, Span::secs(1300), ends).map_err(TestCaseError::fail)?;
    for (asked, phase) in [("stop", Phase::Idle), ("demo", Phase::Ready)] {
        cooperation.asks(&mut world, asked).map_err(TestCaseError::fail)?;
        let there = |lab: &Lab| lab.phase == phase;
        cooperation.goes_on(&mut world, Span::secs(900), there).map_err(TestCaseError::fail)?;
    }
    Ok(())
}

/// The property above spun here.
#[test]
fn a_guest_that_is_seen_off_in_the_moment_of_its_order_is_not_ordered_off_for_ever() {
    let lab = Kind { by_hand: false, control_plane: 0, more: More::Guests, parks: false };
    let began = [Fate::Report(2, 1), Fate::Counter(true), Fate::Start("demo")];
    let fates = [&began[..], &[Fate::Time(90_000), Fate::Guest(5, guests::Rumour::RUNS)]].concat();
    gets_there(&fates, lab).unwrap();
}
