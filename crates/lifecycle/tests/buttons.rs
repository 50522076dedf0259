//! Buttons: a relay board that forgets, people who press, answers that are lost, links that are cut. A machine that runs
//! is never switched off by an order to switch it on, and in the end it is as wanted, or honestly unknown.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

#[path = "buttons/board.rs"]
mod board;
#[path = "buttons/cuts.rs"]
mod cuts;
#[path = "buttons/mischief.rs"]
mod mischief;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use board::{Board, Doing, TURN, mac};
use lifecycle::{
    Cut, Judge, Lab, Refusal, Request, Verdict, absorb, admit, explain, lab_view, machine_view, may_cut,
};
use mischief::{Mischief, mischief};
use model::{
    BoardSpec, Cell, Command, CommandId, DeviceKind, DeviceSight, DeviceSpec, DhcpMode, Event, Fact, LabSpec,
    LabTime, Limits, LinkReading, Moment, NetworkSpec, NodeName, NodeSpec, Origin, Outcome, PortReading,
    PortRef, PortSense, PowerDriver, PowerOrder, PowerState, Sight, Snapshot, Span, WallTime,
};
use proptest::prelude::*;

fn name(at: usize) -> NodeName {
    format!("node{}", at + 1).parse().unwrap()
}

fn spec(boxes: usize) -> LabSpec {
    let node = |at: usize| {
        let spec = NodeSpec {
            disk: None,
            at: Cell { column: u8::try_from(at + 1).unwrap(), row: 1 },
            zone: Some(u8::try_from(at / 2 + 1).unwrap()),
            mac: mac(at),
            ip: Ipv4Addr::new(10, 0, 0, u8::try_from(at + 11).unwrap()),
            ip6: None,
            power: PortRef { driver: "relays".parse().unwrap(), port: (at + 1).to_string() },
            loader: model::LoaderChoice::Ipxe,
            guest: None,
            port: Some(PortRef { driver: "core".parse().unwrap(), port: (at + 1).to_string() }),
            memory: None,
            firmware: None,
        };
        (name(at), spec)
    };
    let device = DeviceSpec {
        kind: DeviceKind::Relayinator { device: "/dev/ttyUSB0".to_owned() },
        stagger: Span(500),
        protect: ["7".to_owned()].into(),
        standby: None,
    };
    LabSpec {
        lab: "buttons".parse().unwrap(),
        network: NetworkSpec {
            interface: "lab0".to_owned(),
            subnet: Ipv4Addr::new(10, 0, 0, 0),
            prefix: 24,
            boss: Ipv4Addr::new(10, 0, 0, 1),
            gateway: None,
            dns: Vec::new(),
            domain: None,
            names: None,
            ntp: model::NtpMode::Off,
            pool: None,
            dhcp: DhcpMode::Authoritative,
            lease_seconds: 3600,
            relays: Vec::new(),
            tftp: model::TftpPorts::default(),
            ipv6: None,
        },
        power: BTreeMap::from([("relays".parse().unwrap(), PowerDriver::Device(device))]),
        board: BoardSpec { columns: 6, rows: 1, nodes: (0..boxes).map(node).collect() },
        scenarios: BTreeMap::new(),
        limits: Limits::default(),
        variables: model::Variables::default(),
        agent_updates: model::AgentUpdates::default(),
        switch: [("core".parse().unwrap(), cuts::switch())].into(),
        secure_boot: model::SecureBootRule::default(),
        pdudaemon: None,
        logs: model::LogsSpec::default(),
    }
}

/// A lab, its board, and the line and the switch between them.
struct World {
    lab: Lab,
    judge: Judge,
    seq: u64,
    turn: u64,
    board: Board,
    /// The board's answers on their way.
    answers: Vec<(u64, CommandId, Outcome)>,
    /// Answers are lost until this turn.
    lost_until: u64,
    cut: Vec<bool>,
    /// Cables that were pulled.
    pulled: Vec<bool>,
    told: Vec<Option<LinkReading>>,
    /// Whether the switch is asked about links.
    watched: bool,
    /// Orders that the switch does not carry out.
    refuses: u32,
    /// What the switch was told: which machine's port, and whether to enable it.
    switched: Vec<(usize, bool)>,
    wrong: Vec<String>,
}

impl World {
    fn new(boxes: usize, watched: bool) -> Self {
        let mut world = Self {
            lab: Lab::new(spec(boxes)),
            judge: Judge::new(),
            seq: 0,
            turn: 40,
            board: Board::new(boxes),
            answers: Vec::new(),
            lost_until: 0,
            cut: vec![false; boxes],
            pulled: vec![false; boxes],
            told: vec![None; boxes],
            watched,
            refuses: 0,
            switched: Vec::new(),
            wrong: Vec::new(),
        };
        world.happens(Fact::CounterSeen { up: true });
        world
    }

    fn now(&self) -> Moment {
        Moment {
            since_start: LabTime(self.turn * TURN),
            wall: WallTime(1_800_000_000_000 + self.turn * TURN),
        }
    }

    fn record(&mut self, fact: Fact) {
        self.seq += 1;
        let event = Event { seq: self.seq, at: self.now(), fact };
        let touched = absorb(&mut self.lab, &event);
        self.judge.touch(&touched);
    }

    fn happens(&mut self, fact: Fact) {
        self.record(fact);
        loop {
            let now = self.now();
            let (mut seq, lab) = (self.seq, &mut self.lab);
            let judgment = self.judge.settle(
                lab,
                now,
                |fact| {
                    seq += 1;
                    Event { seq, at: now, fact }
                },
                |_| {},
            );
            self.seq = seq;
            if judgment.wishes.is_empty() {
                return;
            }
            for command in judgment.wishes {
                let id = CommandId(self.lab.commands + 1);
                self.record(Fact::Issued { id, command: command.clone() });
                self.carry_out(id, &command);
            }
        }
    }

    fn carry_out(&mut self, id: CommandId, command: &Command) {
        if let Command::Switch { port, on } = command {
            return self.switch_port(id, port, *on);
        }
        let Command::Power { node, order, .. } = command else { panic!("{command:?}") };
        let at = (0..self.board.boxes.len()).find(|at| name(*at) == *node).unwrap();
        let before = self.board.boxes[at].clone();
        let done = self.board.order(at, *order, self.turn);
        // A second passes until a switch is asked again, and a little until that is told.
        let long_on = before.on_since.is_some_and(|since| self.turn > since + 6);
        if done.pressed && *order == PowerOrder::On && long_on {
            self.wrong.push(format!(
                "turn {}: {node} ran ({:?}) and was pressed to switch it on",
                self.turn, before.doing
            ));
        }
        let cut = self.told[at].is_some_and(|link| !link.enabled);
        // What a person saw may be acted on, cut or not; and that it was heard shortly before.
        let senses = &self.lab.machines[node].senses;
        let heard = senses.heard.is_some_and(|at| self.now().since_start < at.after(Span::secs(15)));
        let cut = cut && senses.said.is_none() && !heard;
        if done.pressed && cut && *order != PowerOrder::Press {
            self.wrong.push(format!("turn {}: {node} was pressed while its link was cut", self.turn));
        }
        let outcome = if self.turn < self.lost_until { Outcome::Unknown } else { done.outcome };
        self.answers.push((self.turn + done.after, id, outcome));
    }

    /// One turn of the world.
    fn turns(&mut self) {
        self.turn += 1;
        self.board.lives(self.turn);
        for at in 0..self.board.boxes.len() {
            let speaks = self.board.boxes[at].speaks(self.turn) && !self.cut[at] && !self.pulled[at];
            if speaks {
                self.happens(Fact::Sighted { mac: mac(at), sight: Sight::Frame });
            }
            if self.watched && self.turn.is_multiple_of(4) {
                let link = match (self.cut[at], self.pulled[at]) {
                    (true, _) => LinkReading::default(),
                    (false, true) => LinkReading { enabled: true, ..LinkReading::default() },
                    (false, false) => self.board.boxes[at].link(self.turn),
                };
                if self.told[at] != Some(link) {
                    self.told[at] = Some(link);
                    self.happens(Fact::LinkSeen { node: name(at), link });
                }
            }
        }
        let (due, later) =
            std::mem::take(&mut self.answers).into_iter().partition(|(at, ..)| *at <= self.turn);
        self.answers = later;
        let due: Vec<(u64, CommandId, Outcome)> = due;
        for (_, id, outcome) in due {
            self.happens(Fact::Finished { id, outcome });
        }
        self.happens(Fact::CounterSeen { up: true });
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 1000 / TURN {
            self.turns();
        }
    }

    fn ask(&mut self, at: usize, order: PowerOrder) -> Result<(), Refusal> {
        let request = Request::Power { node: name(at).to_string(), order, by: Origin::Cli };
        if let Verdict::Record(fact) = admit(&self.lab, &request)? {
            self.happens(fact);
        }
        Ok(())
    }

    fn confirm(&mut self, at: usize, state: PowerState) {
        let request = Request::Confirm { node: name(at).to_string(), state, by: Origin::Cli };
        let Ok(Verdict::Record(fact)) = admit(&self.lab, &request) else { panic!("not taken") };
        self.happens(fact);
    }

    /// A person looks at the box and says what is true.
    fn looks(&mut self, at: usize) {
        let state = if self.board.boxes[at].is_on() { PowerState::On } else { PowerState::Off };
        self.confirm(at, state);
    }

    fn power(&self, at: usize) -> PowerState {
        self.lab.machines[&name(at)].power
    }

    fn seen(&self, at: usize) -> String {
        let machine = &self.lab.machines[&name(at)];
        explain(&self.lab, machine, self.judge.waits().get(&name(at)), self.now()).seen.join("\n")
    }

    /// What displays say of the power, by the picture that is published.
    fn cut(&self) -> Cut {
        let now = self.now();
        let view = |machine: &std::sync::Arc<lifecycle::Machine>| {
            machine_view(&self.lab, machine, None, now, None).map(std::sync::Arc::new)
        };
        may_cut(&Snapshot {
            epoch: String::new(),
            through: self.seq,
            at: now,
            lab: std::sync::Arc::new(lab_view(&self.lab)),
            machines: self.lab.machines.values().filter_map(view).collect(),
        })
    }

    fn runs(&self, at: usize) -> bool {
        self.board.boxes[at].doing == Doing::Runs
    }
}

/// A world whose speeds off are known.
fn learned(boxes: usize) -> World {
    let mut world = World::new(boxes, true);
    for at in 0..boxes {
        world.happens(Fact::StandbyLearned { node: name(at), mbit: 10 });
    }
    world.pass(20);
    world
}

#[test]
fn a_machine_is_switched_on_and_off_by_what_is_seen() {
    let mut world = learned(1);
    assert_eq!(world.power(0), PowerState::Off);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    assert!(world.runs(0) && world.power(0) == PowerState::On, "{}", world.seen(0));
    world.ask(0, PowerOrder::Off).unwrap();
    world.pass(120);
    assert!(!world.board.boxes[0].is_on() && world.power(0) == PowerState::Off, "{}", world.seen(0));
    assert_eq!(world.wrong, [""; 0]);
}

#[test]
fn nothing_is_pressed_before_anything_is_known_and_a_person_may_say() {
    let mut world = World::new(1, false);
    world.pass(200);
    assert_eq!(world.power(0), PowerState::Unknown);
    let refused = world.ask(0, PowerOrder::On).unwrap_err();
    assert_eq!(refused.code(), "power_unknown");
    assert!(refused.advice().contains("labinator power set node1 off"), "{}", refused.advice());
    world.confirm(0, PowerState::Off);
    assert_eq!(world.power(0), PowerState::Off);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    assert!(world.runs(0) && world.power(0) == PowerState::On, "{}", world.seen(0));
}

#[test]
fn what_a_person_said_ends_with_what_is_seen() {
    let mut world = World::new(1, false);
    world.board.touch(0, world.turn);
    world.pass(1);
    world.confirm(0, PowerState::Off);
    world.pass(15);
    assert_eq!(world.power(0), PowerState::On, "it was heard since");
    world.confirm(0, PowerState::Unknown);
    assert_eq!(world.power(0), PowerState::Unknown);
}

#[test]
fn a_board_that_forgot_presses_no_machine_that_runs() {
    let mut world = learned(1);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    world.board.reset();
    let pressed = PortReading { sense: PortSense::Believed(false), milliwatts: None };
    world.happens(Fact::PortRead { node: name(0), reading: pressed });
    world.pass(30);
    assert_eq!(world.power(0), PowerState::On, "what a board believes proves nothing");
    // To go off, it is pressed for a moment: the board believes it off and would not hold it.
    world.ask(0, PowerOrder::Off).unwrap();
    world.pass(200);
    assert!(!world.board.boxes[0].is_on() && world.power(0) == PowerState::Off, "{}", world.seen(0));
    assert_eq!(world.wrong, [""; 0]);
}

#[test]
fn a_machine_that_hangs_is_asked_first_and_held_then() {
    let mut world = learned(1);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    world.board.boxes[0].doing = Doing::Hangs;
    world.ask(0, PowerOrder::Off).unwrap();
    world.pass(200);
    assert!(!world.board.boxes[0].is_on() && world.power(0) == PowerState::Off, "{}", world.seen(0));
}

#[test]
fn a_cut_of_its_link_is_no_off_and_brings_no_press() {
    let mut world = learned(1);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    world.cut[0] = true;
    world.pass(600);
    assert_eq!(world.power(0), PowerState::Unknown, "{}", world.seen(0));
    assert!(world.seen(0).contains("its switch port is off"), "{}", world.seen(0));
    assert!(world.runs(0));
    world.cut[0] = false;
    world.pass(30);
    assert_eq!(world.power(0), PowerState::On);
    assert_eq!(world.wrong, [""; 0]);
}

#[test]
fn a_pulled_cable_is_no_off_where_the_link_off_is_known() {
    let mut world = learned(1);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    world.pulled[0] = true;
    world.pass(600);
    assert!(world.runs(0) && world.power(0) == PowerState::Unknown, "{}", world.seen(0));
    world.pulled[0] = false;
    world.pass(10);
    assert_eq!(world.power(0), PowerState::On);
}

#[test]
fn the_speed_off_is_learned_where_a_person_says_that_it_is_off() {
    let mut world = World::new(1, true);
    world.pass(60);
    assert_eq!(world.power(0), PowerState::Unknown, "a link at 10 may be anything: {}", world.seen(0));
    world.confirm(0, PowerState::Off);
    world.pass(20);
    assert_eq!(world.lab.machines[&name(0)].senses.standby, [10]);
    world.ask(0, PowerOrder::On).unwrap();
    world.pass(30);
    world.ask(0, PowerOrder::Off).unwrap();
    world.pass(120);
    assert_eq!(world.power(0), PowerState::Off, "seen without anybody's help: {}", world.seen(0));
}

#[test]
fn a_sense_of_the_machine_outranks_silence_and_belief() {
    let mut world = World::new(1, false);
    let told = |on| PortReading { sense: PortSense::Machine(on), milliwatts: None };
    world.happens(Fact::PortRead { node: name(0), reading: told(false) });
    assert_eq!(world.power(0), PowerState::Off);
    world.happens(Fact::PortRead { node: name(0), reading: told(true) });
    assert_eq!(world.power(0), PowerState::On);
    let lost = DeviceSight::Lost { code: "serial".to_owned(), why: "unplugged".to_owned() };
    world.happens(Fact::DeviceSeen { driver: "relays".parse().unwrap(), sight: lost });
    assert_eq!(world.power(0), PowerState::Unknown, "an old sense proves nothing");
    world.pass(3552);
    let seen = world.seen(0);
    assert!(seen.contains("power control lost 00:59:12: unplugged"), "{seen}");
    assert!(seen.contains("stale"), "{seen}");
    let answers = DeviceSight::Answers { about: String::new() };
    world.happens(Fact::DeviceSeen { driver: "relays".parse().unwrap(), sight: answers });
    assert!(!world.seen(0).contains("lost"), "{}", world.seen(0));
}

#[test]
fn an_order_under_way_is_shown_as_a_change() {
    let mut world = learned(1);
    let shown = |world: &World| {
        let machine = &world.lab.machines[&name(0)];
        machine_view(&world.lab, machine, None, world.now(), None).unwrap().power.state
    };
    assert_eq!(shown(&world), PowerState::Off);
    world.ask(0, PowerOrder::On).unwrap();
    assert_eq!(shown(&world), PowerState::Changing);
    world.pass(30);
    assert_eq!(shown(&world), PowerState::On);
}

#[test]
fn the_boss_s_own_port_is_refused_with_words() {
    let world = World::new(1, false);
    let ask = |node: &str, order| {
        admit(&world.lab, &Request::Power { node: node.to_owned(), order, by: Origin::Cli }).unwrap_err()
    };
    for order in [PowerOrder::On, PowerOrder::Off, PowerOrder::Soft, PowerOrder::Press] {
        assert_eq!(ask("relays/7", order).code(), "protected");
    }
    assert!(ask("relays/7", PowerOrder::Off).to_string().contains("relays/7 is protected"));
    assert_eq!(ask("relays/8", PowerOrder::Off).code(), "unknown_node");
}

#[test]
fn the_power_may_be_cut_once_all_is_seen_off_and_not_while_anything_runs() {
    let mut world = learned(2);
    assert_eq!(world.cut(), Cut::May("every machine was seen off".to_owned()));
    world.ask(0, PowerOrder::On).unwrap();
    assert!(world.cut().because().contains("node1"), "{:?}", world.cut());
    world.pass(30);
    assert_eq!(world.cut(), Cut::MayNot("node1 is starting".to_owned()));
    world.ask(0, PowerOrder::Off).unwrap();
    world.pass(1);
    assert!(!world.cut().is_safe());
    world.pass(120);
    assert!(world.cut().is_safe(), "{:?}", world.cut());
    world.happens(Fact::CounterSeen { up: false });
    assert!(!world.cut().is_safe(), "nobody hears what starts");
    // Nothing was seen of these.
    let world = World::new(2, false);
    assert_eq!(world.cut(), Cut::MayNot("node1 was never seen; node2 was never seen".to_owned()));
}

/// Turns until a machine that somebody started is seen: a switch is asked every fourth turn, and without one it must get
/// through its POST and speak.
const SEEN: (u64, u64) = (6, 52);

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_machine_runs_while_it_is_said_that_the_power_may_be_cut(
        all in proptest::collection::vec(mischief(), 1..30),
        watched in any::<bool>(),
    ) {
        let mut world = if watched { learned(2) } else { World::new(2, false) };
        let late = if watched { SEEN.0 } else { SEEN.1 };
        let holds = |world: &World| {
            let running = world.board.boxes.iter().find(|one| one.on_since.is_some_and(|since| world.turn > since + late));
            match (world.cut(), running) {
                (Cut::May(why), Some(runs)) => Err(format!("turn {}: {why}, but {runs:?}\n{}\n{}", world.turn, world.seen(0), world.seen(1))),
                (Cut::May(_) | Cut::MayNot(_), _) => Ok(()),
            }
        };
        for one in &all {
            match one {
                Mischief::Reset => {
                    world.board.reset();
                    // A hold that was broken off is told as one of which nobody knows.
                    world.answers.iter_mut().for_each(|(.., outcome)| *outcome = Outcome::Unknown);
                }
                Mischief::Touch(at) => world.board.touch(*at, world.turn),
                Mischief::Mute(mute) => world.board.mute = *mute,
                Mischief::Lose(turns) => world.lost_until = world.turn + turns,
                Mischief::Cut(at, cut) => world.cut[*at] = *cut && watched,
                // One that hangs before its first word is known to nobody.
                Mischief::Hang(at) if world.runs(*at) && world.board.boxes[*at].on_since < Some(world.turn - SEEN.1.min(world.turn)) => {
                    world.board.boxes[*at].doing = Doing::Hangs;
                }
                Mischief::Hang(_) => {}
                Mischief::Ask(at, order) => drop(world.ask(*at, *order)),
                Mischief::Pass(seconds) => {
                    for _ in 0..seconds * 1000 / TURN {
                        world.turns();
                        let held = holds(&world);
                        prop_assert!(held.is_ok(), "{}", held.unwrap_err());
                    }
                }
            }
            world.turns();
            let held = holds(&world);
            prop_assert!(held.is_ok(), "{}", held.unwrap_err());
        }
        // Once a person has looked at what nobody knows, and all is off, it is said.
        world.board.mute = false;
        world.lost_until = 0;
        world.cut.fill(false);
        for _ in 0..12 {
            for at in 0..2 {
                if world.power(at) == PowerState::Unknown {
                    world.looks(at);
                }
                drop(world.ask(at, PowerOrder::Off));
            }
            world.pass(120);
            let held = holds(&world);
            prop_assert!(held.is_ok(), "{}", held.unwrap_err());
            if world.cut().is_safe() {
                break;
            }
        }
        prop_assert!(world.cut().is_safe(), "{:?}\n{:?}", world.cut(), world.board);
    }

    #[test]
    fn whatever_happens_no_running_machine_is_switched_off_by_on(
        all in proptest::collection::vec(mischief(), 1..40),
        watched in any::<bool>(),
        wanted in prop_oneof![Just(PowerOrder::On), Just(PowerOrder::Off)],
    ) {
        let mut world = if watched { learned(2) } else { World::new(2, false) };
        for one in &all {
            match one {
                Mischief::Reset => world.board.reset(),
                Mischief::Touch(at) => world.board.touch(*at, world.turn),
                Mischief::Mute(mute) => world.board.mute = *mute,
                Mischief::Lose(turns) => world.lost_until = world.turn + turns,
                Mischief::Cut(at, cut) => world.cut[*at] = *cut && watched,
                Mischief::Hang(at) if world.runs(*at) => world.board.boxes[*at].doing = Doing::Hangs,
                Mischief::Hang(_) => {}
                // What is not known is refused.
                Mischief::Ask(at, order) => drop(world.ask(*at, *order)),
                Mischief::Pass(seconds) => world.pass(*seconds),
            }
            world.turns();
            prop_assert!(world.wrong.is_empty(), "{:?}", world.wrong);
        }
        // The world calms down, and a person looks where nothing tells.
        (world.board.mute, world.lost_until) = (false, 0);
        world.cut.fill(false);
        for round in 0..12 {
            for at in 0..2 {
                if world.power(at) == PowerState::Unknown {
                    world.looks(at);
                }
                drop(world.ask(at, wanted));
            }
            world.pass(120);
            prop_assert!(world.wrong.is_empty(), "{:?}", world.wrong);
            let there = |at: usize| world.board.boxes[at].is_on() == (wanted == PowerOrder::On);
            if there(0) && there(1) {
                break;
            }
            prop_assert!(round < 11, "never {wanted}: {:?}\n{}\n{}", world.board, world.seen(0), world.seen(1));
        }
    }
}
