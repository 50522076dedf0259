//! Requests to a management controller and their answers (section 13.8), with the few that power needs.

use alloc::vec::Vec;
use core::fmt;

use crate::cursor::Cursor;

/// The controller's own address (section 5.5).
const CONTROLLER: u8 = 0x20;
/// A remote console's (table 5-4).
const CONSOLE: u8 = 0x81;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Group of the command (table 5-1).
    pub function: u8,
    /// The command.
    pub command: u8,
    /// What it needs to know.
    pub data: &'a [u8],
}

impl<'a> Request<'a> {
    /// Its message. `sequence` (6 bits) comes back in the answer.
    #[must_use]
    pub fn encode(&self, sequence: u8) -> Vec<u8> {
        let head = [CONTROLLER, self.function << 2];
        let mut out = Vec::from(head);
        out.push(checksum(&head));
        let from = out.len();
        out.extend([CONSOLE, sequence << 2, self.command]);
        out.extend(self.data);
        out.push(checksum(out.get(from..).unwrap_or_default()));
        out
    }

    /// Reads one with its sequence, as a controller does; `None` where it is damaged.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<(Self, u8)> {
        let (function, sequence, command, data) = taken_apart(message, CONTROLLER)?;
        Some((Self { function, command, data }, sequence))
    }
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Group of the command that is answered.
    pub function: u8,
    /// The command that is answered.
    pub command: u8,
    /// The request's sequence.
    pub sequence: u8,
    /// How it went.
    pub completion: Completion,
    /// What it says.
    pub data: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Reads a message; `None` where it is damaged or is no answer.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let (function, sequence, command, data) = taken_apart(message, CONSOLE)?;
        let (completion, data) = data.split_first()?;
        // The function of an answer is that of its request plus one (table 5-1).
        let function = function.checked_sub(1).filter(|function| function % 2 == 0)?;
        Some(Self { function, command, sequence, completion: Completion(*completion), data })
    }

    /// Its message, as a controller says it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = [CONSOLE, (self.function + 1) << 2];
        let mut out = Vec::from(head);
        out.push(checksum(&head));
        let from = out.len();
        out.extend([CONTROLLER, self.sequence << 2, self.command, self.completion.0]);
        out.extend(self.data);
        out.push(checksum(out.get(from..).unwrap_or_default()));
        out
    }
}

/// Function, sequence, command and data of a message whose two checksums hold.
fn taken_apart(message: &[u8], to: u8) -> Option<(u8, u8, u8, &[u8])> {
    let (last, body) = message.split_last()?;
    let mut cursor = Cursor::new(body);
    let [address, function, sum] = cursor.array()?;
    let signed = cursor.rest();
    let [_, sequence, command] = cursor.array()?;
    (address == to && checksum(&[address, function]) == sum && checksum(signed) == *last).then_some((
        function >> 2,
        sequence >> 2,
        command,
        cursor.rest(),
    ))
}

/// What makes the sum of all bytes zero (section 13.8).
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// How a request went (table 5-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion(pub u8);

impl Completion {
    /// It was carried out.
    pub const OK: Self = Self(0);
    /// It takes commands again in a moment.
    pub const BUSY: Self = Self(0xc0);

    /// Whether the same may be asked again with another end.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self.0, 0xc0 | 0xc3 | 0xce | 0xcf | 0xd0 | 0xd1 | 0xd2 | 0xd5)
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x00 => "well",
            0xc0 => "it is busy",
            0xc1 | 0xc2 => "it does not know this command",
            0xc3 => "it took too long",
            0xc7 | 0xc8 => "a wrong length",
            0xc9 | 0xcc => "it does not take this value",
            0xce | 0xcf => "it could not answer",
            0xd0 | 0xd1 => "it is being updated",
            0xd2 => "it starts",
            0xd4 => "the user may not do this: it takes the privilege level `operator`",
            0xd5 => "it cannot do this in its present state",
            0xd6 => "it was switched off in its settings",
            other => return write!(f, "completion code {other:#04x}"),
        })
    }
}

/// Power (chapter 28).
pub mod chassis {
    use super::Request;

    /// The group of these commands.
    pub const FUNCTION: u8 = 0;
    /// Get Chassis Status.
    pub const STATUS: u8 = 1;
    /// Chassis Control.
    pub const CONTROL: u8 = 2;

    /// Asks whether it is on (section 28.2).
    #[must_use]
    pub const fn status() -> Request<'static> {
        Request { function: FUNCTION, command: STATUS, data: &[] }
    }

    /// Whether the answer's data say that power is on; `None` where they are too short.
    #[must_use]
    pub fn is_on(data: &[u8]) -> Option<bool> {
        data.first().map(|state| state & 1 == 1)
    }

    /// Power off at once (section 28.3).
    #[must_use]
    pub const fn off() -> Request<'static> {
        Request { function: FUNCTION, command: CONTROL, data: &[0] }
    }

    /// Power on (section 28.3).
    #[must_use]
    pub const fn on() -> Request<'static> {
        Request { function: FUNCTION, command: CONTROL, data: &[1] }
    }

    /// Asks the operating system to end, as a short press does (section 28.3).
    #[must_use]
    pub const fn soft_off() -> Request<'static> {
        Request { function: FUNCTION, command: CONTROL, data: &[5] }
    }
}

/// The session itself (chapter 22).
pub mod session {
    use super::Request;

    /// The group of these commands.
    pub const FUNCTION: u8 = 6;
    /// Set Session Privilege Level.
    pub const LEVEL: u8 = 0x3b;
    /// Close Session.
    pub const CLOSE: u8 = 0x3c;

    /// Takes a privilege level (section 22.18); a session begins as `user`.
    #[must_use]
    pub const fn level(level: &[u8; 1]) -> Request<'_> {
        Request { function: FUNCTION, command: LEVEL, data: level }
    }

    /// Ends the session with this number of the controller's, in its byte order (section 22.19).
    #[must_use]
    pub const fn close(number: &[u8; 4]) -> Request<'_> {
        Request { function: FUNCTION, command: CLOSE, data: number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_specification_writes() {
        assert_eq!(chassis::status().encode(1), [0x20, 0, 0xe0, 0x81, 4, 1, 0x7a]);
        assert_eq!(chassis::on().encode(2), [0x20, 0, 0xe0, 0x81, 8, 2, 1, 0x74]);
        assert_eq!(chassis::off().encode(2), [0x20, 0, 0xe0, 0x81, 8, 2, 0, 0x75]);
        assert_eq!(chassis::soft_off().encode(2), [0x20, 0, 0xe0, 0x81, 8, 2, 5, 0x70]);
        assert_eq!(session::level(&[3]).encode(0), [0x20, 0x18, 0xc8, 0x81, 0, 0x3b, 3, 0x41]);
        let (request, sequence) = Request::decode(&[0x20, 0, 0xe0, 0x81, 8, 2, 1, 0x74]).unwrap();
        assert_eq!((request, sequence), (chassis::on(), 2));
    }

    #[test]
    fn an_answer_is_read_and_a_damaged_one_is_none() {
        let reply = Reply {
            function: chassis::FUNCTION,
            command: chassis::STATUS,
            sequence: 5,
            completion: Completion::OK,
            data: &[0x21, 0, 0x40],
        };
        let bytes = reply.encode();
        assert_eq!(bytes[..7], [0x81, 4, 0x7b, 0x20, 20, 1, 0]);
        assert_eq!(Reply::decode(&bytes), Some(reply));
        assert_eq!(chassis::is_on(reply.data), Some(true));
        assert_eq!((chassis::is_on(&[0x20]), chassis::is_on(&[])), (Some(false), None));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(Reply::decode(&damaged), None, "{at}");
            assert_eq!(Reply::decode(&bytes[..at]), None, "{at}");
        }
        assert_eq!(Reply::decode(&chassis::status().encode(1)), None, "a question is no answer");
    }
}
