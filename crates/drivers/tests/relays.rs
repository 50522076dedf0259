//! Relay boards of shops, on a line that is offered by TCP: bytes as the makers have them, boards that tell and boards that
//! do not, and a press that was broken off.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

#[expect(dead_code, reason = "the parts of other tests are used as they are")]
mod bench;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bench::{Driven, failed};
use model::{DeviceKind, Outcome, PortReading, PortSense, PowerOrder, RelayBoard, RelayWiring, RelaysDevice};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How a board answers when it is asked how its relays are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Lines,
    Bytes,
    Nothing,
    Garbage,
}

/// What a board did, with its four relays.
#[derive(Debug)]
struct State {
    closed: [bool; 4],
    /// Relay, whether it closed, and when.
    moves: Vec<(usize, bool, Instant)>,
    heard: Vec<u8>,
    tells: Tells,
    /// The line is dead once this many relays were closed.
    dies: Option<usize>,
    asked: usize,
}

struct Board {
    device: String,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Board {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn set(&mut self, relay: usize, close: bool) {
        self.closed[relay] = close;
        self.moves.push((relay, close, Instant::now()));
    }

    /// Takes what came, as an LCUS board does.
    fn lcus(&mut self, came: &mut Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(first) = came.first().copied() {
            if first == 0xff {
                came.remove(0);
                self.asked += 1;
                let lines = self
                    .closed
                    .iter()
                    .zip(1..)
                    .map(|(on, number)| format!("CH{number}: {}\r\n", if *on { "ON" } else { "OFF" }));
                out.extend(match self.tells {
                    Tells::Lines => lines.collect::<String>().into_bytes(),
                    Tells::Bytes => self.closed.iter().map(|on| u8::from(*on)).collect(),
                    Tells::Nothing => Vec::new(),
                    Tells::Garbage => b"\x80\xfe CH?".to_vec(),
                });
                continue;
            }
            if came.len() < 4 {
                break;
            }
            let order: Vec<u8> = came.drain(..4).collect();
            let sum = order[..3].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            assert!(order[0] == 0xa0 && order[3] == sum && order[2] < 2, "{order:x?}");
            self.set(usize::from(order[1]) - 1, order[2] == 1);
        }
        out
    }

    /// The same as a board of Numato's, which says again what it hears.
    fn numato(&mut self, came: &mut Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(end) = came.iter().position(|byte| *byte == b'\r') {
            let line: Vec<u8> = came.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            out.extend(format!("{line}\n").into_bytes());
            match line.trim().split(' ').collect::<Vec<_>>().as_slice() {
                ["relay", "read", relay] => {
                    let on = self.closed[relay.parse::<usize>().unwrap()];
                    out.extend(if on { b"on\n\r".to_vec() } else { b"off\n\r".to_vec() });
                }
                ["relay", deed, relay] => self.set(relay.parse().unwrap(), *deed == "on"),
                other => panic!("{other:?}"),
            }
            out.push(b'>');
        }
        out
    }
}

impl Board {
    async fn new(words: RelayBoard, tells: Tells) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = format!("tcp://{}", listener.local_addr().unwrap());
        let state =
            State { closed: [false; 4], moves: Vec::new(), heard: Vec::new(), tells, dies: None, asked: 0 };
        let state = Arc::new(Mutex::new(state));
        let inside = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, &words, &inside).await;
            }
        });
        Self { device, state, task }
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    fn drive(&self, board: RelayBoard, wiring: RelayWiring, ports: &[&str]) -> Driven {
        let device = RelaysDevice { device: self.device.clone(), baud: 9600, board, wiring };
        Driven::new(DeviceKind::Relays(Box::new(device)), ports, &[])
    }
}

async fn serve(mut stream: TcpStream, words: &RelayBoard, state: &Mutex<State>) {
    let mut came = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut came).await {
        let (out, dead) = {
            let mut state = state.lock().unwrap();
            state.heard.extend(&came);
            let out = match words {
                RelayBoard::Lcus => state.lcus(&mut came),
                RelayBoard::Numato => state.numato(&mut came),
                RelayBoard::Own { .. } => std::mem::take(&mut came).drain(..0).collect(),
            };
            let closed = state.moves.iter().filter(|(_, close, _)| *close).count();
            let dead = state.dies.is_some_and(|dies| closed >= dies);
            if dead {
                state.dies = None;
            }
            (out, dead)
        };
        if dead || stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

const fn supply(on: bool) -> PortReading {
    PortReading { sense: PortSense::Supply(on), milliwatts: None }
}

#[tokio::test]
async fn relays_in_the_supply_are_closed_opened_and_read() {
    for (board, tells, first) in [
        (RelayBoard::Lcus, Tells::Lines, "1"),
        (RelayBoard::Lcus, Tells::Bytes, "1"),
        (RelayBoard::Numato, Tells::Lines, "0"),
    ] {
        let there = Board::new(board.clone(), tells).await;
        // Somebody else closed one before.
        there.with(|state| state.closed[0] = true);
        let mut driven = there.drive(board.clone(), RelayWiring::Supply, &[first]);
        assert_eq!(driven.reading().await, supply(true), "{board:?} {tells:?}");
        assert_eq!(driven.order(first, PowerOrder::Off).await, Outcome::Done);
        assert!(!there.with(|state| state.closed[0]), "{board:?}");
        assert_eq!(driven.order(first, PowerOrder::On).await, Outcome::Done);
        assert_eq!(there.with(|state| state.closed), [true, false, false, false], "{board:?}");
        assert_eq!(failed(driven.order(first, PowerOrder::Soft).await).0, "not-supported");
    }
}

#[tokio::test]
async fn a_board_that_does_not_tell_is_asked_once_and_nothing_is_claimed() {
    for tells in [Tells::Nothing, Tells::Garbage] {
        let there = Board::new(RelayBoard::Lcus, tells).await;
        let mut driven = there.drive(RelayBoard::Lcus, RelayWiring::Supply, &["2"]);
        assert_eq!(driven.reading().await, PortReading::default(), "{tells:?}");
        assert_eq!(driven.order("2", PowerOrder::On).await, Outcome::Done);
        assert_eq!(there.with(|state| (state.closed[1], state.asked)), (true, 1), "{tells:?}");
    }
}

#[tokio::test]
async fn a_button_is_pressed_briefly_and_held_long() {
    let there = Board::new(RelayBoard::Lcus, Tells::Lines).await;
    let mut driven = there.drive(RelayBoard::Lcus, RelayWiring::Button, &["3"]);
    // What a relay across a button says is nothing about the machine.
    assert_eq!(driven.reading().await, PortReading::default());
    for (order, least, most) in [(PowerOrder::Press, 250, 1500), (PowerOrder::Off, 5500, 7500)] {
        assert_eq!(driven.order("3", order).await, Outcome::Done);
        // The line carries what was written before the order was done.
        let end = Instant::now() + Duration::from_secs(20);
        while there.with(|state| state.closed[2]) {
            assert!(Instant::now() < end, "it stays closed");
            tokio::task::yield_now().await;
        }
        let moves = there.with(|state| state.moves.clone());
        let [.., (2, true, closed), (2, false, opened)] = moves.as_slice() else { panic!("{moves:?}") };
        let long = opened.duration_since(*closed);
        let range = Duration::from_millis(least - 50)..Duration::from_millis(most);
        assert!(range.contains(&long), "{order}: {long:?}");
    }
}

#[tokio::test]
async fn a_press_that_was_broken_off_is_ended_when_the_line_is_back_and_is_not_made_again() {
    let there = Board::new(RelayBoard::Lcus, Tells::Lines).await;
    let mut driven = there.drive(RelayBoard::Lcus, RelayWiring::Button, &["1", "2"]);
    driven.reading().await;
    there.with(|state| state.dies = Some(1));
    // Writing into a line that just died may still seem to work.
    let outcome = driven.order("1", PowerOrder::Press).await;
    assert!(matches!(outcome, Outcome::Unknown | Outcome::Done), "{outcome:?}");
    assert_eq!(driven.order("2", PowerOrder::Press).await, Outcome::Done);
    let moves: Vec<_> = there.with(|state| state.moves.iter().map(|(at, close, _)| (*at, *close)).collect());
    let presses = |relay| moves.iter().filter(|(at, close)| *at == relay && *close).count();
    assert_eq!((presses(0), presses(1)), (1, 1), "{moves:?}");
    assert_eq!(there.with(|state| state.closed), [false; 4]);
    // Each line that is opened begins with letting go of both.
    assert_eq!(moves[..2], [(0, false), (1, false)]);
}

#[tokio::test]
async fn words_of_ones_own_are_sent_as_they_are_and_a_relay_that_is_none_is_refused() {
    let own = RelayBoard::Own { on: "R{port}=1\r\n".to_owned(), off: "R{port}=0\r\n".to_owned() };
    let there = Board::new(own.clone(), Tells::Nothing).await;
    let mut driven = there.drive(own, RelayWiring::Supply, &["7"]);
    assert_eq!(driven.order("7", PowerOrder::On).await, Outcome::Done);
    assert_eq!(driven.order("7", PowerOrder::Off).await, Outcome::Done);
    let end = Instant::now() + Duration::from_secs(20);
    while there.with(|state| state.heard != b"R7=1\r\nR7=0\r\n") {
        assert!(Instant::now() < end, "{:?}", there.with(|state| state.heard.clone()));
        tokio::task::yield_now().await;
    }
    for (board, port) in [(RelayBoard::Lcus, "9"), (RelayBoard::Numato, "x")] {
        let mut driven = there.drive(board, RelayWiring::Supply, &[port]);
        let (code, why) = failed(driven.order(port, PowerOrder::On).await);
        assert!(code == "no-such-port" && why.contains("is no relay of this board"), "{code}: {why}");
    }
}
