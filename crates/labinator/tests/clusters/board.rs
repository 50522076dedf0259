//! A board of Talos machines that do not exist, what switches them, and the cluster they become.
#![expect(clippy::panic, reason = "a test may stop")]

#[path = "hypervisors.rs"]
pub(crate) mod hypervisors;
#[path = "../fat/reader.rs"]
mod reader;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use labinator::cluster::{self, Adopter};
use lifecycle::Lab;
use model::{
    Command, CommandId, Fact, LabSpec, NodeName, Outcome, PowerOrder, PowerState, TalosSpec, WallTime,
};
use pki::vault::Vault;
use sim::kubernetes::{Identity, Member, Server, Settings as ServerSettings};
use sim::talos::{Cluster, Manner, Node, Pace, Settings, Stage};
use store::lossy::LossyFiles;
use talos::api::{Carrier, Character, Dial};
use talos::pki::{Leaf, Name, OsRandom};
use talos::secrets::Secrets;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use hypervisors::{Agents, Running, Runs};

use crate::stand::{Core, all, boot_sights, images, node, spec, start};

/// Machines of the cluster; the first is its control plane.
pub(crate) const CLUSTER: u8 = 3;
/// Port of the API server.
const KUBERNETES: u16 = 6443;
/// Port of a receiver of events that the lab knows nothing of.
pub(crate) const RECEIVER: u16 = 9000;
/// How often the world looks what became of the machines.
const LOOK: Duration = Duration::from_millis(500);

/// What outlives a core.
pub(crate) struct Board {
    pub(crate) talos: BTreeMap<NodeName, Node>,
    /// Its cluster calls the machines otherwise than the lab.
    otherwise: Arc<AtomicBool>,
    joined: Joined,
    shared: Cluster,
    pub(crate) files: LossyFiles,
    pub(crate) state: PathBuf,
    pub(crate) spec: LabSpec,
    pub(crate) dial: Dial,
    /// How often a machine called that receiver.
    pub(crate) receiver: Arc<AtomicU32>,
    server: Arc<Mutex<Option<Server>>>,
    /// Where the API server is while nobody reaches it.
    away: Mutex<Option<Server>>,
    /// Set where there is a boss whose HTTP port the machines reach.
    pub(crate) boss: ToBoss,
    /// The agents of machines that run others.
    pub(crate) agents: Agents,
    _world: JoinSet<()>,
    running: Running,
}

impl Drop for Board {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.state));
    }
}

impl Board {
    pub(crate) fn new(name: &str, character: Character, manners: impl Fn(u8) -> Vec<Manner>) -> Self {
        Self::of_size(name, (CLUSTER, 1), character, manners)
    }

    /// So many machines, the first few of them its control plane.
    pub(crate) fn of_size(
        name: &str,
        (machines, controls): (u8, u8),
        character: Character,
        manners: impl Fn(u8) -> Vec<Manner>,
    ) -> Self {
        let controls = (1..=controls).map(node).collect();
        Self::with(name, machines, controls, Runs::new(), (character, manners))
    }

    /// So many machines, some of which run others, and the control plane of the cluster.
    pub(crate) fn with(
        name: &str,
        machines: u8,
        control_plane: Vec<NodeName>,
        runs: Runs,
        (character, manners): (Character, impl Fn(u8) -> Vec<Manner>),
    ) -> Self {
        let state = std::env::temp_dir().join(format!("labinator-clusters-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&state));
        let mut spec = spec(machines);
        hypervisors::make(&mut spec, &runs);
        let version = if character == Character::UpTo12 { "1.12.11" } else { "1.13.9" };
        let scenario = spec.scenarios.get_mut(&all()).unwrap();
        scenario.enough = u16::from(machines) - 1;
        scenario.talos = Some(TalosSpec {
            version: version.to_owned(),
            kubernetes: None,
            control_plane,
            endpoint: None,
            patches: Vec::new(),
            proof: model::Proof::default(),
            install: Vec::new(),
            carrier: model::ConfigCarrier::default(),
            park_by_reset: false,
            inline: None,
        });
        let (shared, server) = (Cluster::default(), Arc::new(Mutex::new(None)));
        let nodes: Arc<Mutex<BTreeMap<SocketAddr, Node>>> = Arc::default();
        let receiver = Arc::default();
        let dial = dial(Arc::clone(&nodes), Arc::clone(&server), Arc::clone(&receiver));
        let boss = ToBoss::default();
        let mut talos = BTreeMap::new();
        for n in (1..=machines).filter(|n| !runs.contains_key(n)) {
            let address = SocketAddr::new(spec.board.nodes[&node(n)].ip.into(), 50_000);
            let settings = Settings {
                name: format!("talos-{n}"),
                address,
                character,
                version: format!("v{version}"),
                uuid: format!("00000000-0000-0000-0000-{n:012}"),
                seed: [n; 32],
                wall: now(),
                pace: Pace::default(),
                sink: None,
                kernel_log: None,
                wipe: false,
                manners: manners(n),
            };
            let one = Node::new(settings, &shared, also_to(&boss, address.ip(), dial.clone()));
            nodes.lock().unwrap_or_else(PoisonError::into_inner).insert(address, one.clone());
            talos.insert(node(n), one);
        }
        let mut world = JoinSet::new();
        let members = talos.iter().map(|(name, node)| (name.clone(), node.clone())).collect();
        let otherwise = Arc::new(AtomicBool::new(false));
        let joined = Joined::default();
        world.spawn(becomes_a_cluster(
            (members, Arc::clone(&otherwise), Arc::clone(&joined)),
            Arc::clone(&server),
            state.clone(),
            spec.clone(),
        ));
        let running = Running::default();
        let agents = Agents {
            runs,
            talos: talos.clone(),
            running: Arc::clone(&running),
            boots: Arc::default(),
            told: Arc::default(),
        };
        Self {
            talos,
            agents,
            otherwise,
            joined,
            shared,
            files: LossyFiles::new(),
            state,
            spec,
            dial,
            receiver,
            server,
            away: Mutex::default(),
            _world: world,
            running,
            boss,
        }
    }

    /// The same board, whose cluster gets these manifests.
    pub(crate) fn installs(mut self, files: &[(&str, &str)]) -> Self {
        let folder = self.state.join("lab");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let talos = self.spec.scenarios.get_mut(&all()).unwrap().talos.as_mut().unwrap();
        talos.install = files.iter().map(|(name, _)| folder.join(name).display().to_string()).collect();
        self
    }

    /// Somebody writes another text into a manifest.
    pub(crate) fn rewrites(&self, name: &str, text: &str) {
        std::fs::write(self.state.join("lab").join(name), text).unwrap();
    }

    pub(crate) fn api(&self) -> Server {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap()
    }

    /// The API server has this object.
    pub(crate) fn has(&self, kind: (&str, &str), name: &str) -> bool {
        self.api().object(kind, "default", name).is_some()
    }

    /// The API server ends its connections and takes no other.
    pub(crate) fn api_goes_away(&self) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap();
        server.cut();
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    pub(crate) fn api_comes_back(&self) {
        let server = self.away.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Somebody applies this to the cluster, as its administrator.
    pub(crate) async fn applies(&self, manifest: &str) {
        let secrets = secrets(&self.state).unwrap();
        let endpoint = "https://10.9.0.11:6443".parse().unwrap();
        let kubeconfig =
            talos::kubeconfig::mint(&secrets, "all", &endpoint, now(), &mut OsRandom::new()).unwrap();
        let dial = Arc::new(ByName(self.dial.clone()));
        let client = kubernetes::Client::new(kubeconfig.as_bytes(), dial).unwrap();
        let manifests = kubernetes::apply::Manifests::read([("hand.yaml", manifest.as_bytes())]).unwrap();
        kubernetes::apply::apply(&client, &manifests, &kubernetes::apply::Plan::default()).await.unwrap();
    }

    /// Etcds that were begun, of whatever cluster.
    pub(crate) fn bootstraps(&self) -> u32 {
        let secrets = secrets(&self.state).unwrap();
        self.shared.bootstraps(secrets.cluster_id())
    }

    /// `labinator talos export` takes out of the state folder what the API server and a node take for the administrator.
    pub(crate) async fn exports_what_opens_the_cluster(&self) {
        let folders = serde_json::json!({ "state": self.state, "images": "", "loaders": "" });
        let brief = serde_json::json!({ "spec": self.spec, "folders": folders });
        std::fs::write(self.state.join("brief.json"), brief.to_string()).unwrap();
        let output = self.state.join("out");
        let export = || {
            let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
            program.args(["talos", "export", "--state"]).arg(&self.state).arg("--output").arg(&output);
            program.output().unwrap()
        };
        let done = export();
        let said = |done: &std::process::Output| {
            String::from_utf8_lossy(&[&done.stdout[..], &done.stderr].concat()).into_owned()
        };
        assert!(done.status.success(), "{}", said(&done));
        assert!(
            said(&done).starts_with("secrets.yaml, talosconfig, kubeconfig of all, run 1"),
            "{}",
            said(&done)
        );
        let again = export();
        assert!(!again.status.success() && said(&again).contains("is there already"), "{}", said(&again));
        for name in ["secrets.yaml", "talosconfig", "kubeconfig"] {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&output.join(name).metadata().unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "{name}");
        }
        self.has_the_config_of_a_machine_on_its_volume(&output);
        let kubeconfig = std::fs::read(output.join("kubeconfig")).unwrap();
        let client = kubernetes::Client::new(&kubeconfig, Arc::new(ByName(self.dial.clone()))).unwrap();
        assert_eq!(client.version().await.unwrap(), "v1.35.4");
        let text = std::fs::read_to_string(output.join("talosconfig")).unwrap();
        let context = talos::api::Context::read(&text, None).unwrap();
        assert_eq!(context.endpoints, ["10.9.0.11"]);
        let at = "10.9.0.11:50000".parse().unwrap();
        let known = talos::api::Node::of_cluster(at, context.identity).over(self.dial.clone());
        assert!(known.version().await.unwrap().tag.starts_with("v1.1"));
    }

    /// `labinator talos volume` makes what the machine was given, with its addresses, and of no other machine.
    fn has_the_config_of_a_machine_on_its_volume(&self, output: &Path) {
        let made = |name: &str| {
            let image = output.join(format!("{name}.img"));
            let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
            program.args(["talos", "volume", name, "--state"]).arg(&self.state).arg("-o").arg(&image);
            let done = program.output().unwrap();
            (String::from_utf8_lossy(&[&done.stdout[..], &done.stderr].concat()).into_owned(), image)
        };
        let name = node(1);
        let (said, image) = made(name.as_str());
        assert!(said.contains(&format!("the config of {name} in all, run 1")), "{said}");
        let tree = reader::read(&std::fs::read(image).unwrap(), 1 << 20).tree;
        let text = |file: &str| String::from_utf8(tree[file].clone().unwrap()).unwrap();
        assert!(text("user-data").as_bytes() == self.talos[&name].kept().config.unwrap());
        let Self { spec, .. } = self;
        let known = &spec.board.nodes[&name];
        assert_eq!(text("meta-data"), format!("instance-id: all-run-1-{name}\nlocal-hostname: {name}\n"));
        let network = text("network-config");
        assert!(network.starts_with("version: 2\nethernets:\n"), "{network}");
        for part in
            [format!("macaddress: \"{}\"", known.mac), format!("- {}/{}", known.ip, spec.network.prefix)]
        {
            assert!(network.contains(&part), "{network}");
        }
        let (said, image) = made("node99");
        assert!(
            said.contains("node99 is no machine of all") && said.contains("it has node1, node2"),
            "{said}"
        );
        assert!(!image.exists());
    }

    /// Somebody named the machines for their cluster.
    pub(crate) fn calls_them_otherwise(&self) {
        self.otherwise.store(true, Ordering::Relaxed);
    }

    /// The secrets of its cluster, as a file.
    pub(crate) fn secrets(&self) -> String {
        secrets(&self.state).unwrap().to_yaml().unwrap().to_string()
    }

    /// The API server is lost with the machines that ran it: those that run next are another cluster.
    pub(crate) fn forgets_its_cluster(&self) {
        self.api_goes_away();
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Another boss for the same machines, which knows nothing of them.
    pub(crate) fn other_boss(&self) -> Boss {
        Boss { files: LossyFiles::new(), state: self.state.join("other") }
    }

    /// A machine as somebody of the first run's cluster talks to it.
    pub(crate) fn ours(&self, number: u8) -> talos::api::Node {
        let secrets = secrets(&self.state).unwrap();
        let leaf =
            secrets.os().issue(&Leaf::talos_client(&["os:admin"]), now(), &mut OsRandom::new()).unwrap();
        let ((certificate, key), (authority, _)) = (leaf.to_pem(), secrets.os().to_pem());
        let pems = (authority.as_bytes(), certificate.as_bytes(), key.as_bytes());
        let identity = talos::api::Identity::from_pem(pems.0, pems.1, pems.2).unwrap();
        let at = SocketAddr::new(self.spec.board.nodes[&node(number)].ip.into(), 50_000);
        talos::api::Node::of_cluster(at, Arc::new(identity)).over(self.dial.clone())
    }

    /// Starts a core on it.
    pub(crate) async fn open(&self) -> House {
        self.open_at(&Boss { files: self.files.clone(), state: self.state.clone() }).await
    }

    /// Starts a core of this boss on it.
    pub(crate) async fn open_at(&self, boss: &Boss) -> House {
        let core = Core::begin_lab(Arc::new(boss.files.clone()), self.spec.clone(), 0, 16);
        let mut tasks = JoinSet::new();
        let (cluster, adopter) = cluster::spawn(
            &mut tasks,
            &self.spec,
            &boss.state,
            self.dial.clone(),
            (core.desk.clone(), nobody()),
        )
        .unwrap();
        let Core { desk, orders, clock, running, table, .. } = core;
        let power = Power {
            talos: self.talos.clone(),
            agents: self.agents.clone(),
            running: Arc::clone(&self.running),
            desk: desk.clone(),
        };
        tasks.spawn(self.agents.clone().look_after(table, desk.clone()));
        tasks.spawn(power.carries_out(orders, cluster));
        let house = House { adopter, desk, running, _tasks: tasks, _clock: clock };
        let mut found = images();
        if let Fact::ImagesFound { images, boots, .. } = &mut found {
            let image = images.get_mut(&all()).unwrap();
            boots.insert(all(), hypervisors::boots(&self.agents.runs, image));
            image.agent = false;
        }
        let kept = cluster::Kept::of(&self.state);
        cluster::read_manifests(&house.desk, kept, self.spec.clone()).await.unwrap();
        house.tell(Fact::CounterSeen { up: true }).await;
        house.tell(found).await;
        let is_metal = |name: &NodeName| self.spec.board.nodes[name].guest.is_none();
        for host in self.agents.runs.keys().map(|host| node(*host)) {
            let on = self.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&host);
            let state = if on { PowerState::On } else { PowerState::Off };
            house.tell(Fact::PowerSeen { node: host, state, evidence: "looked".to_owned() }).await;
        }
        for (name, node) in self.talos.iter().filter(|(name, _)| is_metal(name)) {
            let state = if node.stage() == Stage::Off { PowerState::Off } else { PowerState::On };
            house.tell(Fact::PowerSeen { node: name.clone(), state, evidence: "looked".to_owned() }).await;
        }
        house
    }
}

/// How a machine at an address connects to the HTTP port of its boss.
pub(crate) type ToBoss = Arc<Mutex<Option<Box<dyn Fn(IpAddr) -> tokio::io::DuplexStream + Send>>>>;

/// The network of a machine: its boss's HTTP port, and what everybody reaches.
fn also_to(boss: &ToBoss, from: IpAddr, all: Dial) -> Dial {
    let boss = Arc::clone(boss);
    Dial::by(move |at| {
        let line = boss.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|connect| connect(from));
        let all = all.clone();
        async move {
            match line.filter(|_| at.port() == 80) {
                Some(line) => Ok(Box::new(line) as Box<dyn Carrier>),
                None => Ok(Box::new(all.dial(at).await?) as Box<dyn Carrier>),
            }
        }
    })
}

/// A counter that is away.
fn nobody() -> mpsc::Sender<netboot::Down> {
    mpsc::channel(1).0
}

/// What a boss keeps.
pub(crate) struct Boss {
    files: LossyFiles,
    state: PathBuf,
}

/// Dials literal addresses.
#[derive(Debug)]
struct ByName(Dial);

impl kubernetes::Dial for ByName {
    fn dial(&self, host: &str, port: u16) -> kubernetes::Dialed {
        let (network, at) = (self.0.clone(), SocketAddr::new(host.parse().unwrap(), port));
        Box::pin(async move { Ok(Box::new(network.dial(at).await?) as Box<dyn kubernetes::Duplex>) })
    }
}

fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    WallTime(u64::try_from(since.as_millis()).unwrap())
}

/// The secrets of the last run, as the core kept them.
pub(crate) fn secrets(state: &Path) -> Option<Secrets> {
    let vault = Vault::open(&state.join("secrets")).unwrap();
    let kept = (1..9).rev().find_map(|run| vault.get(&format!("all-run-{run}")).unwrap())?;
    Some(Secrets::from_yaml(std::str::from_utf8(kept.reveal()).unwrap()).unwrap())
}

/// The network: the machine API of each node, and behind every machine's other port the one API server.
fn dial(
    nodes: Arc<Mutex<BTreeMap<SocketAddr, Node>>>,
    server: Arc<Mutex<Option<Server>>>,
    receiver: Arc<AtomicU32>,
) -> Dial {
    Dial::by(move |at| {
        let node = nodes.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned();
        let server = server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if at.port() == RECEIVER {
            receiver.fetch_add(1, Ordering::Relaxed);
        }
        async move {
            if at.port() == KUBERNETES {
                let server = server.ok_or(io::ErrorKind::ConnectionRefused)?;
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                tokio::spawn(async move { server.serve(theirs).await });
                return Ok(Box::new(ours) as Box<dyn Carrier>);
            }
            let node = node.ok_or(io::ErrorKind::HostUnreachable)?;
            Ok(Box::new(node.connect()?) as Box<dyn Carrier>)
        }
    })
}

/// Machines that the API server knows.
type Joined = Arc<Mutex<Vec<NodeName>>>;

/// Kubernetes begins with the first machine whose Talos runs, and every other one that runs joins it.
async fn becomes_a_cluster(
    (members, otherwise, joined): (Vec<(NodeName, Node)>, Arc<AtomicBool>, Joined),
    place: Arc<Mutex<Option<Server>>>,
    state: PathBuf,
    spec: LabSpec,
) {
    let mut tending = JoinSet::new();
    loop {
        sleep(LOOK).await;
        let none = place.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let begins = none && joined.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if begins && members.iter().any(|(_, node)| node.stage() == Stage::Running) {
            let secrets = secrets(&state).unwrap();
            let first = &spec.scenarios[&all()].talos.as_ref().unwrap().control_plane[0];
            let host = Name::Ip(spec.board.nodes[first].ip.into());
            let leaf = Leaf::server("kube-apiserver", std::slice::from_ref(&host));
            let identity = secrets.kubernetes().issue(&leaf, now(), &mut OsRandom::new()).unwrap();
            let ((chain, key), (authority, _)) = (identity.to_pem(), secrets.kubernetes().to_pem());
            let identity =
                Identity::from_pem(chain.as_bytes(), key.as_bytes(), authority.as_bytes()).unwrap();
            let settings =
                ServerSettings { seed: 1, began: now().0, version: "v1.35.4".to_owned(), remembers: 1000 };
            let server = Server::new(&settings, identity);
            let tended = server.clone();
            tending.spawn(async move { tended.run().await });
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        }
        let Some(server) = place.lock().unwrap_or_else(PoisonError::into_inner).clone() else { continue };
        for (name, node) in &members {
            let mut joined = joined.lock().unwrap_or_else(PoisonError::into_inner);
            if node.stage() == Stage::Running && !joined.contains(name) {
                joined.push(name.clone());
                server.join(&Member {
                    name: if otherwise.load(Ordering::Relaxed) {
                        format!("talos-{name}")
                    } else {
                        name.to_string()
                    },
                    address: spec.board.nodes[name].ip.to_string(),
                    control_plane: spec.scenarios[&all()].talos.as_ref().unwrap().controls(name),
                    cores: 4,
                    memory_mib: 4096,
                    version: "v1.35.4".to_owned(),
                });
            }
        }
    }
}

/// What switches the machines; they boot from the network each time.
struct Power {
    talos: BTreeMap<NodeName, Node>,
    agents: Agents,
    running: Running,
    desk: labinator::desk::Desk,
}

impl Power {
    async fn carries_out(
        self,
        mut orders: mpsc::Receiver<(CommandId, Command)>,
        cluster: mpsc::Sender<(CommandId, Command)>,
    ) {
        while let Some((id, command)) = orders.recv().await {
            let Command::Power { node, order, .. } = command else {
                cluster.send((id, command)).await.unwrap();
                continue;
            };
            let state = match order {
                PowerOrder::On => PowerState::On,
                PowerOrder::Off | PowerOrder::Soft | PowerOrder::Press => PowerState::Off,
            };
            let number: u8 = node.as_str().trim_start_matches("node").parse().unwrap();
            let done = Fact::Finished { id, outcome: Outcome::Done };
            if self.agents.runs.values().flatten().any(|guest| *guest == number) {
                // Its hypervisor's agent reads the boot table.
                if self.desk.tell(done).await.is_err() {
                    return;
                }
                continue;
            }
            let mut facts =
                vec![done, Fact::PowerSeen { node: node.clone(), state, evidence: "its relay".to_owned() }];
            if order == PowerOrder::On {
                facts.extend(boot_sights(number));
            }
            if !self.agents.runs.contains_key(&number) {
                self.switches(&node, order);
            } else if order == PowerOrder::On {
                facts.push(Agents::reports(number, self.agents.boots(number)));
            } else {
                self.agents.goes_off(number);
            }
            for fact in facts {
                if self.desk.tell(fact).await.is_err() {
                    return;
                }
            }
        }
    }

    /// A machine that is switched off dies where it is; one that is switched on boots from its network port.
    fn switches(&self, node: &NodeName, order: PowerOrder) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(node);
        if order == PowerOrder::On {
            let (alive, dies) = oneshot::channel::<()>();
            running.insert(node.clone(), alive);
            let one = self.talos[node].clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = one.run() => {}
                    _ = dies => {}
                }
            });
        }
    }
}

/// A core and the tasks around it.
pub(crate) struct House {
    pub(crate) adopter: Adopter,
    pub(crate) desk: labinator::desk::Desk,
    pub(crate) running: tokio::task::JoinHandle<()>,
    pub(crate) _tasks: JoinSet<()>,
    pub(crate) _clock: labinator::clock::Clock,
}

impl House {
    pub(crate) async fn tell(&self, fact: Fact) {
        self.desk.tell(fact).await.unwrap();
    }

    pub(crate) async fn starts(&self) {
        self.desk.ask(start()).await.unwrap();
    }

    pub(crate) async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Lab) -> T + Send + 'static,
    ) -> T {
        self.desk.look(move |look| question(look.lab)).await.unwrap()
    }

    /// Waits until the lab is so.
    pub(crate) async fn until(&self, limit: Duration, there: impl Fn(&Lab) -> bool + Send + Sync + 'static) {
        let there = Arc::new(there);
        let waited = async {
            loop {
                let there = Arc::clone(&there);
                if self.look(move |lab| there(lab)).await {
                    return;
                }
                sleep(LOOK).await;
            }
        };
        if timeout(limit, waited).await.is_err() {
            let told = self.desk.look(|look| {
                let machines =
                    look.lab.machines.values().map(|m| format!("{} {} {:?}", m.node, m.rung, m.talos));
                format!("{} {:?}\n{:#?}", look.lab.phase, machines.collect::<Vec<_>>(), look.waits)
            });
            panic!("it never came to that: {}", told.await.unwrap());
        }
    }

    /// Everything that was told, in order.
    pub(crate) async fn written(&self) -> Vec<Fact> {
        // What was told before is published before this is answered.
        self.look(|_| ()).await;
        let (events, _) = self.desk.publisher().events(0, usize::MAX);
        events.iter().map(|event| event.fact.clone()).collect()
    }

    /// Ends the core as `kill -9` does.
    pub(crate) async fn killed(self) {
        self.running.abort();
        assert!(self.running.await.is_err_and(|why| why.is_cancelled()));
    }

    /// Ends the core as `kill -9` does, and starts another one on what it left.
    pub(crate) async fn killed_and_opened(self, board: &Board) -> Self {
        self.killed().await;
        board.open().await
    }

    /// The same with a core of this boss.
    pub(crate) async fn killed_and_opened_at(self, board: &Board, boss: &Boss) -> Self {
        self.killed().await;
        board.open_at(boss).await
    }

    /// Somebody pulls the plug of a machine.
    pub(crate) async fn loses(&self, board: &Board, node: &NodeName) {
        board.running.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
        let evidence = "its relay".to_owned();
        self.tell(Fact::PowerSeen { node: node.clone(), state: PowerState::Off, evidence }).await;
    }
}
