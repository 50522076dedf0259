//! What relay boards speak on a serial line: the original board's words, and frames of a better one.

mod lines;
mod words;

pub use lines::{LINE, Lines};
pub use words::{HOLD, Heard, PORTS, PRESS, STATUS, Word, heard, press};
