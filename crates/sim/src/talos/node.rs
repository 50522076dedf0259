//! A simulated node: what it is told to be, what it keeps, its port and who is connected to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use model::{Span, WallTime};
use talos::api::{Character, Dial};
use talos::pki::{Random as _, Seeded};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::cluster::Cluster;
use super::config::Config;
use super::events::{Events, Payload};
use super::line::{Line, Receivers};
use super::machine::Api;
use super::manner::Manner;
use super::tls;
use super::upgrade::Release;
use crate::visits::{Visitors, Visits};

/// How long its steps take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// One phase of a sequence.
    pub phase: Duration,
    /// Writing to disk.
    pub install: Duration,
    /// From one kernel to the next.
    pub kexec: Duration,
    /// From firmware to kernel, without kexec.
    pub firmware: Duration,
    /// From the bootstrap to a healthy etcd, and from there to the node's readiness.
    pub join: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let (s, ms) = (Duration::from_secs, Duration::from_millis);
        Self { phase: ms(200), install: s(40), kexec: s(8), firmware: s(30), join: s(15) }
    }
}

/// What a node is told to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name until a config gives it one.
    pub name: String,
    /// Where its machine API is.
    pub address: SocketAddr,
    /// How it behaves before it has a config.
    pub character: Character,
    /// The release it says it is.
    pub version: String,
    /// Its SMBIOS UUID.
    pub uuid: String,
    /// What its randomness comes from.
    pub seed: [u8; 32],
    /// Its wall clock when it is made.
    pub wall: WallTime,
    /// How long its steps take.
    pub pace: Pace,
    /// Where its first kernel's arguments tell it to push events (`talos.events.sink`).
    pub sink: Option<SocketAddr>,
    /// Where its first kernel's arguments tell it to push kernel lines (`talos.logging.kernel`).
    pub kernel_log: Option<SocketAddr>,
    /// The next boot by firmware wipes its disk (`talos.experimental.wipe=system`).
    pub wipe: bool,
    /// How it misbehaves.
    pub manners: Vec<Manner>,
}

/// Where it is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Off.
    Off,
    /// On its way up.
    Booting,
    /// Waits for a config.
    Maintenance,
    /// Writes itself to disk.
    Installing,
    /// Between two kernels.
    Rebooting,
    /// Up.
    Running,
    /// Wipes itself.
    Resetting,
    /// Puts another release on its disk.
    Upgrading,
}

/// What answers at its port.
#[derive(Clone)]
pub(super) enum Port {
    Closed,
    Open { tls: Arc<ServerConfig>, maintenance: bool },
}

/// What somebody asked it to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Reboot,
    Shutdown,
    /// Another release; without one, it was staged.
    Upgrade {
        version: Option<String>,
        kexec: bool,
    },
    Reset {
        everything: bool,
        reboot: bool,
    },
}

/// Where a firmware finds a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    OnDisk,
    OnNetwork,
}

/// How far its etcd is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Etcd {
    Absent,
    /// A bootstrap was asked for.
    Asked,
    /// It is a member, by this number.
    Member(u64),
}

impl Etcd {
    pub(super) const fn member(self) -> Option<u64> {
        match self {
            Self::Member(id) => Some(id),
            Self::Absent | Self::Asked => None,
        }
    }
}

/// What a node has that changes.
pub(super) struct Now {
    pub(super) stage: Stage,
    pub(super) unmet: Vec<(String, String)>,
    pub(super) port: Port,
    /// Connections made before are over.
    pub(super) generation: u64,
    pub(super) boot_id: String,
    pub(super) events: Arc<Events>,
    pub(super) services: Vec<(String, &'static str, Option<bool>)>,
    /// What services wrote since it booted, each line with whose it is.
    pub(super) logs: Vec<(String, String)>,
    /// The config it runs.
    pub(super) config: Option<Config>,
    /// The config on its disk.
    pub(super) state: Option<Vec<u8>>,
    pub(super) installed: bool,
    /// A config that was pushed and not taken up yet.
    pub(super) pushed: Option<Vec<u8>>,
    pub(super) order: Option<(Order, String)>,
    pub(super) etcd: Etcd,
    pub(super) manners: Vec<Manner>,
    pub(super) random: Seeded,
    pub(super) wipe: bool,
    pub(super) applied: u32,
    /// Where its kernel line tells it to fetch its config (`talos.config`).
    pub(super) config_url: Option<String>,
    /// Where documents on its kernel line tell it to push events and kernel lines (`talos.config.inline`).
    pub(super) receivers: Receivers,
    pub(super) fetched: u32,
    /// The release that runs.
    pub(super) release: Release,
    /// The version on its disk, where one was put there after the installation.
    pub(super) kept_version: Option<String>,
    /// The version that its next boot puts there.
    pub(super) staged: Option<String>,
    /// Where its firmware finds a kernel.
    pub(super) kernel: Kernel,
    /// Images that it has, of this boot.
    pub(super) pulled: BTreeSet<String>,
}

/// What a node has on its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// It was installed.
    pub installed: bool,
    /// Its config.
    pub config: Option<Vec<u8>>,
    /// Its number in etcd, where it is a member.
    pub member: Option<u64>,
    /// Its release, where another one was put there since it was installed.
    pub release: Option<String>,
    /// A release that its next boot puts there.
    pub staged: Option<String>,
}

/// Writes what a node keeps, and returns once it lies on the disk.
type Write = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// How its life on this kernel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is to start again by its firmware.
    Restart,
    /// It is to be off.
    Off,
}

pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) cluster: Cluster,
    pub(super) dial: Dial,
    pub(super) made: Instant,
    now: Mutex<Now>,
    /// Something in `now` changed that its boot waits for.
    pub(super) told: Notify,
    generation: watch::Sender<u64>,
    /// Counts up whenever stage, config, services or what is kept change.
    changes: watch::Sender<u64>,
    visitors: Visitors,
    disk: OnceLock<Write>,
    /// Held while a release is being written.
    pub(super) writing: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Node({})", self.settings.name)
    }
}

/// A Talos node that does not exist.
#[derive(Debug, Clone)]
pub struct Node(pub(super) Arc<Inner>);

impl Node {
    /// A node that is off, on the network of `cluster`; it reaches others by `dial`.
    #[must_use]
    pub fn new(settings: Settings, cluster: &Cluster, dial: Dial) -> Self {
        let release = Release { character: settings.character, version: settings.version.clone() };
        let now = Now {
            stage: Stage::Off,
            unmet: vec![],
            port: Port::Closed,
            generation: 0,
            boot_id: String::new(),
            events: Arc::new(Events::new([0; 5], 0)),
            services: vec![],
            logs: vec![],
            config: None,
            state: None,
            installed: false,
            pushed: None,
            order: None,
            etcd: Etcd::Absent,
            manners: settings.manners.clone(),
            random: Seeded::new(settings.seed),
            wipe: settings.wipe,
            applied: 0,
            config_url: None,
            receivers: Receivers::default(),
            fetched: 0,
            release,
            kept_version: None,
            staged: None,
            kernel: Kernel::OnDisk,
            pulled: BTreeSet::new(),
        };
        Self(Arc::new(Inner {
            settings,
            cluster: cluster.clone(),
            dial,
            made: Instant::now(),
            now: Mutex::new(now),
            told: Notify::new(),
            generation: watch::channel(0).0,
            changes: watch::channel(0).0,
            visitors: Visitors::default(),
            disk: OnceLock::new(),
            writing: Arc::default(),
        }))
    }

    /// What it has on its disk.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let now = self.0.now();
        Kept {
            installed: now.installed,
            config: now.state.clone(),
            member: now.etcd.member(),
            release: now.kept_version.clone(),
            staged: now.staged.clone(),
        }
    }

    /// Finds this on its disk. For a node that does not run yet.
    pub fn find(&self, kept: Kept) {
        let mut now = self.0.now();
        (now.installed, now.state) = (kept.installed, kept.config);
        now.etcd = kept.member.map_or(Etcd::Absent, Etcd::Member);
        (now.kept_version, now.staged) = (kept.release, kept.staged);
    }

    /// From now on `write` is called whenever [`Self::kept`] changed, before anybody is told that it did. The first one
    /// counts.
    pub fn keep_by(&self, write: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
        drop(self.0.disk.set(Box::new(write)));
    }

    /// Counts up whenever its stage, config, services or what it keeps change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Who is and was connected to its port, by SHA-256 of the certificate that was shown.
    #[must_use]
    pub fn visits(&self) -> BTreeMap<String, Visits> {
        self.0.visitors.all()
    }

    /// Where it is on its way.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.0.now().stage
    }

    /// The release that runs on it, as it says itself.
    #[must_use]
    pub fn version(&self) -> String {
        self.0.release().version
    }

    /// How many configs it said yes to.
    #[must_use]
    pub fn applied(&self) -> u32 {
        self.0.now().applied
    }

    /// How many configs it fetched.
    #[must_use]
    pub fn fetched(&self) -> u32 {
        self.0.now().fetched
    }

    /// Tells it where to fetch its config, if anywhere, and what documents its kernel line has.
    pub(super) fn is_told(&self, url: Option<String>, receivers: Receivers) {
        let mut now = self.0.now();
        (now.config_url, now.receivers) = (url, receivers);
    }

    /// Tells it the kernel arguments of its next boot by firmware, which is from the network: `talos.config`,
    /// `talos.config.inline` and `talos.experimental.wipe=system` are obeyed.
    pub fn boots_with(&self, arguments: &str) {
        let line = Line::read(arguments);
        let mut now = self.0.now();
        (now.config_url, now.wipe, now.kernel) = (line.config, line.wipe, Kernel::OnNetwork);
        now.receivers = line.receivers;
    }

    /// Switches it on; it lives until it is dropped out of the runtime or powers off.
    pub async fn run(&self) {
        self.0.live().await;
    }

    /// Runs it from its kernel's start until it needs its firmware again: for a node that has a machine to itself.
    pub async fn run_once(&self) -> End {
        self.0.live_once().await
    }

    /// A connection to its port in memory.
    ///
    /// # Errors
    /// The port is closed.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        if matches!(self.0.now().port, Port::Closed) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let node = self.clone();
        tokio::spawn(async move { node.answer(theirs).await });
        Ok(ours)
    }

    /// Keeps its port on the machine's own network: bound while it is open, so that a closed one refuses.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn listen(&self) -> io::Result<std::convert::Infallible> {
        let mut turned = self.0.generation.subscribe();
        loop {
            if matches!(self.0.now().port, Port::Closed) {
                // The sender lives in `self`, so waiting cannot fail.
                drop(turned.changed().await);
                continue;
            }
            let listener = TcpListener::bind(self.0.settings.address).await?;
            while !matches!(self.0.now().port, Port::Closed) {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (node, (stream, _)) = (self.clone(), accepted?);
                        tokio::spawn(async move { node.answer(stream).await });
                    }
                    changed = turned.changed() => drop(changed),
                }
            }
        }
    }

    /// Ends every connection to its port, as a cable that is pulled for a moment; the port stays as it is.
    pub fn cut(&self) {
        let port = self.0.now().port.clone();
        self.0.turn(port);
    }

    /// Answers one connection, until it ends or the port changes.
    pub async fn answer<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (port, generation) = {
            let now = self.0.now();
            (now.port.clone(), now.generation)
        };
        let Port::Open { tls, maintenance } = port else { return };
        if maintenance && self.0.once(&Manner::Impostor) {
            self.0.turn_impostor(generation);
        }
        let mut watched = self.0.generation.subscribe();
        let answering = async {
            let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
            let shown = stream.get_ref().1.peer_certificates();
            let (roles, _visit) = (tls::roles(shown), self.0.visitors.enter(shown));
            let api = Api::new(Arc::clone(&self.0), maintenance, &roles);
            let service = hyper::service::service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, std::convert::Infallible>(api.answer(request).await) }
            });
            // How a connection ends is the caller's business.
            drop(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        };
        tokio::select! {
            () = answering => {}
            _ = watched.wait_for(|now| *now > generation) => {}
        }
    }
}

impl Inner {
    pub(super) fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node's wall clock.
    pub(super) fn wall(&self) -> WallTime {
        let passed = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        let behind = self.now().manners.iter().find_map(|manner| match manner {
            Manner::ClockBehind(behind) => u64::try_from(behind.as_millis()).ok(),
            _ => None,
        });
        WallTime((self.settings.wall.0 + passed).saturating_sub(behind.unwrap_or(0)))
    }

    pub(super) fn publish(&self, payload: Payload) {
        self.publish_for("", payload);
    }

    pub(super) fn publish_for(&self, actor: &str, payload: Payload) {
        let seconds = self.wall().0 / 1000;
        let events = Arc::clone(&self.now().events);
        events.publish(seconds, actor, payload);
    }

    pub(super) fn has(&self, manner: &Manner) -> bool {
        self.now().manners.contains(manner)
    }

    /// A manner that is shown once.
    pub(super) fn once(&self, manner: &Manner) -> bool {
        let mut now = self.now();
        let found = now.manners.iter().position(|one| one == manner);
        if let Some(index) = found {
            now.manners.remove(index);
        }
        found.is_some()
    }

    pub(super) fn late(&self) -> Duration {
        let now = self.now();
        let slow = now.manners.iter().find_map(|manner| match manner {
            Manner::Slow(late) => Some(*late),
            _ => None,
        });
        slow.unwrap_or_default()
    }

    /// What a service wrote since the node booted, line by line.
    pub(super) fn log_of(&self, service: &str) -> Vec<String> {
        let now = self.now();
        now.logs.iter().filter(|(whose, _)| whose == service).map(|(_, line)| line.clone()).collect()
    }

    /// Counts up whenever something changes that others wait for.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Something changed that others wait for.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Puts what it keeps on its disk, where it has one.
    pub(super) fn keep(&self) -> io::Result<()> {
        self.disk.get().map_or(Ok(()), |write| write())?;
        self.changed();
        Ok(())
    }

    /// Opens or closes the port; who was connected is cut off.
    pub(super) fn turn(&self, port: Port) {
        let generation = {
            let mut now = self.now();
            now.port = port;
            now.generation += 1;
            now.generation
        };
        self.generation.send_replace(generation);
    }

    /// The next connection meets another key; the ones there are stay.
    fn turn_impostor(&self, seen: u64) {
        let (wall, mut random) = (self.wall(), self.draw());
        let other = tls::maintenance(self.settings.address.ip(), wall, &mut random);
        let mut now = self.now();
        if let (Ok(tls), true) = (other, now.generation == seen) {
            now.port = Port::Open { tls, maintenance: true };
        }
    }

    /// A source of its own for what is drawn next.
    pub(super) fn draw(&self) -> Seeded {
        let mut now = self.now();
        Seeded::drawn(&mut now.random).unwrap_or_else(|_| Seeded::new([0; 32]))
    }

    /// Random bytes; a seeded source has no end.
    pub(super) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0u8; N];
        if self.draw().fill(&mut bytes).is_err() {
            return [0u8; N];
        }
        bytes
    }

    /// A random UUID.
    pub(super) fn uuid(&self) -> String {
        let bytes: [u8; 16] = self.bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }

    pub(super) fn hostname(&self) -> String {
        let now = self.now();
        let given = now.config.as_ref().and_then(|config| config.hostname.clone());
        given.unwrap_or_else(|| self.settings.name.clone())
    }

    /// How long ago its certificate was issued.
    pub(super) fn age(&self) -> Span {
        if self.has(&Manner::OldCertificate) { Span::secs(48 * 3600) } else { Span(0) }
    }
}
