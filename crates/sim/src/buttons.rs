//! The original relay board's firmware and the boxes on its buttons, as they are: the board believes, the boxes do.
//!
//! What the firmware does, its mistakes included, is taken from its source (`labinator_relayinator`, `src/main.cpp`): it
//! answers nothing but `status`, does not press where it believes that it need not, changes a belief when a press ends,
//! forgets all beliefs and presses button 7 when it begins, and begins anew at a number that is none.

use wire::relay::{HOLD, PORTS, PRESS};

/// The button that the firmware presses whenever it begins: the boss's own.
pub const BOSS: usize = 6;
/// Characters of a line that the firmware keeps; what comes after them overwrites the last one.
const KEPT: usize = 63;
/// How long a button is held until a box is cut off, in milliseconds (ACPI 6.5, 4.8.2.2.1.2: more than four seconds).
const CUT: u64 = 4000;
/// Speed of the link of a box that is off and can be woken, in megabits a second.
const OFF_LINK: u32 = 10;
/// Speed of the link of a box that runs.
const LINK: u32 = 1000;

/// What a box does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Nothing: in S5, its network card may wait to be woken.
    Off,
    /// Starts, since this millisecond.
    Post(u64),
    /// Runs a system that listens to its button.
    Runs,
    /// Runs nothing that listens.
    Hangs,
    /// Stops, until this millisecond.
    Stops(u64),
}

/// How a box takes its time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From its button to its system; its link is away for the first half.
    pub post: u64,
    /// From a short press to off.
    pub stop: u64,
}

/// A box whose power button is wired to the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cabinet {
    doing: Doing,
    pace: Pace,
    down: Option<u64>,
}

impl Cabinet {
    /// A box that is off.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self { doing: Doing::Off, pace, down: None }
    }

    /// What it does.
    #[must_use]
    pub const fn doing(&self) -> Doing {
        self.doing
    }

    /// What runs on it hears nothing any more.
    pub fn hang(&mut self) {
        if self.doing == Doing::Runs {
            self.doing = Doing::Hangs;
        }
    }

    /// Speed of its link in megabits a second; none while there is none.
    #[must_use]
    pub fn link(&self, now: u64) -> Option<u32> {
        match self.doing {
            Doing::Off => Some(OFF_LINK),
            Doing::Post(since) if now < since + self.pace.post / 2 => None,
            Doing::Post(_) | Doing::Runs | Doing::Hangs | Doing::Stops(_) => Some(LINK),
        }
    }

    /// Its button is pressed.
    pub fn press(&mut self, now: u64) {
        if self.down.replace(now).is_some() {
            return;
        }
        self.doing = match self.doing {
            Doing::Off => Doing::Post(now),
            // Until a system listens, the button is a switch.
            Doing::Post(_) => Doing::Off,
            Doing::Runs => Doing::Stops(now + self.pace.stop),
            Doing::Hangs => Doing::Hangs,
            Doing::Stops(at) => Doing::Stops(at),
        };
    }

    /// Its button is let go.
    pub fn release(&mut self) {
        self.down = None;
    }

    /// Lets time pass.
    pub fn lives(&mut self, now: u64) {
        if self.doing != Doing::Off && self.down.is_some_and(|since| now >= since + CUT) {
            self.doing = Doing::Off;
        }
        match self.doing {
            Doing::Post(since) if now >= since + self.pace.post => self.doing = Doing::Runs,
            Doing::Stops(at) if now >= at => self.doing = Doing::Off,
            Doing::Off | Doing::Post(_) | Doing::Runs | Doing::Hangs | Doing::Stops(_) => {}
        }
    }
}

/// The board with its eight buttons. Time is an argument, in milliseconds, and never goes back.
#[derive(Debug, Clone)]
pub struct RelayBoard {
    boxes: [Cabinet; 8],
    believes: [bool; 8],
    /// When a press ends, and what is believed then.
    ends: [Option<(u64, bool)>; 8],
    line: Vec<u8>,
    says: Vec<u8>,
    began: u32,
}

impl RelayBoard {
    /// A board that was just given its supply, at this moment.
    #[must_use]
    pub fn new(boxes: [Cabinet; 8], now: u64) -> Self {
        let ends = [None; 8];
        let mut board =
            Self { boxes, believes: [false; 8], ends, line: Vec::new(), says: Vec::new(), began: 0 };
        board.reset(now);
        board
    }

    /// Begins anew: its supply was away, its reset line was pulled, or its firmware stopped at a number that was none.
    pub fn reset(&mut self, now: u64) {
        self.boxes.iter_mut().for_each(Cabinet::release);
        self.believes = [false; 8];
        self.ends = [None; 8];
        self.line.clear();
        self.began += 1;
        self.says.extend_from_slice(b"starting\r\n");
        self.begin_press(BOSS, true, now);
        self.says.extend_from_slice(b"ready\r\n");
    }

    /// How often it began.
    #[must_use]
    pub const fn began(&self) -> u32 {
        self.began
    }

    /// A box on it, from 0.
    #[must_use]
    pub fn cabinet(&self, at: usize) -> Option<&Cabinet> {
        self.boxes.get(at)
    }

    /// Changes a box, as somebody does who stands before it.
    pub fn change(&mut self, at: usize, change: impl FnOnce(&mut Cabinet)) {
        if let Some(cabinet) = self.boxes.get_mut(at) {
            change(cabinet);
        }
    }

    /// A person presses the box's own button for a moment.
    pub fn touch(&mut self, at: usize, now: u64) {
        self.change(at, |cabinet| {
            cabinet.press(now);
            cabinet.release();
        });
    }

    /// Bytes arrive on its line.
    pub fn hear(&mut self, bytes: &[u8], now: u64) {
        self.lives(now);
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.obey(&line, now);
                }
                b'\r' => {}
                byte if self.line.len() >= KEPT => {
                    if let Some(last) = self.line.last_mut() {
                        *last = *byte;
                    }
                }
                byte => self.line.push(*byte),
            }
        }
    }

    /// What it said since this was last asked.
    pub fn take_said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.says)
    }

    /// When something ends by itself.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        self.ends.iter().flatten().map(|(at, _)| *at).min()
    }

    /// Lets time pass.
    pub fn lives(&mut self, now: u64) {
        for ((end, believes), cabinet) in self.ends.iter_mut().zip(&mut self.believes).zip(&mut self.boxes) {
            if let Some((at, belief)) = *end
                && now >= at
            {
                cabinet.lives(at);
                cabinet.release();
                (*believes, *end) = (belief, None);
            }
            cabinet.lives(now);
        }
    }

    fn begin_press(&mut self, at: usize, belief: bool, now: u64) {
        let long = if belief { PRESS } else { HOLD };
        if let Some((end, cabinet)) = self.ends.get_mut(at).zip(self.boxes.get_mut(at)) {
            *end = Some((now + long, belief));
            cabinet.press(now);
        }
    }

    fn obey(&mut self, line: &[u8], now: u64) {
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        match words.as_slice() {
            [b"status"] => {
                let bits: Vec<&str> = self.believes.iter().map(|on| if *on { "1" } else { "0" }).collect();
                self.says.extend_from_slice(format!("status {}\n", bits.join(" ")).as_bytes());
            }
            [word @ (b"on" | b"off"), which] => {
                let belief = *word == b"on";
                let all = *which == b"all";
                match leading_number(which) {
                    _ if all => (0..usize::from(PORTS)).for_each(|at| self.wish(at, belief, now)),
                    Some(number) => {
                        if let Ok(at) = usize::try_from(number - 1) {
                            self.wish(at, belief, now);
                        }
                    }
                    // The firmware's conversion throws, nobody catches, and it begins anew.
                    None => self.reset(now),
                }
            }
            _ => {}
        }
    }

    fn wish(&mut self, at: usize, belief: bool, now: u64) {
        if self.believes.get(at).is_some_and(|believes| *believes != belief) {
            self.begin_press(at, belief, now);
        }
    }
}

/// What `std::stoi` makes of a word: digits at its beginning, after a sign; none where there are none or too many.
fn leading_number(word: &[u8]) -> Option<i64> {
    let (sign, digits) = match word {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let text = std::str::from_utf8(digits.get(..end)?).ok()?;
    let number: i32 = text.parse().ok()?;
    Some(sign * i64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { post: 10_000, stop: 3000 };

    fn board() -> RelayBoard {
        let mut board = RelayBoard::new([Cabinet::new(PACE); 8], 0);
        board.lives(1000);
        board.take_said();
        board
    }

    fn said(board: &mut RelayBoard, line: &str, now: u64) -> String {
        board.hear(line.as_bytes(), now);
        String::from_utf8(board.take_said()).unwrap()
    }

    #[test]
    fn it_presses_the_boss_s_own_button_whenever_it_begins() {
        let mut board = RelayBoard::new([Cabinet::new(PACE); 8], 0);
        assert_eq!(board.take_said(), b"starting\r\nready\r\n");
        board.lives(300);
        assert_eq!(board.cabinet(BOSS).unwrap().doing(), Doing::Post(0));
        assert_eq!(said(&mut board, "status\n", 400), "status 0 0 0 0 0 0 1 0\n");
    }

    #[test]
    fn a_belief_changes_when_a_press_ends_and_not_before() {
        let mut board = board();
        assert_eq!(said(&mut board, "on 1\nstatus\n", 1000), "status 0 0 0 0 0 0 1 0\n");
        assert_eq!(said(&mut board, "status\n", 1250), "status 1 0 0 0 0 0 1 0\n");
        board.lives(12_000);
        assert_eq!(board.cabinet(0).unwrap().doing(), Doing::Runs);
        board.hear(b"off 1\n", 12_000);
        // An "on" during the hold is not pressed: it still believes it on.
        assert_eq!(said(&mut board, "on 1\nstatus\n", 15_000), "status 1 0 0 0 0 0 1 0\n");
        assert_eq!(said(&mut board, "status\n", 17_500), "status 0 0 0 0 0 0 1 0\n");
        assert_eq!(board.cabinet(0).unwrap().doing(), Doing::Off);
    }

    #[test]
    fn a_number_that_is_none_makes_it_forget_everything() {
        let mut board = board();
        board.hear(b"on 1\n", 1000);
        board.lives(20_000);
        assert_eq!(said(&mut board, "on one\n", 20_000), "starting\r\nready\r\n");
        assert_eq!(board.began(), 2);
        board.hear(b"on 1\n", 21_000);
        board.lives(30_000);
        assert_eq!(board.cabinet(0).unwrap().doing(), Doing::Off, "it pressed a running box to switch it on");
    }

    #[test]
    fn what_is_no_word_of_it_does_nothing() {
        let mut board = board();
        let none = ["", "stat", "ON 1", "on", "on 1 2", "off 9", "on 0", "on -3", "~1 hello", " on 1"];
        for line in none {
            assert_eq!(said(&mut board, &format!("{line}\n"), 2000), "", "{line}");
        }
        assert_eq!((board.began(), board.wake_at()), (1, None));
    }

    #[test]
    fn a_hold_of_a_box_that_is_off_leaves_it_off() {
        let mut board = board();
        board.touch(0, 1000);
        board.lives(12_000);
        board.hear(b"on 1\n", 12_000);
        board.lives(20_000);
        assert_eq!(board.cabinet(0).unwrap().doing(), Doing::Off, "asked to stop by the press");
        board.hear(b"off 1\n", 20_000);
        board.lives(30_000);
        assert_eq!(board.cabinet(0).unwrap().doing(), Doing::Off);
    }
}
