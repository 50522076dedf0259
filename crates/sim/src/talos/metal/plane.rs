//! Kubernetes of a control plane: the leader serves it, the others pass on to the leader.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use talos::pki::Name;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::super::config::Config;
use super::super::node::Stage;
use super::follow::host_of;
use super::talk::Word;
use super::{Room, lock};
use crate::kubernetes::{Identity, Member, Server, Settings};

/// Port of the API server.
const KUBERNETES: u16 = 6443;
/// Silence of a kubelet until its node is not ready (`nodeMonitorGracePeriod`, which is longer).
const SILENT: Duration = Duration::from_secs(20);
/// How often silence is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Changes of its own accord that come together are written together; a client's are on the disk before it hears.
const TOGETHER: Duration = Duration::from_millis(200);
/// Changes that a watch can go back to.
const REMEMBERS: usize = 1000;

impl Room {
    /// Serves or passes on, for as long as it is polled.
    pub(super) async fn plane(self: &Arc<Self>, config: &Config) {
        let mut leader = self.leader.subscribe();
        loop {
            let now = *leader.borrow_and_update();
            let works = async {
                match now {
                    Some(address) if address == self.own() => self.serve(config).await,
                    Some(address) => pass_on(api_of(self.own()), api_of(address)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = works => sleep(LOOK).await,
                changed = leader.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Serves once etcd runs. Returns when it cannot.
    async fn serve(self: &Arc<Self>, config: &Config) {
        let mut changes = self.node.changes();
        let runs = |(id, state, _): &(String, &str, _)| id == "etcd" && *state == "Running";
        while !self.node.0.now().services.iter().any(runs) && changes.changed().await.is_ok() {}
        let Some(server) = self.server(config) else { return };
        let Ok(listener) = TcpListener::bind(api_of(self.own())).await else { return };
        tokio::select! {
            _ = server.listen(listener) => {}
            () = server.run() => {}
            () = self.keep_all(&server, config) => {}
            () = self.watch_kubelets(&server, config) => {}
        }
    }

    /// The one server of this machine: what it holds goes on from boot to boot.
    fn server(self: &Arc<Self>, config: &Config) -> Option<Server> {
        let host = host_of(&config.endpoint);
        let endpoint = host.parse().map_or_else(|_| Name::Dns(host.to_owned()), Name::Ip);
        let names = [endpoint, Name::Ip(self.own()), Name::Dns("kubernetes.default.svc".to_owned())];
        let ca = (config.kubernetes_ca.as_str(), config.kubernetes_ca_key.as_str());
        let (chain, key) = self.issue(ca, "kube-apiserver", &names)?.to_pem();
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes(), ca.0.as_bytes()).ok()?;
        let mut kept = lock(&self.server);
        if let Some(server) = kept.as_ref() {
            server.present(identity);
            return Some(server.clone());
        }
        let settings = Settings {
            seed: u64::from_be_bytes(self.node.0.bytes()),
            began: self.node.0.wall().0,
            version: config.kubernetes.clone(),
            remembers: REMEMBERS,
        };
        let server = match lock(&self.found).take() {
            Some(written) => Server::restored(&settings, identity, &written),
            None => Server::new(&settings, identity),
        };
        *kept = Some(server.clone());
        let room = Arc::downgrade(self);
        server.keep_by(move || room.upgrade().map_or(Ok(()), |room| room.save()));
        Some(server)
    }

    /// Whatever changes in etcd or Kubernetes is put on the disk.
    async fn keep_all(&self, server: &Server, config: &Config) {
        let (mut objects, mut members) = (server.changes(), self.cluster.changes());
        let mut told = false;
        loop {
            match self.save() {
                Ok(()) => told = false,
                Err(why) if !told => {
                    told = true;
                    let text = format!("etcd of {}: {why}", config.cluster_name);
                    self.node.0.publish(super::super::events::Payload::SequenceFailed("boot", text));
                }
                Err(_) => {}
            }
            tokio::select! {
                changed = objects.changed() => if changed.is_err() { return },
                changed = members.changed() => if changed.is_err() { return },
            }
            sleep(TOGETHER).await;
        }
    }

    /// A kubelet was heard.
    pub(super) fn hear_kubelet(&self, word: &Word) {
        let Some(server) = lock(&self.server).clone() else { return };
        let fresh = lock(&self.heard).insert(word.name.clone(), Instant::now()).is_none();
        if fresh {
            server.join(&Member {
                name: word.name.clone(),
                address: word.address.clone(),
                control_plane: word.control_plane,
                cores: word.cores,
                memory_mib: word.memory_mib,
                version: word.kubelet.clone(),
            });
            if word.control_plane {
                server.shows_static_pods(&word.name);
            }
        }
    }

    /// Its own kubelet speaks, and the others are missed when they do not.
    async fn watch_kubelets(&self, server: &Server, config: &Config) {
        // Those that were there before this one's last start have as much time as any other.
        for node in server.nodes() {
            lock(&self.heard).entry(node).or_insert_with(Instant::now);
        }
        let mut joined = false;
        loop {
            if self.node.stage() == Stage::Running {
                let word = self.word(config, false);
                if !joined {
                    lock(&self.heard).remove(&word.name);
                    joined = true;
                }
                self.hear_kubelet(&word);
            }
            let silent: Vec<String> = {
                let heard = lock(&self.heard);
                heard.iter().filter(|(_, at)| at.elapsed() > SILENT).map(|(name, _)| name.clone()).collect()
            };
            for name in silent {
                lock(&self.heard).remove(&name);
                server.lose(&name);
            }
            sleep(LOOK).await;
        }
    }
}

/// Where a machine's API server is.
const fn api_of(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, KUBERNETES)
}

/// Passes connections on to another machine: its certificate is good for the name that callers know.
async fn pass_on(own: SocketAddr, to: SocketAddr) {
    let Ok(listener) = TcpListener::bind(own).await else { return };
    let mut open = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        open.spawn(async move {
            if let Ok(mut other) = TcpStream::connect(to).await {
                // However it ends, both ends hear of it.
                drop(tokio::io::copy_bidirectional(&mut stream, &mut other).await);
            }
        });
        while open.try_join_next().is_some() {}
    }
}
