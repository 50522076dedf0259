//! A whole lab in one process and no socket: simulated machines, the counter's heart, the conductor, power ports.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use labinator::desk::{Desk, Look};
use model::{
    Command, CommandId, DhcpMode, DriverName, Fact, Fault, GUESTS_DRIVER, GuestBoot, GuestNic, GuestSpec,
    Ipv6Spec, LabSpec, LabTime, MachineUuid, Mebibytes, Notice, Outcome, Phase, PortRef, PowerDriver,
    PowerState, Rung,
};
use sim::net::{Lab, Plug};
use sim::{Machine, PortConfig, PowerBoard, Segment};
use store::Files;
use store::lossy::LossyFiles;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::floor::{Alone, Order, open_counter, spawn_line, spawn_segment};
use crate::stand::{Core, all, node, spec, start, stop};

/// How often the ports are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is unlike the usual in a house.
pub(crate) struct Plan {
    pub(crate) machines: Vec<sim::Config>,
    /// Guests, numbered on from the machines, each with the number of the machine that runs it.
    pub(crate) guests: Vec<(sim::Config, u8)>,
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
            guests: Vec::new(),
            cable: sim::Cable::alike(sim::Lane { fastest_ms: 1, slowest_ms: 2, ..sim::Lane::default() }),
            port,
            enough,
            seed: 1,
            six_only: false,
            alter: |_| {},
        }
    }

    fn spec(&self) -> LabSpec {
        let metal = u8::try_from(self.machines.len()).unwrap();
        let mut spec = spec(metal + u8::try_from(self.guests.len()).unwrap());
        spec.scenarios.get_mut(&all()).unwrap().enough = self.enough;
        for (guest, (_, host)) in (metal + 1..).zip(&self.guests) {
            make_guest(&mut spec, guest, *host);
        }
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

/// Makes one machine the guest of another.
fn make_guest(spec: &mut LabSpec, guest: u8, host: u8) {
    let driver: DriverName = GUESTS_DRIVER.parse().unwrap();
    spec.power.insert(driver.clone(), PowerDriver::Guests);
    let at = spec.board.nodes[&node(host)].at;
    let made = spec.board.nodes.get_mut(&node(guest)).unwrap();
    made.at = at;
    made.power = PortRef { driver, port: node(guest).to_string() };
    made.guest = Some(MachineUuid([guest; 16]));
    made.firmware = None;
    let scenario = spec.scenarios.get_mut(&all()).unwrap();
    if !scenario.hypervisors.contains(&node(host)) {
        scenario.hypervisors.push(node(host));
    }
    let guest_spec = GuestSpec {
        host: node(host),
        memory: Mebibytes(1024),
        cpus: 1,
        disk: None,
        nic: GuestNic::Virtio,
        boot: GuestBoot::Kernel,
        watchdog: false,
    };
    scenario.guests.insert(node(guest), guest_spec);
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

/// Core and counter, over what is on the disk.
struct Boss {
    desk: Desk,
    clock: labinator::clock::Clock,
    tasks: JoinSet<()>,
    core: JoinHandle<()>,
}

impl Boss {
    /// Begins, so many milliseconds after the last word of the one before.
    async fn begin(lab: &Lab, files: &Arc<LossyFiles>, (spec, ports): (LabSpec, usize), away: u64) -> Self {
        let (counter, image) = open_counter(files);
        let linked = !spec.switch.is_empty();
        let core = Core::begin_lab(Arc::clone(files) as Arc<dyn Files>, spec, away, 64);
        let mut tasks = JoinSet::new();
        spawn_segment(&mut tasks, (lab, &counter), Alone, Order::default());
        spawn_line(&mut tasks, &counter, &core.desk, core.table);
        tasks.spawn(Arc::clone(counter.ledger()).run());
        tasks.spawn(carry_out(lab.clone(), core.desk.clone(), core.orders));
        // Behind a switch nobody tells of power: it is judged by what is seen.
        if linked {
            tasks.spawn(crate::links::watch(lab.clone(), core.desk.clone(), ports));
        } else {
            tasks.spawn(look_at_ports(lab.clone(), core.desk.clone(), ports));
        }
        core.desk.tell(Fact::CounterSeen { up: true }).await.unwrap();
        let images = BTreeMap::from([(all(), image)]);
        let found = Fact::ImagesFound { images, missing: BTreeMap::new(), boots: BTreeMap::new() };
        core.desk.tell(found).await.unwrap();
        Self { desk: core.desk, clock: core.clock, tasks, core: core.running }
    }
}

/// The house with everybody in it.
pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) desk: Desk,
    clock: labinator::clock::Clock,
    /// Machines with a power port, and all of them.
    ports: usize,
    machines: usize,
    spec: LabSpec,
    files: Arc<LossyFiles>,
    /// The boss: core, counter, and whatever runs between them and the machines.
    tasks: JoinSet<()>,
    core: JoinHandle<()>,
}

impl House {
    pub(crate) async fn open(plan: Plan) -> Self {
        let spec = plan.spec();
        let Plan { machines: configs, guests, cable, port, seed, .. } = plan;
        let ports = configs.len();
        let guests = guests.into_iter().map(|(config, _)| config);
        let boxes: Vec<Machine> = configs.into_iter().chain(guests).map(Machine::new).collect();
        let machines = boxes.len();
        let board = PowerBoard::new(vec![port; ports], seed);
        let lab = Lab::new(Segment::new(boxes, cable, seed), board, 1);
        let files = Arc::new(LossyFiles::new());
        let boss = Boss::begin(&lab, &files, (spec.clone(), ports), 0).await;
        let Boss { desk, clock, tasks, core } = boss;
        let house = Self { lab, desk, clock, ports, machines, spec, files, tasks, core };
        if !house.spec.switch.is_empty() {
            return house;
        }
        let metal: Vec<_> = (1..=u8::try_from(ports).unwrap()).map(node).collect();
        let seen = move |look: Look<'_>| metal.iter().all(|n| look.lab.machines[n].power_seen.is_some());
        house.until(Duration::from_secs(5), seen).await.unwrap();
        house
    }

    /// The boss dies, core and counter at once, as with its power; the machines run on, and nobody answers them. What was
    /// on the disk is all that there is when it comes back after `away`.
    pub(crate) async fn without_a_boss(&mut self, away: Duration, meanwhile: impl AsyncFnOnce(&Lab)) {
        let began = Instant::now();
        self.core.abort();
        self.tasks.shutdown().await;
        let (frames, _nowhere) = mpsc::unbounded_channel();
        let refused = |_, _| Err::<DuplexStream, _>(std::io::ErrorKind::ConnectionRefused.into());
        let lab = self.lab.clone();
        let mut alone = JoinSet::new();
        alone.spawn(async move { lab.run(Plug::new(frames, refused)).await });
        meanwhile(&self.lab).await;
        sleep_until(began + away).await;
        alone.shutdown().await;
        let away = u64::try_from(began.elapsed().as_millis()).unwrap();
        let boss = Boss::begin(&self.lab, &self.files, (self.spec.clone(), self.ports), away).await;
        let Boss { desk, clock, tasks, core } = boss;
        (self.desk, self.clock, self.tasks, self.core) = (desk, clock, tasks, core);
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
        if let Command::Switch { port, on } = command {
            lab.cut(port.port.parse::<usize>().unwrap() - 1, !on);
            // A switch is read back before it says that it is done.
            sleep(2 * LOOK_EVERY).await;
            drop(desk.tell(Fact::Finished { id, outcome: Outcome::Done }).await);
            continue;
        }
        let Command::Power { port, order, .. } = command else { panic!("{command:?}") };
        let (lab, desk) = (lab.clone(), desk.clone());
        if port.driver.as_str() == GUESTS_DRIVER {
            // It went out with the boot table.
            drop(desk.tell(Fact::Finished { id, outcome: Outcome::Done }).await);
            continue;
        }
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
