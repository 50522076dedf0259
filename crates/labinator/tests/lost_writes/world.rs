//! Two machines, their drivers and the counter, as far as a core can tell: they go on whatever becomes of the core.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::Accepted;
use labinator::desk::DeskError;
use lifecycle::Request;
use model::{Command, CommandId, Fact, LabTime, NodeName, Outcome, Phase, PowerOrder, PowerState};
use tokio::time::{Instant, sleep};

use crate::stand::{Core, beat, boot_sights, node, power, report, start, stop};

/// Machines of the lab.
pub(crate) const MACHINES: u8 = 2;
/// How often the world moves.
const TICK: Duration = Duration::from_millis(250);
/// From power to the image, and from there to the agent, in ticks.
const BOOT_TICKS: u64 = 8;
const START_TICKS: u64 = 4;
/// Ticks between two heartbeats.
const BEAT_TICKS: u64 = 12;
/// Ticks after which a new core's drivers have looked at the ports.
const LOOK_TICKS: u64 = 6;

/// One machine.
#[derive(Debug, Clone, Default)]
struct Machine {
    /// Ticks since power came; `None` is off.
    on: Option<u64>,
    boots: u64,
}

/// What people and drivers know, which no core may forget.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    /// What was asked and answered yes, with the number of its event.
    pub(crate) accepted: Vec<(u64, Request)>,
    /// Orders that reached a driver.
    pub(crate) orders: BTreeMap<CommandId, Command>,
    /// The last order to each machine: when, which way, and whether its power was told of since.
    last: BTreeMap<NodeName, (LabTime, PowerOrder, bool)>,
}

/// The world.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    machines: BTreeMap<u8, Machine>,
    ticks: u64,
    /// Steps of the script that are done.
    pub(crate) done: usize,
    pub(crate) witness: Witness,
}

/// What happens, in order. The next thing happens when the one before it is settled.
#[derive(Debug, Clone)]
enum Happening {
    Asked(Request),
    /// A machine loses its power without anybody's order.
    Died(u8),
    /// The lab is in this phase.
    Phase(Phase),
    /// A machine is in this state.
    Power(u8, PowerState),
}

fn script() -> Vec<Happening> {
    use Happening::{Asked, Died, Phase as Reached, Power};
    vec![
        Asked(start()),
        Reached(Phase::Ready),
        Died(2),
        Power(2, PowerState::Off),
        Reached(Phase::Ready),
        Asked(power(1, PowerOrder::Off)),
        Power(1, PowerState::Off),
        Asked(power(1, PowerOrder::On)),
        Reached(Phase::Ready),
        Asked(stop()),
        Reached(Phase::Idle),
        Power(1, PowerState::Off),
        Power(2, PowerState::Off),
    ]
}

impl World {
    pub(crate) fn new() -> Self {
        Self { machines: (1..=MACHINES).map(|n| (n, Machine::default())).collect(), ..Self::default() }
    }

    /// True when the whole script happened.
    pub(crate) fn is_done(&self) -> bool {
        self.done >= script().len()
    }

    fn state(&self, number: u8) -> PowerState {
        if self.machines[&number].on.is_some() { PowerState::On } else { PowerState::Off }
    }

    /// Lives with this core until the script is done, or `end` says that the core's time is over.
    pub(crate) async fn live(&mut self, core: &mut Core, end: impl Fn() -> bool) {
        let script = script();
        let mut shown: BTreeMap<u8, PowerState> = BTreeMap::new();
        let mut asking: Option<tokio::task::JoinHandle<Result<Accepted, DeskError>>> = None;
        let born = self.ticks;
        let began = Instant::now();
        if core.desk.tell(Fact::CounterSeen { up: true }).await.is_err()
            || core.desk.tell(crate::stand::images()).await.is_err()
        {
            return;
        }
        while self.done < script.len() && !end() {
            assert!(began.elapsed() < Duration::from_secs(900), "no way to {:?}", script[self.done]);
            self.take_orders(core).await;
            for fact in self.tick() {
                drop(core.desk.tell(fact).await);
            }
            if self.ticks >= born + LOOK_TICKS {
                self.look_at_ports(core, &mut shown).await;
            }
            self.next(core, &script, &mut asking).await;
            sleep(TICK).await;
        }
        // Whatever left in the last moment has left.
        self.take_orders(core).await;
        if let Some(asked) = asking
            && asked.is_finished()
        {
            self.note_answer(&script, asked.await);
        }
    }

    async fn take_orders(&mut self, core: &mut Core) {
        while let Ok((id, command)) = core.orders.try_recv() {
            let Command::Power { node: name, order, .. } = &command else { panic!("{command:?}") };
            let now = core.now().since_start;
            if let Some((at, before, looked)) = self.witness.last.get(name)
                && before == order
            {
                let waited = now.since(*at).0 >= model::Limits::default().power.0;
                assert!(*looked || waited, "{name} was told {order} again before anybody looked");
            }
            self.witness.last.insert(name.clone(), (now, *order, false));
            let number = (1..=MACHINES).find(|n| node(*n) == *name).unwrap();
            let machine = self.machines.get_mut(&number).unwrap();
            match order {
                PowerOrder::On if machine.on.is_none() => {
                    machine.on = Some(0);
                    machine.boots += 1;
                }
                PowerOrder::On => {}
                PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press => machine.on = None,
            }
            let twice = self.witness.orders.insert(id, command.clone());
            assert_eq!(twice, None, "the number of an order was used twice");
            drop(core.desk.tell(Fact::Finished { id, outcome: Outcome::Done }).await);
        }
    }

    /// Lets the machines go on; what the counter sees of it.
    fn tick(&mut self) -> Vec<Fact> {
        self.ticks += 1;
        let mut facts = Vec::new();
        for (number, machine) in &mut self.machines {
            let Some(on) = &mut machine.on else { continue };
            *on += 1;
            match *on {
                BOOT_TICKS => facts.extend(boot_sights(*number)),
                ticks if ticks == BOOT_TICKS + START_TICKS => facts.push(report(*number, machine.boots)),
                // A counter that does not know a boot asks for the whole report again.
                ticks if ticks > BOOT_TICKS + START_TICKS && ticks % BEAT_TICKS == 0 => {
                    facts.push(report(*number, machine.boots));
                    facts.push(beat(*number, machine.boots));
                }
                _ => {}
            }
        }
        facts
    }

    async fn look_at_ports(&mut self, core: &Core, shown: &mut BTreeMap<u8, PowerState>) {
        for number in 1..=MACHINES {
            let state = self.state(number);
            if shown.insert(number, state) != Some(state) {
                if let Some((.., looked)) = self.witness.last.get_mut(&node(number)) {
                    *looked = true;
                }
                drop(core.desk.tell(crate::stand::seen(number, state)).await);
            }
        }
    }

    async fn next(
        &mut self,
        core: &Core,
        script: &[Happening],
        asking: &mut Option<tokio::task::JoinHandle<Result<Accepted, DeskError>>>,
    ) {
        match &script[self.done] {
            Happening::Asked(request) => match asking.take() {
                Some(asked) if asked.is_finished() => self.note_answer(script, asked.await),
                Some(asked) => *asking = Some(asked),
                None => {
                    let (desk, request) = (core.desk.clone(), request.clone());
                    *asking = Some(tokio::spawn(async move { desk.ask(request).await }));
                }
            },
            Happening::Died(number) => {
                self.machines.get_mut(number).unwrap().on = None;
                self.done += 1;
            }
            Happening::Phase(wanted) => {
                let wanted = *wanted;
                let so = core.desk.look(move |look| look.lab.phase == wanted).await;
                self.done += usize::from(so == Ok(true));
            }
            Happening::Power(number, wanted) => {
                let (name, wanted) = (node(*number), *wanted);
                let so = core.desk.look(move |look| look.lab.machines[&name].power == wanted).await;
                self.done += usize::from(so == Ok(true));
            }
        }
    }

    /// A yes is remembered; anything else is asked again later, as a person does.
    fn note_answer(
        &mut self,
        script: &[Happening],
        answer: Result<Result<Accepted, DeskError>, tokio::task::JoinError>,
    ) {
        let Happening::Asked(request) = &script[self.done] else { panic!("nothing was asked") };
        if let Ok(Ok(accepted)) = answer {
            if !accepted.already {
                self.witness.accepted.push((accepted.seq, request.clone()));
            }
            self.done += 1;
        }
    }

    /// Nothing that was promised is missing from what a new core read.
    pub(crate) fn finds_its_promises_in(&self, core: &Core) {
        for (seq, request) in &self.witness.accepted {
            let fact = core.past.events.iter().find(|event| event.seq == *seq).map(|event| &event.fact);
            let kept = match (request, fact) {
                (Request::Start { scenario, .. }, Some(Fact::StartAccepted { scenario: kept, .. })) => {
                    scenario == kept.as_str()
                }
                (Request::Stop { .. }, Some(Fact::StopAccepted { .. })) => true,
                (
                    Request::Power { node, order, .. },
                    Some(Fact::PowerAccepted { node: kept_node, order: kept, .. }),
                ) => node == kept_node.as_str() && order == kept,
                _ => false,
            };
            assert!(kept, "{request:?} was accepted as {seq} and forgotten: {fact:?}");
        }
        let issued: BTreeMap<CommandId, &Command> = core
            .past
            .events
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::Issued { id, command } => Some((*id, command)),
                _ => None,
            })
            .collect();
        for (id, command) in &self.witness.orders {
            assert_eq!(issued.get(id), Some(&command), "an order that left was forgotten");
        }
    }
}

/// No number was ever used for two things.
pub(crate) fn numbers_are_used_once(core: &Core) {
    let (mut runs, mut orders, mut events) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in &core.past.events {
        assert!(events.insert(event.seq), "event {} twice", event.seq);
        match &event.fact {
            Fact::StartAccepted { run, .. } => assert!(runs.insert(*run), "run {run} twice"),
            Fact::Issued { id, .. } => assert!(orders.insert(*id), "order {id:?} twice"),
            _ => {}
        }
    }
}
