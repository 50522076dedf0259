//! A whole lab in one process and no socket: simulated machines, the counter's heart, the conductor, power ports.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use labinator::desk::{Desk, Look};
use model::{
    Command, CommandId, DhcpMode, Fact, Fault, Ipv6Spec, LabSpec, LabTime, Notice, Phase, PowerState, Rung,
};
use sim::net::Lab;
use sim::{Machine, PortConfig, PowerBoard, Segment};
use store::lossy::LossyFiles;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::floor::{Alone, Order, open_counter, spawn_line, spawn_segment};
use crate::stand::{Core, all, node, spec, start, stop};

/// How often the ports are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is unlike the usual in a house.
pub(crate) struct Plan {
    pub(crate) machines: Vec<sim::Config>,
    pub(crate) cable: sim::Cable,
    pub(crate) port: PortConfig,
    pub(crate) enough: u16,
    pub(crate) seed: u64,
    /// The lab has IPv6 and no IPv4.
    pub(crate) six_only: bool,
    /// What else is other in the lab file.
    pub(crate) alter: fn(&mut LabSpec),
}

impl Plan {
    pub(crate) fn of(machines: Vec<sim::Config>) -> Self {
        let enough = u16::try_from(machines.len()).unwrap();
        let port = PortConfig { slow_ms: 200, ..PortConfig::default() };
        Self {
            machines,
            cable: sim::Cable::alike(sim::Lane { fastest_ms: 1, slowest_ms: 2, ..sim::Lane::default() }),
            port,
            enough,
            seed: 1,
            six_only: false,
            alter: |_| {},
        }
    }

    fn spec(&self) -> LabSpec {
        let mut spec = spec(u8::try_from(self.machines.len()).unwrap());
        spec.scenarios.get_mut(&all()).unwrap().enough = self.enough;
        if self.six_only {
            let prefix = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 0);
            let host = |number: u16| Ipv6Addr::from_bits(prefix.to_bits() | u128::from(number));
            spec.network.dhcp = DhcpMode::Off;
            spec.network.ipv6 = Some(Ipv6Spec {
                prefix,
                boss: host(1),
                pool: None,
                dns: Vec::new(),
                router: false,
                autonomous: false,
            });
            for (number, node) in (0x11..).zip(spec.board.nodes.values_mut()) {
                node.ip6 = Some(host(number));
            }
        }
        (self.alter)(&mut spec);
        spec
    }
}

/// How a machine stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) rung: Rung,
    pub(crate) bad: bool,
    pub(crate) fault: Option<Fault>,
    pub(crate) boots: u32,
    pub(crate) tries: u8,
}

/// The house with everybody in it.
pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) desk: Desk,
    clock: labinator::clock::Clock,
    machines: usize,
    _tasks: JoinSet<()>,
}

impl House {
    pub(crate) async fn open(plan: Plan) -> Self {
        let spec = plan.spec();
        let machines = plan.machines.len();
        let Plan { machines: configs, cable, port, seed, .. } = plan;
        let boxes = configs.into_iter().map(Machine::new).collect();
        let board = PowerBoard::new(vec![port; machines], seed);
        let lab = Lab::new(Segment::new(boxes, cable, seed), board, 1);
        let files = Arc::new(LossyFiles::new());
        let (counter, image) = open_counter(&files);
        let core = Core::begin_lab(files, spec, 0, machines * 2);
        let mut tasks = JoinSet::new();
        spawn_segment(&mut tasks, (&lab, &counter), Alone, Order::default());
        spawn_line(&mut tasks, &counter, &core.desk, core.table);
        tasks.spawn(Arc::clone(counter.ledger()).run());
        tasks.spawn(carry_out(lab.clone(), core.desk.clone(), core.orders));
        tasks.spawn(look_at_ports(lab.clone(), core.desk.clone(), machines));
        core.desk.tell(Fact::CounterSeen { up: true }).await.unwrap();
        let images = BTreeMap::from([(all(), image)]);
        core.desk
            .tell(Fact::ImagesFound { images, missing: BTreeMap::new(), boots: BTreeMap::new() })
            .await
            .unwrap();
        let house = Self { lab, desk: core.desk, clock: core.clock, machines, _tasks: tasks };
        house
            .until(Duration::from_secs(5), |look| look.lab.machines.values().all(|m| m.power_seen.is_some()))
            .await
            .unwrap();
        house
    }

    pub(crate) async fn start(&self) {
        self.desk.ask(start()).await.unwrap();
    }

    pub(crate) async fn stop(&self) {
        self.desk.ask(stop()).await.unwrap();
    }

    /// Waits for a state of the lab; how long that took, or nothing when the limit passed.
    pub(crate) async fn until(
        &self,
        limit: Duration,
        wanted: impl Fn(Look<'_>) -> bool + Send + Clone + 'static,
    ) -> Option<Duration> {
        let began = Instant::now();
        let mut reader = self.desk.publisher().reader(None);
        let seen = async {
            loop {
                let wanted = wanted.clone();
                if self.desk.look(wanted).await.unwrap() {
                    return;
                }
                reader.next().await;
            }
        };
        timeout(limit, seen).await.ok().map(|()| began.elapsed())
    }

    /// Waits until the run has an end, good or bad.
    pub(crate) async fn until_settled(&self, limit: Duration) -> Option<Phase> {
        let settled = |look: Look<'_>| matches!(look.lab.phase, Phase::Ready | Phase::Failed);
        self.until(limit, settled).await?;
        Some(self.desk.look(|look| look.lab.phase).await.unwrap())
    }

    pub(crate) async fn standing(&self, number: u8) -> Standing {
        let name = node(number);
        let look = self.desk.look(move |look| {
            let m = look.lab.machines.get(&name).unwrap();
            Standing { rung: m.rung, bad: m.bad, fault: m.fault.clone(), boots: m.boots, tries: m.tries }
        });
        look.await.unwrap()
    }

    pub(crate) async fn standings(&self) -> Vec<Standing> {
        let mut all = Vec::new();
        for number in 1..=u8::try_from(self.machines).unwrap() {
            all.push(self.standing(number).await);
        }
        all
    }

    pub(crate) async fn notices(&self) -> Vec<Notice> {
        self.desk.look(|look| look.lab.notices.clone()).await.unwrap()
    }

    /// Every wait has a limit that has not passed for longer than it takes to think.
    pub(crate) async fn overdue(&self) -> Vec<String> {
        let now: LabTime = self.clock.now().since_start;
        let look = self.desk.look(move |look| {
            let late = look.waits.iter().filter(|(_, wait)| now.since(wait.until).0 > 1000);
            late.map(|(name, wait)| format!("{name}: {wait:?}")).collect()
        });
        look.await.unwrap()
    }
}

#[expect(clippy::panic, reason = "a test may stop")]
async fn carry_out(lab: Lab, desk: Desk, mut orders: mpsc::Receiver<(CommandId, Command)>) {
    let mut hands = JoinSet::new();
    while let Some((id, command)) = orders.recv().await {
        let Command::Power { port, order, .. } = command else { panic!("{command:?}") };
        let (lab, desk) = (lab.clone(), desk.clone());
        let port: usize = port.port.parse().unwrap();
        hands.spawn(async move {
            let outcome = lab.order(port - 1, order).await;
            drop(desk.tell(Fact::Finished { id, outcome }).await);
        });
    }
}

async fn look_at_ports(lab: Lab, desk: Desk, machines: usize) {
    let mut shown = vec![None; machines];
    loop {
        for (port, last) in shown.iter_mut().enumerate() {
            let state: PowerState = lab.see(port);
            if last.replace(state) != Some(state) {
                let number = u8::try_from(port + 1).unwrap();
                if desk.tell(crate::stand::seen(number, state)).await.is_err() {
                    return;
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}
