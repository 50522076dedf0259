//! What relay boards speak on a serial line: the original board's words, and frames of a better one.

mod frames;
#[cfg(test)]
mod frames_tests;
mod lines;
mod words;

pub use frames::{ASKED, Ask, Asked, Frame, No, PRESS_MS, RELAYS, Said, Sense, crc};
pub use lines::{LINE, Lines};
pub use words::{HOLD, Heard, PORTS, PRESS, STATUS, Word, heard, press};
