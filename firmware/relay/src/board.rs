//! The board's mind: a relay is closed because it was told so in this life of the board, once, for a bounded time.
//!
//! ```text
//!   begins ─▶ nothing closed ──press, right boot, free relay──▶ closed ──its time is over──▶ open
//!                 ▲                                                           │
//!                 └── the same number again: answered, not done again ────────┘
//! ```
//!
//! The original board presses a button of its own accord whenever it begins. This one never does, and noise on the line
//! presses nothing: a frame needs a right check, a number and the boot that the asker knows.

use crate::frames::{ASKED, Ask, Asked, Frame, No, PRESS_MS, RELAYS, Said, Sense};

/// How long a power LED must be dark until its machine counts as off, in milliseconds: those of machines in standby
/// blink, once a second.
pub const DARK_MS: u64 = 1000;
/// Presses that are remembered, so that one that is told again is not done again.
const DONE: usize = 8;
/// How long they are remembered, in milliseconds: an asker repeats itself within seconds.
const REMEMBERED: u64 = 10_000;

/// A press that was done: its number, what it was, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    number: u16,
    relay: u8,
    ms: u16,
    at: u64,
}

/// The board. Time is an argument, in milliseconds since whenever the chip counts from, and never goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    boot: u32,
    began: u64,
    /// Which LEDs are wired, bit 0 for relay 1.
    wired: u8,
    /// Until when each relay is closed.
    closed: [Option<u64>; 8],
    /// When each LED was lit last.
    lit: [Option<u64>; 8],
    done: [Option<Done>; DONE],
    line: [u8; ASKED],
    length: usize,
    /// The line was too long: the rest of it is let go.
    spoilt: bool,
}

impl Board {
    /// A board that begins: `boot` is a number that its earlier lives had not, drawn by the chip; `wired` says which
    /// LEDs are wired, bit 0 for relay 1. Nothing is pressed.
    #[must_use]
    pub const fn new(boot: u32, wired: u8, now: u64) -> Self {
        Self {
            boot,
            began: now,
            wired,
            closed: [None; 8],
            lit: [None; 8],
            done: [None; DONE],
            line: [0; ASKED],
            length: 0,
            spoilt: false,
        }
    }

    /// What it says when it begins, unasked.
    #[must_use]
    pub fn greeting(&self, now: u64) -> Frame {
        self.said(0, Ok(()), now).frame()
    }

    /// Takes a byte from its line; gives an answer where one is due.
    pub fn take(&mut self, byte: u8, now: u64) -> Option<Frame> {
        match byte {
            b'\n' => {
                let (length, spoilt) = (core::mem::take(&mut self.length), core::mem::take(&mut self.spoilt));
                let line = self.line;
                let asked = Asked::read(line.get(..length).filter(|_| !spoilt)?)?;
                Some(self.answer(asked, now))
            }
            b'\r' => None,
            byte => {
                match self.line.get_mut(self.length) {
                    Some(place) if !self.spoilt => {
                        *place = byte;
                        self.length += 1;
                    }
                    Some(_) | None => self.spoilt = true,
                }
                None
            }
        }
    }

    /// Looks at the LEDs that are lit now, bit 0 for relay 1, and lets time pass. Gives the relays to close, in the same
    /// way. To be called at least every few milliseconds.
    pub fn tick(&mut self, lit: u8, now: u64) -> u8 {
        for (at, seen) in self.lit.iter_mut().enumerate() {
            if lit >> at & 1 == 1 {
                *seen = Some(now);
            }
        }
        let mut relays = 0;
        for (at, closed) in self.closed.iter_mut().enumerate() {
            if closed.is_some_and(|until| now >= until) {
                *closed = None;
            }
            if closed.is_some() {
                relays |= 1 << at;
            }
        }
        relays
    }

    fn answer(&mut self, asked: Asked, now: u64) -> Frame {
        let answer = match asked.ask {
            Ask::Status => Ok(()),
            Ask::Press { boot, .. } if boot != self.boot => Err(No::Boot),
            Ask::Press { relay, ms, .. } if self.did(asked.number, relay, ms, now) => Ok(()),
            Ask::Press { relay, ms, .. } => self.press(asked.number, (relay, ms), now),
        };
        self.said(asked.number, answer, now).frame()
    }

    fn did(&self, number: u16, relay: u8, ms: u16, now: u64) -> bool {
        self.done.iter().flatten().any(|done| {
            (done.number, done.relay, done.ms) == (number, relay, ms)
                && now.saturating_sub(done.at) < REMEMBERED
        })
    }

    fn press(&mut self, number: u16, (relay, ms): (u8, u16), now: u64) -> Result<(), No> {
        let place = (1..=RELAYS).contains(&relay).then(|| usize::from(relay).saturating_sub(1));
        let closed = place.filter(|_| PRESS_MS.contains(&ms)).and_then(|at| self.closed.get_mut(at));
        let closed = closed.ok_or(No::Bounds)?;
        // A button that is held is not let go and held again: whoever asked sees it in the answer.
        if closed.is_some_and(|until| now < until) {
            return Err(No::Busy);
        }
        *closed = Some(now.saturating_add(u64::from(ms)));
        self.done.rotate_right(1);
        if let Some(first) = self.done.first_mut() {
            *first = Some(Done { number, relay, ms, at: now });
        }
        Ok(())
    }

    fn said(&self, number: u16, answer: Result<(), No>, now: u64) -> Said {
        let mut sensed = [Sense::Unwired; 8];
        for (at, (sense, lit)) in sensed.iter_mut().zip(self.lit).enumerate() {
            if self.wired >> at & 1 == 1 {
                *sense = self.sense(lit, now);
            }
        }
        let pressed = self.closed.map(|closed| closed.is_some_and(|until| now < until));
        let uptime = now.saturating_sub(self.began);
        Said { number, answer, boot: self.boot, uptime, pressed, sensed }
    }

    const fn sense(&self, lit: Option<u64>, now: u64) -> Sense {
        match lit {
            Some(at) if now.saturating_sub(at) < DARK_MS => Sense::Lit,
            Some(_) => Sense::Dark,
            None if now.saturating_sub(self.began) < DARK_MS => Sense::Unknown,
            None => Sense::Dark,
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
