//! A simulated cluster, its kubeconfig, and a way to it that can be cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubernetes::watch::{Picture, Watch};
use kubernetes::{Client, Dial, Dialed, Duplex};
use model::WallTime;
use serde_json::{Value, json};
use sim::kubernetes::{Identity, Member, Server, Settings};
use talos::pki::{Authority, KeyKind, Leaf, Name, Seeded, Usage};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Enough for everything here; under paused time it costs nothing.
pub(crate) const LIMIT: Duration = Duration::from_secs(3600);
/// Where the server is said to be.
const ADDRESS: &str = "https://10.0.0.1:6443";

/// Seconds since 1970: what certificates are judged by is the machine's own clock.
fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// An authority with what it issued: a server's identity and a client's kubeconfig.
pub(crate) struct Trust {
    authority: Authority,
    random: Seeded,
    now: WallTime,
}

impl Trust {
    pub(crate) fn new(seed: u8) -> Self {
        let mut random = Seeded::new([seed; 32]);
        let now = WallTime(u64::try_from(wall().as_millis()).unwrap());
        let authority = Authority::mint(KeyKind::P256, Some("kubernetes"), now, &mut random).unwrap();
        Self { authority, random, now }
    }

    pub(crate) fn server(&mut self) -> Identity {
        let names: Vec<Name> = ["10.0.0.1", "127.0.0.1"].iter().map(|name| name.parse().unwrap()).collect();
        let leaf = Leaf::server("kube-apiserver", &names);
        let (chain, key) = self.authority.issue(&leaf, self.now, &mut self.random).unwrap().to_pem();
        let authority = self.authority.certificate().to_pem();
        Identity::from_pem(chain.as_bytes(), key.as_bytes(), authority.as_bytes()).unwrap()
    }

    pub(crate) fn kubeconfig(&mut self) -> String {
        self.kubeconfig_for(ADDRESS)
    }

    pub(crate) fn kubeconfig_for(&mut self, server: &str) -> String {
        let leaf = Leaf {
            common_name: Some("admin"),
            organizations: &["system:masters"],
            usage: Usage::KubernetesClient,
            names: &[],
            ..Leaf::talos_client(&[])
        };
        let (chain, key) = self.authority.issue(&leaf, self.now, &mut self.random).unwrap().to_pem();
        let authority = self.authority.certificate().to_pem();
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "admin@lab",
            "contexts": [{"name": "admin@lab", "context": {"cluster": "lab", "user": "admin"}}],
            "clusters": [{"name": "lab", "cluster": {"server": server,
                "certificate-authority-data": STANDARD.encode(authority)}}],
            "users": [{"name": "admin", "user": {"client-certificate-data": STANDARD.encode(chain),
                "client-key-data": STANDARD.encode(key.as_bytes())}}],
        })
        .to_string()
    }
}

/// A cluster that runs until this is dropped.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) trust: Trust,
    pub(crate) wire: Arc<Wire>,
    /// Ends with the test.
    pub(crate) running: JoinSet<()>,
}

/// Streams in memory to a server, each counted.
#[derive(Debug)]
pub(crate) struct Wire {
    server: Server,
    dialed: AtomicU64,
}

impl Dial for Wire {
    fn dial(&self, _: &str, _: u16) -> Dialed {
        self.dialed.fetch_add(1, Ordering::Relaxed);
        let server = self.server.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move { server.serve(far).await });
            Ok::<_, io::Error>(Box::new(near) as Box<dyn Duplex>)
        })
    }
}

impl Wire {
    pub(crate) fn dialed(&self) -> u64 {
        self.dialed.load(Ordering::Relaxed)
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::remembering(10_000)
    }

    /// A cluster that remembers so many changes.
    pub(crate) fn remembering(remembers: usize) -> Self {
        let mut trust = Trust::new(1);
        let began = u64::try_from(wall().as_millis()).unwrap();
        let settings = Settings { seed: 1, began, version: "v1.33.2".to_owned(), remembers };
        let server = Server::new(&settings, trust.server());
        let wire = Arc::new(Wire { server: server.clone(), dialed: AtomicU64::new(0) });
        let mut running = JoinSet::new();
        let cluster = server.clone();
        running.spawn(async move { cluster.run().await });
        Self { server, trust, wire, running }
    }

    /// Nodes `node1` to `nodeN`; the first carries the control plane.
    pub(crate) fn join(&self, nodes: u8) {
        for n in 1..=nodes {
            self.server.join(&member(n));
        }
    }

    pub(crate) fn watch(&mut self) -> Watch {
        Watch::spawn(self.trust.kubeconfig().as_bytes(), self.wire.clone()).unwrap()
    }

    /// Ends as soon as the pods or nodes of the picture change.
    pub(crate) async fn until_something_changes(&self, watch: &Watch) {
        let mut picture = watch.picture();
        let seen = |picture: &Picture| -> (Vec<_>, Vec<_>) {
            (picture.nodes().cloned().collect(), picture.pods().cloned().collect())
        };
        let before = seen(&picture.borrow_and_update());
        drop(picture.wait_for(|picture| seen(picture) != before).await);
    }

    pub(crate) fn client(&mut self) -> Client {
        Client::new(self.trust.kubeconfig().as_bytes(), self.wire.clone()).unwrap()
    }
}

pub(crate) fn member(n: u8) -> Member {
    Member {
        name: format!("node{n}"),
        address: format!("10.0.0.{}", 10 + n),
        control_plane: n == 1,
        cores: 4,
        memory_mib: 8192,
        version: "v1.33.2".to_owned(),
    }
}

/// Waits until the picture is like this.
pub(crate) async fn until(watch: &Watch, what: &str, like: impl FnMut(&Picture) -> bool) -> Picture {
    let mut picture = watch.picture();
    let seen = timeout(LIMIT, picture.wait_for(like)).await.map(|seen| seen.unwrap().clone());
    seen.unwrap_or_else(|_| panic!("{what} was not seen within {LIMIT:?}: {:#?}", *watch.picture().borrow()))
}

/// A Deployment of so many pods.
pub(crate) fn deployment(name: &str, replicas: u64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "example.org/main:1"}]}}},
    })
}

/// A Job of one pod.
pub(crate) fn job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "main", "image": "example.org/once:1"}]}}},
    })
}

/// Puts an object into the cluster, as `kubectl create` does.
pub(crate) fn created(bench: &Bench, object: &Value) {
    assert!(!bench.running.is_empty(), "time passes in the cluster");
    bench.server.create(object).unwrap();
}

/// Tells the pods of a workload what to do.
pub(crate) fn that_does(mut workload: Value, does: &str) -> Value {
    let template = workload.pointer_mut("/spec/template").unwrap().as_object_mut().unwrap();
    let metadata = template.entry("metadata").or_insert_with(|| json!({})).as_object_mut().unwrap();
    metadata.insert("annotations".to_owned(), json!({"labinator.sim/does": does}));
    workload
}
