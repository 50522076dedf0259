//! The driver against the relay board's own firmware, through a terminal: boxes with LEDs, lost and spoilt answers, and a
//! board that begins anew.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

#[expect(dead_code, reason = "secrets are for devices on the network")]
mod bench;

use std::path::PathBuf;
use std::time::Duration;

use bench::{Driven, failed};
use drivers::power::DriverReport;
use model::{DeviceKind, DeviceSight, Outcome, PortSense, PowerOrder};
use relay_board::Board;
use relay_board::frames::Said;
use sim::buttons::{Cabinet, Doing, Pace};
use sim::pty::{Adapter, Wired};

/// The board's firmware on a chip that is simulated, with boxes on its relays; all but the last LED are wired.
struct Chip {
    board: Board,
    boxes: [Cabinet; 8],
    boot: u32,
    closed: u8,
    /// Presses that were begun.
    presses: u32,
    says: Vec<u8>,
    /// Answers that are lost on their way, and then those of which a byte is spoilt.
    lose: u32,
    spoil: u32,
    /// Answers that are lost while a relay is closed.
    lose_pressed: u32,
}

const WIRED: u8 = 0x7f;

impl Chip {
    fn new() -> Self {
        let boxes = [Cabinet::new(Pace { post: 400, stop: 300 }); 8];
        let (board, says) = (Board::new(0x00c0_ffee, WIRED, 0), Vec::new());
        Self {
            board,
            boxes,
            boot: 0x00c0_ffee,
            closed: 0,
            presses: 0,
            says,
            lose: 0,
            spoil: 0,
            lose_pressed: 0,
        }
    }

    fn reset(&mut self, now: u64) {
        self.boot += 1;
        self.board = Board::new(self.boot, WIRED, now);
        self.says.extend_from_slice(self.board.greeting(now).bytes());
        self.lives(now);
    }

    fn lives(&mut self, now: u64) {
        let lit = self.boxes.iter().rev().fold(0, |all, one| all << 1 | u8::from(one.doing() != Doing::Off));
        let closed = self.board.tick(lit, now);
        for (at, one) in self.boxes.iter_mut().enumerate() {
            one.lives(now);
            match (self.closed >> at & 1, closed >> at & 1) {
                (0, 1) => {
                    self.presses += 1;
                    one.press(now);
                }
                (1, 0) => one.release(),
                _ => {}
            }
        }
        self.closed = closed;
    }
}

impl Wired for Chip {
    fn hear(&mut self, bytes: &[u8], now: u64) {
        self.lives(now);
        for byte in bytes {
            let Some(frame) = self.board.take(*byte, now) else { continue };
            let mut answer = frame.bytes().to_vec();
            let said = Said::read(answer.strip_suffix(b"\n").unwrap()).unwrap();
            if self.lose_pressed > 0 && said.pressed.contains(&true) {
                self.lose_pressed -= 1;
                continue;
            }
            if self.lose > 0 {
                self.lose -= 1;
                continue;
            }
            if self.spoil > 0 {
                self.spoil -= 1;
                answer[4] ^= 1;
            }
            self.says.append(&mut answer);
        }
        self.lives(now);
    }

    fn say(&mut self, now: u64) -> Vec<u8> {
        self.lives(now);
        std::mem::take(&mut self.says)
    }
}

fn stand(name: &str) -> (Adapter<Chip>, Driven) {
    let path: PathBuf = std::env::temp_dir().join(format!("framed-{}-{name}", std::process::id()));
    let mut adapter = Adapter::new(&path, 9600, Chip::new());
    adapter.plug().unwrap();
    let device = path.to_str().unwrap().to_owned();
    (adapter, Driven::new(DeviceKind::Relayinator { device }, &["1", "2", "8"], &[]))
}

fn doing(adapter: &Adapter<Chip>, at: usize) -> Doing {
    adapter.with(|chip, now| {
        chip.lives(now);
        chip.boxes[at].doing()
    })
}

fn presses(adapter: &Adapter<Chip>) -> u32 {
    adapter.with(|chip, _| chip.presses)
}

#[tokio::test]
async fn a_board_of_ours_is_known_by_its_answer_and_its_leds_tell_what_runs() {
    let (adapter, mut driven) = stand("leds");
    let DeviceSight::Answers { about } = driven.sight().await else { panic!() };
    assert!(about.contains("speaks frames"), "{about}");
    assert_eq!(presses(&adapter), 0, "it presses nothing when it begins");
    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
    assert_ne!(doing(&adapter, 0), Doing::Off);
    let lit = |report: &DriverReport| {
        matches!(report, DriverReport::PortRead { node, reading }
            if node.as_str() == "node1" && reading.sense == PortSense::Machine(true))
    };
    assert!(driven.passed.iter().any(lit), "{:?}", driven.passed);
    // What the board sees running is not pressed again, whatever was known when the order was given.
    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
    assert_eq!(presses(&adapter), 1);
    assert_eq!(driven.order("1", PowerOrder::Off).await, Outcome::Done);
    assert_eq!((doing(&adapter, 0), presses(&adapter)), (Doing::Off, 2));
    let dark = |report: &DriverReport| {
        matches!(report, DriverReport::PortRead { node, reading }
            if node.as_str() == "node1" && reading.sense == PortSense::Machine(false))
    };
    assert!(driven.passed.iter().any(dark), "{:?}", driven.passed);
    // An LED that is not wired tells nothing, and its machine is pressed as it is told.
    assert_eq!(driven.order("8", PowerOrder::On).await, Outcome::Done);
    assert_ne!(doing(&adapter, 7), Doing::Off);
}

#[tokio::test]
async fn an_answer_that_is_lost_or_spoilt_presses_nothing_twice() {
    let (adapter, mut driven) = stand("lost");
    driven.sight().await;
    // Of the look before the press, and of the press itself.
    for (lose, spoil, port) in [(1, 0, "1"), (0, 2, "2")] {
        let before = presses(&adapter);
        adapter.with(|chip, _| (chip.lose, chip.spoil) = (lose, spoil));
        assert_eq!(driven.order(port, PowerOrder::Press).await, Outcome::Done);
        assert_eq!(presses(&adapter), before + 1, "{port}");
    }
    // The answers of a hold alone: it is told three times, and done once; when no answer comes at all, nobody says so.
    for (lost, outcome) in [(2, Outcome::Done), (3, Outcome::Unknown)] {
        let before = presses(&adapter);
        adapter.with(|chip, _| chip.lose_pressed = lost);
        assert_eq!(driven.order("8", PowerOrder::Off).await, outcome, "{lost}");
        assert_eq!(presses(&adapter), before + 1, "{lost}");
        adapter.with(|chip, now| {
            chip.boxes[7] = Cabinet::new(Pace { post: 400, stop: 300 });
            chip.board = Board::new(chip.boot, WIRED, now);
        });
    }
}

#[tokio::test]
async fn a_board_that_began_anew_presses_nothing_by_what_was_known_before() {
    let (adapter, mut driven) = stand("reset");
    driven.sight().await;
    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
    // Its greeting is lost: only the look before the press can tell.
    adapter.with(|chip, now| {
        chip.reset(now);
        chip.says.clear();
    });
    let (code, _) = failed(driven.order("2", PowerOrder::On).await);
    assert_eq!((code.as_str(), doing(&adapter, 1), presses(&adapter)), ("restarted", Doing::Off, 1));
    assert_ne!(doing(&adapter, 0), Doing::Off, "what ran runs on");
    // It is told, and what comes then is decided by what is seen since.
    let restarted = loop {
        if let DeviceSight::Restarted { how } = driven.sight().await {
            break how;
        }
    };
    assert!(restarted.contains("not the start that was known"), "{restarted}");
    assert_eq!(driven.order("2", PowerOrder::On).await, Outcome::Done);
    assert_eq!(presses(&adapter), 2);
    // A greeting is heard at once, long before the next idle look.
    adapter.with(Chip::reset);
    let told = tokio::time::timeout(Duration::from_secs(3), async {
        while !matches!(driven.sight().await, DeviceSight::Restarted { .. }) {}
    });
    assert!(told.await.is_ok());
}
