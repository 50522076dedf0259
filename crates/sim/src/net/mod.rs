//! A lab that runs by itself: its segment and power board against a server over streams and sockets.
//!
//! ```text
//!             switch, order, inspect            frames, connections
//!   test ──▶ Lab ─────────────────▶ run(server) ────────────────▶ Server: Plug (in memory) or Loopback (sockets)
//!             ▲ wait_until                  ◀──── from_server, HTTP events ────┘
//! ```
//!
//! Under paused tokio time only a [`Plug`] is sound: a real socket answers outside the paused clock.

mod carrier;
mod loopback;
mod plug;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{GuestEnd, Outcome, PowerOrder, PowerState};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::board::{PowerBoard, PowerReport};
use crate::http::HttpEvent;
use crate::segment::{Arrival, Segment};
use crate::step::Phase;

pub use loopback::{Loopback, LoopbackPorts};
pub use plug::Plug;

/// Lines of the screens that are kept.
const LINES_KEPT: usize = 4096;

/// The server's side of a running lab.
pub trait Server: Send + Sync + 'static {
    /// What HTTP runs over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A machine's frame reaches the server. Answers go to [`Lab::from_server`], at any time.
    fn take_frame(&self, lab: &Lab, frame: Vec<u8>) -> impl Future<Output = ()> + Send;

    /// A machine opens a connection to this address, which is the one of the URL.
    ///
    /// # Errors
    /// What a client sees when the server is not there.
    fn connect(
        &self,
        from: Option<IpAddr>,
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A lab that runs. Clones are the same lab.
#[derive(Debug, Clone)]
pub struct Lab(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inside: Mutex<Inside>,
    began: Instant,
    speed: u32,
    /// Something came in from outside: look again.
    nudge: Notify,
    /// Counts turns, for those who wait for a state.
    turns: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inside {
    segment: Segment,
    board: PowerBoard,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    screen: Vec<ScreenLine>,
}

/// A line on the screen of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenLine {
    /// Milliseconds since the lab began, in the lab's time.
    pub at: u64,
    /// Which machine.
    pub machine: usize,
    /// The line.
    pub text: String,
}

impl Lab {
    /// A lab whose clock begins now. Port `n` of the board is wired to machine `n`. Its time runs
    /// `speed` times as fast as tokio's: 1 under paused time, more to have a firmware's 4 s pass in less
    /// over real sockets. 0 counts as 1.
    #[must_use]
    pub fn new(segment: Segment, board: PowerBoard, speed: u32) -> Self {
        let inside = Inside { segment, board, waiting: HashMap::new(), screen: Vec::new() };
        Self(Arc::new(Shared {
            inside: Mutex::new(inside),
            began: Instant::now(),
            speed: speed.max(1),
            nudge: Notify::new(),
            turns: watch::Sender::new(0),
        }))
    }

    /// Milliseconds since the lab began, in its own time.
    #[must_use]
    pub fn now(&self) -> u64 {
        let elapsed = self.0.began.elapsed().as_micros();
        u64::try_from(elapsed * u128::from(self.0.speed) / 1000).unwrap_or(u64::MAX)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the machines.
    pub fn inspect<T>(&self, look: impl FnOnce(&Segment) -> T) -> T {
        look(&self.inside().segment)
    }

    /// The phase of a machine; [`Phase::Off`] for one that does not exist.
    #[must_use]
    pub fn phase(&self, at: usize) -> Phase {
        self.inspect(|segment| segment.machine(at).map_or(Phase::Off, crate::Machine::phase))
    }

    /// The last lines of all screens.
    #[must_use]
    pub fn screen(&self) -> Vec<ScreenLine> {
        self.inside().screen.clone()
    }

    /// Waits until the machines are as wanted; false when `limit` of tokio's time passes first.
    pub async fn wait_until(&self, limit: Duration, wanted: impl Fn(&Segment) -> bool) -> bool {
        let mut turns = self.0.turns.subscribe();
        let seen = async {
            while !self.inspect(&wanted) {
                if turns.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, seen).await.is_ok()
    }

    /// Switches a machine without asking the board, as a person at its plug does.
    pub fn switch(&self, at: usize, order: PowerOrder) {
        self.change(|inside, now| inside.segment.switch(at, order, now));
    }

    /// Presses a machine's reset button.
    pub fn reset(&self, at: usize) {
        self.change(|inside, now| inside.segment.reset(at, now));
    }

    /// Cuts a machine's link, or mends it.
    pub fn cut(&self, at: usize, cut: bool) {
        self.change(|inside, _| inside.segment.cut(at, cut));
    }

    /// Ends what runs a guest, in this way.
    pub fn end_guest(&self, at: usize, end: GuestEnd) {
        self.change(|inside, now| inside.segment.end_guest(at, end, now));
    }

    /// Puts another disk into a machine, in the place of the one that was in it.
    pub fn change_disk(&self, at: usize, disk: crate::Disk) {
        self.change(|inside, _| inside.segment.change_disk(at, disk));
    }

    /// Asks a power port to switch and waits for what it says became of it.
    pub async fn order(&self, port: usize, order: PowerOrder) -> Outcome {
        let (tell, told) = oneshot::channel();
        self.change(|inside, now| {
            let ticket = inside.board.order(port, order, now);
            inside.waiting.insert(ticket, tell);
        });
        told.await.unwrap_or(Outcome::Unknown)
    }

    /// What a power port tells about its machine.
    #[must_use]
    pub fn see(&self, port: usize) -> PowerState {
        let inside = self.inside();
        let runs = inside.segment.machine(port).is_some_and(|m| m.phase() != Phase::Off);
        inside.board.see(port, runs)
    }

    /// The board loses its supply for a moment, and with it every machine.
    pub fn reset_board(&self) {
        self.change(|inside, _| inside.board.reset());
    }

    /// The server puts a frame on the segment.
    pub fn from_server(&self, frame: &[u8]) {
        self.change(|inside, now| inside.segment.from_server(frame, now));
    }

    pub(crate) fn on_http(&self, at: usize, id: u64, event: &HttpEvent) {
        self.change(|inside, now| inside.segment.on_http(at, id, event, now));
    }

    /// True while the machine still waits for the answer to this request.
    pub(crate) fn is_wanted(&self, at: usize, id: u64) -> bool {
        self.inspect(|segment| segment.machine(at).is_some_and(|m| m.is_waiting_for(id)))
    }

    fn change(&self, apply: impl FnOnce(&mut Inside, u64)) {
        let mut inside = self.inside();
        // The clock is read under the lock: the segment's time must not run backwards.
        let now = self.now();
        apply(&mut inside, now);
        drop(inside);
        self.0.nudge.notify_one();
    }

    /// Runs the lab against a server until dropped. One at a time.
    pub async fn run<S: Server>(&self, server: S) {
        let server = Arc::new(server);
        let mut carriers = JoinSet::new();
        loop {
            while carriers.try_join_next().is_some() {}
            let (arrivals, wake) = self.turn();
            for arrival in arrivals {
                match arrival {
                    Arrival::Frame(frame) => server.take_frame(self, frame).await,
                    Arrival::Http { machine, request } => {
                        carriers.spawn(carrier::run(self.clone(), Arc::clone(&server), machine, request));
                    }
                    Arrival::Console { .. } => {}
                }
            }
            let nap = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(self.moment(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.nudge.notified() => {}
                () = nap => {}
            }
        }
    }

    /// When a moment of the lab's time is, in tokio's. Never early.
    fn moment(&self, at: u64) -> Instant {
        let micros = at.saturating_mul(1000).div_ceil(u64::from(self.0.speed));
        self.0.began + Duration::from_micros(micros)
    }

    /// Lets the lab do what is due now.
    fn turn(&self) -> (Vec<Arrival>, Option<u64>) {
        let mut inside = self.inside();
        let now = self.now();
        let Inside { segment, board, waiting, screen } = &mut *inside;
        for report in board.poll(now) {
            match report {
                PowerReport::Acts { port, order } => segment.switch(port, order, now),
                PowerReport::Ended { ticket, outcome } => {
                    if let Some(tell) = waiting.remove(&ticket) {
                        // Whoever asked may have stopped waiting; the port acted all the same.
                        drop(tell.send(outcome));
                    }
                }
            }
        }
        let arrivals = segment.step(now);
        for arrival in &arrivals {
            if let Arrival::Console { machine, line } = arrival {
                screen.push(ScreenLine { at: now, machine: *machine, text: line.clone() });
            }
        }
        let extra = screen.len().saturating_sub(LINES_KEPT);
        screen.drain(..extra);
        let wake = [segment.wake_at(), board.wake_at()].into_iter().flatten().min();
        drop(inside);
        self.0.turns.send_modify(|turns| *turns += 1);
        (arrivals, wake)
    }
}
