//! Ports of switches that are disabled for a while, and the machines behind them.

use std::collections::BTreeSet;

use lifecycle::{CutRefusal, PortCut, decide};
use model::{BOSS_PORT, SecretRef, SwitchKind, SwitchSpec};

use super::*;

/// A switch whose ports 1 to 6 are machines, 7 the uplink and 8 the boss.
pub(crate) fn switch() -> SwitchSpec {
    let credentials = SecretRef::Kept("switch".to_owned());
    SwitchSpec {
        kind: SwitchKind::WebPages { url: "http://10.0.0.2".to_owned(), credentials },
        boss: Some("8".to_owned()),
        uplink: Some("7".to_owned()),
        protect: BTreeSet::new(),
        every: Span(500),
    }
}

impl World {
    /// A switch carries out an order, and answers a moment later.
    pub(crate) fn switch_port(&mut self, id: CommandId, port: &PortRef, on: bool) {
        let at = port.port.parse::<usize>().unwrap() - 1;
        let outcome = match self.refuses {
            0 => {
                self.cut[at] = !on;
                self.switched.push((at, on));
                Outcome::Done
            }
            _ => Outcome::Failed { code: "silent".to_owned(), why: "it does not answer".to_owned() },
        };
        self.refuses = self.refuses.saturating_sub(1);
        self.answers.push((self.turn + 1, id, outcome));
    }

    fn cuts(&mut self, what: &str, span: Span) -> Result<(), Refusal> {
        let request = Request::Cut { what: vec![what.to_owned()], span, by: Origin::Cli };
        if let Verdict::Record(fact) = admit(&self.lab, &request)? {
            self.happens(fact);
        }
        Ok(())
    }

    fn restores(&mut self, what: &str) -> bool {
        let request = Request::Restore { what: vec![what.to_owned()], by: Origin::Cli };
        match admit(&self.lab, &request).unwrap() {
            Verdict::Record(fact) => {
                self.happens(fact);
                true
            }
            Verdict::Already => false,
        }
    }

    fn live(&self) -> Vec<&PortCut> {
        self.lab.cuts.iter().filter(|cut| cut.until.is_some()).collect()
    }
}

/// Machines that run, with speeds off that are known.
fn running(boxes: usize) -> World {
    let mut world = learned(boxes);
    for at in 0..boxes {
        world.ask(at, PowerOrder::On).unwrap();
    }
    world.pass(30);
    assert!((0..boxes).all(|at| world.runs(at) && world.power(at) == PowerState::On));
    world
}

#[test]
fn a_zone_that_is_cut_is_never_off_never_pressed_and_back_by_itself() {
    let mut world = running(3);
    world.cuts("zone:1", Span::secs(300)).unwrap();
    world.pass(2);
    assert_eq!(world.switched, [(0, false), (1, false)], "the other zone is left alone");
    for _ in 0..290 {
        world.pass(1);
        assert!(world.power(0) != PowerState::Off && world.power(1) != PowerState::Off, "{}", world.seen(0));
        assert_eq!(world.power(2), PowerState::On);
    }
    assert!(world.seen(0).contains("cut off by us: core/1 is disabled for"), "{}", world.seen(0));
    world.pass(60);
    assert_eq!(world.switched[2..], [(0, true), (1, true)]);
    assert!((0..3).all(|at| world.runs(at) && world.power(at) == PowerState::On), "{}", world.seen(0));
    assert_eq!(world.wrong, [""; 0]);
    // Nothing is left of it.
    world.pass(60);
    world.cuts("node3", Span::secs(1)).unwrap();
    assert_eq!(world.lab.cuts.len(), 1, "{:?}", world.lab.cuts);
}

#[test]
fn a_cut_ends_when_it_is_asked_to_and_goes_on_when_it_is_asked_again() {
    let mut world = running(1);
    world.cuts("core/1", Span::secs(10)).unwrap();
    world.pass(8);
    world.cuts("node1", Span::secs(10)).unwrap();
    world.pass(8);
    assert!(world.cut[0], "asked again, it goes on");
    assert!(world.restores("all"));
    world.pass(1);
    assert!(!world.cut[0]);
    assert!(!world.restores("all"), "it is so already");
    assert_eq!(world.switched, [(0, false), (0, true)], "told once for each");
}

#[test]
fn a_port_that_its_switch_does_not_enable_is_told_until_it_does() {
    let mut world = running(1);
    world.cuts("node1", Span::secs(5)).unwrap();
    world.pass(2);
    world.refuses = 3;
    world.pass(10);
    assert!(world.cut[0] && world.live().is_empty());
    assert!(world.seen(0).contains("core/1 is to be enabled again; it does not answer"), "{}", world.seen(0));
    world.pass(60);
    assert!(!world.cut[0]);
    assert_eq!(world.power(0), PowerState::On);
}

#[test]
fn a_core_that_ends_meanwhile_leaves_no_port_cut() {
    let mut world = running(1);
    world.cuts("node1", Span::secs(20)).unwrap();
    world.pass(2);
    // It is started again; what was on its way is lost.
    let started = Fact::CoreStarted {
        version: "0.1.0".to_owned(),
        spec: Box::new(spec(1)),
        kernel: "one".to_owned(),
        boottime_ms: 0,
    };
    world.answers.clear();
    world.happens(started);
    world.happens(Fact::CounterSeen { up: true });
    world.pass(30);
    assert!(!world.cut[0], "{:?}", world.lab.cuts);
    // An answer that never comes is not waited for without end.
    world.cuts("node1", Span::secs(5)).unwrap();
    world.answers.clear();
    world.pass(200);
    assert!(!world.cut[0] && world.power(0) == PowerState::On, "{:?}", world.lab.cuts);
}

#[test]
fn what_leads_to_the_boss_is_refused_and_what_a_switch_refuses_is_over() {
    let mut world = running(1);
    let code = |refused: Result<(), Refusal>| refused.unwrap_err();
    for port in ["core/8", "core/7"] {
        let refusal = code(world.cuts(port, Span::secs(5)));
        assert_eq!(refusal.code(), "port_guarded");
        assert!(refusal.to_string().contains("is never disabled"), "{refusal}");
    }
    assert_eq!(code(world.cuts("zone:9", Span::secs(5))).code(), "unknown_zone");
    assert_eq!(code(world.cuts("far/1", Span::secs(5))).code(), "unknown_switch");
    assert_eq!(code(world.cuts("node9", Span::secs(5))).code(), "unknown_node");
    for span in [Span(100), Span::secs(3601)] {
        let refusal = code(world.cuts("node1", span));
        assert!(matches!(refusal, Refusal::Cut(CutRefusal::Span { .. })), "{refusal}");
        assert!(refusal.advice().contains("from 0.5 s to 60 min"), "{}", refusal.advice());
    }
    let mut alone = spec(1);
    alone.board.nodes.get_mut(&name(0)).unwrap().port = None;
    let lab = Lab::new(alone);
    let request = Request::Cut { what: vec!["node1".to_owned()], span: Span::secs(5), by: Origin::Cli };
    let refusal = admit(&lab, &request).unwrap_err();
    assert_eq!(refusal.code(), "not_wired");
    assert!(refusal.advice().contains("labinator wiring learn"), "{}", refusal.advice());
    // The switch hears the boss there: that is the end of it, and no order is given again.
    let port = PortRef { driver: "core".parse().unwrap(), port: "5".to_owned() };
    world.record(Fact::CutAccepted { ports: vec![port.clone()], span: Span::secs(60), by: Origin::Cli });
    let id = CommandId(world.lab.commands + 1);
    world.record(Fact::Issued { id, command: Command::Switch { port, on: false } });
    let outcome = Outcome::Failed { code: BOSS_PORT.to_owned(), why: "the boss".to_owned() };
    world.happens(Fact::Finished { id, outcome });
    assert!(world.lab.cuts.is_empty() && decide(&world.lab, world.now()).wishes.is_empty());
}

#[test]
fn a_switch_that_is_lost_proves_nothing_about_its_machines() {
    let mut world = running(1);
    world.watched = false;
    // The switch dies: its machine is not heard any more, and nothing tells of its link.
    world.pulled[0] = true;
    world.happens(Fact::LinkSeen {
        node: name(0),
        link: LinkReading { lost: true, ..LinkReading::default() },
    });
    for _ in 0..200 {
        world.pass(1);
        assert_ne!(world.power(0), PowerState::Off, "{}", world.seen(0));
    }
    assert!(world.seen(0).contains("its switch does not answer"), "{}", world.seen(0));
    assert_eq!(world.ask(0, PowerOrder::On).unwrap_err().code(), "power_unknown");
}
