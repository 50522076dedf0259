//! A controller that answers from a list, and a lab to answer with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use model::{
    Bar, Boot, Carrier, Cell, ClientKind, Fault, FaultCode, FileBytes, FileRole, Goal, LabTime, LabView,
    MachineView, Moment, NodeWord, Notice, Phase, PortRef, PowerState, PowerView, Rung, SavedPackets,
    ScenarioView, Snapshot, Stage, Stranger, Trace, Transfer, Waiting, WallTime, Waterfall,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

/// What is answered to one question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A body with this status.
    Body(u16, String),
    /// Pieces of a stream, then the line is closed; the next answer is for the next connection.
    Stream(Vec<String>),
    /// Nothing: the line stays open and silent after these pieces.
    Silence(Vec<String>),
}

/// What was asked: method and path, head, body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A controller in this process.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) socket: PathBuf,
    pub(crate) tcp: std::net::SocketAddr,
    answers: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Gone with it.
    pub(crate) folder: PathBuf,
}

impl Drop for Controller {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Controller {
    /// Starts one in a folder of its own.
    pub(crate) async fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("labinator-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("api.sock");
        let unix = UnixListener::bind(&socket).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let controller =
            Self { socket, tcp: address, answers: Arc::default(), asked: Arc::default(), folder };
        let (answers, asked) = (Arc::clone(&controller.answers), Arc::clone(&controller.asked));
        tokio::spawn(async move {
            loop {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
                tokio::select! {
                    Ok((stream, _)) = unix.accept() => { tokio::spawn(serve(stream, answers, asked)); }
                    Ok((stream, _)) = tcp.accept() => { tokio::spawn(serve(stream, answers, asked)); }
                }
            }
        });
        controller
    }

    /// Answers `line` (`GET /v1/snapshot`) with this; several are given in order, the last one stays.
    pub(crate) fn answers(&self, line: &str, answer: Answer) -> &Self {
        self.answers.lock().unwrap().entry(line.to_owned()).or_default().push(answer);
        self
    }

    /// Answers `line` with a value of the contract.
    pub(crate) fn gives<T: serde::Serialize>(&self, line: &str, value: &T) -> &Self {
        self.answers(line, Answer::Body(200, serde_json::to_string(value).unwrap()))
    }

    /// Everything that was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answers: Arc<Mutex<HashMap<String, Vec<Answer>>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(n) => bytes.extend_from_slice(&piece[..n]),
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if length.is_none_or(|n| body.len() >= n.trim().parse().unwrap()) {
            break (text.split_once("\r\n\r\n").unwrap().0.to_owned(), body.to_owned());
        }
    };
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    asked.lock().unwrap().push(Asked { line: line.clone(), head, body });
    let answer = {
        let mut all = answers.lock().unwrap();
        match all.get_mut(&line) {
            Some(list) if list.len() > 1 => Some(list.remove(0)),
            Some(list) => list.first().cloned(),
            None => None,
        }
    };
    let (pieces, stays) = match answer.unwrap_or_else(|| Answer::Body(404, String::new())) {
        Answer::Body(status, body) => {
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            (vec![head, body], false)
        }
        Answer::Stream(pieces) => (streamed(pieces), false),
        Answer::Silence(pieces) => (streamed(pieces), true),
    };
    for piece in pieces {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            return;
        }
    }
    if stays {
        std::future::pending::<()>().await;
    }
}

fn streamed(pieces: Vec<String>) -> Vec<String> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned();
    std::iter::once(head).chain(pieces).collect()
}

/// One server-sent event as the contract writes it.
pub(crate) fn said(item: &api::StreamItem, id: &str) -> String {
    let mut value = serde_json::to_value(item).unwrap();
    let data = value["data"].take();
    let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
    format!("event: {}\n{id}data: {data}\n\n", value["event"].as_str().unwrap())
}

/// Compares with the golden file, or writes it when `UPDATE_GOLDEN` is set.
pub(crate) fn same_as_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// `ms` after the lab's beginning, which was at 14:02:11 UTC.
pub(crate) fn at(ms: u64) -> Moment {
    Moment { since_start: LabTime(ms), wall: WallTime(50_531_000 + ms) }
}

/// A machine that nobody has touched.
pub(crate) fn machine(number: u8) -> MachineView {
    MachineView {
        node: format!("node{number}").parse().unwrap(),
        cell: Cell { column: number, row: 1 },
        zone: Some(1),
        mac: format!("52:54:00:00:00:{number:02x}").parse().unwrap(),
        ip: format!("10.0.0.{}", 10 + number).parse().unwrap(),
        word: NodeWord::Off,
        since: at(0),
        rung: Rung::Off,
        goal: Goal::Any,
        waiting: None,
        power: PowerView {
            state: PowerState::Off,
            evidence: "the virtual machine is not running".to_owned(),
            seen: Some(at(0)),
            port: PortRef { driver: "sim".parse().unwrap(), port: number.to_string() },
        },
        boot: None,
        ipxe: None,
        agent: None,
        talos: None,
        host: None,
        is_guest: false,
        has_console: false,
        guest: None,
        wipe: None,
        fault: None,
        tries: 0,
    }
}

/// A bar that is over.
pub(crate) fn bar(stage: Stage, from_ms: u64, took_ms: u64) -> Bar {
    Bar { stage, from_ms, took_ms, open: false, bytes: 0, size: 0, note: None, median_ms: None }
}

/// A boot with these bars.
pub(crate) fn waterfall(firmware: ClientKind, bars: Vec<Bar>, open: bool) -> Waterfall {
    let total_ms = bars.iter().map(|b| b.from_ms + b.took_ms).max().unwrap_or(0);
    Waterfall {
        number: 14,
        began: at(500),
        firmware: Some(firmware),
        ipxe: "1.21.1".to_owned(),
        total_ms,
        open,
        bars,
        median_ms: Some(25_100),
        median_of: 13,
    }
}

/// A machine that is not on the board.
fn stranger() -> Stranger {
    Stranger { mac: "52:54:00:ff:00:01".parse().unwrap(), client: ClientKind::UefiPxe, seen: at(28_000) }
}

/// A lab with a machine in every interesting state.
pub(crate) fn busy_lab() -> Snapshot {
    let mut ready = machine(1);
    (ready.word, ready.goal, ready.rung) = (NodeWord::Ready, Goal::Ready, Rung::Ready);
    ready.power.state = PowerState::On;
    ready.boot = Some(waterfall(
        ClientKind::BiosPxe,
        vec![
            bar(Stage::Firmware, 0, 2_200),
            bar(Stage::Dhcp, 2_200, 40),
            bar(Stage::Loader, 2_240, 140),
            bar(Stage::Image, 2_380, 2_700),
            bar(Stage::Kernel, 5_080, 3_900),
        ],
        false,
    ));
    let mut image = machine(2);
    (image.word, image.goal, image.rung) = (NodeWord::Image, Goal::Ready, Rung::Asked);
    let taking = Bar { open: true, bytes: 61_300_000, size: 95_000_000, ..bar(Stage::Image, 8_000, 3_000) };
    image.boot = Some(waterfall(ClientKind::UefiPxe, vec![bar(Stage::Firmware, 0, 8_000), taking], true));
    let mut dhcp = MachineView { word: NodeWord::Dhcp, goal: Goal::Ready, ..machine(3) };
    dhcp.boot = Some(waterfall(ClientKind::UefiHttp, vec![bar(Stage::Dhcp, 0, 5_200)], true));
    dhcp.waiting = Some(Waiting {
        what: "its firmware to collect offers".to_owned(),
        since: LabTime(9_000),
        until: LabTime(99_000),
        then: "switch it off and on again".to_owned(),
    });
    let mut bad = machine(4);
    (bad.word, bad.goal, bad.tries) = (NodeWord::Bad, Goal::Ready, 3);
    bad.fault = Some(Fault {
        code: FaultCode::NeverAsked,
        text: "waited 90.0 s for its first DISCOVER; last seen: the virtual machine is running".to_owned(),
    });
    let machines = [ready, image, dhcp, bad, machine(5)].into_iter().map(Arc::new).collect();
    Snapshot {
        epoch: "e1".to_owned(),
        through: 41,
        at: at(31_000),
        lab: Arc::new(LabView {
            name: "demo".parse().unwrap(),
            columns: 5,
            rows: 1,
            phase: Phase::Booting,
            phase_since: at(3_000),
            phase_because: "4 machines climb".to_owned(),
            scenario: Some("all".parse().unwrap()),
            run: 2,
            run_since: Some(at(1_000)),
            waiting: None,
            pods: None,
            counter_up: true,
            notices: vec![
                Notice::ForeignDhcp {
                    mac: "aa:bb:cc:00:00:01".parse().unwrap(),
                    server: "10.0.0.254".parse().unwrap(),
                },
                Notice::Malformed { protocol: "DHCP".to_owned(), count: 3 },
            ],
            strangers: vec![stranger()],
            trials: Vec::new(),
            scenarios: vec![
                ScenarioView {
                    name: "all".parse().unwrap(),
                    nodes: (1..=5).map(|n| format!("node{n}").parse().unwrap()).collect(),
                    image: "node".to_owned(),
                    missing: Vec::new(),
                },
                ScenarioView {
                    name: "ubuntu".parse().unwrap(),
                    nodes: vec!["node1".parse().unwrap()],
                    image: "assets/vmlinuz".to_owned(),
                    missing: vec!["assets/vmlinuz: no such file".to_owned()],
                },
            ],
        }),
        machines,
    }
}

/// A boot with everything a trace can show.
pub(crate) fn trace() -> Trace {
    let mut bars = vec![
        Bar { note: Some("sim/3, seen on after 0.2 s".to_owned()), ..bar(Stage::Power, 0, 2_100) },
        Bar { median_ms: Some(6_000), ..bar(Stage::Firmware, 2_100, 9_700) },
        Bar {
            note: Some("firmware waits for further offers, nothing can shorten it".to_owned()),
            median_ms: Some(4_100),
            ..bar(Stage::Dhcp, 11_800, 4_000)
        },
        Bar { bytes: 192_512, size: 192_512, ..bar(Stage::Loader, 15_800, 100) },
        Bar { bytes: 95_000_000, size: 95_000_000, ..bar(Stage::Image, 15_900, 1_100) },
        bar(Stage::Kernel, 17_000, 7_800),
    ];
    bars.push(Bar { open: true, ..bar(Stage::Agent, 24_800, 0) });
    let transfer = Transfer {
        name: "initrd".to_owned(),
        role: FileRole::Initrd,
        carrier: Carrier::Http,
        asked: LabTime(16_000),
        ended: None,
        bytes: 40_000_000,
        size: 95_000_000,
        repeats: 0,
        broken: Some("the client closed the connection".to_owned()),
        terms: None,
    };
    Trace {
        node: "node3".parse().unwrap(),
        waterfall: waterfall(ClientKind::UefiPxe, bars, false),
        boot: Boot {
            number: 14,
            began: at(500),
            powered: true,
            firmware: Some(ClientKind::UefiPxe),
            ipxe: "1.21.1".to_owned(),
            marks: Vec::new(),
            transfers: vec![transfer],
            log: Vec::new(),
            unrecorded: 2,
            files: vec![
                FileBytes {
                    name: "snponly.efi".to_owned(),
                    role: FileRole::Loader,
                    size: 192_512,
                    begun: 1,
                    whole: 1,
                    sent: 192_512,
                },
                FileBytes {
                    name: "vmlinuz".to_owned(),
                    role: FileRole::Kernel,
                    size: 11_000_000,
                    begun: 1,
                    whole: 1,
                    sent: 11_000_000,
                },
                FileBytes {
                    name: "initrd".to_owned(),
                    role: FileRole::Initrd,
                    size: 84_000_000,
                    begun: 2,
                    whole: 1,
                    sent: 124_000_000,
                },
                FileBytes {
                    name: "metal-amd64.iso".to_owned(),
                    role: FileRole::Other,
                    size: 100_000_000,
                    begun: 1,
                    whole: 1,
                    sent: 100_000_000,
                },
            ],
            packets: Some(SavedPackets { file: "node3-2-14.pcap".to_owned(), frames: 312 }),
        },
    }
}
