//! The driver of the original relay board, through the lab's own door, against its firmware as it is, over a serial port
//! that is offered by TCP.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use drivers::here::Here;
use drivers::power::{DriverReport, Power, PowerCommand};
use model::{
    BoardSpec, Cell, CommandId, DeviceKind, DeviceSight, DeviceSpec, DhcpMode, LabSpec, Limits, MacAddr,
    NetworkSpec, NodeName, NodeSpec, Outcome, PortReading, PortRef, PortSense, PowerDriver, PowerOrder, Span,
};
use sim::buttons::{BOSS, Cabinet, Doing, Pace, RelayBoard};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// The board with a clock of its own.
#[derive(Clone)]
struct Bench {
    board: Arc<Mutex<RelayBoard>>,
    began: Instant,
}

impl Bench {
    fn new() -> Self {
        let boxes = [Cabinet::new(Pace { post: 400, stop: 300 }); 8];
        Self { board: Arc::new(Mutex::new(RelayBoard::new(boxes, 0))), began: Instant::now() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut RelayBoard, u64) -> T) -> T {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        let mut board = self.board.lock().unwrap();
        board.lives(now);
        look(&mut board, now)
    }

    fn doing(&self, at: usize) -> Doing {
        self.with(|board, _| board.cabinet(at).unwrap().doing())
    }

    /// Offers its line, one program at a time.
    async fn offer(self, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                let said = self.with(|board, now| {
                    board.hear(&bytes[..count], now);
                    board.take_said()
                });
                if stream.write_all(&said).await.is_err() {
                    break;
                }
            }
        }
    }
}

fn name(port: u8) -> NodeName {
    format!("node{port}").parse().unwrap()
}

fn port_of(port: u8) -> PortRef {
    PortRef { driver: "relays".parse().unwrap(), port: port.to_string() }
}

fn lab(device: String) -> LabSpec {
    let node = |port: u8| {
        let spec = NodeSpec {
            disk: None,
            at: Cell { column: port, row: 1 },
            zone: None,
            mac: MacAddr([2, 0, 0, 0, 0, port]),
            ip: [10, 77, 0, 10 + port].into(),
            ip6: None,
            power: port_of(port),
            loader: model::LoaderChoice::Ipxe,
            guest: None,
            memory: None,
            firmware: None,
        };
        (name(port), spec)
    };
    let device = DeviceSpec {
        kind: DeviceKind::Relayinator { device },
        stagger: Span(1),
        protect: ["7".to_owned()].into(),
        standby: None,
    };
    LabSpec {
        lab: "test".parse().unwrap(),
        network: NetworkSpec {
            interface: "br0".to_owned(),
            subnet: [10, 77, 0, 0].into(),
            prefix: 24,
            boss: [10, 77, 0, 1].into(),
            gateway: None,
            dns: Vec::new(),
            domain: None,
            names: None,
            ntp: model::NtpMode::Off,
            pool: None,
            dhcp: DhcpMode::Off,
            lease_seconds: 600,
            relays: Vec::new(),
            tftp: model::TftpPorts::default(),
            ipv6: None,
        },
        power: [("relays".parse().unwrap(), PowerDriver::Device(device))].into(),
        board: BoardSpec { columns: 6, rows: 1, nodes: (1..=6).map(node).collect() },
        scenarios: [].into(),
        limits: Limits::default(),
        variables: model::Variables::default(),
        agent_updates: model::AgentUpdates::default(),
        secure_boot: model::SecureBootRule::default(),
    }
}

struct Driver {
    power: Power,
    reports: mpsc::Receiver<DriverReport>,
    seen: Vec<DriverReport>,
}

impl Driver {
    fn order(&self, id: u64, port: u8, order: PowerOrder) {
        let command = PowerCommand { id: CommandId(id), node: name(port), port: port_of(port), order };
        self.power.order(&command).unwrap();
    }

    async fn outcome(&mut self, wanted: u64) -> Outcome {
        loop {
            match timeout(Duration::from_secs(30), self.reports.recv()).await.unwrap().unwrap() {
                DriverReport::Finished { id, outcome } if id == CommandId(wanted) => return outcome,
                other => self.seen.push(other),
            }
        }
    }
}

#[tokio::test]
async fn the_board_presses_holds_and_tells_what_it_believes() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(bench.clone().offer(listener));
    let (tell, reports) = mpsc::channel(256);
    let spec = lab(device);
    let here = Here::of(&spec, Path::new("/nonexistent"));
    let reveal: drivers::power::Reveal = Arc::new(|wanted| Err(format!("{wanted} is kept nowhere")));
    let power = Power::spawn(&spec, &here, &reveal, &tell).unwrap();
    let mut driver = Driver { power, reports, seen: Vec::new() };

    let mut added = Vec::new();
    for port in 1..=6 {
        let began = Instant::now();
        driver.order(port.into(), port, PowerOrder::On);
        assert_eq!(driver.outcome(port.into()).await, Outcome::Done);
        // The press, and the margin for the board's own clock.
        added.push(began.elapsed().saturating_sub(Duration::from_millis(300)));
    }
    println!("beside the press each order took {added:?}");
    for at in 0..6 {
        assert!(matches!(bench.doing(at), Doing::Post(_) | Doing::Runs), "{at}");
    }
    driver.order(11, 1, PowerOrder::Off);
    driver.order(12, 2, PowerOrder::Off);
    assert_eq!(driver.outcome(11).await, Outcome::Done);
    assert_eq!(driver.outcome(12).await, Outcome::Done);
    assert_eq!((bench.doing(0), bench.doing(1), bench.doing(2)), (Doing::Off, Doing::Off, Doing::Runs));

    // It begins anew: what it believed is gone, what runs goes on, and nothing is pressed by its word.
    bench.with(|board, now| board.reset(now));
    driver.order(13, 3, PowerOrder::On);
    let Outcome::Failed { code, .. } = driver.outcome(13).await else { panic!("it was pressed") };
    assert_eq!((code.as_str(), bench.doing(2)), ("restarted", Doing::Runs));
    driver.order(14, 1, PowerOrder::On);
    driver.outcome(14).await;
    let restarted = |report: &DriverReport| {
        matches!(report, DriverReport::DeviceSeen { sight: DeviceSight::Restarted { .. }, .. })
    };
    assert!(driver.seen.iter().any(restarted), "{:?}", driver.seen);
    let believed = PortReading { sense: PortSense::Believed(true), milliwatts: None };
    let told = DriverReport::PortRead { node: name(1), reading: believed };
    assert!(driver.seen.contains(&told), "{:?}", driver.seen);
    // Nobody but the firmware itself ever touched the boss's button.
    assert_eq!(bench.with(|board, _| board.began()), 2);
    assert_ne!(bench.doing(BOSS), Doing::Off);
}
