//! A real counter on loopback, the line to its core, and the lab that a core would have: what is pushed becomes a picture.
#![expect(clippy::panic, reason = "a test may stop")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lifecycle::Lab;
use model::{Event, Fact, LabTime, Moment, Origin, PowerState, TalosSpec, WallTime};
use netboot::{Bench, BindConfig, FeedPorts, Settings, Sockets, Up, link};
use talos::api::{Carrier, Dial};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::stand::{all, boot_sights, images, node, spec};

/// How long any one thing may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Machines of the board.
const MACHINES: u8 = 2;
/// An address of nobody's.
pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 9, 99);

/// The address of a machine.
pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 9, 10 + number)
}

/// Counter and picture.
pub(crate) struct House {
    pub(crate) events: SocketAddr,
    pub(crate) lines: SocketAddr,
    pub(crate) lab: Lab,
    state: PathBuf,
    hearing: link::Hearing,
    _speaking: link::Speaking,
    _running: JoinSet<()>,
}

impl Drop for House {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.state));
    }
}

impl House {
    /// Its machines took their image and are on their own.
    pub(crate) async fn open(name: &str) -> Self {
        Self::of_size(name, MACHINES).await
    }

    /// The same with so many machines.
    pub(crate) async fn of_size(name: &str, machines: u8) -> Self {
        let folder = std::env::temp_dir().join(format!("labinator-feed-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(folder.join("loaders")).unwrap();
        let config = BindConfig {
            feed: Some(FeedPorts { events: 0, lines: 0 }),
            ..BindConfig::bare(Ipv4Addr::LOCALHOST)
        };
        let sockets = Sockets::bind(&config).unwrap();
        let events = sockets.events.as_ref().unwrap().local_addr().unwrap();
        let lines = sockets.lines.as_ref().unwrap().local_addr().unwrap();
        let (loaders, shelf) = (folder.join("loaders"), folder.join("shelf"));
        let settings = Settings { state: folder.clone(), loaders, shelf, own_loaders: None, transfers: 1 };
        let (bench, _) = Bench::open(sockets, &settings).unwrap();
        let lab = lab(machines);
        bench.counter().publish(lifecycle::boot_table(&lab, 1)).unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move { bench.run().await.unwrap() });
        let (hearing, speaking) = core(&folder).await;
        Self { events, lines, lab, state: folder, hearing, _speaking: speaking, _running: running }
    }

    /// Another core comes and takes the line; it knows nothing yet.
    pub(crate) async fn another_core(&mut self) {
        self.lab = lab(MACHINES);
        (self.hearing, self._speaking) = core(&self.state).await;
    }

    /// Takes in what the counter tells until the lab is so.
    pub(crate) async fn until(&mut self, what: &str, mut there: impl FnMut(&Lab) -> bool) {
        let waited = async {
            while !there(&self.lab) {
                let Some(up) = self.hearing.next().await.unwrap() else { panic!("the counter ended") };
                if let Up::Sighting(seen) = up {
                    let fact = Fact::Sighted { mac: seen.mac, sight: seen.sight };
                    lifecycle::absorb(&mut self.lab, &event(fact));
                }
            }
        };
        if tokio::time::timeout(LIMIT, waited).await.is_err() {
            panic!("it was never so: {what}\n{:#?}", self.explained(1));
        }
    }

    /// What a person reads of a machine.
    pub(crate) fn explained(&self, number: u8) -> Vec<String> {
        let machine = &self.lab.machines[&node(number)];
        lifecycle::explain(&self.lab, machine, None, moment()).seen
    }
}

async fn core(state: &std::path::Path) -> (link::Hearing, link::Speaking) {
    let connected = async {
        loop {
            match link::connect(state).await {
                Ok(line) => return line,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(LIMIT, connected).await.unwrap()
}

const fn moment() -> Moment {
    Moment { since_start: LabTime(1000), wall: WallTime(1000) }
}

fn event(fact: Fact) -> Event {
    Event { seq: 1, at: moment(), fact }
}

fn lab(machines: u8) -> Lab {
    let mut spec = spec(machines);
    (spec.network.subnet, spec.network.boss) = (Ipv4Addr::new(127, 0, 9, 0), Ipv4Addr::LOCALHOST);
    for number in 1..=machines {
        spec.board.nodes.get_mut(&node(number)).unwrap().ip = address(number);
    }
    spec.scenarios.get_mut(&all()).unwrap().talos = Some(TalosSpec {
        version: "1.12.11".to_owned(),
        kubernetes: None,
        control_plane: vec![node(1)],
        endpoint: None,
        proof: model::Proof::default(),
        carrier: model::ConfigCarrier::Push,
        park_by_reset: false,
        inline: None,
        patches: Vec::new(),
        install: Vec::new(),
    });
    let mut lab = Lab::new(spec);
    let mut facts = vec![
        Fact::CounterSeen { up: true },
        images(),
        Fact::StartAccepted { run: 1, scenario: all(), by: Origin::Cli },
    ];
    for number in 1..=machines {
        let evidence = "its relay".to_owned();
        facts.push(Fact::PowerSeen { node: node(number), state: PowerState::On, evidence });
        facts.extend(boot_sights(number));
    }
    for fact in facts {
        lifecycle::absorb(&mut lab, &event(fact));
    }
    lab
}

/// A connection from an address of this machine's own.
pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    socket.connect(to).await
}

/// How a machine dials.
pub(crate) fn dial(number: u8) -> Dial {
    Dial::by(move |to| async move { Ok(Box::new(connect(address(number), to).await?) as Box<dyn Carrier>) })
}

/// A field of a protobuf message: its number, and bytes.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        all.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    all.push(u8::try_from(length).unwrap());
    all.extend_from_slice(bytes);
    all
}

/// A caller of the sink that is not ours: HTTP/2 frames and bytes by hand.
pub(crate) struct Caller {
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    _line: JoinSet<()>,
}

impl Caller {
    pub(crate) async fn connect(house: &House, from: Ipv4Addr) -> Self {
        let stream = connect(from, house.events).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let mut line = JoinSet::new();
        line.spawn(async move { drop(connection.await) });
        Self { sender, _line: line }
    }

    /// One event; the answer's gRPC status, which is in its head when there is no message.
    pub(crate) async fn publish(&mut self, kind: &str, payload: &[u8]) -> Result<String, hyper::Error> {
        let url = format!("type.googleapis.com/machine.{kind}");
        let any = [field(1, url.as_bytes()), field(2, payload)].concat();
        self.call(&[field(1, &any), field(2, b"d0000000000000000000")].concat()).await
    }

    pub(crate) async fn call(&mut self, message: &[u8]) -> Result<String, hyper::Error> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = [&[0], &length[..], message].concat();
        let request = http::Request::post("http://boss/events.EventSinkService/Publish")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = self.sender.send_request(request).await?;
        let status = |headers: &http::HeaderMap| {
            headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned())
        };
        let (head, body) = answer.into_parts();
        let body = body.collect().await?;
        let told = status(&head.headers).or_else(|| body.trailers().and_then(status));
        Ok(told.unwrap_or_default())
    }
}
