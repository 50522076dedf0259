//! Heads of HTTP/1.1 (RFC 9110, RFC 9112), as far as a loader needs them: it asks for a length and takes nothing else.

use alloc::string::String;
use core::fmt::{self, Write as _};
use core::net::SocketAddrV4;

use super::USER_AGENT;

/// Longest head that is read, in bytes.
pub const LONGEST_HEAD: usize = 16 << 10;

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where it goes.
    pub host: SocketAddrV4,
    /// From the root.
    pub path: &'a str,
    /// Version of the loader.
    pub version: &'a str,
    /// The body of a POST; none is a GET.
    pub body: Option<&'a str>,
    /// First byte that is wanted; others are there already.
    pub from: u64,
}

impl Request<'_> {
    /// The request as it is sent, on a connection that stays open.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { host, path, version, body, from } = self;
        let mut text = String::new();
        let method = if body.is_some() { "POST" } else { "GET" };
        let _infallible =
            write!(text, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}{version}\r\n");
        if *from > 0 {
            let _infallible = write!(text, "Range: bytes={from}-\r\n");
        }
        if let Some(body) = body {
            let _infallible = write!(text, "Content-Type: text/plain\r\nContent-Length: {}\r\n", body.len());
        }
        text.push_str("\r\n");
        text.push_str(body.unwrap_or_default());
        text
    }
}

/// Why a head is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadError {
    /// It is longer than [`LONGEST_HEAD`].
    TooLong,
    /// It is no head of HTTP/1.1.
    Garbled,
    /// It does not say how long its body is.
    NoLength,
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "its head is longer than 16 KiB",
            Self::Garbled => "it does not speak HTTP/1.1",
            Self::NoLength => "it does not say how long its answer is",
        })
    }
}

impl core::error::Error for HeadError {}

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Bytes of its body.
    pub length: u64,
    /// First byte of the file that the body begins with.
    pub from: u64,
    /// Seconds after which to ask again (RFC 9110 section 10.2.3).
    pub retry_after: Option<u16>,
    /// Bytes of the head itself: the body begins behind them.
    pub size: usize,
}

impl Head {
    /// Reads the head of what came so far; nothing while it is not whole.
    ///
    /// # Errors
    /// [`HeadError`]; the connection is of no use then.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, HeadError> {
        let Some(end) = bytes.windows(4).take(LONGEST_HEAD).position(|four| four == b"\r\n\r\n") else {
            let is_long = bytes.len() >= LONGEST_HEAD + 4;
            return if is_long { Err(HeadError::TooLong) } else { Ok(None) };
        };
        let head =
            bytes.get(..end).and_then(|head| core::str::from_utf8(head).ok()).ok_or(HeadError::Garbled)?;
        let mut lines = head.split("\r\n");
        let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(HeadError::Garbled)?;
        let digits = first.get(..3).filter(|_| matches!(first.as_bytes().get(3), None | Some(b' ')));
        let status = digits.and_then(|digits| digits.parse().ok()).ok_or(HeadError::Garbled)?;
        let mut all = Self { status, length: 0, from: 0, retry_after: None, size: end + 4 };
        let mut length = None;
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(HeadError::Garbled)?;
            let value = value.trim_matches([' ', '\t']);
            if name.eq_ignore_ascii_case("content-length") {
                let told: u64 = number(value).ok_or(HeadError::Garbled)?;
                if length.is_some_and(|before| before != told) {
                    return Err(HeadError::Garbled);
                }
                length = Some(told);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(HeadError::NoLength);
            } else if name.eq_ignore_ascii_case("content-range") {
                let first = value.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
                all.from = first.and_then(|(first, _)| number(first)).ok_or(HeadError::Garbled)?;
            } else if name.eq_ignore_ascii_case("retry-after") {
                all.retry_after = number(value).and_then(|seconds| u16::try_from(seconds).ok());
            }
        }
        all.length = length.ok_or(HeadError::NoLength)?;
        Ok(Some(all))
    }
}

/// Decimal digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}
