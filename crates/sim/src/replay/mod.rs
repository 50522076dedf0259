//! What a real machine asked, taken from a capture, to be asked again: an interop report that became a test.
//!
//! ```text
//! capture ─▶ Recorder ─▶ Script ◀──▶ text file
//!                          └─▶ Player ─▶ frames to any server; its answers ◀─ compared by their shape
//! ```
//!
//! A shape is a set of words, such as `offer address file class=PXEClient 43.6=8`. What was answered once must be in
//! what is answered now; more may be.

mod player;
mod recorder;
mod shape;
mod text;

use model::MacAddr;

pub use player::{Answered, Player};
pub use recorder::{Recorder, record};
pub use text::ScriptFault;

/// One machine's questions, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The machine.
    pub mac: MacAddr,
    /// Where the capture is from, for people.
    pub source: String,
    /// What it asked.
    pub asks: Vec<Ask>,
}

/// A question and the shape of its first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Milliseconds since the machine's first question.
    pub at: u64,
    /// What was asked.
    pub question: Question,
    /// Words that must be in the answer; empty when none came, and then none is asked for.
    pub answer: Vec<String>,
}

/// Something a machine asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A DHCP message, as it was sent, to this port.
    Dhcp(u16, Vec<u8>),
    /// A TFTP read request, as it was sent.
    Tftp(Vec<u8>),
}
