//! Texts of a title and `key value` lines, read strictly and written in one form.

use alloc::string::String;
use core::fmt;

use super::LONGEST_TEXT;

/// Why a text cannot be read: which line, and what was expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextError {
    /// What should have been there.
    pub expected: &'static str,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is expected", self.expected)
    }
}

impl core::error::Error for TextError {}

/// The error of something that was expected.
pub(super) const fn expected(expected: &'static str) -> TextError {
    TextError { expected }
}

/// The lines below a title.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    /// Reads a text with this title. Every line ends with a line feed, the last one too: a text that was cut is seen.
    pub(super) fn of(bytes: &'a [u8], title: &'static str) -> Result<Self, TextError> {
        if bytes.len() > LONGEST_TEXT {
            return Err(expected("a text of at most 64 KiB"));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| expected("UTF-8"))?;
        let below = text
            .strip_prefix(title)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or_else(|| expected(title))?;
        if !below.is_empty() && !below.ends_with('\n') {
            return Err(expected("a line feed at the end"));
        }
        let is_plain = |c: char| !c.is_control() || c == '\n';
        if !below.chars().all(is_plain) {
            return Err(expected("text without control characters"));
        }
        if below.lines().any(|line| !line.contains(' ')) {
            return Err(expected("a key, a space and a value in each line"));
        }
        Ok(Self(below))
    }

    /// The values of a key that may stand more than once, in order.
    pub(super) fn all(self, key: &'static str) -> impl Iterator<Item = &'a str> {
        self.0.lines().filter_map(move |line| line.split_once(' ').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }

    /// The value of a key that stands at most once.
    pub(super) fn maybe(self, key: &'static str) -> Result<Option<&'a str>, TextError> {
        let mut all = self.all(key);
        let first = all.next();
        match all.next() {
            Some(_) => Err(expected("each key once")),
            None => Ok(first),
        }
    }

    /// The value of a key that stands once.
    pub(super) fn one(self, key: &'static str) -> Result<&'a str, TextError> {
        self.maybe(key)?.ok_or_else(|| expected(key))
    }
}

/// Writes a line; what would break it is left out of its value.
pub(super) fn line(text: &mut String, key: &str, value: impl fmt::Display) {
    use fmt::Write as _;
    text.push_str(key);
    text.push(' ');
    let from = text.len();
    let _infallible = write!(text, "{value}");
    let value = text.split_off(from);
    text.extend(value.chars().filter(|c| !c.is_control()));
    text.push('\n');
}

/// Exactly so many bytes in lower-case hexadecimal.
pub(super) fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    if text.len() != N * 2 || !text.bytes().all(lower) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = core::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// Bytes in lower-case hexadecimal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
