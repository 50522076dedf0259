//! A core over a file layer in memory: its desk, its orders, its boot table, and a disk that waits when told to.
#![expect(dead_code, reason = "each test file uses its own part of the stand")]
#![expect(clippy::panic, reason = "a test may stop")]

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use drivers::channel::Channel;
use drivers::switch::Switches;
use labinator::acme::Acme;
use labinator::clock::Clock;
use labinator::conductor::{Conductor, Tools};
use labinator::desk::{Desk, Look};
use labinator::disk_loader::Installer;
use labinator::doctor::Doctor;
use labinator::failures::Failures;
use labinator::http::{House, Screens};
use labinator::image::Places;
use labinator::journal::{Journal, Past};
use labinator::trust::{Tokens, Trust};
use lifecycle::Request;
use model::{
    AgentBeat, AgentReport, BoardSpec, BootTable, Carrier, Cell, ClientKind, Command, CommandId, DhcpMode,
    Digest, Event, Fact, FileRole, Image, ImageRef, Inventory, LabSpec, LabTime, Limits, MacAddr, Mebibytes,
    Moment, NetworkSpec, NodeName, NodeSpec, Origin, PortRef, PowerDriver, PowerOrder, PowerState,
    ScenarioName, ScenarioSpec, Sight, Span, VirtualFirmware, WallTime,
};
use store::{Files, OpenFile};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Where the journal of every test is.
pub(crate) const JOURNAL: &str = "state/journal";
/// Longest wait for any state, in the lab's own time.
pub(crate) const LIMIT: Duration = Duration::from_secs(1200);

pub(crate) fn node(number: u8) -> NodeName {
    format!("node{number}").parse().unwrap()
}

pub(crate) fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number])
}

/// A lab of so many virtual machines and one scenario, `all`, that uses them.
pub(crate) fn spec(machines: u8) -> LabSpec {
    let driver: model::DriverName = "virtual".parse().unwrap();
    let nodes = (1..=machines).map(|n| {
        let power = PortRef { driver: driver.clone(), port: n.to_string() };
        let node_spec = NodeSpec {
            disk: None,
            at: Cell { column: n, row: 1 },
            zone: None,
            mac: mac(n),
            ip: Ipv4Addr::new(10, 9, 0, 10 + n),
            ip6: None,
            power,
            loader: model::LoaderChoice::Ipxe,
            guest: None,
            port: None,
            memory: None,
            firmware: Some(VirtualFirmware::Bios),
        };
        (node(n), node_spec)
    });
    let scenario = ScenarioSpec {
        nodes: (1..=machines).map(node).collect(),
        image: ImageRef::Named("node".to_owned()),
        args: String::new(),
        enough: machines.into(),
        system: model::SystemSpec::default(),
        talos: None,
        hypervisors: Vec::new(),
        hypervisor_image: None,
        hypervisor_args: String::new(),
        guests: BTreeMap::new(),
        wipe_before_use: false,
        park: None,
    };
    LabSpec {
        lab: "bench".parse().unwrap(),
        network: NetworkSpec {
            interface: "lab0".to_owned(),
            subnet: Ipv4Addr::new(10, 9, 0, 0),
            prefix: 24,
            boss: Ipv4Addr::new(10, 9, 0, 1),
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
        power: BTreeMap::from([(
            driver.clone(),
            PowerDriver::Virtual { memory: Mebibytes(512), stagger: Span(0), disk: None },
        )]),
        board: BoardSpec { columns: machines, rows: 1, nodes: nodes.collect() },
        scenarios: BTreeMap::from([(all(), scenario)]),
        limits: Limits::default(),
        variables: model::Variables::default(),
        agent_updates: model::AgentUpdates::default(),
        switch: [].into(),
        secure_boot: model::SecureBootRule::default(),
        pdudaemon: None,
        logs: model::LogsSpec::default(),
    }
}

pub(crate) fn all() -> ScenarioName {
    "all".parse().unwrap()
}

/// What the core finds when it looks for images.
pub(crate) fn images() -> Fact {
    let asset =
        |name: &str, byte| model::Asset { name: name.to_owned(), digest: Digest([byte; 32]), size: 9 };
    let image = Image {
        kernel: Some(asset("vmlinuz", 1)),
        initrd: vec![asset("initrd.zst", 2)],
        uki: None,
        args: String::new(),
        agent: true,
    };
    Fact::ImagesFound {
        images: BTreeMap::from([(all(), image)]),
        missing: BTreeMap::new(),
        boots: BTreeMap::new(),
    }
}

pub(crate) fn start() -> Request {
    Request::Start { scenario: "all".to_owned(), by: Origin::Cli }
}

pub(crate) fn stop() -> Request {
    Request::Stop { by: Origin::Cli }
}

pub(crate) fn power(number: u8, order: PowerOrder) -> Request {
    Request::Power { node: node(number).to_string(), order, by: Origin::Cli }
}

pub(crate) fn seen(number: u8, state: PowerState) -> Fact {
    Fact::PowerSeen { node: node(number), state, evidence: "its process".to_owned() }
}

pub(crate) fn sighted(number: u8, sight: Sight) -> Fact {
    Fact::Sighted { mac: mac(number), sight }
}

/// What the counter tells of a boot until the image is taken.
pub(crate) fn boot_sights(number: u8) -> Vec<Fact> {
    let client = ClientKind::Ipxe;
    let file =
        |role, name: &str| Sight::FileAsked { role, name: name.to_owned(), carrier: Carrier::Http, size: 9 };
    let served = |name: &str| Sight::FileServed { name: name.to_owned(), bytes: 9, repeats: 0 };
    [
        Sight::Discover { client, arch: Some(0), secs: 0, uuid: None, version: String::new() },
        Sight::Ack { address: Ipv4Addr::new(10, 9, 0, 10 + number), client },
        file(FileRole::Kernel, "vmlinuz"),
        served("vmlinuz"),
        file(FileRole::Initrd, "initrd.zst"),
        served("initrd.zst"),
    ]
    .into_iter()
    .map(|sight| sighted(number, sight))
    .collect()
}

pub(crate) fn report(number: u8, boot: u64) -> Fact {
    let report = AgentReport {
        mac: mac(number),
        boot_id: format!("boot-{boot}"),
        nonce: None,
        address: None,
        version: "0".to_owned(),
        kernel: "6.1".to_owned(),
        uptime_ms: 1000,
        inventory: Inventory::default(),
        key: None,
        build: None,
        kexec: None,
    };
    sighted(number, Sight::Agent { report: Arc::new(report) })
}

pub(crate) fn beat(number: u8, boot: u64) -> Fact {
    let beat = AgentBeat {
        mac: mac(number),
        boot_id: format!("boot-{boot}"),
        uptime_ms: 2000,
        load_milli: 10,
        memory_available_mib: 400,
        ..AgentBeat::default()
    };
    sighted(number, Sight::Beat { beat })
}

/// A core that runs.
pub(crate) struct Core {
    pub(crate) desk: Desk,
    pub(crate) orders: mpsc::Receiver<(CommandId, Command)>,
    pub(crate) table: watch::Receiver<Arc<BootTable>>,
    pub(crate) clock: Clock,
    /// What its journal told when it began.
    pub(crate) past: Past,
    pub(crate) running: JoinHandle<()>,
}

impl Core {
    /// Begins on what the disk holds. `away` is the time since the last event, in milliseconds.
    pub(crate) fn begin(files: Arc<dyn Files>, machines: u8, away: u64) -> Self {
        Self::begin_with(files, machines, away, usize::from(machines) * 2)
    }

    /// The same with room for so many orders on their way to the drivers.
    pub(crate) fn begin_with(files: Arc<dyn Files>, machines: u8, away: u64, room: usize) -> Self {
        Self::begin_lab(files, spec(machines), away, room)
    }

    /// The same with a lab described by the caller.
    pub(crate) fn begin_lab(files: Arc<dyn Files>, spec: LabSpec, away: u64, room: usize) -> Self {
        let (journal, past, _) = Journal::open(files, Path::new(JOURNAL)).unwrap();
        Self::begin_on((journal, past), spec, away, room)
    }

    /// The same on an open journal.
    pub(crate) fn begin_on((journal, past): (Journal, Past), spec: LabSpec, away: u64, room: usize) -> Self {
        let last = past.lab.as_ref().map(|lab| lab.latest).unwrap_or_default();
        let base = LabTime(last.since_start.0 + away + 1);
        let clock = Clock::virtual_from(base, WallTime(1_700_000_000_000 + base.0));
        let (hands, orders) = mpsc::channel(room);
        let epoch = format!("epoch-{}", base.0);
        let tools = Tools { journal, past: past.clone(), clock: clock.clone(), spec, epoch, hands };
        let (conductor, desk, table) = Conductor::new(tools);
        let running = tokio::spawn(conductor.run());
        Self { desk, orders, table, clock, past, running }
    }

    pub(crate) async fn tell(&self, facts: impl IntoIterator<Item = Fact>) {
        for fact in facts {
            self.desk.tell(fact).await.unwrap();
        }
    }

    /// What every core is told first: the counter is there, the images are found, power was looked at.
    pub(crate) async fn greet(&self, machines: u8, power: PowerState) {
        self.tell([Fact::CounterSeen { up: true }, images()]).await;
        self.tell((1..=machines).map(|n| seen(n, power))).await;
    }

    pub(crate) async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(Look<'_>) -> T + Send + 'static,
    ) -> T {
        self.desk.look(question).await.unwrap()
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The next order, within the limit.
    pub(crate) async fn order(&mut self) -> (CommandId, PowerOrder, NodeName) {
        match within(self.orders.recv()).await.unwrap() {
            (id, Command::Power { node, order, .. }) => (id, order, node),
            (_, other) => panic!("no order to switch: {other:?}"),
        }
    }

    /// Ends it as it should end.
    pub(crate) async fn close(self) {
        self.desk.close().await.unwrap();
        self.running.await.unwrap();
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.is_err_and(|why| why.is_cancelled()));
    }
}

/// The token of [`house`].
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What the API of this desk stands on: no adopter, no switches, no log lines yet; all files below one folder.
pub(crate) fn house(
    desk: &Desk,
    (spec, folder): (&LabSpec, &Path),
    clock: Clock,
    (trust, channel): (Trust, Channel),
) -> House {
    let state = || folder.to_owned();
    let places = Places { images: state(), loaders: state(), cache: state() };
    let parts = (desk.clone(), channel.clone());
    let handle = tokio::runtime::Handle::current();
    House {
        installer: Installer::new(parts, (spec.clone(), None), (state(), folder.join("shelf"))),
        desk: desk.clone(),
        doctor: Doctor::new(clock, spec.clone(), state(), places),
        failures: Failures::of(folder),
        adopter: None,
        acme: Acme::open(folder, spec, trust.clone()),
        trust,
        tokens: Tokens::open(folder, TOKEN),
        channel,
        screens: Screens::default(),
        switches: Switches::default(),
        logs: logs::Stream::new(logs::Store::new(logs::Limits::default()), "e1".to_owned(), handle),
    }
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("nothing came of it in {LIMIT:?}"))
}

/// What a journal tells whoever finds it, without changing it.
pub(crate) fn past_in(files: &store::lossy::LossyFiles) -> Past {
    let copy = files.after_power_cut(store::lossy::Kept::Everything);
    Journal::open(Arc::new(copy), Path::new(JOURNAL)).unwrap().1
}

/// The events it tells.
pub(crate) fn events_in(files: &store::lossy::LossyFiles) -> Vec<Event> {
    past_in(files).events.iter().map(|event| (**event).clone()).collect()
}

/// Facts that a power cut now would leave.
pub(crate) fn safe_facts(files: &store::lossy::LossyFiles) -> Vec<Fact> {
    let cut = files.after_power_cut(store::lossy::Kept::Nothing);
    events_in(&cut).into_iter().map(|event| event.fact).collect()
}

/// A disk whose syncs wait while the gate is shut.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    files: Arc<dyn Files>,
    /// Only files whose name ends so.
    only: &'static str,
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Debug, Default)]
struct GateState {
    shut: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn before(files: Arc<dyn Files>) -> Self {
        Self::before_some(files, "")
    }

    /// A gate before files whose names end so; the others pass.
    pub(crate) fn before_some(files: Arc<dyn Files>, only: &'static str) -> Self {
        Self { files, only, state: Arc::default() }
    }

    /// Shut until what this returns is dropped: a test that fails must not leave a thread waiting.
    pub(crate) fn shut(&self) -> Shut {
        self.state.0.lock().unwrap().shut = true;
        Shut(self.clone())
    }

    /// Returns when a sync waits at the gate. Paused time stands still meanwhile, so this yields instead of sleeping.
    pub(crate) async fn until_somebody_waits(&self) {
        while self.state.0.lock().unwrap().waiting == 0 {
            tokio::task::yield_now().await;
        }
    }

    fn pass(&self) {
        let mut state = self.state.0.lock().unwrap();
        state.waiting += 1;
        while state.shut {
            state = self.state.1.wait(state).unwrap();
        }
        state.waiting -= 1;
    }
}

/// Keeps a gate shut.
pub(crate) struct Shut(Gate);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.state.0.lock().unwrap().shut = false;
        self.0.state.1.notify_all();
    }
}

impl Files for Gate {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let file = self.files.open(path)?;
        let gate = path.to_string_lossy().ends_with(self.only).then(|| self.clone());
        Ok(Arc::new(GatedFile { file, gate }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.files.sync_folder(folder)
    }
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn OpenFile>,
    gate: Option<Gate>,
}

impl OpenFile for GatedFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.iter().for_each(Gate::pass);
        self.file.sync()
    }
}
