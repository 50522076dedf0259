//! The original relay board's words: 9600 baud, 8 data bits, no parity, one stop bit, lines of text.
//!
//! ```text
//!   on N\n        short press of button N (250 ms), unless the board believes N on
//!   off N\n       button N held (5.5 s), unless the board believes N off
//!   status\n      status b b b b b b b b\n: what the board believes, 1 for on
//!                 starting\r\n … ready\r\n: it began anew, believes all off, and presses button 7
//! ```
//!
//! Seen in the firmware's source (`labinator_relayinator`, `src/main.cpp`): nothing but `status` is answered. A belief
//! changes when a press *ends*. A number that is none stops the firmware, and it begins anew. Its buffer holds 63
//! characters. `on all` and `off all` press all eight buttons, the boss's own included, so they are never sent.

use alloc::format;
use alloc::vec::Vec;

/// Buttons of the board.
pub const PORTS: u8 = 8;
/// Length of a short press, in milliseconds.
pub const PRESS: u64 = 250;
/// Length of a hold, in milliseconds.
pub const HOLD: u64 = 5500;
/// Asks what the board believes.
pub const STATUS: &[u8] = b"status\n";

/// A word to the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// A short press.
    On,
    /// A hold.
    Off,
}

/// The line that presses a button; nothing for a number that no button has, since the firmware's answer to some of those
/// is to stop.
#[must_use]
pub fn press(word: Word, port: u8) -> Option<Vec<u8>> {
    let text = match word {
        Word::On => "on",
        Word::Off => "off",
    };
    (1..=PORTS).contains(&port).then(|| format!("{text} {port}\n").into_bytes())
}

/// What a line from the board says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// What it believes of its eight ports.
    Status([bool; 8]),
    /// It begins anew.
    Starting,
    /// It has begun anew.
    Ready,
    /// Nothing that this board says.
    Garbage,
}

/// Reads a line, without its end.
#[must_use]
pub fn heard(line: &[u8]) -> Heard {
    match line {
        b"starting" => return Heard::Starting,
        b"ready" => return Heard::Ready,
        _ => {}
    }
    let Some(bits) = line.strip_prefix(b"status ") else { return Heard::Garbage };
    let mut believes = [false; 8];
    let mut given = bits.split(|byte| *byte == b' ');
    for port in &mut believes {
        *port = match given.next() {
            Some(b"0") => false,
            Some(b"1") => true,
            Some(_) | None => return Heard::Garbage,
        };
    }
    if given.next().is_some() { Heard::Garbage } else { Heard::Status(believes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_firmwares() {
        assert_eq!(press(Word::On, 1).as_deref(), Some(b"on 1\n".as_slice()));
        assert_eq!(press(Word::Off, 8).as_deref(), Some(b"off 8\n".as_slice()));
        for port in [0, 9, 255] {
            assert_eq!(press(Word::On, port), None);
        }
    }

    #[test]
    fn lines_of_the_firmware_are_understood() {
        let believes = [false, true, false, false, false, false, true, false];
        assert_eq!(heard(b"status 0 1 0 0 0 0 1 0"), Heard::Status(believes));
        assert_eq!(heard(b"starting"), Heard::Starting);
        assert_eq!(heard(b"ready"), Heard::Ready);
    }

    #[test]
    fn what_is_no_line_of_it_is_garbage() {
        let lines: [&[u8]; 10] = [
            b"",
            b"status",
            b"status ",
            b"status 0 1 0 0 0 0 1",
            b"status 0 1 0 0 0 0 1 0 0",
            b"status 0 1 0 0 0 0 1 2",
            b"status 0 1 0 0 0 0  1 0",
            b"us 0 1 0 0 0 0 1 0",
            b"SSD1306 allocation failed",
            b"\xff\x00status 0 1 0 0 0 0 1 0",
        ];
        for line in lines {
            assert_eq!(heard(line), Heard::Garbage, "{}", line.escape_ascii());
        }
    }
}
