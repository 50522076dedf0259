//! What drivers add to the time of the hardware they drive, and what they cost while nobody orders anything:
//! `cargo xtask bench power` runs this and makes a table of what it prints.
#![expect(clippy::unwrap_used, reason = "a measurement may stop")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivers::power::{DriverReport, Power, PowerCommand, Reveal, kept_for_board};
use model::{
    CommandId, DeviceKind, DeviceSight, DeviceSpec, DriverName, NodeName, Outcome, PortRef, PowerOrder, Span,
};
use rustix::time::{ClockId, clock_gettime};
use sim::buttons::{Cabinet, Pace, RelayBoard};
use sim::pty::Adapter;
use tokio::sync::mpsc;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(120);
const BOARDS: usize = 8;
/// A short press.
const PRESS: Duration = Duration::from_millis(250);
/// How long nothing is ordered.
const WATCHED: Duration = Duration::from_secs(60);

/// Original boards at 9600 baud, and their drivers.
struct Stand {
    boards: Vec<Adapter<RelayBoard>>,
    powers: Vec<Power>,
    reports: mpsc::Receiver<DriverReport>,
}

fn driver(board: usize) -> DriverName {
    format!("board{board}").parse().unwrap()
}

fn node(board: usize, port: usize) -> NodeName {
    format!("node{board}-{port}").parse().unwrap()
}

impl Stand {
    /// So many boards, each of which has answered.
    async fn new(count: usize) -> Self {
        let (tell, mut reports) = mpsc::channel(1024);
        let reveal: Reveal = Arc::new(|_| Err("nothing is kept".to_owned()));
        let (mut boards, mut powers) = (Vec::new(), Vec::new());
        for at in 0..count {
            let path: PathBuf = std::env::temp_dir().join(format!("cost-{}-{at}", std::process::id()));
            let boxes = [Cabinet::new(Pace { post: 400, stop: 300 }); 8];
            let mut board = Adapter::new(&path, 9600, RelayBoard::new(boxes, 0));
            board.plug().unwrap();
            boards.push(board);
            let kind = DeviceKind::Relayinator { device: path.to_str().unwrap().to_owned() };
            let spec = DeviceSpec { kind, stagger: Span(0), protect: [].into(), standby: None };
            let ports = (1..=8).map(|port| (port.to_string(), node(at, port))).collect();
            powers.push(Power::of_device((driver(at), &spec), ports, &reveal, &tell));
        }
        let mut answered = 0;
        while answered < count {
            let report = timeout(LIMIT, reports.recv()).await.unwrap().unwrap();
            answered += usize::from(matches!(
                report,
                DriverReport::DeviceSeen { sight: DeviceSight::Answers { .. }, .. }
            ));
        }
        Self { boards, powers, reports }
    }

    fn begin(&self, id: u64, (board, port): (usize, usize)) {
        let at = PortRef { driver: driver(board), port: port.to_string() };
        let (id, order) = (CommandId(id), PowerOrder::On);
        self.powers
            .get(board)
            .unwrap()
            .order(&PowerCommand { id, node: node(board, port), port: at, order })
            .unwrap();
    }

    async fn ends(&mut self, mut count: usize) {
        while count > 0 {
            if let DriverReport::Finished { outcome, .. } =
                timeout(LIMIT, self.reports.recv()).await.unwrap().unwrap()
            {
                assert_eq!(outcome, Outcome::Done);
                count -= 1;
            }
        }
    }

    fn busy(&self) -> Duration {
        self.boards.iter().map(Adapter::busy).max().unwrap_or_default()
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

#[tokio::test]
#[ignore = "a measurement: cargo xtask bench power"]
async fn ports() {
    // One port at a time, and then all of them: button 7 was pressed by the firmware itself.
    let mut stand = Stand::new(1).await;
    for port in [1, 2, 3, 4, 5, 6, 8] {
        let (began, busy) = (Instant::now(), stand.busy());
        stand.begin(1, (0, port));
        stand.ends(1).await;
        let (took, line) = (began.elapsed(), stand.busy() - busy);
        println!("one_took {}", ms(took));
        println!("one_kept {}", ms(kept_for_board(1)));
        println!("one_added {}", ms(took) - ms(line) - ms(PRESS) - ms(kept_for_board(1)));
    }
    drop(stand);
    for _ in 0..3 {
        let mut stand = Stand::new(BOARDS).await;
        // So that all sixty-four do something: what the firmware pressed is forgotten.
        for board in &stand.boards {
            board.with(|board, now| {
                // Its own press ends first: until then it believes 7 off, and takes no "off".
                board.lives(now + 1000);
                board.hear(b"off 7\n", now + 1000);
                board.lives(now + 7000);
                board.take_said();
            });
        }
        let (began, busy) = (Instant::now(), stand.busy());
        for board in 0..BOARDS {
            (1..=8).for_each(|port| stand.begin(u64::try_from(board * 8 + port).unwrap(), (board, port)));
        }
        stand.ends(BOARDS * 8).await;
        let (took, line) = (began.elapsed(), stand.busy() - busy);
        println!("all_took {}", ms(took));
        println!("all_line {}", ms(line + PRESS));
        println!("all_kept {}", ms(kept_for_board(8)));
        println!("all_added {}", (ms(took) - ms(line) - ms(PRESS) - ms(kept_for_board(8))) / 8.0);
    }
}

#[tokio::test]
#[ignore = "a measurement: cargo xtask bench power"]
async fn idle() {
    let mut stand = Stand::new(BOARDS).await;
    // Drivers run on this thread alone, boards on others.
    let used = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(now.tv_sec).unwrap(), u32::try_from(now.tv_nsec).unwrap())
    };
    for _ in 0..3 {
        let (began, before) = (Instant::now(), used());
        let told = timeout(WATCHED, async {
            loop {
                stand.reports.recv().await.unwrap();
            }
        });
        assert!(told.await.is_err(), "nothing ends it");
        println!("idle_share {}", (used() - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0);
    }
}
