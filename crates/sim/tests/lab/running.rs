//! A lab that runs by itself, under paused time, against a server in memory.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use model::{Outcome, PowerOrder, PowerState};
use sim::net::{Lab, Plug};
use sim::{Cable, Ipxe, Kind, Machine, Phase, PortConfig, PowerBoard, Segment, Step};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::stand::{Server, config, mac};

const LIMIT: Duration = Duration::from_secs(300);

fn lab(kinds: &[Kind], ports: PortConfig) -> Lab {
    let machine = |(kind, number): (&Kind, u8)| {
        let mut config = config(*kind, Ipxe::Of2025);
        config.mac = mac(number);
        Machine::new(config)
    };
    let machines: Vec<Machine> = kinds.iter().zip(1..).map(machine).collect();
    let board = PowerBoard::new(vec![ports; machines.len()], 3);
    Lab::new(Segment::new(machines, Cable::default(), 5), board, 1)
}

/// Serves the lab from memory until dropped.
fn spawn_server(lab: &Lab, server: Server) -> JoinSet<()> {
    let server = Arc::new(Mutex::new(server));
    let (frames, mut arriving) = mpsc::unbounded_channel::<Vec<u8>>();
    let (dialled, mut connections) = mpsc::unbounded_channel::<DuplexStream>();
    let mut tasks = JoinSet::new();
    let dial = move |_from, _to| {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        dialled.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok::<_, io::Error>(ours)
    };
    let running = lab.clone();
    tasks.spawn(async move { running.run(Plug::new(frames, dial)).await });
    let (boss, segment) = (Arc::clone(&server), lab.clone());
    tasks.spawn(async move {
        let began = Instant::now();
        let now = || u64::try_from(began.elapsed().as_millis()).unwrap();
        loop {
            let wake = boss.lock().unwrap().wake_at();
            let nap = Duration::from_millis(wake.map_or(1_000_000, |at| at.saturating_sub(now())));
            let answers = tokio::select! {
                Some(frame) = arriving.recv() => boss.lock().unwrap().take_frame(&frame, now()),
                () = tokio::time::sleep(nap) => boss.lock().unwrap().tick(now()),
            };
            answers.iter().for_each(|frame| segment.from_server(frame));
        }
    });
    tasks.spawn(async move {
        let mut guests = JoinSet::new();
        while let Some(stream) = connections.recv().await {
            let boss = Arc::clone(&server);
            let answer = service_fn(move |request: Request<Incoming>| {
                let answer = boss.lock().unwrap().reply(request.uri().path());
                std::future::ready(Ok::<_, Infallible>(response(answer)))
            });
            guests.spawn(async move {
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    });
    tasks
}

fn response((status, headers, body): (u16, Vec<(String, String)>, Bytes)) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers.iter().filter(|(name, _)| name != "Content-Length") {
        response = response.header(name, value);
    }
    response.body(Full::new(body)).unwrap()
}

fn welcomed(segment: &Segment) -> bool {
    segment.machines().iter().all(|m| m.history().iter().any(|(_, step)| *step == Step::AgentWelcomed))
}

#[tokio::test(start_paused = true)]
async fn a_lab_of_all_kinds_comes_up_over_streams_under_paused_time() {
    let lab = lab(
        &[Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp],
        PortConfig { slow_ms: 20, ..PortConfig::default() },
    );
    let _server = spawn_server(&lab, Server::default());
    for port in 0..4 {
        assert_eq!(lab.see(port), PowerState::Off);
        assert_eq!(lab.order(port, PowerOrder::On).await, Outcome::Done);
        assert_eq!(lab.see(port), PowerState::On);
    }
    let begun = Instant::now();
    assert!(lab.wait_until(LIMIT, welcomed).await);
    let took = begun.elapsed();
    assert!(Duration::from_secs(9) < took && took < Duration::from_secs(20), "{took:?}");
    assert!(lab.screen().iter().any(|line| line.machine == 2 && line.text.contains("UEFI PXEv4")));
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_server_is_gone_strands_and_comes_back_with_it() {
    let lab = lab(&[Kind::BiosIpxeRom], PortConfig::default());
    let mut server = Server::default();
    server.will_answer("/boot.ipxe", 404, &[], "");
    let _server = spawn_server(&lab, server);
    lab.switch(0, PowerOrder::On);
    assert!(lab.wait_until(LIMIT, |s| s.all_in(Phase::Stranded)).await);
    lab.reset(0);
    assert!(lab.wait_until(LIMIT, welcomed).await);
}

#[tokio::test(start_paused = true)]
async fn a_reset_board_switches_everything_off() {
    let lab = lab(&[Kind::BiosPxe, Kind::UefiHttp], PortConfig::default());
    let _server = spawn_server(&lab, Server::default());
    lab.switch(0, PowerOrder::On);
    lab.switch(1, PowerOrder::On);
    assert!(lab.wait_until(LIMIT, welcomed).await);
    lab.reset_board();
    assert!(lab.wait_until(LIMIT, |s| s.all_in(Phase::Off)).await);
    assert!(!lab.wait_until(LIMIT, |s| !s.all_in(Phase::Off)).await);
}
