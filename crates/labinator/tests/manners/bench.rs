//! A bench: ill-mannered machines against the real counter, no core, no socket, no clock but the test's.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use model::{
    AgentOrder, BootAnswer, BootEntry, BootTable, MacAddr, NetworkSpec, Notice, PowerOrder, Sight, Sighting,
};
use netboot::{Counter, Up};
use sim::net::Lab;
use sim::{Cable, Config, Ipxe, Kind, Lane, Machine, Manner, PortConfig, PowerBoard, Segment, Step};
use store::lossy::LossyFiles;
use tokio::task::JoinSet;

use crate::floor::{Alone, Neighbour, Order, open_counter, spawn_segment};

pub(crate) const BOSS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const BOSS6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 1);
/// A relay in the lab's network.
pub(crate) const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
/// The longest a machine may take: its whole boot order, and once more.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

pub(crate) fn mac(number: u8) -> MacAddr {
    MacAddr([0x16, 9, 1, 0, 0, number])
}

pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 10 + number)
}

pub(crate) fn address6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x10 + u16::from(number))
}

/// A machine of the board with these manners.
pub(crate) fn machine(number: u8, kind: Kind, manners: &[Manner]) -> Config {
    Config::new(mac(number), kind, Ipxe::Of2025, u64::from(number)).with(manners)
}

/// What the lab speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Ipv4,
    /// IPv4, at addresses that another server gives.
    Ipv4Beside,
    Ipv6,
}

/// Machines, their cable, and the counter.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    pub(crate) counter: Arc<Counter>,
    image: Arc<model::Image>,
    machines: u8,
    speaks: Speaks,
    table: u64,
    _tasks: JoinSet<()>,
}

impl Bench {
    /// A cable of a millisecond that keeps its frames in order.
    pub(crate) fn open(configs: Vec<Config>) -> Self {
        Self::on(good_cable(), 1, configs)
    }

    /// The same in a lab of IPv6 alone.
    pub(crate) fn open_six(configs: Vec<Config>) -> Self {
        Self::speaking(Speaks::Ipv6, (good_cable(), 1), configs, (Alone, Order::default()))
    }

    pub(crate) fn on(cable: Cable, seed: u64, configs: Vec<Config>) -> Self {
        Self::speaking(Speaks::Ipv4, (cable, seed), configs, (Alone, Order::default()))
    }

    /// As [`Bench::open`], beside another server that gives the addresses.
    pub(crate) fn beside(configs: Vec<Config>, neighbour: impl Neighbour + 'static, order: Order) -> Self {
        Self::speaking(Speaks::Ipv4Beside, (good_cable(), 1), configs, (neighbour, order))
    }

    fn speaking(
        speaks: Speaks,
        (cable, seed): (Cable, u64),
        configs: Vec<Config>,
        (neighbour, order): (impl Neighbour + 'static, Order),
    ) -> Self {
        let machines = u8::try_from(configs.len()).unwrap();
        let boxes: Vec<Machine> = configs.into_iter().map(Machine::new).collect();
        let ports = vec![PortConfig::default(); boxes.len()];
        let mut segment = Segment::new(boxes, cable, seed);
        segment.record();
        let lab = Lab::new(segment, PowerBoard::new(ports, 1), 1);
        let (counter, image) = open_counter(&Arc::new(LossyFiles::new()));
        let mut tasks = JoinSet::new();
        spawn_segment(&mut tasks, (&lab, &counter), neighbour, order);
        tasks.spawn(Arc::clone(counter.ledger()).run());
        let mut bench =
            Self { lab, counter, image: Arc::new(image), machines, speaks, table: 0, _tasks: tasks };
        bench.publish(|bench, _| bench.boot());
        bench
    }

    /// The image of the lab, as an answer.
    pub(crate) fn boot(&self) -> BootAnswer {
        BootAnswer::Run { image: Arc::clone(&self.image), args: "quiet".to_owned() }
    }

    /// A new boot table.
    pub(crate) fn publish(&mut self, answer: impl Fn(&Self, u8) -> BootAnswer) {
        self.table += 1;
        let entry = |number: u8| BootEntry {
            node: format!("node{number}").parse().unwrap(),
            mac: mac(number),
            ip: address(number),
            also: None,
            ip6: (self.speaks == Speaks::Ipv6).then(|| address6(number)),
            run: 1,
            boot: u32::try_from(self.table).unwrap(),
            answer: answer(self, number),
            because: "the test says so".to_owned(),
            order: AgentOrder::Stay,
            guests: None,
            files: Arc::default(),
            install: None,
            pulls: false,
            loader: model::LoaderChoice::Ipxe,
            off_at: None,
            parks: false,
            good: Vec::new(),
            wipe: None,
        };
        // As JSON, so that what is not said is as a lab file leaves it.
        let mut network: NetworkSpec = serde_json::from_value(serde_json::json!({
            "interface": "lab0", "subnet": "10.0.0.0", "prefix": 24, "boss": BOSS, "gateway": null, "dns": [],
            "pool": ["10.0.0.100", "10.0.0.109"], "dhcp": "authoritative", "lease_seconds": 3600,
        }))
        .unwrap();
        if self.speaks == Speaks::Ipv4Beside {
            (network.dhcp, network.pool) = (model::DhcpMode::Proxy, None);
        }
        if self.speaks == Speaks::Ipv6 {
            network.dhcp = model::DhcpMode::Off;
            network.ipv6 = Some(model::Ipv6Spec {
                prefix: Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0),
                boss: BOSS6,
                pool: None,
                dns: Vec::new(),
                router: false,
                autonomous: false,
            });
        }
        let nodes = (1..=self.machines).map(entry).map(Arc::new).collect();
        let lab = "bench".parse().unwrap();
        self.counter.publish(BootTable { number: self.table, lab, network, nodes }).unwrap();
    }

    pub(crate) fn power_on(&self) {
        (0..usize::from(self.machines)).for_each(|at| self.lab.switch(at, PowerOrder::On));
    }

    /// Waits for a step of a machine.
    pub(crate) async fn sees(&self, at: usize, limit: Duration, wanted: impl Fn(&Step) -> bool) -> bool {
        let has = |m: &Machine| m.history().iter().any(|(_, step)| wanted(step));
        self.lab.wait_until(limit, |segment| segment.machine(at).is_some_and(has)).await
    }

    /// Switches everything on and waits until each agent was welcomed.
    pub(crate) async fn comes_up(&self) -> bool {
        self.power_on();
        let up = |m: &Machine| m.history().iter().any(|(_, step)| *step == Step::AgentWelcomed);
        self.lab.wait_until(LIMIT, |segment| segment.machines().iter().all(up)).await
    }

    /// What happened to a machine, a line a step, for messages.
    pub(crate) fn story(&self, at: usize) -> String {
        self.lab.inspect(|segment| {
            let machine = segment.machine(at).unwrap();
            let steps = machine.history().iter().map(|(at, step)| format!("{at:>7} {step}\n"));
            let stuck = machine.stuck().map_or_else(|| "up".to_owned(), |stuck| stuck.to_string());
            steps.collect::<String>() + &stuck
        })
    }

    pub(crate) fn steps(&self, at: usize, wanted: impl Fn(&Step) -> bool) -> Vec<(u64, Step)> {
        let of = |m: &Machine| m.history().iter().filter(|(_, s)| wanted(s)).cloned().collect();
        self.lab.inspect(|segment| of(segment.machine(at).unwrap()))
    }

    /// What the core would have been told, of every machine and of none.
    pub(crate) fn told(&self) -> (Vec<(MacAddr, Sight)>, Vec<Notice>) {
        let (mut sights, mut notices) = (Vec::new(), Vec::new());
        for up in self.counter.sights().take() {
            match up {
                Up::Sighting(Sighting { mac, sight, .. }) => sights.push((mac, sight)),
                Up::Notice(notice) => notices.push(notice),
                Up::Hello { .. } | Up::Published { .. } => {}
            }
        }
        (sights, notices)
    }

    /// Frames on the tape that are wanted.
    pub(crate) fn frames<T>(&self, pick: impl Fn(&sim::Passed) -> Option<T>) -> Vec<T> {
        self.lab.inspect(|segment| segment.tape().iter().filter_map(pick).collect())
    }
}

/// A cable of a millisecond that keeps its frames in order.
fn good_cable() -> Cable {
    Cable::alike(Lane { fastest_ms: 1, ..Lane::default() })
}

/// One machine with these manners comes up, or the test ends with its story.
pub(crate) async fn boots(kind: Kind, manners: &[Manner]) -> Bench {
    let bench = Bench::open(vec![machine(1, kind, manners)]);
    assert!(bench.comes_up().await, "{kind:?} with {manners:?}:\n{}", bench.story(0));
    bench
}
