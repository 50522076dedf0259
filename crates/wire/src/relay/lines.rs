//! Lines out of a serial line's bytes: halves are kept until their end comes, what is too long is let go.

use alloc::vec::Vec;

/// Longest line that is kept, in bytes. The original board answers with 23; frames are shorter than this.
pub const LINE: usize = 200;

/// Puts lines together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    line: Vec<u8>,
    /// The line was too long: the rest of it is let go.
    spoilt: bool,
}

impl Lines {
    /// Takes one byte; gives a line when it is its end. Carriage returns are not part of a line, and empty lines are
    /// none.
    pub fn take(&mut self, byte: u8) -> Option<Vec<u8>> {
        match byte {
            b'\n' => {
                let spoilt = core::mem::take(&mut self.spoilt);
                let line = core::mem::take(&mut self.line);
                (!spoilt && !line.is_empty()).then_some(line)
            }
            b'\r' => None,
            _ if self.line.len() >= LINE => {
                self.spoilt = true;
                self.line.clear();
                None
            }
            _ if self.spoilt => None,
            byte => {
                self.line.push(byte);
                None
            }
        }
    }

    /// Forgets a half line.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<String> {
        let mut lines = Lines::default();
        let taken = bytes.iter().filter_map(|byte| lines.take(*byte));
        taken.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
    }

    #[test]
    fn halves_wait_for_their_end_and_empty_lines_are_none() {
        assert_eq!(all(b"sta"), Vec::<String>::new());
        assert_eq!(all(b"\r\nstarting\r\n\nready\r\nst"), ["starting", "ready"]);
    }

    #[test]
    fn a_line_that_never_ends_takes_no_memory_and_spoils_only_itself() {
        let mut bytes = vec![b'x'; 10 * LINE];
        bytes.extend_from_slice(b"yyy\nready\n");
        assert_eq!(all(&bytes), ["ready"]);
        let whole = [vec![b'x'; LINE], vec![b'\n']].concat();
        assert_eq!(all(&whole).len(), 1, "a line of exactly the limit is one");
    }
}
