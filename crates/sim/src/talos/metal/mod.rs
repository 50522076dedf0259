//! A simulated node that has a machine to itself: a disk, a network with others like it, and Kubernetes.
//!
//! | what | file |
//! |---|---|
//! | its disk | `disk.rs` |
//! | how nodes talk | `talk.rs` |
//! | a control plane's trustd, which is also where the leader hears the others | `trustd.rs` |
//! | everybody else: who leads, and what it says | `follow.rs` |
//! | Kubernetes: served by the leader, passed on by other control planes | `plane.rs` |
//! | the name of the control plane | `names.rs` |
//!
//! There is no Raft. The node that was told to bootstrap leads: it alone keeps the members of etcd and what Kubernetes
//! holds, on its disk. While it is away, so is the cluster's API, and when it comes back everything is as it was.

mod disk;
mod follow;
mod names;
mod plane;
mod talk;
mod trustd;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use talos::api::Dial;
use talos::pki::{Authority, Identity, Leaf, Name};
use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::{Cluster, Member};
use super::config::{self, Config};
use super::line::Receivers;
use super::node::{End, Kept, Node, Settings, Stage};
use crate::kubernetes::Server;

pub use disk::Disk;

/// The machine around a node.
#[derive(Debug, Clone)]
pub struct Metal {
    /// Who knows the name of the control plane.
    pub resolver: SocketAddr,
    /// Its disks.
    pub disks: Vec<PathBuf>,
    /// Its processors.
    pub cores: u32,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// Where its kernel line tells it to fetch its config (`talos.config`).
    pub config: Option<String>,
    /// What documents on its kernel line say (`talos.config.inline`).
    pub receivers: Receivers,
}

/// Why a node cannot run on its machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetalError {
    /// Its port cannot be had.
    #[error("{at}: {source}")]
    Port {
        /// Where.
        at: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A disk cannot be wiped.
    #[error("{path}: {source}", path = .path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What lies on the disk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    installed: bool,
    /// The config, in base64.
    config: Option<String>,
    member: Option<u64>,
    etcd: Option<Etcd>,
    /// Another release than the one that was installed.
    release: Option<String>,
    staged: Option<String>,
}

/// What the leader has on its disk beside that.
#[derive(Debug, Serialize, Deserialize)]
struct Etcd {
    cluster: String,
    /// Number, name, address, whether it only learns.
    members: Vec<(u64, String, String, bool)>,
    kubernetes: Option<Value>,
}

#[derive(Debug)]
struct Room {
    node: Node,
    cluster: Cluster,
    metal: Metal,
    disk: Mutex<Option<Disk>>,
    /// What the leader's Kubernetes held when it was last switched off.
    found: Mutex<Option<Value>>,
    server: Mutex<Option<Server>>,
    /// When the kubelet of a machine was last heard, for those that count as heard.
    heard: Mutex<BTreeMap<String, Instant>>,
    /// Where the leader is, while a conversation with it goes on.
    leader: watch::Sender<Option<IpAddr>>,
}

impl Metal {
    /// Runs a node on this machine until it needs its firmware again. `told` hears where it is on its way.
    ///
    /// # Errors
    /// [`MetalError`].
    pub async fn run(self, mut settings: Settings, told: impl Fn(Stage)) -> Result<End, MetalError> {
        let mut found = Disk::find(&self.disks);
        if std::mem::take(&mut settings.wipe) {
            while let Some((mut disk, _)) = found {
                let path = disk.path().to_owned();
                disk.wipe().map_err(|source| MetalError::Disk { path, source })?;
                found = Disk::find(&self.disks);
            }
        }
        let at = settings.address;
        let cluster = Cluster::default();
        let node = Node::new(settings, &cluster, Dial::tcp());
        node.is_told(self.config.clone(), self.receivers);
        let room = Arc::new(Room {
            node,
            cluster,
            metal: self,
            disk: Mutex::default(),
            found: Mutex::default(),
            server: Mutex::default(),
            heard: Mutex::default(),
            leader: watch::channel(None).0,
        });
        if let Some((disk, value)) = found {
            room.take_up(disk, &value);
        }
        let keeper = Arc::downgrade(&room);
        room.node.keep_by(move || keeper.upgrade().map_or(Ok(()), |room| room.save()));
        let telling = async {
            let mut changes = room.node.changes();
            loop {
                told(room.node.stage());
                if changes.changed().await.is_err() {
                    return std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            end = room.node.run_once() => Ok(end),
            Err(source) = room.node.listen() => Err(MetalError::Port { at, source }),
            () = Arc::clone(&room).tend() => Ok(End::Off),
            () = telling => Ok(End::Off),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    fn own(&self) -> IpAddr {
        self.node.0.settings.address.ip()
    }

    fn config(&self) -> Option<Config> {
        self.node.0.now().config.clone()
    }

    /// True where etcd of a cluster was begun.
    fn leads(&self, cluster: &str) -> bool {
        self.cluster.bootstraps(cluster) > 0
    }

    /// Takes up what was found on the disk. What cannot be read is as good as none.
    fn take_up(&self, disk: Disk, value: &[u8]) {
        let state: State = serde_json::from_slice(value).unwrap_or_default();
        let config = state.config.and_then(|text| STANDARD.decode(text).ok());
        let State { installed, member, release, staged, .. } = state;
        self.node.find(Kept { installed, config, member, release, staged });
        if let Some(etcd) = state.etcd {
            let table = talk::Table { members: etcd.members, ..talk::Table::default() };
            self.cluster.restore(&etcd.cluster, table.members());
            *lock(&self.found) = etcd.kubernetes;
        }
        *lock(&self.disk) = Some(disk);
    }

    /// Puts everything on the disk: the one it was found on, else the one that its config names.
    fn save(&self) -> io::Result<()> {
        let kept = self.node.kept();
        let config = kept.config.as_deref().and_then(|text| config::read(text, true).ok().flatten());
        let mut disk = lock(&self.disk);
        if kept == Kept::default() {
            return disk.as_mut().map_or(Ok(()), Disk::wipe);
        }
        let cluster = config.as_ref().map(|config| config.cluster.clone()).unwrap_or_default();
        let etcd = self.leads(&cluster).then(|| {
            let members = talk::Table::of(self.cluster.members(&cluster)).members;
            let kubernetes = lock(&self.server).as_ref().map(Server::written);
            Etcd { cluster, members, kubernetes: kubernetes.or_else(|| lock(&self.found).clone()) }
        });
        let state = State {
            installed: kept.installed,
            config: kept.config.as_deref().map(|text| STANDARD.encode(text)),
            member: kept.member,
            etcd,
            release: kept.release,
            staged: kept.staged,
        };
        let bytes = serde_json::to_vec(&state).map_err(io::Error::other)?;
        if disk.is_none() {
            let Some(path) = config.map(|config| PathBuf::from(config.disk)) else { return Ok(()) };
            let opened = Disk::open(&path);
            let named = |why: io::Error| io::Error::new(why.kind(), format!("{}: {why}", path.display()));
            *disk = Some(opened.map_err(named)?.0);
        }
        disk.as_mut().map_or(Ok(()), |disk| disk.write(&bytes))
    }

    /// Whatever a node does beside its machine API, for as long as it has a config.
    async fn tend(self: Arc<Self>) {
        let mut changes = self.node.changes();
        loop {
            let Some(config) = self.config() else {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let gone = async {
                let mut changes = self.node.changes();
                while self.config().is_some() && changes.changed().await.is_ok() {}
            };
            tokio::select! {
                () = self.take_part(&config) => {}
                () = gone => {}
            }
            self.leader.send_replace(None);
        }
    }

    async fn take_part(self: &Arc<Self>, config: &Config) {
        if !config.control_plane {
            return self.follow(config).await;
        }
        tokio::join!(self.trustd(config), self.etcd(config), self.plane(config));
    }

    /// A control plane follows until it is the one that leads.
    async fn etcd(&self, config: &Config) {
        let leads = async {
            let mut changes = self.cluster.changes();
            while !self.leads(&config.cluster) && changes.changed().await.is_ok() {}
        };
        tokio::select! {
            () = self.follow(config) => {}
            () = leads => {}
        }
        self.leader.send_replace(Some(self.own()));
        std::future::pending::<()>().await;
    }

    /// What it says of itself.
    fn word(&self, config: &Config, sign: bool) -> talk::Word {
        let address = self.own().to_string();
        let member = self.node.kept().member.map(|id| {
            let learns = |one: &Member| one.id == id && one.learner;
            (id, self.cluster.members(&config.cluster).iter().any(learns))
        });
        talk::Word {
            token: config.token.clone(),
            cluster: config.cluster.clone(),
            name: self.node.0.hostname(),
            address,
            control_plane: config.control_plane,
            running: self.node.stage() == Stage::Running,
            member,
            cores: self.metal.cores,
            memory_mib: self.metal.memory_mib,
            kubelet: config.kubernetes.clone(),
            sign,
        }
    }

    /// A certificate of an authority for a server of this node's.
    fn issue(&self, ca: (&str, &str), common_name: &str, names: &[Name]) -> Option<Identity> {
        let ca = Authority::from_pem(ca.0, ca.1).ok()?;
        ca.issue(&Leaf::server(common_name, names), self.node.0.wall(), &mut self.node.0.draw()).ok()
    }
}
