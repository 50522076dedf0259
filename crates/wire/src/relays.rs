//! Relay boards on serial ports, as shops sell them: LCUS boards with four bytes an order, and Numato Lab's with words.
//!
//! ```text
//!   LCUS    a0 │ relay from 1 │ 1 closes, 0 opens │ sum of the three     asked by ff; many say nothing then
//!   Numato  relay on 0\r      relay read 0\r ─▶ …on\n\r>
//! ```

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What an LCUS board is asked with, how its relays are.
pub const LCUS_STATUS: u8 = 0xff;

/// What closes or opens a relay of an LCUS board; relays are counted from 1.
#[must_use]
pub const fn lcus(relay: u8, close: bool) -> [u8; 4] {
    let deed = if close { 1 } else { 0 };
    let sum = 0xa0_u8.wrapping_add(relay).wrapping_add(deed);
    [0xa0, relay, deed, sum]
}

/// How relays of an LCUS board are, from the first on, of all that it answered: lines such as `CH1: ON`, or a byte a relay.
/// Empty where it is neither.
#[must_use]
pub fn lcus_states(answer: &[u8]) -> Vec<bool> {
    if !answer.is_empty() && answer.len() <= 8 && answer.iter().all(|byte| *byte < 2) {
        return answer.iter().map(|byte| *byte == 1).collect();
    }
    let text = String::from_utf8_lossy(answer);
    let mut states = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let word = line.strip_prefix(&format!("CH{}", states.len() + 1));
        let word = word.map(|rest| rest.trim_start_matches([':', ' ']));
        match word {
            Some("ON") => states.push(true),
            Some("OFF") => states.push(false),
            // A line that is none makes what stands behind it doubtful.
            _ => return Vec::new(),
        }
    }
    states
}

/// True of what Numato's boards call a relay: a digit or a capital letter, or two digits.
#[must_use]
pub fn is_numato(relay: &str) -> bool {
    let one = relay.len() == 1 && relay.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'V').contains(&b));
    one || (relay.len() == 2 && relay.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What closes or opens a relay of Numato's.
#[must_use]
pub fn numato(relay: &str, close: bool) -> String {
    format!("relay {} {relay}\r", if close { "on" } else { "off" })
}

/// What asks how a relay of Numato's is.
#[must_use]
pub fn numato_status(relay: &str) -> String {
    format!("relay read {relay}\r")
}

/// What it answers, up to the `>` with which it waits for more: the question again, then a word. `None` of anything else.
#[must_use]
pub fn numato_state(relay: &str, answer: &[u8]) -> Option<bool> {
    let text = core::str::from_utf8(answer).ok()?;
    let before = text.trim_end().strip_suffix('>')?;
    let (_, said) = before.rsplit_once(&format!("relay read {relay}"))?;
    match said.trim() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn orders_are_those_of_the_makers() {
        assert_eq!((lcus(1, true), lcus(1, false)), ([0xa0, 1, 1, 0xa2], [0xa0, 1, 0, 0xa1]));
        assert_eq!((lcus(4, true), lcus(8, false)), ([0xa0, 4, 1, 0xa5], [0xa0, 8, 0, 0xa8]));
        assert_eq!((numato("0", true), numato("A", false)), ("relay on 0\r".into(), "relay off A\r".into()));
        for (relay, right) in
            [("0", true), ("V", true), ("12", true), ("W", false), ("a", false), ("", false)]
        {
            assert_eq!(is_numato(relay), right, "{relay}");
        }
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let table: [(&[u8], Vec<bool>); 8] = [
            (b"CH1: ON\r\nCH2: OFF\r\n", vec![true, false]),
            (b"CH1:OFF\r\n", vec![false]),
            (b"\x01\x00\x00\x01", vec![true, false, false, true]),
            (b"", vec![]),
            (b"CH2: ON\r\n", vec![]),
            (b"CH1: ON\r\nCH2: O", vec![]),
            (b"\x01\x02", vec![]),
            (&[0; 9], vec![]),
        ];
        for (answer, states) in table {
            assert_eq!(lcus_states(answer), states, "{answer:?}");
        }
        let table: [(&[u8], Option<bool>); 6] = [
            (b"relay read 0\n\ron\n\r>", Some(true)),
            (b">relay read 0\r\noff\r\n>", Some(false)),
            (b"relay read 1\n\ron\n\r>", None),
            (b"relay read 0\n\ron\n\r", None),
            (b"relay read 0\n\rerror\n\r>", None),
            (b"\xff>", None),
        ];
        for (answer, state) in table {
            assert_eq!(numato_state("0", answer), state, "{answer:?}");
        }
    }
}
