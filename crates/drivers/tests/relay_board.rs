//! The driver of the original relay board, through the lab's own door, against its firmware as it is, over a serial port
//! that is offered by TCP.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

#[expect(dead_code, reason = "what a board believes is looked at among what passed")]
mod bench;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bench::{Driven, failed};
use drivers::power::DriverReport;
use model::{DeviceKind, DeviceSight, Outcome, PortReading, PortSense, PowerOrder};
use sim::buttons::{BOSS, Cabinet, Doing, Pace, RelayBoard};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Machines on the first six ports.
const PORTS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

/// The board with a clock of its own.
#[derive(Clone)]
struct Board {
    board: Arc<Mutex<RelayBoard>>,
    began: Instant,
}

impl Board {
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

#[tokio::test]
async fn the_board_presses_holds_and_tells_what_it_believes() {
    let board = Board::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(board.clone().offer(listener));
    let mut driven = Driven::new(DeviceKind::Relayinator { device }, &PORTS, &[]);

    let mut added = Vec::new();
    for port in PORTS {
        let began = Instant::now();
        assert_eq!(driven.order(port, PowerOrder::On).await, Outcome::Done);
        // The press, and the margin for the board's own clock.
        added.push(began.elapsed().saturating_sub(Duration::from_millis(300)));
    }
    println!("beside the press each order took {added:?}");
    for at in 0..6 {
        assert!(matches!(board.doing(at), Doing::Post(_) | Doing::Runs), "{at}");
    }
    let (first, second) = (driven.begin("1", PowerOrder::Off), driven.begin("2", PowerOrder::Off));
    assert_eq!(driven.end(first).await, Outcome::Done);
    assert_eq!(driven.end(second).await, Outcome::Done);
    assert_eq!((board.doing(0), board.doing(1), board.doing(2)), (Doing::Off, Doing::Off, Doing::Runs));

    // It begins anew: what it believed is gone, what runs goes on, and nothing is pressed by its word.
    board.with(|board, now| board.reset(now));
    let (code, _) = failed(driven.order("3", PowerOrder::On).await);
    assert_eq!((code.as_str(), board.doing(2)), ("restarted", Doing::Runs));
    driven.order("1", PowerOrder::On).await;
    let restarted = |report: &DriverReport| {
        matches!(report, DriverReport::DeviceSeen { sight: DeviceSight::Restarted { .. }, .. })
    };
    assert!(driven.passed.iter().any(restarted), "{:?}", driven.passed);
    let believed = PortReading { sense: PortSense::Believed(true), milliwatts: None };
    let told = DriverReport::PortRead { node: "node1".parse().unwrap(), reading: believed };
    assert!(driven.passed.contains(&told), "{:?}", driven.passed);
    // Nobody but the firmware itself ever touched the boss's button.
    assert_eq!(board.with(|board, _| board.began()), 2);
    assert_ne!(board.doing(BOSS), Doing::Off);
}
