//! Why a message cannot be read.

use core::fmt;

use super::code::OptionCode;

/// Why and where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// Bytes from the start of the message; of the innermost one, where relays wrapped it.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends inside its fixed fields.
    TooShort,
    /// It is over [`LARGEST_MESSAGE`](super::LARGEST_MESSAGE).
    TooLong,
    /// A message type this house does not speak.
    Type(u8),
    /// The option says it is longer than what follows.
    OptionOverrun(OptionCode),
    /// A relay's message carries none.
    NothingRelayed,
    /// More relays than [`HOP_LIMIT`](super::HOP_LIMIT) wrapped it.
    TooManyRelays,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::TooShort => f.write_str("the message ends inside its fixed fields"),
            Fault::TooLong => f.write_str("the message is larger than any honest one"),
            Fault::Type(kind) => write!(f, "message type {kind} is none of ours"),
            Fault::OptionOverrun(code) => write!(f, "option {} runs past the end", code.0),
            Fault::NothingRelayed => f.write_str("a relay's message carries none"),
            Fault::TooManyRelays => f.write_str("too many relays wrapped it"),
        }?;
        write!(f, " (offset {})", self.offset)
    }
}

impl core::error::Error for DecodeError {}
