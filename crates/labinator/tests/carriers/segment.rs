//! The segment under a cluster: machines with firmware that boot over the real counter, and become Talos nodes once
//! their kernel runs. Everything on it is written down.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use labinator::cluster;
use labinator::desk::Desk;
use model::{Command, CommandId, Fact, Image, PowerState};
use netboot::{Counter, Down};
use sim::net::Lab;
use sim::{Config, Ipxe, Kind, Machine, Manner, Phase, PortConfig, PowerBoard, Segment, Step};
use store::Files as _;
use store::lossy::LossyFiles;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::board::{Board, CLUSTER, House};
use crate::floor::{Alone, Heard, Order, connect, open_counter, spawn_heard_segment, spawn_line};
use crate::stand::{Core, all, mac, seen};

/// How often machines and ports are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What a segment has that outlives a core.
pub(crate) struct Floor {
    lab: Lab,
    counter: Arc<Counter>,
    pub(crate) image: Image,
    heard: Heard,
    files: Arc<LossyFiles>,
    _tasks: JoinSet<()>,
}

impl Floor {
    /// Machines for a board, off, on a cable that ends in a counter.
    pub(crate) fn new(board: &Board) -> Self {
        let kinds = [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::BiosPxe].into_iter().cycle();
        let machines = (1..=CLUSTER).zip(kinds).map(|(n, kind)| {
            // Its kernel does not speak: a Talos node does, from then on.
            Machine::new(Config::new(mac(n), kind, Ipxe::Of2025, n.into()).with([Manner::HangsInKernel]))
        });
        let cable = sim::Cable::alike(sim::Lane { fastest_ms: 1, slowest_ms: 2, ..sim::Lane::default() });
        let mut segment = Segment::new(machines.collect(), cable, 1);
        segment.record();
        let port = PortConfig { slow_ms: 200, ..PortConfig::default() };
        let lab = Lab::new(segment, PowerBoard::new(vec![port; usize::from(CLUSTER)], 1), 1);
        let files = Arc::new(LossyFiles::new());
        let (counter, mut image) = open_counter(&files);
        (image.agent, image.args) = (false, "ip=dhcp".to_owned());
        let (heard, mut tasks) = (Heard::default(), JoinSet::new());
        let listening = Some(Arc::clone(&heard));
        spawn_heard_segment(&mut tasks, (&lab, &counter), Alone, Order::default(), listening);
        let (heart, hears) = (Arc::clone(&counter), Arc::clone(&heard));
        let connects = move |from| connect(&heart, SocketAddr::new(from, 4002), Some(&hears));
        *board.boss.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(connects));
        tasks.spawn(Arc::clone(counter.ledger()).run());
        let keeper = Arc::clone(&counter);
        tasks.spawn(async move { keeper.keep_offers().await });
        tasks.spawn(kernels(lab.clone(), board.talos.values().cloned().collect()));
        Self { lab, counter, image, heard, files, _tasks: tasks }
    }

    /// The kernel line of each machine's first boot, by what its firmware is, once all have one.
    pub(crate) async fn kernel_lines(&self) -> Vec<(Kind, String)> {
        let line = |machine: &Machine| {
            let args = machine.history().iter().find_map(|(_, step)| match step {
                Step::KernelStarted { args, .. } => Some(args.clone()),
                _ => None,
            });
            args.map(|args| (machine.config().kind, args))
        };
        loop {
            let lines =
                self.lab.inspect(|segment| segment.machines().iter().map(line).collect::<Option<Vec<_>>>());
            match lines {
                Some(lines) => return lines,
                None => sleep(LOOK).await,
            }
        }
    }

    /// What the counter keeps on its disk.
    pub(crate) fn kept(&self) -> Vec<u8> {
        let read = |name: &str| self.files.read(&Path::new("counter").join(name)).unwrap();
        [read("ledger"), read("boot-table")].concat()
    }

    /// Starts a core over it.
    pub(crate) async fn open(&self, board: &Board) -> House {
        let core = Core::begin_lab(Arc::new(board.files.clone()), board.spec.clone(), 0, 16);
        let mut tasks = JoinSet::new();
        let (spec, state, desk) = (&board.spec, &board.state, core.desk.clone());
        let (sender, told) = mpsc::channel(64);
        let (cluster, adopter) =
            cluster::spawn(&mut tasks, spec, state, board.dial.clone(), (desk.clone(), sender)).unwrap();
        tasks.spawn(tells(Arc::clone(&self.counter), told));
        spawn_line(&mut tasks, &self.counter, &desk, core.table);
        tasks.spawn(carries_out(self.lab.clone(), desk.clone(), core.orders, cluster));
        tasks.spawn(looks_at_ports(self.lab.clone(), desk.clone()));
        let house = House { adopter, desk, running: core.running, _tasks: tasks, _clock: core.clock };
        house.tell(Fact::CounterSeen { up: true }).await;
        let images = BTreeMap::from([(all(), self.image.clone())]);
        house.tell(Fact::ImagesFound { images, missing: BTreeMap::new(), boots: BTreeMap::new() }).await;
        house
    }

    /// Every byte that was on the cable or left over a connection.
    pub(crate) fn heard(&self) -> Vec<u8> {
        let mut all = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.lab.inspect(|segment| segment.tape().iter().for_each(|passed| all.extend(&passed.frame)));
        all
    }

    /// Asks the counter as a machine at this address does; the whole answer with its head.
    pub(crate) async fn asks(&self, from: Ipv4Addr, path: &str) -> String {
        let peer = SocketAddr::new(IpAddr::V4(from), 4001);
        let mut line = connect(&self.counter, peer, Some(&self.heard));
        let request = format!("GET {path} HTTP/1.1\r\nhost: boss\r\nconnection: close\r\n\r\n");
        line.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        line.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Somebody on the segment asks for whatever might be there, as a stranger and at each machine's address.
    pub(crate) async fn asks_for_everything(&self) {
        let boss_like =
            [Ipv4Addr::new(10, 9, 0, 99), Ipv4Addr::new(10, 9, 0, 11), Ipv4Addr::new(10, 9, 0, 12)];
        let mut found = 0;
        for from in boss_like {
            for n in 1..=CLUSTER {
                let dashed = mac(n).to_string().replace(':', "-");
                for path in [
                    format!("/boot/{dashed}.ipxe"),
                    format!("/grub/grub.cfg-01-{dashed}"),
                    format!("/pxelinux.cfg/01-{dashed}"),
                    format!("/n/{dashed}/config.yaml"),
                    format!("/n/{dashed}/user-data"),
                    format!("/n/{dashed}/"),
                ] {
                    found += u32::from(self.asks(from, &path).await.starts_with("HTTP/1.1 200"));
                }
            }
            for path in [
                "/",
                "/autoexec.ipxe",
                "/grub/grub.cfg",
                "/n/me/config.yaml",
                "/n/me/user-data",
                "/config.yaml",
                "/controlplane.yaml",
                "/secrets.yaml",
                "/ledger",
                "/boot-table",
                "/v1/snapshot",
                "/c/",
                "/c/0",
            ] {
                found += u32::from(self.asks(from, path).await.starts_with("HTTP/1.1 200"));
            }
        }
        assert!(found > 20, "only {found} of all paths are there");
    }
}

/// A machine whose kernel runs is a Talos node, until its power goes.
async fn kernels(lab: Lab, nodes: Vec<sim::talos::Node>) {
    let mut started = vec![0; nodes.len()];
    let mut alive: Vec<Option<oneshot::Sender<()>>> = nodes.iter().map(|_| None).collect();
    loop {
        for (at, node) in nodes.iter().enumerate() {
            let (phase, kernels) = lab.inspect(|segment| {
                let machine = &segment.machines()[at];
                let args = |(_, step): &(u64, Step)| match step {
                    Step::KernelStarted { args, .. } => Some(args.clone()),
                    _ => None,
                };
                (machine.phase(), machine.history().iter().filter_map(args).collect::<Vec<_>>())
            });
            if kernels.len() > started[at] {
                started[at] = kernels.len();
                node.boots_with(kernels.last().unwrap());
                let (lives, dies) = oneshot::channel::<()>();
                alive[at] = Some(lives);
                let node = node.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = node.run() => {}
                        _ = dies => {}
                    }
                });
            } else if !matches!(phase, Phase::Kernel | Phase::Hung) {
                alive[at] = None;
            }
        }
        sleep(LOOK).await;
    }
}

/// What the core says to the counter, by the words of their line.
async fn tells(counter: Arc<Counter>, mut told: mpsc::Receiver<Down>) {
    while let Some(down) = told.recv().await {
        let line = serde_json::to_vec(&down).unwrap();
        match serde_json::from_slice(&line).unwrap() {
            Down::OfferConfig(offer) => counter.offer(offer),
            Down::WithdrawConfig { node } => counter.withdraw(&node),
            _ => {}
        }
    }
}

/// Switches machines; everything else is the cluster's.
async fn carries_out(
    lab: Lab,
    desk: Desk,
    mut orders: mpsc::Receiver<(CommandId, Command)>,
    cluster: mpsc::Sender<(CommandId, Command)>,
) {
    let mut hands = JoinSet::new();
    while let Some((id, command)) = orders.recv().await {
        let Command::Power { port, order, .. } = command else {
            cluster.send((id, command)).await.unwrap();
            continue;
        };
        let (lab, desk) = (lab.clone(), desk.clone());
        let port: usize = port.port.parse().unwrap();
        hands.spawn(async move {
            let outcome = lab.order(port - 1, order).await;
            drop(desk.tell(Fact::Finished { id, outcome }).await);
        });
    }
}

async fn looks_at_ports(lab: Lab, desk: Desk) {
    let mut shown = [None; CLUSTER as usize];
    loop {
        for (number, last) in (1..).zip(&mut shown) {
            let state: PowerState = lab.see(usize::from(number) - 1);
            if last.replace(state) != Some(state) && desk.tell(seen(number, state)).await.is_err() {
                return;
            }
        }
        sleep(LOOK).await;
    }
}
