//! Why a message cannot be read or written.

use core::fmt;

use super::code::OptionCode;

/// Why and where reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// Bytes from the start of the message.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends inside the fixed fields.
    TooShort,
    /// It is over [`LARGEST_MESSAGE`](super::LARGEST_MESSAGE).
    TooLong,
    /// `op` is neither request nor reply.
    Op(u8),
    /// A hardware address longer than its field.
    HardwareLength(u8),
    /// No DHCP cookie: plain BOOTP or something else.
    Magic,
    /// The option says it is longer than its field.
    OptionOverrun(OptionCode),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::TooShort => f.write_str("the message ends inside its fixed fields"),
            Fault::TooLong => f.write_str("the message is larger than any honest one"),
            Fault::Op(op) => write!(f, "op is {op}, neither request nor reply"),
            Fault::HardwareLength(length) => write!(f, "a hardware address of {length} bytes"),
            Fault::Magic => f.write_str("no DHCP cookie"),
            Fault::OptionOverrun(code) => write!(f, "option {} runs past the end", code.0),
        }?;
        write!(f, " (offset {})", self.offset)
    }
}

impl core::error::Error for DecodeError {}

/// Why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// `sname` or `file` is over its field.
    NameTooLong {
        /// Which field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The options do not fit, not even in the spare fields.
    TooLarge {
        /// Bytes it would take.
        need: usize,
        /// Bytes the client accepts.
        limit: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTooLong { field, length } => write!(f, "{length} bytes do not fit into `{field}`"),
            Self::TooLarge { need, limit } => {
                write!(f, "the message takes {need} bytes, the client accepts {limit}")
            }
        }
    }
}

impl core::error::Error for EncodeError {}
