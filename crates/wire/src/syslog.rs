//! Syslog datagrams as they come: RFC 5424, RFC 3164, and what firmware sends that is neither.
//!
//! ```text
//! <134>1 2026-01-31T12:00:00Z node1 app 12 - [data] text      RFC 5424 section 6
//! <134>Jan 31 12:00:00 node1 app[12]: text                    RFC 3164 section 4.1
//! <134>node1.lab ipxe: text      <134>ipxe: text              iPXE (`net/udp/syslog.c`)
//! text                                                        anything else
//! ```

use alloc::string::String;

/// Longest text kept of a message, in bytes. iPXE's own buffer has 128.
pub const LONGEST_TEXT: usize = 480;
/// Longest name of a host or program kept, in bytes.
const LONGEST_NAME: usize = 64;
/// Facility and severity of a message that names none: user, notice (RFC 3164 section 4.3.3).
const PRIORITY_UNTOLD: u8 = 13;
/// Highest priority there is: 23 facilities of 8 severities.
const HIGHEST_PRIORITY: u8 = 191;
/// Most elements of structured data that are skipped.
const MOST_ELEMENTS: usize = 64;

/// One message. Its text is one line of printable characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// Who kept the log: 0 the kernel, 1 a user program, 16 to 23 local (RFC 5424 table 1).
    pub facility: u8,
    /// 0 emergency to 7 debug (RFC 5424 table 2).
    pub severity: u8,
    /// The host by its own account; empty when it does not say.
    pub host: String,
    /// The program; empty when it does not say.
    pub program: String,
    /// What it says.
    pub text: String,
}

/// One message as it stands in its bytes: nothing is copied, cleaned or cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Who kept the log: 0 the kernel, 1 a user program, 16 to 23 local (RFC 5424 table 1).
    pub facility: u8,
    /// 0 emergency to 7 debug (RFC 5424 table 2).
    pub severity: u8,
    /// When, by its sender: RFC 3339 or `Mmm dd hh:mm:ss`; empty when it does not say.
    pub time: &'a [u8],
    /// The host by its own account; empty when it does not say.
    pub host: &'a [u8],
    /// The program; empty when it does not say.
    pub program: &'a [u8],
    /// What it says, with the line end it came with.
    pub text: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Reads a datagram, or a frame of a connection. Everything is a message: what has no head is all text.
    #[must_use]
    pub fn of(datagram: &'a [u8]) -> Self {
        let bytes = datagram.strip_prefix(b"\xef\xbb\xbf").unwrap_or(datagram);
        let (priority, rest) = match priority(bytes) {
            Some((priority, rest)) => (priority, rest),
            None => (PRIORITY_UNTOLD, bytes),
        };
        let head = modern(rest).or_else(|| dated(rest)).unwrap_or_else(|| tagged(rest));
        let Head { time, host, program, text } = head;
        Self { facility: priority >> 3, severity: priority & 7, time, host, program, text }
    }
}

impl Syslog {
    /// Reads a datagram. Everything is a message: what has no head is all text.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Self {
        let parts = Parts::of(datagram);
        Self {
            facility: parts.facility,
            severity: parts.severity,
            host: cleaned(parts.host, LONGEST_NAME),
            program: cleaned(parts.program, LONGEST_NAME),
            text: cleaned(parts.text, LONGEST_TEXT),
        }
    }

    /// True for a line of iPXE.
    #[must_use]
    pub fn is_ipxe(&self) -> bool {
        self.program.eq_ignore_ascii_case("ipxe")
    }
}

/// What stands before a text, and the text.
#[derive(Debug, Default)]
struct Head<'a> {
    time: &'a [u8],
    host: &'a [u8],
    program: &'a [u8],
    text: &'a [u8],
}

/// `<0>` to `<191>`.
fn priority(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let inner = bytes.strip_prefix(b"<")?;
    let end = inner.iter().take(4).position(|byte| *byte == b'>')?;
    let (digits, rest) = inner.split_at_checked(end)?;
    let number: u8 = core::str::from_utf8(digits).ok()?.parse().ok()?;
    let plain = digits.iter().all(u8::is_ascii_digit);
    (plain && number <= HIGHEST_PRIORITY).then(|| (number, rest.get(1..).unwrap_or_default()))
}

/// RFC 5424: version 1, time, host, program, process, message id, structured data, text.
fn modern(bytes: &[u8]) -> Option<Head<'_>> {
    let rest = bytes.strip_prefix(b"1 ")?;
    let (time, rest) = word(rest)?;
    if time != b"-" && !time.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (host, rest) = word(rest)?;
    let (program, rest) = word(rest)?;
    let (_process, rest) = word(rest)?;
    let (_message, rest) = word(rest)?;
    let text = after_data(rest)?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let known = |name: &'_ [u8]| name != b"-";
    let named = |name| if known(name) { name } else { &[] };
    Some(Head { time: named(time), host: named(host), program: named(program), text })
}

/// Skips `-` or `[id name="value"]..`; a `]` inside a value is written `\]` (RFC 5424 section 6.3.3).
fn after_data(bytes: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = bytes.strip_prefix(b"-") {
        return Some(rest.strip_prefix(b" ").unwrap_or(rest));
    }
    let mut rest = bytes;
    for _ in 0..MOST_ELEMENTS {
        let Some(element) = rest.strip_prefix(b"[") else { break };
        let mut quoted = false;
        let mut escaped = false;
        let end = element.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b']' => return !quoted,
                _ => {}
            }
            false
        })?;
        rest = element.get(end.saturating_add(1)..).unwrap_or_default();
    }
    if rest.len() == bytes.len() {
        return None;
    }
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

/// RFC 3164: `Mmm dd hh:mm:ss host program[process]: text`.
fn dated(bytes: &[u8]) -> Option<Head<'_>> {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let (time, rest) = bytes.split_at_checked(16)?;
    let month = time.get(..3)?;
    let colons = time.get(9) == Some(&b':') && time.get(12) == Some(&b':') && time.get(15) == Some(&b' ');
    if !colons || !MONTHS.contains(&month) {
        return None;
    }
    let (host, rest) = word(rest)?;
    let Head { program, text, .. } = program(rest).unwrap_or_else(|| Head { text: rest, ..Head::default() });
    Some(Head { time: time.get(..15).unwrap_or_default(), host, program, text })
}

/// `host program: text` or `program: text`, as iPXE and small devices write.
fn tagged(bytes: &[u8]) -> Head<'_> {
    if let Some(head) = program(bytes) {
        return head;
    }
    let named = word(bytes).and_then(|(host, rest)| program(rest).map(|head| Head { host, ..head }));
    named.unwrap_or_else(|| Head { text: bytes, ..Head::default() })
}

/// `program: text` or `program[process]: text`.
fn program(bytes: &[u8]) -> Option<Head<'_>> {
    let end = bytes.iter().take(LONGEST_NAME).position(|byte| *byte == b':')?;
    let (name, rest) = bytes.split_at_checked(end)?;
    let name = name.split(|byte| *byte == b'[').next().unwrap_or(name);
    let plain = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    let text = rest.get(1..).unwrap_or_default();
    // An address or a URL has colons too, and no blank behind them.
    let text = text.strip_prefix(b" ").or_else(|| text.is_empty().then_some(text))?;
    plain.then_some(Head { program: name, text, ..Head::default() })
}

/// Everything to the next blank, and what follows it.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let (word, rest) = bytes.split_at_checked(end)?;
    (!word.is_empty()).then(|| (word, rest.get(1..).unwrap_or_default()))
}

/// One line for people: no terminal commands, no control characters, at most `longest` bytes.
fn cleaned(bytes: &[u8], longest: usize) -> String {
    let mut clean = String::new();
    let mut text =
        String::from_utf8_lossy(bytes.get(..longest.saturating_mul(4)).unwrap_or(bytes)).into_owned();
    text.truncate(text.trim_end_matches(['\n', '\r', '\0', ' ']).len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' {
            // An escape sequence of a console: skipped to the letter that ends it (ECMA-48 section 5.4).
            if characters.next() == Some('[') {
                let _letter = characters.by_ref().find(char::is_ascii_alphabetic);
            }
            continue;
        }
        let shown = if c == '\t' { ' ' } else { c };
        if shown.is_control() {
            continue;
        }
        if clean.len().saturating_add(shown.len_utf8()) > longest {
            break;
        }
        clean.push(shown);
    }
    clean
}
