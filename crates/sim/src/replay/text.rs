//! A script as a text file, to be kept beside a test and read by people.
//!
//! ```text
//! labinator replay 1
//! # from capture.pcap
//! machine 52:54:00:00:00:01
//! dhcp 0 67 0101060091db...
//!   = offer address file 54 class=PXEClient
//! tftp 4210 0001626f6f742e656669...
//!   = oack tsize blksize=1468
//! ```

use std::fmt::{self, Write as _};

use super::{Ask, Question, Script};

const FIRST: &str = "labinator replay 1";
/// Largest message of a line, in bytes.
const LARGEST: usize = 16 * 1024;

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptFault {
    /// Line, from 1.
    pub line: usize,
    /// What was expected.
    pub expected: &'static str,
}

impl fmt::Display for ScriptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: expected {}", self.line, self.expected)
    }
}

impl std::error::Error for ScriptFault {}

impl Script {
    /// The text of this script.
    #[must_use]
    pub fn text(&self) -> String {
        let source: String = self.source.chars().filter(|c| !c.is_control()).collect();
        let mut text = format!("{FIRST}\n# from {source}\nmachine {}\n", self.mac);
        for ask in &self.asks {
            let _infallible = match &ask.question {
                Question::Dhcp(port, bytes) => writeln!(text, "dhcp {} {port} {}", ask.at, hex(bytes)),
                Question::Tftp(bytes) => writeln!(text, "tftp {} {}", ask.at, hex(bytes)),
            };
            if !ask.answer.is_empty() {
                let _infallible = writeln!(text, "  = {}", ask.answer.join(" "));
            }
        }
        text
    }

    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptFault`] with the first line that is not one.
    pub fn parse(text: &str) -> Result<Self, ScriptFault> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        if lines.next().is_none_or(|(_, line)| line != FIRST) {
            return Err(ScriptFault { line: 1, expected: "`labinator replay 1`" });
        }
        let mut script = Self { mac: model::MacAddr::default(), source: String::new(), asks: Vec::new() };
        let mut named = false;
        for (line, words) in lines.filter(|(_, line)| !line.is_empty()) {
            let fault = |expected| ScriptFault { line, expected };
            if let Some(comment) = words.strip_prefix('#') {
                let from = comment.trim().strip_prefix("from ");
                script.source = from.map_or(script.source, str::to_owned);
            } else if let Some(mac) = words.strip_prefix("machine ") {
                script.mac = mac.trim().parse().map_err(|_| fault("an Ethernet address"))?;
                named = true;
            } else if let Some(answer) = words.strip_prefix("= ") {
                let ask = script.asks.last_mut().ok_or_else(|| fault("a question before its answer"))?;
                ask.answer = answer.split_whitespace().map(str::to_owned).collect();
            } else {
                let ask =
                    question(words).ok_or_else(|| fault("`dhcp MS PORT HEX`, `tftp MS HEX` or `= WORDS`"))?;
                script.asks.push(ask);
            }
        }
        let end = text.lines().count();
        if named { Ok(script) } else { Err(ScriptFault { line: end, expected: "`machine ADDRESS`" }) }
    }
}

fn question(line: &str) -> Option<Ask> {
    let mut words = line.split_whitespace();
    let (kind, at) = (words.next()?, words.next()?.parse().ok()?);
    let question = match kind {
        "dhcp" => Question::Dhcp(words.next()?.parse().ok()?, bytes(words.next()?)?),
        "tftp" => Question::Tftp(bytes(words.next()?)?),
        _ => return None,
    };
    Some(Ask { at, question, answer: Vec::new() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 2 * LARGEST {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    digits.as_chunks::<2>().0.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_survives_the_way_to_text_and_back() {
        let ask = |question, answer: &[&str]| Ask {
            at: 7,
            question,
            answer: answer.iter().map(|w| (*w).to_owned()).collect(),
        };
        let asks = vec![
            ask(Question::Dhcp(67, vec![1, 1, 6, 0xff]), &["offer", "43.6=8"]),
            ask(Question::Tftp(vec![0, 1]), &[]),
        ];
        let script = Script { mac: model::MacAddr([2, 0, 0, 0, 0, 1]), source: "x.pcap".to_owned(), asks };
        assert_eq!(Script::parse(&script.text()), Ok(script));
    }

    #[test]
    fn a_fault_names_its_line() {
        let line = |text: &str| Script::parse(text).unwrap_err().line;
        assert_eq!(line("labinator replay 2"), 1);
        assert_eq!(line("labinator replay 1\nmachine 02:00:00:00:00:01\ndhcp 0 67 0g"), 3);
        assert_eq!(line("labinator replay 1\n  = offer"), 2);
        assert_eq!(line("labinator replay 1\n# from x\n"), 2);
    }
}
