//! Frames between a driver and a relay board of ours: numbered, checked, and answered with what the board is.
//!
//! ```text
//!   ~17 status*CRC\n                     ~17 ok BOOT UPTIME PRESSED SENSED*CRC\n
//!   ~18 press 3 250 BOOT*CRC\n           the same, or ~18 no WHY BOOT UPTIME PRESSED SENSED*CRC\n
//!                                        ~0 ok …: it begins anew, and says so
//! ```
//!
//! | field | what |
//! |---|---|
//! | number | 1 to 65535, the asker's; a press with a number that was done is answered again and not done again |
//! | `BOOT` | eight hexadecimal digits, others each time the board begins; a press for another boot is refused |
//! | `UPTIME` | milliseconds since it began |
//! | `PRESSED` | eight times 0 or 1: relays that are closed |
//! | `SENSED` | eight times 0 or 1 for the machine's power LED, `?` not known yet, `-` not wired |
//! | `CRC` | CRC-16/IBM-3740 (polynomial 0x1021, first 0xffff) of what stands between `~` and `*`, four hexadecimal digits |
//!
//! The original board takes a frame for a word that it does not know, and does nothing. This file is built into the
//! firmware, too, so it needs no memory that is asked for.

use core::fmt::{self, Write as _};
use core::str::FromStr;

/// Relays of a board.
pub const RELAYS: u8 = 8;
/// Shortest and longest press, in milliseconds.
pub const PRESS_MS: core::ops::RangeInclusive<u16> = 20..=8000;
/// Longest question, in bytes without its end; the original board keeps 63.
pub const ASKED: usize = 60;
/// Longest answer.
const SAID: usize = 96;

/// A line: at most [`SAID`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    bytes: [u8; SAID],
    length: usize,
}

impl Frame {
    const fn new() -> Self {
        Self { bytes: [0; SAID], length: 0 }
    }

    /// Its bytes, with the line's end.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// A frame of these words.
    fn of(words: fmt::Arguments<'_>) -> Self {
        let mut frame = Self::new();
        // Words are as long as their numbers allow; one that were longer would fail its check at the other end.
        let _fits = write!(frame, "~{words}");
        let check = crc(frame.bytes().get(1..).unwrap_or_default());
        let _fits = writeln!(frame, "*{check:04x}");
        frame
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes().escape_ascii())
    }
}

impl fmt::Write for Frame {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).ok_or(fmt::Error)?;
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// CRC-16/IBM-3740.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// The words of a frame whose check is right; `line` is without its end.
fn words(line: &[u8]) -> Option<core::str::Split<'_, char>> {
    let inside = line.strip_prefix(b"~")?;
    let (words, check) = inside.split_at_checked(inside.len().checked_sub(5)?)?;
    let check = core::str::from_utf8(check.strip_prefix(b"*")?).ok()?;
    // `from_str_radix` takes a sign, and no check has one.
    let right = check.bytes().all(|byte| byte.is_ascii_hexdigit());
    let right = right && u16::from_str_radix(check, 16) == Ok(crc(words));
    right.then(|| core::str::from_utf8(words).ok().map(|words| words.split(' ')))?
}

/// A number as it is written: digits, and no zero before them.
fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    let word = word?;
    let plain = word == "0" || !word.starts_with('0');
    (plain && word.bytes().all(|byte| byte.is_ascii_digit())).then(|| word.parse().ok())?
}

fn boot(word: Option<&str>) -> Option<u32> {
    let word = word.filter(|word| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(word, 16).ok()
}

/// What is asked of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The asker's number, never 0.
    pub number: u16,
    /// What.
    pub ask: Ask,
}

/// One thing that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// How it is.
    Status,
    /// A relay is closed for a while.
    Press {
        /// Which, from 1.
        relay: u8,
        /// For how long, in milliseconds, within [`PRESS_MS`].
        ms: u16,
        /// The boot that the asker knows: what it knows of an earlier one is no reason to press.
        boot: u32,
    },
}

impl Asked {
    /// As it goes over the line.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let number = self.number;
        match self.ask {
            Ask::Status => Frame::of(format_args!("{number} status")),
            Ask::Press { relay, ms, boot } => {
                Frame::of(format_args!("{number} press {relay} {ms} {boot:08x}"))
            }
        }
    }

    /// Reads a line, without its end; nothing where it is no such frame.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let mut words = words(line)?;
        let number = number::<u16>(words.next()).filter(|number| *number != 0)?;
        let ask = match words.next()? {
            "status" => Ask::Status,
            "press" => {
                let relay = self::number(words.next())?;
                let ms = self::number(words.next())?;
                Ask::Press { relay, ms, boot: boot(words.next())? }
            }
            _ => return None,
        };
        words.next().is_none().then_some(Self { number, ask })
    }
}

/// What a board senses of one machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sense {
    /// Its power LED is lit, or blinks.
    Lit,
    /// It is dark.
    Dark,
    /// The board has not looked for long enough.
    Unknown,
    /// Nothing is wired there.
    #[default]
    Unwired,
}

impl Sense {
    const fn mark(self) -> char {
        match self {
            Self::Lit => '1',
            Self::Dark => '0',
            Self::Unknown => '?',
            Self::Unwired => '-',
        }
    }

    const fn of(mark: u8) -> Option<Self> {
        match mark {
            b'1' => Some(Self::Lit),
            b'0' => Some(Self::Dark),
            b'?' => Some(Self::Unknown),
            b'-' => Some(Self::Unwired),
            _ => None,
        }
    }
}

/// Why a board does not press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    /// It began anew since the asker looked.
    Boot,
    /// That relay is closed.
    Busy,
    /// It has no such relay, or does not close one for so long.
    Bounds,
}

impl No {
    const fn word(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Busy => "busy",
            Self::Bounds => "bounds",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Boot, Self::Busy, Self::Bounds].into_iter().find(|no| no.word() == word)
    }
}

/// What a board says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The number of what was asked; 0 where nobody asked.
    pub number: u16,
    /// Done, or why not.
    pub answer: Result<(), No>,
    /// Another one each time it begins.
    pub boot: u32,
    /// Milliseconds since it began.
    pub uptime: u64,
    /// Relays that are closed.
    pub pressed: [bool; 8],
    /// What it senses.
    pub sensed: [Sense; 8],
}

/// Eight relays, as a line has them.
struct Marks([char; 8]);

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|mark| f.write_char(*mark))
    }
}

impl Said {
    /// As it goes over the line.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let Self { number, answer, boot, uptime, pressed, sensed } = self;
        let pressed = Marks(pressed.map(|pressed| if pressed { '1' } else { '0' }));
        let sensed = Marks(sensed.map(Sense::mark));
        match answer {
            Ok(()) => Frame::of(format_args!("{number} ok {boot:08x} {uptime} {pressed} {sensed}")),
            Err(no) => {
                let no = no.word();
                Frame::of(format_args!("{number} no {no} {boot:08x} {uptime} {pressed} {sensed}"))
            }
        }
    }

    /// Reads a line, without its end; nothing where it is no such frame.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let mut words = words(line)?;
        let number = number(words.next())?;
        let answer = match words.next()? {
            "ok" => Ok(()),
            "no" => Err(No::of(words.next()?)?),
            _ => return None,
        };
        let boot = boot(words.next())?;
        let uptime = self::number(words.next())?;
        let pressed: [u8; 8] = words.next()?.as_bytes().try_into().ok()?;
        let marks: [u8; 8] = words.next()?.as_bytes().try_into().ok()?;
        let mut sensed = [Sense::Unwired; 8];
        for (sense, mark) in sensed.iter_mut().zip(marks) {
            *sense = Sense::of(mark)?;
        }
        let right = pressed.iter().all(|mark| matches!(mark, b'0' | b'1')) && words.next().is_none();
        right.then(|| Self {
            number,
            answer,
            boot,
            uptime,
            pressed: pressed.map(|mark| mark == b'1'),
            sensed,
        })
    }
}
