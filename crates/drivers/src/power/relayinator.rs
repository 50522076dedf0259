//! Relay boards: eight buttons on a serial line. The original has a memory that is no truth; those of ours, which speak
//! frames, sense what runs and know when they began (`frames.rs`).
//!
//! ```text
//!   read      status ─▶ what it believes; `starting`, or a belief that was lost: it began anew
//!   press N   believes N off: on N                believes N on: refused, after a hold that brings it in step
//!   hold N    believes N on:  off N               believes N off: refused, after a press that brings it in step
//! ```
//!
//! The firmware does not press where it believes that it need not. Where its belief is the wrong one, the other word is
//! sent, whose press is harmless then: a hold of a machine that is off, a short press (which asks to stop) of one that is
//! to go off. The order is refused all the same, and decided anew by what is seen after that.

use std::io;
use std::time::Duration;

use model::{OUT_OF_STEP, PortReading, PortSense};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};
use wire::relay::{Ask, Asked, HOLD, Heard, Lines, PORTS, PRESS, STATUS, Said, Word, heard, press};

use super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use super::tty::Line;

mod frames;

/// Speed of the line, in bits a second.
pub(super) const BAUD: u32 = 9600;
/// How long an answer may take: 31 characters at 9600 baud take 32 ms, and the board draws its display between two looks
/// at its line.
const ANSWER: Duration = Duration::from_millis(700);
/// How often `status` is asked before the board counts as silent.
const ASKS: u8 = 3;

/// The board.
#[derive(Debug)]
pub(super) struct Relayinator<L: Line> {
    line: L,
    open: Option<Open<L::Stream>>,
    /// What it believed last.
    believed: Option<[bool; 8]>,
    /// Buttons that were held since: the board may believe them off.
    held: [bool; 8],
    /// How it was seen to begin anew since it was read last.
    restarted: Option<String>,
    /// Number of the last frame.
    number: u16,
    /// Which start of a board that speaks frames is known.
    boot: Option<u32>,
}

#[derive(Debug)]
struct Open<S> {
    stream: S,
    lines: Lines,
    /// What the board at its end speaks; nothing until it has answered.
    speaks: Option<Speaks>,
}

/// What a board speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Words,
    Frames,
}

/// What a board says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// What the original believes.
    Believes([bool; 8]),
    /// How one of ours is.
    Is(Said),
}

impl<L: Line> Relayinator<L> {
    pub(super) const fn new(line: L) -> Self {
        let (number, boot) = (0, None);
        Self { line, open: None, believed: None, held: [false; 8], restarted: None, number, boot }
    }

    async fn opened(&mut self) -> Result<&mut Open<L::Stream>, DeviceError> {
        if self.open.is_none() {
            let stream = self.line.open().await.map_err(|why| self.cannot("opened", &why))?;
            self.open = Some(Open { stream, lines: Lines::default(), speaks: None });
        }
        self.open.as_mut().ok_or_else(|| DeviceError::lost("serial", "it is not open"))
    }

    fn cannot(&self, what: &str, why: &io::Error) -> DeviceError {
        let name = self.line.name();
        let cure = match why.kind() {
            io::ErrorKind::NotFound => "is it plugged in?",
            io::ErrorKind::PermissionDenied => "who runs the lab must be in the group `dialout`",
            io::ErrorKind::ResourceBusy => {
                "another program has it open, or another device of the lab file is the same port by another name"
            }
            _ => "look at its cable",
        };
        DeviceError::lost("serial", format!("{name} cannot be {what}: {why}; {cure}"))
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        let open = self.opened().await?;
        let sent = open.stream.write_all(bytes).await;
        sent.map_err(|why| self.cannot("written to", &why))
    }

    /// The next line, until `end`.
    async fn line(&mut self, end: Instant) -> Result<Option<Vec<u8>>, DeviceError> {
        let open = self.opened().await?;
        loop {
            let byte = match timeout_at(end, open.stream.read_u8()).await {
                Err(_elapsed) => return Ok(None),
                Ok(Ok(byte)) => byte,
                Ok(Err(why)) => return Err(self.cannot("read", &why)),
            };
            if let Some(line) = open.lines.take(byte) {
                return Ok(Some(line));
            }
        }
    }

    /// Takes what came since the last exchange: a greeting counts. An answer that came too late is the answer to an
    /// older question, and taken for that of the next one it would put every later answer one question behind.
    async fn heard_meanwhile(&mut self) -> Result<(), DeviceError> {
        while let Some(line) = self.line(Instant::now()).await? {
            self.greets(&line);
        }
        Ok(())
    }

    /// A line that nobody waits for says something only where it is a greeting.
    fn greets(&mut self, line: &[u8]) {
        match Said::read(line) {
            Some(said) => self.tells_boot(&said),
            None if matches!(heard(line), Heard::Starting | Heard::Ready) => {
                self.began_anew("it said that it starts");
            }
            None => {}
        }
    }

    /// Asks how it is: in both ways while it is not known which it speaks, for each kind takes the other's question for
    /// noise.
    async fn look(&mut self) -> Result<Look, DeviceError> {
        self.heard_meanwhile().await?;
        let mut last = String::from("nothing");
        for _ in 0..ASKS {
            let number = self.next_number();
            let frame = Asked { number, ask: Ask::Status }.frame();
            match self.opened().await?.speaks {
                Some(Speaks::Words) => self.send(STATUS).await?,
                Some(Speaks::Frames) => self.send(frame.bytes()).await?,
                None => self.send(&[frame.bytes(), STATUS].concat()).await?,
            }
            let end = Instant::now() + ANSWER;
            while let Some(line) = self.line(end).await? {
                let (said, words) = (Said::read(&line), heard(&line));
                if let Some(said) = said {
                    self.tells_boot(&said);
                    if said.number == number {
                        self.speaks(Speaks::Frames);
                        return Ok(Look::Is(said));
                    }
                    continue;
                }
                match words {
                    Heard::Status(believes) => {
                        self.speaks(Speaks::Words);
                        return Ok(Look::Believes(self.believes(believes)));
                    }
                    Heard::Starting | Heard::Ready => self.began_anew("it said that it starts"),
                    Heard::Garbage => last = format!("`{}`", line.escape_ascii()),
                }
            }
        }
        let name = self.line.name();
        Err(DeviceError::lost(
            "silent",
            match last.as_str() {
                "nothing" => format!("nothing on {name} answers `status`: is the board's supply on?"),
                _ => format!("what is on {name} answers `status` with {last}: is it the relay board?"),
            },
        ))
    }

    fn speaks(&mut self, way: Speaks) {
        if let Some(open) = &mut self.open {
            open.speaks = Some(way);
        }
    }

    /// Compares with what it believed before: what nobody took from it, it lost.
    fn believes(&mut self, now: [bool; 8]) -> [bool; 8] {
        let before = self.believed.replace(now).unwrap_or(now);
        let mut lost = Vec::new();
        for (port, ((before, now), held)) in (1..=PORTS).zip(before.iter().zip(now).zip(&mut self.held)) {
            if *before && !now && !std::mem::take(held) {
                lost.push(port.to_string());
            }
        }
        if !lost.is_empty() {
            self.began_anew(&format!("it forgot that {} is on", lost.join(", ")));
            self.believed = Some(now);
        }
        now
    }

    fn began_anew(&mut self, how: &str) {
        self.believed = None;
        self.held = [false; 8];
        self.restarted.get_or_insert_with(|| how.to_owned());
    }

    async fn push(&mut self, word: Word, port: u8) -> Result<(), DeviceError> {
        let line = press(word, port).ok_or_else(|| no_button(&port.to_string()))?;
        if let (Word::Off, Some(held)) = (word, self.held.get_mut(usize::from(port) - 1)) {
            *held = true;
        }
        let sent = self.send(&line).await;
        // A half line is no word: the next one ends it, and together they are garbage to the firmware. But a whole one
        // may have left before the error came.
        sent.map_err(|error| DeviceError::doubt(error.code, error.why))
    }
}

fn restarted() -> DeviceError {
    DeviceError::refused("restarted", "it began anew; what is seen of its machines since counts")
}

fn no_button(port: &str) -> DeviceError {
    DeviceError::refused("no-such-port", format!("the board has buttons 1 to {PORTS}, and no `{port}`"))
}

fn button(port: &str) -> Result<u8, DeviceError> {
    port.parse().ok().filter(|port| (1..=PORTS).contains(port)).ok_or_else(|| no_button(port))
}

/// Between two exchanges: it looks at its line between two drawings of its display, and its buffer is small.
const GAP: Duration = Duration::from_millis(20);
/// After a press: it counts whole milliseconds from when it read the line.
const SETTLES: Duration = Duration::from_millis(50);

/// What is kept for the original board's own sake of so many presses in a row on one board, beside line and presses: a
/// pause between every two exchanges, of which each press has two, and one after the last press.
#[must_use]
pub fn kept_for_board(presses: u32) -> Duration {
    GAP * (2 * presses).saturating_sub(1) + SETTLES
}

impl<L: Line> Device for Relayinator<L> {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Buttons,
            gap: GAP,
            poll: Some(Duration::from_secs(5)),
            shows: Duration::from_secs(1),
            limit: Duration::from_secs(5),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let number = button(port)?;
        let look = self.look().await?;
        if self.restarted.is_some() {
            return Err(restarted());
        }
        let believes = match look {
            Look::Is(said) => return self.act_in_frames(number, act, &said).await,
            Look::Believes(believes) => believes,
        };
        let on = believes.get(usize::from(number) - 1).copied().unwrap_or_default();
        let (word, busy) = match act {
            Act::Off => (Word::Off, HOLD),
            Act::On | Act::Soft | Act::Press => (Word::On, PRESS),
        };
        let in_step = match word {
            Word::On => !on,
            Word::Off => on,
        };
        match (in_step, act) {
            (true, _) => {
                self.push(word, number).await?;
                Ok(Taken::for_a(Duration::from_millis(busy) + SETTLES))
            }
            (false, Act::On) => {
                self.push(Word::Off, number).await?;
                let why = format!(
                    "the board believes {port} on and does not press it; {port} is held for {HOLD} ms, which leaves a \
                     machine that is off as it is and makes the board believe that"
                );
                Err(DeviceError::refused(OUT_OF_STEP, why))
            }
            (false, Act::Off) => {
                self.push(Word::On, number).await?;
                let why = format!(
                    "the board believes {port} off and does not hold it; {port} is pressed for {PRESS} ms, which asks \
                     what runs there to stop, and makes the board believe that it is on"
                );
                Err(DeviceError::refused(OUT_OF_STEP, why))
            }
            (false, Act::Soft | Act::Press) => {
                let why = format!("the board believes {port} on and gives it no short press; it can hold it");
                Err(DeviceError::refused(OUT_OF_STEP, why))
            }
        }
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let look = self.look().await?;
        let reading = |port: &String| {
            let at = usize::from(button(port).ok()?) - 1;
            let sense = match look {
                Look::Believes(believes) => PortSense::Believed(believes.get(at).copied()?),
                Look::Is(said) => frames::sense(said.sensed.get(at).copied()?),
            };
            Some((port.clone(), PortReading { sense, milliwatts: None }))
        };
        let kind = match look {
            Look::Believes(_) => "relay board",
            Look::Is(_) => "relay board that speaks frames",
        };
        Ok(Told {
            ports: ports.iter().filter_map(reading).collect(),
            about: format!("{kind} on {}", self.line.name()),
            restarted: self.restarted.take(),
        })
    }

    async fn speaks(&mut self) {
        // Whatever comes without being asked for is worth a look, and is read then.
        let never = Instant::now() + Duration::from_secs(86_400);
        match self.line(never).await {
            Ok(Some(line)) => self.greets(&line),
            Ok(None) => {}
            Err(_gone) => self.open = None,
        }
    }

    fn forget(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests;
