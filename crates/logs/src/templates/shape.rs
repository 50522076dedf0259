//! The shape of a line: its words, with a star for each that holds a digit.
//!
//! ```text
//! drop wan-in IN=eth0 SRC=203.0.113.7 DPT=23 SYN    a line
//! drop wan-in IN=*    SRC=*           DPT=*  SYN    its shape
//! ```

use crate::hash;

/// Longest word of a shape, in bytes; longer ones are taken for data.
const LONGEST_WORD: usize = 40;
/// How much of a line makes its shape, in bytes.
const LOOKED_AT: usize = 512;

const BETWEEN: u8 = 1;
const DIGIT: u8 = 2;

/// What each byte is.
const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256, and `try_from` is no constant")]
        let b = byte as u8;
        #[expect(clippy::indexing_slicing, reason = "below 256, at compile time")]
        if b.is_ascii_digit() {
            classes[byte] = DIGIT;
        } else if b.is_ascii_control()
            || matches!(b, b' ' | b'=' | b',' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'')
        {
            classes[byte] = BETWEEN;
        }
        byte += 1;
    }
    classes
}

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The number of a line's shape. Lines of one shape have the same, others have another, but for a chance of 1 in 2^64.
pub(super) fn number(start: u64, text: &[u8]) -> u64 {
    let text = text.get(..LOOKED_AT).unwrap_or(text);
    let (mut hash, mut from, mut seen, mut before) = (start, 0, 0, 0);
    for (at, byte) in text.iter().enumerate() {
        let class = class(*byte);
        seen |= class;
        if class == BETWEEN {
            let word = text.get(from..at).unwrap_or_default();
            if !word.is_empty() {
                hash = close(hash, word, seen);
            }
            // A run of blanks is one: columns are aligned.
            if *byte != before || !word.is_empty() || *byte != b' ' {
                hash = hash::mix(hash, u64::from(*byte));
            }
            (from, seen, before) = (at + 1, 0, *byte);
        }
    }
    let word = text.get(from..).unwrap_or_default();
    hash::done(if word.is_empty() { hash } else { close(hash, word, seen) })
}

fn close(hash: u64, word: &[u8], seen: u8) -> u64 {
    if seen & DIGIT != 0 || word.len() > LONGEST_WORD { hash::mix(hash, 0x2a) } else { hash::add(hash, word) }
}

/// One piece of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A word that is the same in every line.
    Word(&'a [u8]),
    /// One that differs.
    Star,
    /// What stands between words.
    Between(u8),
}

/// The pieces of a line, or of a shape that was written as text.
pub(super) fn pieces(text: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text.get(..LOOKED_AT).unwrap_or(text);
    let mut before = None;
    std::iter::from_fn(move || {
        loop {
            let (first, after) = rest.split_first()?;
            if class(*first) == BETWEEN {
                rest = after;
                if before.replace(*first) == Some(b' ') && *first == b' ' {
                    continue;
                }
                return Some(Piece::Between(*first));
            }
            before = None;
            let end = rest.iter().position(|byte| class(*byte) == BETWEEN).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end)?;
            rest = after;
            let data = word.len() > LONGEST_WORD || word.iter().any(u8::is_ascii_digit) || word == b"*";
            return Some(if data { Piece::Star } else { Piece::Word(word) });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        for piece in pieces(text.as_bytes()) {
            match piece {
                Piece::Word(word) => out.push_str(std::str::from_utf8(word).unwrap()),
                Piece::Star => out.push('*'),
                Piece::Between(byte) => out.push(char::from(byte)),
            }
        }
        out
    }

    #[test]
    fn what_differs_from_line_to_line_is_a_star() {
        let line = "drop wan-in IN=eth0 OUT= MAC=aa:0b:cc SRC=203.0.113.7  DPT=23 SYN (x86)";
        assert_eq!(written(line), "drop wan-in IN=* OUT= MAC=* SRC=* DPT=* SYN (*)");
        assert_eq!(written(&"w".repeat(41)), "*");
    }

    #[test]
    fn lines_have_one_number_exactly_when_they_have_one_shape() {
        let lines = [
            "a b", "a  b", "a b ", " a b", "a 1", "a 22", "a  9", "a=b", "a=1", "ab", "", "a", "1", "b a",
            "(a)", "a,b", "a,,b", "a, b", "a ,b", "a b c", "a 1 c", "a c 1", "1 a c", "ä b",
        ];
        for one in lines {
            for other in lines {
                let same = number(7, one.as_bytes()) == number(7, other.as_bytes());
                assert_eq!(same, written(one) == written(other), "{one:?} and {other:?}");
            }
        }
    }
}
