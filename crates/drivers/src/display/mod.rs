//! The original status display on a serial port: the latest state wins, and nobody ever waits for it.
//!
//! ```text
//!   show(state) ─▶ one place, overwritten ─┐
//!   log(line)  ─▶ twelve places, the oldest falls out ─▶ run: one line, then a pause as long as the line and the display need
//! ```
//!
//! Whoever shows something leaves it and goes on. A display that is slow gets fewer states, one that hangs or was unplugged
//! is named, and is opened again after a pause; what it then gets is the state of that moment.

mod pace;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::display::{BAUD, Boss, log_line};

use crate::power::tty::{Line, Serial};
use pace::Pace;

/// Lines of the log that wait; the display shows no more.
const LOGS: usize = 12;
/// What the display prints when it has got power and listens.
const GREETING: &[u8] = b"Setting up";
/// How long opening a port may take: one behind TCP may not answer.
const OPENS: Duration = Duration::from_secs(10);

/// What a display shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The state, as [`wire::display::Status::line`] writes it.
    pub status: String,
    /// Whether it says that the power may be cut.
    pub boss: Boss,
}

/// How a display is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Bits a second of its line.
    pub baud: u32,
    /// How long it draws after a line, in which it does not listen.
    pub redraw: Duration,
    /// How often it is told what it should show already: it may have lost power while its port did not.
    pub refresh: Duration,
    /// How long it may take nothing before it counts as hanging.
    pub stall: Duration,
    /// First and longest pause before it is opened again.
    pub again: (Duration, Duration),
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            baud: BAUD,
            redraw: Duration::from_millis(60),
            refresh: Duration::from_secs(10),
            stall: Duration::from_secs(5),
            again: (Duration::from_secs(1), Duration::from_secs(30)),
        }
    }
}

/// How it is with a display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing was written to it yet.
    New,
    /// It takes what it is told.
    Takes,
    /// It cannot be reached, for this reason.
    Lost(String),
    /// It takes nothing.
    Hangs,
}

/// A display. Clones are the same one.
#[derive(Debug, Clone)]
pub struct StatusDisplay {
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    next: Mutex<Next>,
    news: Notify,
    condition: watch::Sender<Condition>,
    /// True while nothing lies ready that was not said.
    rests: watch::Sender<bool>,
    manner: Manner,
}

/// What lies ready.
#[derive(Debug, Default)]
struct Next {
    shown: Option<Arc<Shown>>,
    logs: VecDeque<String>,
    /// Lines that fell out since the last one was taken.
    left_out: u32,
    /// The display forgot what it was told.
    forgot: bool,
}

impl StatusDisplay {
    /// One that nothing is shown on yet.
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        let (condition, _) = watch::channel(Condition::New);
        let (rests, _) = watch::channel(false);
        let desk = Desk { next: Mutex::default(), news: Notify::new(), condition, rests, manner };
        Self { desk: Arc::new(desk) }
    }

    /// Shows this from the next line on, instead of what was to be shown until now. Never waits.
    pub fn show(&self, shown: Shown) {
        let mut next = self.next();
        if next.shown.as_deref() != Some(&shown) {
            next.shown = Some(Arc::new(shown));
            self.wakes(next);
        }
    }

    /// Adds a line to its log. Never waits: when the display cannot follow, the oldest line falls out and is counted.
    pub fn log(&self, text: &str) {
        let mut next = self.next();
        next.logs.push_back(text.to_owned());
        if next.logs.len() > LOGS {
            next.logs.pop_front();
            next.left_out = next.left_out.saturating_add(1);
        }
        self.wakes(next);
    }

    /// Waits until all that was shown is said. While the display cannot be reached, that takes as long as that does.
    pub async fn said(&self) {
        // The sender lives as long as this.
        drop(self.desk.rests.subscribe().wait_for(|rests| *rests).await);
    }

    fn wakes(&self, next: MutexGuard<'_, Next>) {
        self.desk.rests.send_replace(false);
        drop(next);
        self.desk.news.notify_one();
    }

    /// How it is with it, as it changes.
    #[must_use]
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.desk.condition.subscribe()
    }

    /// Speaks to the display at this port, `/dev/…` or `tcp://HOST:PORT`, until it is dropped.
    pub async fn run(&self, device: &str) {
        self.run_on(&Serial::of(device, self.desk.manner.baud)).await;
    }

    async fn run_on<L: Line>(&self, line: &L) {
        let (first, longest) = self.desk.manner.again;
        let mut pause = first;
        loop {
            let opened = timeout(OPENS, line.open()).await;
            let trouble = match opened.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    let (trouble, took) = self.session(stream).await;
                    if took {
                        pause = first;
                    }
                    trouble
                }
                Err(why) => Condition::Lost(why.to_string()),
            };
            self.is(trouble, &line.name());
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(longest);
        }
    }

    /// One open port; gives why it ended, and whether the display took anything.
    async fn session<S: AsyncRead + AsyncWrite>(&self, stream: S) -> (Condition, bool) {
        let (mut reads, mut writes) = tokio::io::split(stream);
        let mut speaker = Speaker::new(self.desk.manner);
        self.next().forgot = false;
        let trouble = tokio::select! {
            trouble = self.listens(&mut reads) => trouble,
            trouble = self.speaks(&mut writes, &mut speaker) => trouble,
        };
        (trouble, speaker.took)
    }

    /// Reads what it prints: that nothing piles up, and that a display which got power anew is told all again.
    async fn listens<R: AsyncRead + Unpin>(&self, reads: &mut R) -> Condition {
        let mut tail = Vec::new();
        let mut piece = [0; 256];
        loop {
            let count = match reads.read(&mut piece).await {
                Ok(0) => return Condition::Lost("the port was closed from the other end".to_owned()),
                Ok(count) => count,
                Err(why) => return Condition::Lost(why.to_string()),
            };
            tail.extend_from_slice(piece.get(..count).unwrap_or_default());
            if tail.windows(GREETING.len()).any(|window| window == GREETING) {
                tail.clear();
                self.next().forgot = true;
                self.desk.news.notify_one();
            }
            let surplus = tail.len().saturating_sub(GREETING.len());
            tail.drain(..surplus);
        }
    }

    async fn speaks<W: AsyncWrite + Unpin>(&self, writes: &mut W, speaker: &mut Speaker) -> Condition {
        // Whoever spoke before may have stopped in the middle of a line.
        let mut line = "\n".to_owned();
        loop {
            let began = Instant::now();
            let written = timeout(self.desk.manner.stall, writes.write_all(line.as_bytes())).await;
            match written {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Condition::Lost(why.to_string()),
                Err(_) => return Condition::Hangs,
            }
            if line.len() > 1 {
                speaker.took = true;
                self.desk.condition.send_if_modified(|now| {
                    let news = *now != Condition::Takes;
                    *now = Condition::Takes;
                    news
                });
            }
            sleep(speaker.pace.after(line.len(), began.elapsed())).await;
            line = self.pick(speaker).await;
        }
    }

    /// The next line, once there is one to say.
    async fn pick(&self, speaker: &mut Speaker) -> String {
        loop {
            let news = self.desk.news.notified();
            {
                let mut next = self.next();
                if let Some(line) = speaker.pick(&mut next, Instant::now()) {
                    return line;
                }
                self.desk.rests.send_replace(true);
            }
            tokio::select! {
                () = news => {}
                () = sleep_until(speaker.refresh_at) => {}
            }
        }
    }

    fn is(&self, now: Condition, port: &str) {
        let before = self.desk.condition.send_replace(now.clone());
        // Said once, not with each try.
        if before != now {
            match now {
                Condition::Hangs => tracing::warn!("the display at {port} hangs: it takes nothing"),
                Condition::Lost(why) => tracing::warn!("the display at {port} is lost: {why}"),
                Condition::New | Condition::Takes => {}
            }
        }
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.desk.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was said on an open port, and what is said next.
#[derive(Debug)]
struct Speaker {
    status: Option<String>,
    boss: Option<Boss>,
    /// The last line was of the log: the state comes first now.
    logged: bool,
    refresh: Duration,
    refresh_at: Instant,
    pace: Pace,
    took: bool,
}

impl Speaker {
    fn new(manner: Manner) -> Self {
        Self {
            status: None,
            boss: None,
            logged: true,
            refresh: manner.refresh,
            refresh_at: Instant::now() + manner.refresh,
            pace: Pace::new(manner),
            took: false,
        }
    }

    /// A word taken back goes before everything; state and log take turns.
    fn pick(&mut self, next: &mut Next, now: Instant) -> Option<String> {
        if std::mem::take(&mut next.forgot) || now >= self.refresh_at {
            (self.status, self.boss) = (None, None);
            self.refresh_at = now + self.refresh;
        }
        if let Some(shown) = &next.shown {
            if self.boss != Some(shown.boss) {
                self.boss = Some(shown.boss);
                return Some(shown.boss.line().to_owned());
            }
            let changed = self.status.as_ref() != Some(&shown.status);
            if changed && (self.logged || next.logs.is_empty()) {
                self.logged = false;
                self.status = Some(shown.status.clone());
                return Some(shown.status.clone());
            }
        }
        self.logged = true;
        match std::mem::take(&mut next.left_out) {
            0 => next.logs.pop_front().map(|text| log_line(&text)),
            1 => Some(log_line("1 line was left out")),
            lines => Some(log_line(&format!("{lines} lines were left out"))),
        }
    }
}

#[cfg(test)]
mod tests;
