//! Guests: virtual machines that this machine runs for the lab, and what becomes of them when anything goes wrong.
//!
//! ```text
//!   boss ──wishes──▶ judge ──acts──▶ QEMU, one process a guest, with a task beside it
//!    ▲                 ▲                │ events, its end
//!    └──what is seen───┴────────────────┘
//! ```
//! The judge compares every five seconds, and whenever something is heard. QEMU belongs to nobody: an agent that is
//! started again finds it by process id, start time and UUID, and goes on with the last wish it was told.
//!
//! Each guest has a folder, `ROOT/NODE/`, with its disk, its console (`console.log`, see [`serial`]), and Unix sockets
//! for console (`serial.sock`), screen (`vnc.sock`) and QEMU's control protocol (`qmp.sock`); nothing listens on a TCP
//! port. Guests may be started through libvirt instead, see [`libvirt`]. `ROOT/store/` has what guests boot, `ROOT/wishes.json` the last wish.
//!
//! # In a network namespace
//!
//! The same agent runs guests as an ordinary process, beside others on one machine:
//!
//! ```text
//! ip netns add hv1; ip -n hv1 link add br0 type bridge; … plug a veth into br0, give br0 an address, up
//! ip netns exec hv1 agent guests --boss 10.0.0.1 --root /tmp/hv1 --bridge br0 --mac 52:54:00:00:00:10 --boot first
//! ```
//! `--mac` is the node's address on the board (that of the bridge unless told), `--uplink PORT` makes the bridge over a
//! port and moves its address there, `--through libvirt` (or a URI of one) has libvirt start them, `--boot` stands for
//! the boot id (another one is another boot of the hypervisor: end the guests first, as a power cut would), `--nonce`
//! proves the boot, `--memory MIB` is what the machine has, and `--trial SECONDS` is how long another build of the agent
//! may take until a heartbeat of it is answered (60).
//! The agent ends when it is ordered off, and its guests with it; when it is killed they stay.

mod accel;
mod admit;
mod alone;
mod attend;
mod bridge;
mod domain;
mod judge;
mod libvirt;
mod oom;
mod place;
mod plan;
mod process;
mod serial;
mod store;
mod virsh;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{GuestBoot, GuestCause, GuestSeen, GuestState, GuestWish, NodeName, PowerOrder};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

pub(crate) use alone::run as run_alone;
pub(crate) use place::Place;
pub(crate) use process::Buried;
pub(crate) use store::{Trouble as FetchTrouble, fetch_once, is_whole};

use self::admit::Capacity;
use self::attend::{Attendant, News, Order};
use self::domain::Here;
use self::judge::{Act, Have, Judge};
use self::libvirt::Libvirt;
use self::plan::{Accel, Kernel};
use self::process::{Kept, Process};
use self::store::Store;
use self::virsh::Virsh;
use crate::console::{Console, uptime_ms};
use crate::inventory::memory_mib;
use crate::link::{Links, Port, index_of};

/// How often wish and truth are compared although nothing is heard.
const ROUND_MS: u64 = 5000;
/// When something that a person must mend is tried again.
const MENDED_MS: u64 = 10_000;
/// Limit of switching every guest off.
const END_LIMIT: Duration = Duration::from_secs(20);
const WISHES: &str = "wishes.json";
const HOST: &str = "host.json";

/// What was told last, kept for an agent that comes after this one while nobody answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    /// Who this is.
    node: NodeName,
    boss: SocketAddr,
    list: Arc<Vec<GuestWish>>,
}

/// What is true of the machine in this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Host {
    boot: String,
    /// MiB that were taken before the first guest.
    taken: u32,
    /// Whether guests run on the processor itself.
    kvm: bool,
}

/// The guests, for whoever talks to the boss.
#[derive(Debug, Clone)]
pub(crate) struct Guests {
    tell: watch::Sender<Option<(Told, Port)>>,
    seen: watch::Receiver<Vec<GuestSeen>>,
    /// Counts what the boss should hear at once.
    news: watch::Receiver<u64>,
    root: Arc<Path>,
}

impl Guests {
    /// Finds what runs already and leaves the task behind that looks after it.
    pub(crate) fn spawn(console: &Console, place: Place) -> Self {
        let root = Arc::from(place.root.as_path());
        let (tell, told) = watch::channel(None);
        let (show, seen) = watch::channel(Vec::new());
        let (count, news) = watch::channel(0);
        let console = console.clone();
        tokio::spawn(async move {
            let tasks = Tasks::new(console.clone(), place, (show, count));
            match tasks {
                Ok(tasks) => tasks.run(told).await,
                Err(why) => console.say(&format!("guests cannot be run: {why}")),
            }
        });
        Self { tell, seen, news, root }
    }

    /// Where their folders are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Takes what the boss wishes; nothing said leaves everything as it is.
    pub(crate) fn wish(
        &self,
        node: Option<&NodeName>,
        list: Option<&Arc<Vec<GuestWish>>>,
        (boss, port): (SocketAddr, &Port),
    ) {
        let (Some(node), Some(list)) = (node, list) else { return };
        let told = Some((Told { node: node.clone(), boss, list: Arc::clone(list) }, port.clone()));
        self.tell.send_if_modified(|old| {
            let news = *old != told;
            *old = told;
            news
        });
    }

    /// Switches every guest off and waits for it: the machine they run on is going away.
    pub(crate) async fn end(mut self) {
        self.tell.send_if_modified(|told| {
            let Some((told, _)) = told else { return false };
            let off = |wish: &GuestWish| GuestWish { power: PowerOrder::Off, ..wish.clone() };
            told.list = Arc::new(told.list.iter().map(off).collect());
            true
        });
        let done = |seen: &Vec<GuestSeen>| {
            seen.iter().all(|seen| {
                matches!(seen.state, GuestState::Off | GuestState::Refused | GuestState::CrashLooping)
            })
        };
        // Whoever does not end in time is killed by the judge before.
        drop(timeout(END_LIMIT, self.seen.wait_for(done)).await);
    }

    /// What is true of every guest.
    pub(crate) fn seen(&mut self) -> Vec<GuestSeen> {
        self.news.mark_unchanged();
        self.seen.borrow_and_update().clone()
    }

    /// Waits until the boss should hear something before its time.
    pub(crate) async fn news(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

type Show = (watch::Sender<Vec<GuestSeen>>, watch::Sender<u64>);

struct Tasks {
    console: Console,
    place: Place,
    host: Option<Host>,
    judge: Judge,
    libvirt: Option<Libvirt>,
    store: Store,
    links: Links,
    told: Option<Told>,
    /// The port that reaches the boss, as far as it is known.
    port: Option<Port>,
    orders: BTreeMap<NodeName, mpsc::UnboundedSender<Order>>,
    tell: mpsc::UnboundedSender<(NodeName, News)>,
    hear: mpsc::UnboundedReceiver<(NodeName, News)>,
    kept: BTreeMap<NodeName, Kept>,
    show: Show,
    /// Trouble with the bridge that a person was told of.
    bridge_trouble: Option<String>,
}

impl Tasks {
    fn new(console: Console, place: Place, show: Show) -> io::Result<Self> {
        let host: Option<Host> = read_json(&place.root.join(HOST));
        let host = host.filter(|host| host.boot == place.host_boot);
        let taken = host.as_ref().map_or_else(|| taken(&place), |host| host.taken);
        let total = place.memory.unwrap_or_else(|| memory_mib(Path::new("/"), "MemTotal"));
        let (tell, hear) = mpsc::unbounded_channel();
        let mut tasks = Self {
            judge: Judge::new(Capacity { total, taken }),
            libvirt: place.libvirt.clone().map(|uri| Libvirt::new(Virsh::new(uri, place.buried.clone()))),
            store: Store::spawn(place.root.join("store")),
            links: Links::spawn()?,
            told: read_json(&place.root.join(WISHES)),
            port: None,
            orders: BTreeMap::new(),
            tell,
            hear,
            kept: BTreeMap::new(),
            show,
            bridge_trouble: None,
            console,
            host,
            place,
        };
        tasks.take_up();
        Ok(tasks)
    }

    /// Finds what an earlier agent left.
    fn take_up(&mut self) {
        for entry in fs::read_dir(&self.place.root).into_iter().flatten().flatten() {
            let Some(node) = entry.file_name().to_str().and_then(|name| name.parse::<NodeName>().ok()) else {
                continue;
            };
            let Some(mut kept) = Kept::read(&entry.path()) else { continue };
            let process = Process::find(&entry.path(), &kept);
            if kept.host_boot != self.place.host_boot && process.is_none() {
                // What it did in another boot of the hypervisor is not told any more.
                kept.past = judge::Past { order: kept.past.order, ..judge::Past::default() };
                kept.host_boot.clone_from(&self.place.host_boot);
            }
            let running = process.as_ref().map(|_| kept.definition.clone());
            self.judge.recall(node.clone(), kept.past.clone(), running);
            if let Some(process) = process {
                kept.process = Some((process.pid, process.started));
                self.console.say(&format!("guest {node} runs already, as process {}", process.pid));
                self.attend(&node, &kept, process);
            }
            self.kept.insert(node, kept);
        }
        if let Some(told) = self.told.clone() {
            self.judge.wish(&told.list);
            self.store.want(Some(told.boss), &told.list);
        }
    }

    fn folder(&self, node: &NodeName) -> PathBuf {
        self.place.root.join(node.as_str())
    }

    /// Leaves the task behind that stays with a QEMU.
    fn attend(&mut self, node: &NodeName, kept: &Kept, process: Process) {
        let (order, orders) = mpsc::unbounded_channel();
        self.orders.insert(node.clone(), order);
        tokio::spawn(self.attendant(node, kept).stay(process, orders));
    }

    fn attendant(&self, node: &NodeName, kept: &Kept) -> Attendant {
        let libvirt = self.libvirt.as_ref().filter(|_| kept.libvirt);
        Attendant {
            node: node.clone(),
            folder: self.folder(node),
            retry_for_it: kept.definition.contains(" network-uefi "),
            tap: kept.tap.clone(),
            bridge: self.place.bridge.clone(),
            links: self.links.clone(),
            buried: self.place.buried.clone(),
            domain: libvirt.map(|libvirt| libvirt.domain(kept)),
            tell: self.tell.clone(),
        }
    }

    async fn run(mut self, mut told: watch::Receiver<Option<(Told, Port)>>) {
        loop {
            self.turn().await;
            let now = uptime_ms();
            let due = self.judge.due(now).unwrap_or(u64::MAX).min(now.saturating_add(ROUND_MS));
            let due = self.libvirt.as_ref().map_or(due, |libvirt| libvirt.due().min(due));
            tokio::select! {
                changed = told.changed() => match changed {
                    Ok(()) => {
                        let news = told.borrow_and_update().clone();
                        if let Some((told, port)) = news {
                            self.take(told, port);
                        }
                    }
                    Err(_) => return,
                },
                Some((node, news)) = self.hear.recv() => self.heard(&node, news),
                answer = libvirt::looked(&mut self.libvirt) => self.libvirt_looked(answer),
                () = self.store.changed() => {}
                () = sleep(Duration::from_millis(due.saturating_sub(now).max(1))) => {}
            }
        }
    }

    fn take(&mut self, told: Told, port: Port) {
        self.judge.wish(&told.list);
        self.store.want(Some(told.boss), &told.list);
        self.port = Some(port);
        if self.told.as_ref() == Some(&told) {
            return;
        }
        // An agent that comes after this one asks the boss; this is for when nobody answers.
        let written = process::json(&told);
        if let Err(why) = written.and_then(|text| process::write_whole(&self.place.root, WISHES, &text)) {
            self.console.say(&format!("{}: the wish cannot be kept: {why}", self.place.root.display()));
        }
        self.told = Some(told);
    }

    fn heard(&mut self, node: &NodeName, news: News) {
        let now = uptime_ms();
        match news {
            News::Started => {
                let process = self.kept.get(node).and_then(|kept| kept.process);
                let pid = process.map_or_else(String::new, |(pid, _)| format!("process {pid}, "));
                let kvm = self.host.as_ref().is_some_and(|host| host.kvm);
                let accel = if kvm { Accel::Kvm } else { Accel::Tcg };
                self.judge.started(node, format!("QEMU answers ({pid}{})", accel.word()));
            }
            News::Begun(process, made_of) => {
                if let Some(kept) = self.kept.get_mut(node) {
                    kept.process = Some(process);
                    if let Some(made_of) = made_of {
                        kept.definition.clone_from(&made_of);
                        self.judge.found(node, made_of);
                    }
                }
                self.keep_now(node);
            }
            News::Defined => {
                if let Some(kept) = self.kept.get_mut(node) {
                    kept.defined = true;
                }
                self.keep_now(node);
            }
            News::Undefined(why) => {
                self.console.say(&format!("guest {node}: {}: {why}", GuestCause::Undefined));
                self.judge.undefined(node, &why);
            }
            News::Restored(what) => {
                self.console.say(&format!("guest {node}: {what}"));
                self.judge.remark(node, &what);
            }
            News::Waits(why) => {
                self.orders.remove(node);
                self.judge.not_started(node);
                if let Some(libvirt) = &mut self.libvirt {
                    libvirt.is_away(&why);
                }
            }
            News::BeganAgain(line) => self.judge.began_again(node, line),
            News::Hindered(why) => {
                self.orders.remove(node);
                self.hindered(node, why);
            }
            News::Ended(ended) => {
                self.orders.remove(node);
                self.console.say(&format!("guest {node}: {}: {}", ended.end.cause, ended.end.evidence));
                self.judge.ended(node, ended, now);
            }
        }
    }

    fn hindered(&mut self, node: &NodeName, why: String) {
        self.console.say(&format!("guest {node} cannot be started: {why}"));
        self.judge.hindered(node, why, uptime_ms().saturating_add(MENDED_MS));
    }

    async fn turn(&mut self) {
        self.provide_bridge().await;
        let (store, now) = (&self.store, uptime_ms());
        if let Some(libvirt) = &mut self.libvirt {
            libvirt.look(now);
        }
        let away = self.libvirt.as_ref().and_then(Libvirt::away);
        let have = |wish: &GuestWish| away.map_or_else(|| store.have(wish), |why| Have::Waits(why.clone()));
        let acts = self.judge.decide(now, &have);
        for act in acts {
            match act {
                Act::Start(node) => {
                    if let Err(why) = self.start(&node).await {
                        self.hindered(&node, why);
                    }
                }
                Act::PowerDown(node) => self.order(&node, Order::PowerDown),
                Act::Quit(node) => self.order(&node, Order::Quit),
                Act::Kill(node) => self.order(&node, Order::Kill),
                Act::Forget(node) => self.forget(node),
            }
        }
        self.keep();
        self.publish();
    }

    fn forget(&mut self, node: NodeName) {
        let uuid = self.kept.get(&node).filter(|kept| kept.libvirt).map(|kept| kept.uuid.clone());
        if let (Some(libvirt), Some(uuid)) = (&mut self.libvirt, uuid) {
            return libvirt.remove(node, uuid);
        }
        self.kept.remove(&node);
        // What is left only takes room, until the machine starts again.
        drop(fs::remove_dir_all(self.folder(&node)));
    }

    fn order(&self, node: &NodeName, order: Order) {
        if let Some(orders) = self.orders.get(node) {
            // One that is gone tells of it by itself.
            let _gone = orders.send(order);
        }
    }

    /// Guests need it before they start; a machine without guests keeps its port as it is.
    async fn provide_bridge(&mut self) {
        let wanted = self.place.make_bridge && self.told.as_ref().is_some_and(|told| !told.list.is_empty());
        let Some(port) = self.port.clone().filter(|_| wanted) else { return };
        if crate::link::speaks_on(&port).name == self.place.bridge {
            return;
        }
        let trouble = bridge::make(&self.links, &port, &self.place.bridge).await.err();
        if trouble != self.bridge_trouble {
            let text = format!("{} is plugged into {}", port.name, self.place.bridge);
            self.console.say(trouble.as_ref().unwrap_or(&text));
            self.bridge_trouble = trouble;
        } else if trouble.is_none() {
            self.console.say(&format!("{} is plugged into {}", port.name, self.place.bridge));
        }
    }

    async fn start(&mut self, node: &NodeName) -> Result<(), String> {
        let Some(wish) = self.judge.wish_of(node).cloned() else { return Ok(()) };
        let folder = self.folder(node);
        let qemu =
            process::qemu().ok_or("qemu-system-x86_64 is missing: apt-get install -y qemu-system-x86")?;
        if let Some(missing) = process::missing(wish.spec.boot) {
            return Err(missing);
        }
        if index_of(&self.place.bridge).is_none() {
            return Err(format!("there is no bridge {}", self.place.bridge));
        }
        let kvm = self.host(&qemu).await.kvm;
        let accel = if kvm { Accel::Kvm } else { Accel::Tcg };
        let failed = |why: io::Error| format!("{}: {why}", folder.display());
        let files = match (wish.spec.boot, wish.image.as_deref()) {
            (GuestBoot::Kernel, Some(image)) => Some(self.store.files(image).await.map_err(failed)?),
            _ => None,
        };
        let boss = self.told.as_ref().map(|told| format!("http://{}", told.boss));
        let line = plan::kernel_line(&wish, boss.as_deref());
        let kernel =
            files.as_ref().map(|(kernel, initrd)| Kernel { kernel, initrd: initrd.as_deref(), line: &line });
        let mut kept = Kept {
            host_boot: self.place.host_boot.clone(),
            definition: plan::definition(&wish),
            uuid: wish.uuid.to_string(),
            tap: plan::tap_name(wish.mac),
            process: None,
            libvirt: self.libvirt.is_some(),
            defined: false,
            past: self.judge.past(node).cloned().unwrap_or_default(),
        };
        let here = Here { folder: &folder, bridge: &self.place.bridge, qemu: &qemu, accel };
        let xml = self.libvirt.as_ref().map(|_| domain::xml(&wish, here, kernel)).transpose()?;
        // Before there is a process, so that whoever comes after this agent finds it in any case.
        kept.write(&folder).map_err(failed)?;
        if let Some(xml) = xml {
            self.begin(wish, (kept, xml));
            return Ok(());
        }
        let words = plan::arguments(&wish, accel, kernel);
        let process = Process::start(&qemu, &folder, &wish, &words).map_err(failed)?;
        kept.process = Some((process.pid, process.started));
        // One that is not written is found by QEMU's own file.
        drop(kept.write(&folder));
        self.attend(node, &kept, process);
        self.kept.insert(node.clone(), kept);
        Ok(())
    }

    /// What is true of the machine, found out once a boot.
    async fn host(&mut self, qemu: &Path) -> &Host {
        let host = match self.host.take() {
            Some(host) => host,
            None => {
                let folder = self.place.root.join("probe");
                let accel = accel::probe(qemu, &folder, &self.place.buried).await;
                self.console.say(&format!("guests run by {}", accel.word()));
                let host = Host {
                    boot: self.place.host_boot.clone(),
                    taken: self.judge.capacity().taken,
                    kvm: accel == Accel::Kvm,
                };
                if let Ok(text) = process::json(&host) {
                    // Whoever comes after this agent finds it out again.
                    drop(process::write_whole(&self.place.root, HOST, &text));
                }
                host
            }
        };
        self.host.insert(host)
    }

    /// Writes down what changed of each guest.
    fn keep(&mut self) {
        let root = self.place.root.clone();
        for (node, kept) in &mut self.kept {
            let Some(past) = self.judge.past(node).filter(|past| **past != kept.past) else { continue };
            kept.past = past.clone();
            if let Err(why) = kept.write(&root.join(node.as_str())) {
                self.console.say(&format!("guest {node}: what is known cannot be kept: {why}"));
            }
        }
    }

    /// Writes down what is known of a guest; whoever comes after this agent finds out the rest.
    fn keep_now(&self, node: &NodeName) {
        if let Some(kept) = self.kept.get(node) {
            drop(kept.write(&self.folder(node)));
        }
    }

    fn publish(&self) {
        let Some(told) = &self.told else { return };
        let seen = self.judge.seen(&told.node, &self.place.host_boot);
        let (show, count) = &self.show;
        let loud = |list: &[GuestSeen]| -> Vec<_> {
            list.iter()
                .map(|seen| (seen.node.clone(), seen.state, seen.order, seen.starts, seen.ended.clone()))
                .collect()
        };
        let news = loud(&show.borrow()) != loud(&seen);
        show.send_replace(seen);
        if news {
            count.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// What the system takes before the first guest: told before any is started.
fn taken(place: &Place) -> u32 {
    if place.memory.is_some() {
        // What was told is for guests.
        return 0;
    }
    let root = Path::new("/");
    memory_mib(root, "MemTotal").saturating_sub(memory_mib(root, "MemAvailable"))
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
