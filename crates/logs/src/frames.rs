//! Cuts a TCP stream of syslog into messages: counted octets or line ends, told apart message by message (RFC 6587).
//!
//! ```text
//! 30 <13>1 - - - - - - text …    octet counting (section 3.4.1)
//! <13>text\n                     a line each (section 3.4.2); a NUL ends one, too
//! ```

/// Longest message, in bytes; of longer ones the beginning is kept.
const LONGEST: usize = 8 * 1024;
/// Most digits of a count.
const DIGITS: usize = 7;

/// What is kept of a message that is not complete yet.
#[derive(Debug, Default)]
pub struct Frames {
    kept: Vec<u8>,
    /// Bytes of a counted message that are still to come; `None` while a line is read.
    counted: Option<usize>,
    /// The rest of a message that is too long.
    skipping: bool,
}

/// What was found in a piece of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Messages.
    pub whole: u64,
    /// Those of them that were cut.
    pub cut: u64,
}

impl Frames {
    /// Takes what was read, and gives each message that is complete.
    pub fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Found {
        let mut found = Found::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.counted {
                Some(left) => self.counted(rest, left, &mut found, &mut each),
                None => self.line(rest, &mut found, &mut each),
            };
        }
        found
    }

    /// The stream ended: what is left is the last message.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8])) -> Found {
        let mut found = Found::default();
        let kept = std::mem::take(&mut self.kept);
        let cut = std::mem::take(&mut self.skipping) || self.counted.take().is_some();
        if !kept.is_empty() {
            each(&kept);
            found = Found { whole: 1, cut: u64::from(cut) };
        }
        found
    }

    fn line<'a>(&mut self, rest: &'a [u8], found: &mut Found, each: &mut impl FnMut(&[u8])) -> &'a [u8] {
        if self.kept.is_empty() && !self.skipping {
            match count(rest) {
                Count::Of(left, after) => {
                    self.counted = Some(left);
                    return after;
                }
                Count::More => {
                    self.kept.extend_from_slice(rest);
                    return &[];
                }
                Count::None => {}
            }
        } else if !self.skipping && self.kept.len() <= DIGITS + 1 && self.kept.iter().all(is_count) {
            match rest.split_first() {
                // A line of nothing but a number.
                Some((b'\n' | 0, _)) | None => {}
                Some((first, after)) => {
                    self.torn_count(*first);
                    return after;
                }
            }
        }
        let Some(end) = memchr::memchr2(b'\n', 0, rest) else {
            self.keep(rest);
            return &[];
        };
        let (line, after) = rest.split_at(end);
        self.emit(line, found, each);
        after.get(1..).unwrap_or_default()
    }

    /// A count that may have been cut in two: byte by byte until it is one, or is none.
    fn torn_count(&mut self, next: u8) {
        self.kept.push(next);
        if let Count::Of(left, _) = count(&self.kept) {
            // What stands behind the blank is `<`, which belongs to the message.
            self.kept = vec![b'<'];
            self.counted = Some(left.saturating_sub(1));
        }
    }

    fn counted<'a>(
        &mut self,
        rest: &'a [u8],
        left: usize,
        found: &mut Found,
        each: &mut impl FnMut(&[u8]),
    ) -> &'a [u8] {
        let Some((message, after)) = rest.split_at_checked(left) else {
            self.keep(rest);
            self.counted = Some(left - rest.len());
            return &[];
        };
        self.counted = None;
        self.emit(message, found, each);
        after
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.skipping |= bytes.len() > room;
    }

    fn emit(&mut self, end: &[u8], found: &mut Found, each: &mut impl FnMut(&[u8])) {
        if self.kept.is_empty() && end.len() <= LONGEST {
            if !end.is_empty() {
                each(end);
                found.whole += 1;
            }
            return;
        }
        self.keep(end);
        each(&self.kept);
        self.kept.clear();
        found.whole += 1;
        found.cut += u64::from(std::mem::take(&mut self.skipping));
    }
}

fn is_count(byte: &u8) -> bool {
    byte.is_ascii_digit() || *byte == b' '
}

enum Count<'a> {
    Of(usize, &'a [u8]),
    /// So far it may be one.
    More,
    None,
}

/// `123 <`: a count, a blank, and the message's first byte, which every message counted has.
fn count(bytes: &[u8]) -> Count<'_> {
    let end = bytes.iter().take(DIGITS + 1).position(|byte| !byte.is_ascii_digit());
    let Some(end) = end else {
        return if bytes.len() <= DIGITS { Count::More } else { Count::None };
    };
    let (digits, rest) = bytes.split_at_checked(end).unwrap_or_default();
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    match (number, rest) {
        (Some(number @ 1..), [b' ', b'<', ..]) => Count::Of(number, rest.get(1..).unwrap_or_default()),
        (Some(1..), [b' ']) => Count::More,
        _ => Count::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> (Vec<String>, Found) {
        let (mut out, mut found) = (Vec::new(), Found::default());
        let mut frames = Frames::default();
        let mut each = |message: &[u8]| out.push(String::from_utf8_lossy(message).into_owned());
        for piece in pieces {
            let now = frames.take(piece, &mut each);
            found = Found { whole: found.whole + now.whole, cut: found.cut + now.cut };
        }
        let now = frames.finish(&mut each);
        (out, Found { whole: found.whole + now.whole, cut: found.cut + now.cut })
    }

    const STREAM: &[u8] =
        b"<13>one\n8 <13>t\nwo<14>three\r\n\n12 monkeys\n5 <1>4\n5 <1>x\0 7\n99\n1 <1234567890\n<1>last";

    #[test]
    fn both_ways_of_framing_are_read_in_one_stream() {
        let (lines, found) = all(&[STREAM]);
        let expected = [
            "<13>one",
            "<13>t\nwo",
            "<14>three\r",
            "12 monkeys",
            "<1>4\n",
            "<1>x\0",
            " 7",
            "99",
            "<",
            "1234567890",
            "<1>last",
        ];
        assert_eq!(lines, expected);
        assert_eq!(found, Found { whole: 11, cut: 0 });
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages() {
        let whole = all(&[STREAM]);
        for one in 0..=STREAM.len() {
            for other in one..=STREAM.len() {
                let pieces = [&STREAM[..one], &STREAM[one..other], &STREAM[other..]];
                assert_eq!(all(&pieces), whole, "cut at {one} and {other}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(all(&bytes), whole);
    }

    #[test]
    fn a_message_without_end_is_cut_and_does_not_grow() {
        let mut frames = Frames::default();
        for _ in 0..100 {
            frames.take(&[b'x'; 4096], |_| ());
            assert!(frames.kept.len() <= LONGEST);
        }
        let mut lengths = Vec::new();
        let found = frames.take(b"\n<1>next\n", |message| lengths.push(message.len()));
        assert_eq!((lengths, found), (vec![LONGEST, 7], Found { whole: 2, cut: 1 }));
    }

    proptest! {
        #[test]
        fn any_bytes_cut_anywhere_read_the_same(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b' '), Just(b'<'), Just(b'1'), Just(b'2'), Just(b'0'), Just(b'x'), any::<u8>()
            ], 0..60),
            cut in 0_usize..60,
        ) {
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(all(&[a, b]), all(&[&bytes]));
        }
    }
}
