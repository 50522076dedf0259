//! What a cluster of 27 machines costs its controller. `cargo xtask bench cluster` runs this and reads what it prints; on
//! a busy machine its figures mean nothing, so no test asks for them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "this is what it is for"
)]

#[path = "clusters/board.rs"]
#[expect(dead_code, reason = "the rest is for other tests")]
mod board;
#[path = "feed/house.rs"]
#[expect(dead_code, reason = "the rest is for other tests")]
mod feed;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use board::Board;
use labinator::clock::Clock;
use labinator::desk::Desk;
use model::{Phase, Secret, WallTime};
use pki::vault::Vault;
use sim::Visits;
use sim::talos::{Cluster, Manner, Node, Pace, Settings};
use talos::api::{Apply, ApplyOutcome, Carrier, Character, Dial, Seen};
use talos::config::{Input, Options, Role, text};
use talos::release::Minor;
use talos::secrets::Secrets;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// Machines of the lab, and how many of them are its control plane.
const LAB: (u8, u8) = (27, 3);
/// Readers of the page.
const READERS: u8 = 3;
/// Machines that are pushed to at once.
const PUSHED: u8 = 24;
/// How often each thing is measured.
const ROUNDS: u8 = 5;
/// What one of the machines takes longer to answer than the others.
const SLOW: Duration = Duration::from_millis(1500);
/// How long a step of a machine takes, where it is not what is measured.
const MOMENT: Duration = Duration::from_millis(1);
const SECRETS: &str = include_str!("../../talos/tests/fixtures/secrets.yaml");
const NOW: WallTime = WallTime(1_795_672_800_000);

#[test]
#[ignore = "a bench: `cargo xtask bench cluster`"]
fn costs() {
    for round in 0..ROUNDS {
        whole_start(round);
    }
    for round in 0..ROUNDS {
        pushes(round);
    }
}

/// The same lab, Ready, with every stream open that there can be: an event stream of each machine, the watches of
/// Kubernetes, both feeds of each machine to a boot counter, and whoever reads the page.
#[test]
#[ignore = "a bench: `cargo xtask bench cluster`"]
fn streams() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let board = Board::of_size("streams", LAB, Character::From13, |_| Vec::new());
        let vault = Vault::open(&board.state.join("secrets")).unwrap();
        let kept = Secret::new(Zeroizing::new(SECRETS.as_bytes().to_vec()));
        assert!(vault.put_new("all-run-1", &kept).unwrap());
        let house = board.open().await;
        house.starts().await;
        house.until(Duration::from_secs(4 * 3600), |lab| lab.phase == Phase::Ready).await;
        // Long enough for every machine to be followed.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let followed = board.talos.values().filter(|node| open(&node.visits()) > 0).count();
        assert_eq!(followed, usize::from(LAB.0), "event streams");
        assert_eq!(open(&board.api().visits()), 2, "watches of nodes and pods");
        // From here on there are sockets of the system, for which time does not stand still.
        tokio::time::resume();
        let fed = feed::House::of_size("streams", LAB.0).await;
        let (mut callers, mut lines) = (Vec::new(), Vec::new());
        for number in 1..=LAB.0 {
            let mut caller = feed::Caller::connect(&fed, feed::address(number)).await;
            assert_eq!(caller.publish("MachineStatusEvent", &[8, 4, 18, 2, 8, 1]).await.unwrap(), "0");
            callers.push(caller);
            let mut line = feed::connect(feed::address(number), fed.lines).await.unwrap();
            line.write_all(b"{\"msg\":\"up\"}\n").await.unwrap();
            lines.push(line);
        }
        let (page, _serving) = page(&board, house.desk.clone()).await;
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let mut reader = TcpStream::connect(page).await.unwrap();
            reader.write_all(b"GET /v1/stream HTTP/1.1\r\nhost: boss\r\n\r\n").await.unwrap();
            let mut told = Vec::new();
            // The whole picture is there when its last machine is.
            while !String::from_utf8_lossy(&told).contains("\"node27\"") {
                assert_ne!(reader.read_buf(&mut told).await.unwrap(), 0, "the stream ended");
            }
            readers.push(reader);
        }
        println!("streams_kib {}", resident());
    });
}

/// Connections that are open.
fn open(visits: &BTreeMap<String, Visits>) -> u64 {
    visits.values().map(|visits| visits.open).sum()
}

/// The page and its API, served.
async fn page(board: &Board, desk: Desk) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let channel = drivers::channel::Channel::new(Arc::new(|_| None));
    let clock = Clock::after(None);
    let trust = labinator::trust::Trust::new(clock.clone(), &board.spec, &board.state, at);
    let house = stand::house(&desk, (&board.spec, &board.state), clock, (trust, channel));
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, labinator::http::router(house)).await.unwrap() });
    (at, serving)
}

/// From cold to Ready under paused time, the machines and their Kubernetes in the same process and counted too. The
/// secrets are there already: an RSA key is made while machines boot.
fn whole_start(round: u8) {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let board = Board::of_size(&format!("cost-{round}"), LAB, Character::From13, |_| Vec::new());
        let vault = Vault::open(&board.state.join("secrets")).unwrap();
        let kept = Secret::new(Zeroizing::new(SECRETS.as_bytes().to_vec()));
        assert!(vault.put_new("all-run-1", &kept).unwrap());
        let house = board.open().await;
        let before = process_time();
        house.starts().await;
        house.until(Duration::from_secs(4 * 3600), |lab| lab.phase == Phase::Ready).await;
        println!("start_ms {}", (process_time() - before).as_secs_f64() * 1000.0);
        println!("memory_kib {}", resident());
    });
}

/// Pushes to 24 machines at once, one of which is slow, and to that one alone.
fn pushes(round: u8) {
    let (own, all) = push_to(World::begin(round, 1));
    println!("push_ms {}", own.as_secs_f64() * 1000.0 / f64::from(PUSHED));
    println!("pushes_ms {}", all.as_secs_f64() * 1000.0);
    let (_, slowest) = push_to(World::begin(round, PUSHED));
    println!("slowest_ms {}", slowest.as_secs_f64() * 1000.0);
}

/// Mints and pushes a config to each. The machines live on a thread of their own, so this thread's time is the
/// controller's; with it, how long all took.
fn push_to(world: World) -> (Duration, Duration) {
    let (thread, wall) = (thread_time(), Instant::now());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let secrets = Arc::new(Secrets::from_yaml(SECRETS).unwrap());
        let mut pushing = JoinSet::new();
        for at in world.addresses.clone() {
            let (secrets, dial) = (Arc::clone(&secrets), world.dial.clone());
            pushing.spawn(async move {
                let waiting = talos::api::Node::in_maintenance(at, None).over(dial);
                let config = config(&secrets);
                let outcome = waiting.apply_configuration(config.as_bytes(), Apply::default()).await;
                assert!(matches!(outcome, ApplyOutcome::Unconfirmed { .. }), "{outcome:?}");
            });
        }
        pushing.join_all().await;
    });
    let took = (thread_time() - thread, wall.elapsed());
    world.end();
    took
}

fn config(secrets: &Secrets) -> String {
    let endpoint = "https://10.0.0.10:6443".parse().unwrap();
    let options = Options { install_disk: Some("/dev/sda".to_owned()), ..Options::default() };
    let kubernetes = Minor::DEFAULT.default_kubernetes();
    let input = Input {
        cluster: "lab",
        endpoint: &endpoint,
        contract: Minor::DEFAULT,
        kubernetes: &kubernetes,
        options: &options,
    };
    text(&input, secrets, Role::Worker).unwrap().as_str().to_owned()
}

/// Machines that wait for a config, on a thread of their own.
struct World {
    addresses: Vec<SocketAddr>,
    dial: Dial,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl World {
    /// Those from this number on.
    fn begin(round: u8, from: u8) -> Self {
        let (ready, began) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (nodes, _running) = machines(round, from);
                let direct = dial(Handle::current(), nodes.clone());
                for at in nodes.keys() {
                    let waiting = talos::api::Node::in_maintenance(*at, None).over(direct.clone());
                    while !matches!(waiting.probe().await, Seen::Maintenance { .. }) {
                        tokio::task::yield_now().await;
                    }
                }
                ready.send((nodes.keys().copied().collect(), direct)).unwrap();
                drop(stopped.await);
            });
        });
        let (addresses, dial) = began.recv().unwrap();
        Self { addresses, dial, stop, thread }
    }

    fn end(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn machines(round: u8, from: u8) -> (BTreeMap<SocketAddr, Node>, JoinSet<()>) {
    let (shared, mut running, mut nodes) = (Cluster::default(), JoinSet::new(), BTreeMap::new());
    for n in from..=PUSHED {
        let address = SocketAddr::from(([10, 9, 0, n], 50_000));
        let settings = Settings {
            name: format!("talos-{n}"),
            address,
            character: Character::From13,
            version: "v1.13.9".to_owned(),
            uuid: format!("00000000-0000-0000-0000-{n:012}"),
            seed: [n.wrapping_add(round.wrapping_mul(PUSHED)); 32],
            wall: NOW,
            pace: Pace { phase: MOMENT, firmware: MOMENT, ..Pace::default() },
            sink: None,
            kernel_log: None,
            wipe: false,
            manners: if n == PUSHED { vec![Manner::Slow(SLOW)] } else { Vec::new() },
        };
        let node = Node::new(settings, &shared, Dial::tcp());
        let one = node.clone();
        running.spawn(async move { one.run().await });
        nodes.insert(address, node);
    }
    (nodes, running)
}

/// Both ends of a connection are on the thread of whoever uses them.
fn dial(world: Handle, nodes: BTreeMap<SocketAddr, Node>) -> Dial {
    Dial::by(move |at| {
        let (node, world) = (nodes[&at].clone(), world.clone());
        async move {
            let connected = world.spawn(async move { node.connect() });
            let stream = connected.await.map_err(io::Error::other)??;
            Ok(Box::new(stream) as Box<dyn Carrier>)
        }
    })
}

/// Time on a processor, of all threads of this process (`/proc/self/task/*/schedstat`, nanoseconds).
fn process_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.map(|task| spent(&task.unwrap().path().join("schedstat").to_string_lossy())).sum()
}

/// The same of this thread alone.
fn thread_time() -> Duration {
    spent("/proc/thread-self/schedstat")
}

fn spent(file: &str) -> Duration {
    // A thread may have ended since it was listed; what it spent is lost, and small.
    let text = read_to_string(file).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
