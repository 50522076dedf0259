//! How long a config is on its way to a machine, by carrier and size. `cargo xtask bench carriers` runs this and reads
//! what it prints; on a busy machine its figures mean nothing, so no test asks for them.
#![expect(clippy::unwrap_used, reason = "this is what it is for")]

#[path = "fat/reader.rs"]
#[expect(dead_code, reason = "the rest is for other tests")]
mod reader;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use labinator::image::nocloud::Nocloud;
use model::{AgentOrder, Asset, BootAnswer, BootEntry, BootTable, Digest, Image, MacAddr, WallTime};
use netboot::{Bench, BindConfig, ConfigOffer, Counter, Sealed, Settings, Sockets};
use sim::talos::{Cluster, Node, Pace};
use store::shelf::Shelf;
use talos::api::{Apply, ApplyOutcome, Character, Dial, Seen};
use talos::config::{Input, Options, Role, text};
use talos::release::Minor;
use talos::secrets::Secrets;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// Sizes of the configs, in bytes.
const SIZES: [usize; 3] = [4_000, 40_000, 400_000];
/// How often each thing is measured.
const ROUNDS: u32 = 15;
/// How long a step of a machine takes, which is not what is measured.
const MOMENT: Duration = Duration::from_millis(1);
const SECRETS: &str = include_str!("../../talos/tests/fixtures/secrets.yaml");
const NOW: WallTime = WallTime(1_795_672_800_000);
/// What else is on a volume.
const META: &str = "instance-id: bench\n";
/// Where the machine is.
const LAB: &str = "lab: bench\n\
    network: { interface: lo, subnet: 127.0.0.0/24, boss: 127.0.0.1, dhcp: authoritative }\n\
    power: { hand: { driver: manual } }\n\
    board: { columns: 1, nodes: { node1: { at: [1, 1], mac: 02:00:00:00:00:01, ip: 127.0.0.11, power: hand/1 } } }\n\
    scenarios: { all: { image: node, nodes: all } }\n";
const BOSS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const MACHINE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

#[test]
#[ignore = "a bench: `cargo xtask bench carriers`"]
fn carriers_of_every_size() {
    for size in SIZES {
        let config = config(size);
        for round in 0..ROUNDS {
            println!("push_{size} {}", millis(push(round, &config)));
        }
        let fetched = Fetched::start();
        for _ in 0..ROUNDS {
            println!("pull_{size} {}", millis(fetched.once(&config)));
        }
        for _ in 0..ROUNDS {
            println!("volume_{size} {}", millis(carried(&fetched.folder.join("volume.img"), &config)));
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A worker's config, with a comment that makes it as long as wanted.
fn config(size: usize) -> String {
    let secrets = Secrets::from_yaml(SECRETS).unwrap();
    let endpoint = "https://10.0.0.10:6443".parse().unwrap();
    let options = Options { install_disk: Some("/dev/sda".to_owned()), ..Options::default() };
    let kubernetes = Minor::DEFAULT.default_kubernetes();
    let (cluster, contract) = ("lab", Minor::DEFAULT);
    let input = Input { cluster, endpoint: &endpoint, contract, kubernetes: &kubernetes, options: &options };
    let mut config = text(&input, &secrets, Role::Worker).unwrap().as_str().to_owned();
    assert!(config.len() <= size, "a config alone has {} bytes", config.len());
    while config.len() < size {
        let room = (size - config.len()).min(100);
        let line = if room < 3 { "\n".repeat(room) } else { format!("# {}\n", "x".repeat(room - 3)) };
        config.push_str(&line);
    }
    config
}

/// A volume as `labinator talos volume` makes it, written to a file, and its config read out of that file again: all that
/// is left out is the person between the two, and the page cache stands for the disk.
fn carried(path: &Path, config: &str) -> Duration {
    let begun = Instant::now();
    let user_data = Zeroizing::new(config.to_owned());
    let nocloud = Nocloud { user_data, meta_data: META.to_owned(), network_config: None };
    fs::write(path, &*nocloud.volume().unwrap()).unwrap();
    let image = fs::read(path).unwrap();
    let read = reader::read(&image, u64::try_from(image.len()).unwrap());
    let took = begun.elapsed();
    assert_eq!(read.tree.get("user-data"), Some(&Some(config.as_bytes().to_vec())));
    took
}

/// A thread and a runtime, for one side alone.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// One push over TCP and TLS to a machine in maintenance, from the connection to its answer.
fn push(round: u32, config: &str) -> Duration {
    let (world, boss) = (runtime(), runtime());
    let at = world.block_on(machine(round));
    boss.block_on(async {
        let waiting = || talos::api::Node::in_maintenance(at, None).over(Dial::tcp());
        while !matches!(waiting().probe().await, Seen::Maintenance { .. }) {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        let outcome = waiting().apply_configuration(config.as_bytes(), Apply::default()).await;
        let took = begun.elapsed();
        assert!(matches!(outcome, ApplyOutcome::Unconfirmed { .. }), "{outcome:?}");
        took
    })
}

/// A simulated node that waits for a config behind a port of this machine. It ends with its runtime.
async fn machine(round: u32) -> SocketAddr {
    let listener = TcpListener::bind((BOSS, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = sim::talos::Settings {
        name: "talos-1".to_owned(),
        address,
        character: Character::From13,
        version: "v1.13.9".to_owned(),
        uuid: "00000000-0000-0000-0000-000000000001".to_owned(),
        seed: [round.to_le_bytes(); 8].concat().try_into().unwrap(),
        wall: NOW,
        pace: Pace { phase: MOMENT, firmware: MOMENT, ..Pace::default() },
        sink: None,
        kernel_log: None,
        wipe: false,
        manners: Vec::new(),
    };
    let node = Node::new(settings, &Cluster::default(), Dial::tcp());
    let one = node.clone();
    tokio::spawn(async move { one.run().await });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            // Its port is closed while it starts.
            let Ok(mut inside) = node.connect() else { continue };
            tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut stream, &mut inside).await) });
        }
    });
    address
}

/// A counter whose machine fetches its config.
struct Fetched {
    counter: Arc<Counter>,
    http: SocketAddr,
    folder: PathBuf,
    boss: Runtime,
    machine: Runtime,
    _running: JoinSet<()>,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Fetched {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("labinator-carrier-cost-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        let (loaders, shelf) = (folder.join("loaders"), folder.join("shelf"));
        fs::create_dir_all(&loaders).unwrap();
        for (name, size) in [("undionly.kpxe", 97_782), ("snponly.efi", 256_512)] {
            fs::write(loaders.join(name), vec![0xeb; size]).unwrap();
        }
        let (boss, machine) = (runtime(), runtime());
        let mut running = JoinSet::new();
        let (counter, http) = boss.block_on(async {
            let sockets = Sockets::bind(&BindConfig::bare(BOSS)).unwrap();
            let settings = Settings {
                state: folder.join("state"),
                loaders,
                shelf: shelf.clone(),
                own_loaders: None,
                transfers: 4,
            };
            let (bench, _) = Bench::open(sockets, &settings).unwrap();
            let (counter, http) = (Arc::clone(bench.counter()), bench.http());
            running.spawn(async move { bench.run().await.unwrap() });
            (counter, http)
        });
        counter.publish(table(&Shelf::new(shelf))).unwrap();
        Self { counter, http, folder, boss, machine, _running: running }
    }

    /// The two times that the machine asks: it is told that nothing is there yet, the config is laid ready, and it gets
    /// it. What Talos waits between the two is its own and not counted.
    fn once(&self, config: &str) -> Duration {
        let path = self.machine.block_on(async {
            let (_, script) = self.get("/boot/02-00-00-00-00-01.ipxe").await;
            let url = script.split_whitespace().find_map(|word| word.strip_prefix("talos.config=")).unwrap();
            format!("/c/{}", url.rsplit_once('/').unwrap().1)
        });
        self.counter.withdraw(&"node1".parse().unwrap());
        let (first, (status, _)) = self.timed(&path);
        assert_eq!(status, 404);
        let sealed = Sealed::new(Zeroizing::new(config.to_owned()));
        let begun = Instant::now();
        self.boss.block_on(async {
            let node = "node1".parse().unwrap();
            self.counter.offer(ConfigOffer { node, run: 1, boot: 1, seconds: 600, config: sealed });
        });
        let laid = begun.elapsed();
        let (second, (status, got)) = self.timed(&path);
        assert_eq!((status, got.len()), (200, config.len()));
        first + laid + second
    }

    fn timed(&self, path: &str) -> (Duration, (u16, String)) {
        self.machine.block_on(async {
            let begun = Instant::now();
            let answer = self.get(path).await;
            (begun.elapsed(), answer)
        })
    }

    /// One request over a connection of its own, from the machine's address: status and body.
    async fn get(&self, path: &str) -> (u16, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((MACHINE, 0).into()).unwrap();
        let mut stream = socket.connect(self.http).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: boss\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// One machine that boots and fetches its config.
fn table(shelf: &Shelf) -> BootTable {
    let kernel = b"not really a kernel";
    let digest = Digest(shelf.put(kernel.as_slice()).unwrap().0);
    let kernel = Asset { name: "vmlinuz".to_owned(), digest, size: u64::try_from(kernel.len()).unwrap() };
    let image =
        Image { kernel: Some(kernel), initrd: Vec::new(), uki: None, args: String::new(), agent: false };
    let entry = BootEntry {
        node: "node1".parse().unwrap(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        ip: MACHINE,
        also: None,
        ip6: None,
        run: 1,
        boot: 1,
        answer: BootAnswer::Run { image: Arc::new(image), args: "talos.platform=metal".to_owned() },
        because: "it is measured".to_owned(),
        order: AgentOrder::Stay,
        guests: None,
        files: Arc::default(),
        install: None,
        pulls: true,
        loader: model::LoaderChoice::Ipxe,
        off_at: None,
        parks: false,
        good: Vec::new(),
        wipe: None,
    };
    let lab = labinator::config::parse(LAB.as_bytes(), "lab.yaml", Path::new(".")).unwrap();
    BootTable { number: 1, lab: lab.lab, network: lab.network, nodes: vec![Arc::new(entry)] }
}
