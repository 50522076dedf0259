//! A log line on its way from the counter, which hears it, to the core, which keeps it: one datagram each.
//!
//! ```text
//!  0        1                    17                    25
//! ┌────────┬────────────────────┬─────────────────────┬──────┐
//! │ source │ from (IPv6 form)   │ lost before, so far │ line │
//! └────────┴────────────────────┴─────────────────────┴──────┘
//! ```
//!
//! The counter never waits for whoever keeps lines. What does not fit is counted, and the count goes with the next one
//! that does, so that the gap is shown at its place.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

/// Bytes before the line.
const HEAD: usize = 25;
/// Longest line handed on, in bytes; longer ones are cut.
pub const LONGEST: usize = 8 * 1024;

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeardKind {
    /// A syslog datagram.
    Syslog,
    /// A JSON line of Talos.
    Talos,
}

/// A line that somebody sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Its format.
    pub kind: HeardKind,
    /// The sender's address.
    pub from: IpAddr,
    /// How many lines could not be handed on since the counter began.
    pub lost: u64,
    /// The line as it came.
    pub line: &'a [u8],
}

impl<'a> Heard<'a> {
    /// Writes it over what is in `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(match self.kind {
            HeardKind::Syslog => 1,
            HeardKind::Talos => 2,
        });
        let from = match self.from {
            IpAddr::V4(four) => four.to_ipv6_mapped(),
            IpAddr::V6(six) => six,
        };
        out.extend_from_slice(&from.octets());
        out.extend_from_slice(&self.lost.to_le_bytes());
        out.extend_from_slice(self.line.get(..LONGEST).unwrap_or(self.line));
    }

    /// Reads one; `None` for what no counter of this version writes.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, line) = bytes.split_at_checked(HEAD)?;
        let (kind, head) = head.split_first()?;
        let (from, lost) = head.split_at_checked(16)?;
        let kind = match kind {
            1 => HeardKind::Syslog,
            2 => HeardKind::Talos,
            _ => return None,
        };
        let from: [u8; 16] = from.try_into().ok()?;
        let lost = u64::from_le_bytes(lost.try_into().ok()?);
        Some(Self { kind, from: IpAddr::V6(Ipv6Addr::from(from)).to_canonical(), lost, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_over_as_it_was() {
        let mut bytes = Vec::new();
        for from in ["10.0.0.7", "fd00::7"] {
            let from = from.parse().unwrap();
            let heard = Heard { kind: HeardKind::Talos, from, lost: 70_000, line: b"{}" };
            heard.write(&mut bytes);
            assert_eq!(Heard::read(&bytes), Some(heard));
        }
        assert_eq!(Heard::read(bytes.get(..24).unwrap()), None, "torn");
    }
}
