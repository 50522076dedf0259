//! A lab of simulated Talos nodes and the client's side of it, in memory and with every byte on record.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::WallTime;
use sim::talos::{Cluster, Manner, Node, Pace, Settings, Stage};
use talos::api::{self, Character, Dial, Identity};
use talos::feed::{self, EventError, Hint, Line, LineError, Lines, Pushed};
use talos::pki::{Authority, KeyKind, Leaf, Seeded};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

/// What a token in a config looks like; nowhere else may it be seen.
pub(crate) const TOKEN: &str = "abcdef.0123456789abcdef";

/// Where nodes push events and kernel lines.
pub(crate) const SINK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 5045);
pub(crate) const KERNEL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 5044);

/// What passed a cable.
pub(crate) type Wire = Arc<Mutex<Vec<u8>>>;
pub(crate) type KernelLines = Arc<Mutex<Vec<Result<Hint<Line>, LineError>>>>;

pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    pub(crate) ca: Authority,
    pub(crate) dial: Dial,
    pub(crate) wire: Wire,
    pub(crate) pushed: mpsc::Receiver<Result<Pushed, EventError>>,
    pub(crate) kernel: KernelLines,
    nodes: Arc<Mutex<BTreeMap<SocketAddr, Node>>>,
}

pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    WallTime(u64::try_from(since.as_millis()).unwrap())
}

impl Lab {
    pub(crate) fn new() -> Self {
        let nodes: Arc<Mutex<BTreeMap<SocketAddr, Node>>> = Arc::default();
        let (wire, kernel) = (Wire::default(), KernelLines::default());
        let (events, pushed) = mpsc::channel(10_000);
        let dial = {
            let (nodes, wire, kernel) = (Arc::clone(&nodes), Arc::clone(&wire), Arc::clone(&kernel));
            Dial::by(move |at| {
                let stream = match at {
                    SINK => Ok(sink(events.clone())),
                    KERNEL => Ok(kernel_log(Arc::clone(&kernel))),
                    at => match nodes.lock().unwrap().get(&at) {
                        Some(node) => node.connect(),
                        None => Err(io::Error::new(io::ErrorKind::HostUnreachable, "no route to host")),
                    },
                };
                let wire = Arc::clone(&wire);
                async move { stream.map(|stream| Box::new(Tapped { stream, wire }) as Box<dyn api::Carrier>) }
            })
        };
        let ca = Authority::mint(KeyKind::Ed25519, Some("talos"), now(), &mut Seeded::new([7; 32])).unwrap();
        Self { cluster: Cluster::default(), ca, dial, wire, pushed, kernel, nodes }
    }

    /// A node that is on.
    pub(crate) fn node(&self, number: u8, character: Character, manners: &[Manner]) -> (Node, SocketAddr) {
        self.node_as(number, character, |settings| settings.manners = manners.to_vec())
    }

    pub(crate) fn node_as(
        &self,
        number: u8,
        character: Character,
        change: impl FnOnce(&mut Settings),
    ) -> (Node, SocketAddr) {
        let address = SocketAddr::from(([10, 0, 0, 100 + number], api::Node::PORT));
        let mut settings = Settings {
            name: format!("talos-{number}"),
            address,
            character,
            version: if character == Character::UpTo12 { "v1.12.11" } else { "v1.13.9" }.to_owned(),
            uuid: format!("00000000-0000-0000-0000-0000000000{number:02}"),
            seed: [number; 32],
            wall: now(),
            pace: Pace::default(),
            sink: None,
            kernel_log: None,
            wipe: false,
            manners: vec![],
        };
        change(&mut settings);
        let node = Node::new(settings, &self.cluster, self.dial.clone());
        self.nodes.lock().unwrap().insert(address, node.clone());
        let lives = node.clone();
        tokio::spawn(async move { lives.run().await });
        (node, address)
    }

    pub(crate) fn waiting(&self, at: SocketAddr) -> api::Node {
        api::Node::in_maintenance(at, None).over(self.dial.clone())
    }

    pub(crate) fn ours(&self, at: SocketAddr) -> api::Node {
        self.shown_as(at, "os:admin")
    }

    pub(crate) fn shown_as(&self, at: SocketAddr, role: &str) -> api::Node {
        let roles = [role];
        let leaf = self.ca.issue(&Leaf::talos_client(&roles), now(), &mut Seeded::new([8; 32])).unwrap();
        let ((crt, key), ca) = (leaf.to_pem(), self.ca.certificate().to_pem());
        let identity = Identity::from_pem(ca.as_bytes(), crt.as_bytes(), key.as_bytes()).unwrap();
        api::Node::of_cluster(at, Arc::new(identity)).over(self.dial.clone())
    }

    pub(crate) fn config(&self, kind: &str, hostname: &str) -> Vec<u8> {
        let (crt, key) = self.ca.to_pem();
        let key = if kind == "worker" { String::new() } else { STANDARD.encode(key.as_bytes()) };
        let kubernetes = Authority::mint(KeyKind::P256, Some("kubernetes"), now(), &mut Seeded::new([6; 32]));
        let (kubernetes_crt, kubernetes_key) = kubernetes.unwrap().to_pem();
        let kubernetes_key =
            if kind == "worker" { String::new() } else { STANDARD.encode(kubernetes_key.as_bytes()) };
        format!(
            "version: v1alpha1\nmachine:\n    type: {kind}\n    token: {TOKEN}\n    ca:\n        crt: {}\n        key: \"{key}\"\n    \
             network:\n        hostname: {hostname}\n    install:\n        disk: /dev/sda\ncluster:\n    id: ours\n    clusterName: lab\n    \
             ca:\n        crt: {}\n        key: \"{kubernetes_key}\"\n    controlPlane:\n        endpoint: https://10.0.0.101:6443\n---\napiVersion: v1alpha1\nkind: EventSinkConfig\n\
             endpoint: {SINK}\n---\napiVersion: v1alpha1\nkind: KmsgLogConfig\nname: labinator\nurl: tcp://{KERNEL}/\n",
            STANDARD.encode(crt),
            STANDARD.encode(kubernetes_crt),
        )
        .into_bytes()
    }
}

fn sink(events: mpsc::Sender<Result<Pushed, EventError>>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(feed::serve(ours, IpAddr::from([10, 0, 0, 100]), events));
    theirs
}

fn kernel_log(kept: KernelLines) -> DuplexStream {
    let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let (mut lines, mut buffer) = (Lines::default(), [0u8; 100]);
        while let Ok(read @ 1..) = ours.read(&mut buffer).await {
            kept.lock().unwrap().extend(lines.take(&buffer[..read]));
        }
    });
    theirs
}

/// Until it is so; within two simulated hours, so that a test that hopes in vain ends.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let limit = tokio::time::Instant::now() + Duration::from_secs(7200);
    while !so() {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn until_stage(node: &Node, stage: Stage) {
    until(&format!("{stage:?}"), || node.stage() == stage).await;
}

/// A stream whose bytes are kept, both ways.
struct Tapped {
    stream: DuplexStream,
    wire: Wire,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, into);
        self.wire.lock().unwrap().extend_from_slice(&into.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.lock().unwrap().extend_from_slice(from);
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
