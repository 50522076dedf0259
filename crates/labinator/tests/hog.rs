//! A busy boss costs no boot: six and then eighteen machines come up while a program spins on the counter's own core.
//!
//! `HOG_RUNS` sets how often six of them do; `cargo xtask soak` asks for 200.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "../../netboot/tests/stand/mod.rs"]
mod stand;

use std::net::Ipv4Addr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{BootAnswer, BootTable, Image, MacAddr, PowerOrder, Sight, Sighting};
use netboot::{Counter, Up};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sim::net::{Lab, Loopback, LoopbackPorts};
use sim::{Cable, Config, Ipxe, Kind, Machine, PortConfig, PowerBoard, Segment, Step};
use stand::Stand;
use tokio::sync::oneshot;

/// Set in the process that spins.
const HOG: &str = "LABINATOR_HOG";
/// Runs with six machines in the test run; the soak takes 200.
const RUNS: u32 = 4;
/// How much faster than a wall clock the machines live: their patience shrinks with it.
const SPEED: u32 = 10;
/// Longest a run may take.
const LIMIT: Duration = Duration::from_secs(120);

fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 7, number])
}

/// The first core this process may run on.
fn core() -> CpuSet {
    let allowed = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    one
}

/// A process that spins on the counter's core until it is killed.
struct Hog(Child);

impl Hog {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "spins", "--ignored"]).env(HOG, "1").stdout(std::process::Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Processor time it took, in ticks of 10 ms (proc(5)).
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
#[ignore = "the hog itself: runs until it is killed"]
fn spins() {
    if std::env::var_os(HOG).is_none() {
        return;
    }
    sched_setaffinity(None, &core()).unwrap();
    let mut number = 1_u64;
    // Ends by itself should the test be killed: no test lives for ten minutes.
    let end = Instant::now() + Duration::from_secs(3600);
    while Instant::now() < end {
        for _ in 0..1_000_000 {
            number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// A counter whose threads all run on the hog's core.
struct Beside {
    counter: Arc<Counter>,
    ports: LoopbackPorts,
    _stop: oneshot::Sender<()>,
}

fn counter_on_one_core() -> Beside {
    let (tell, told) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        sched_setaffinity(None, &core()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let stand = Stand::start(6);
            stand.counter.publish(table(&stand)).unwrap();
            let ports =
                LoopbackPorts { dhcp: stand.dhcp, tftp: stand.tftp, http: stand.http, answers_routers: true };
            tell.send((Arc::clone(&stand.counter), ports)).unwrap();
            drop(stopped.await);
        });
    });
    let (counter, ports) = told.recv().unwrap();
    Beside { counter, ports, _stop: stop }
}

/// Eighteen machines that boot kernel and initramfs.
fn table(stand: &Stand) -> BootTable {
    let shelf = stand.shelf();
    let image = Arc::new(Image {
        kernel: Some(stand::put(&shelf, "vmlinuz", &stand::kernel())),
        initrd: vec![stand::put(&shelf, "initrd.zst", &stand::kernel())],
        uki: None,
        args: String::new(),
        agent: true,
    });
    let node = |number: u8| {
        let answer = BootAnswer::Run { image: Arc::clone(&image), args: String::new() };
        stand::entry(&format!("node{number}"), mac(number), Ipv4Addr::new(127, 0, 0, 20 + number), answer)
    };
    BootTable {
        number: 1,
        lab: "hog".parse().unwrap(),
        network: stand::network(),
        nodes: (1..=18).map(node).map(Arc::new).collect(),
    }
}

/// What one run took.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    booted: usize,
    /// Asks for an address, files and scripts beyond the first of each program, and blocks sent again.
    retries: usize,
}

async fn run(beside: &Beside, machines: u8, seed: u64) -> Told {
    drop(beside.counter.sights().take());
    let kinds = [Kind::UefiPxe, Kind::BiosPxe, Kind::UefiHttp];
    let machine = |number: u8| {
        let kind = kinds.get(usize::from(number) % kinds.len()).copied().unwrap();
        Machine::new(Config::new(mac(number), kind, Ipxe::Of2025, seed * 100 + u64::from(number)))
    };
    let board = PowerBoard::new(vec![PortConfig::default(); usize::from(machines)], seed);
    let segment = Segment::new((1..=machines).map(machine).collect(), Cable::default(), seed);
    let lab = Lab::new(segment, board, SPEED);
    let running = tokio::spawn({
        let (lab, plug) = (lab.clone(), Loopback::new(beside.ports));
        async move { lab.run(plug).await }
    });
    for at in 0..usize::from(machines) {
        lab.switch(at, PowerOrder::On);
    }
    let up = |machine: &Machine| machine.first(|step| *step == Step::AgentWelcomed).is_some();
    lab.wait_until(LIMIT, |segment| segment.machines().iter().all(up)).await;
    running.abort();
    let blocks: usize = beside
        .counter
        .sights()
        .take()
        .into_iter()
        .map(|line| match line {
            Up::Sighting(Sighting { sight: Sight::FileServed { repeats, .. }, .. }) => {
                usize::try_from(repeats).unwrap()
            }
            _ => 0,
        })
        .sum();
    lab.inspect(|segment| {
        let asked = segment.machines().iter().map(asked_again).sum::<usize>();
        let booted = segment.machines().iter().filter(|machine| up(machine)).count();
        Told { booted, retries: asked + blocks }
    })
}

/// Asks of one machine that were not the first of their kind.
fn asked_again(machine: &Machine) -> usize {
    let mut seen = std::collections::HashSet::new();
    let asks = machine.history().iter().filter_map(|(_, step)| match step {
        Step::Discovered { by, .. } => Some(format!("{by:?}")),
        Step::UrlAsked(url) => Some(url.clone()),
        _ => None,
    });
    asks.filter(|ask| !seen.insert(ask.clone())).count()
}

#[test]
fn a_hog_on_the_counters_core_costs_no_boot() {
    let runs = std::env::var("HOG_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(RUNS);
    let beside = counter_on_one_core();
    let hog = Hog::start();
    let clients = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut boots, mut retries) = (0, 0);
    let plans = (0..runs).map(|_| 6).chain((0..runs.div_ceil(4)).map(|_| 18));
    for (seed, machines) in (1_u64..).zip(plans) {
        let began = Instant::now();
        let told = clients.block_on(run(&beside, machines, seed));
        let millis = began.elapsed().as_millis();
        println!("run {seed}: {} of {machines} up in {millis} ms, {} retries", told.booted, told.retries);
        assert_eq!(told.booted, usize::from(machines), "run {seed} lost a boot");
        boots += told.booted;
        retries += told.retries;
    }
    // Without a hog this would prove nothing.
    assert!(hog.ticks() > 50, "the hog did not run: {} ticks", hog.ticks());
    println!("{boots} boots of {boots} beside a hog, {retries} retries");
}
