//! Lines to the original status display: an ESP32-S3 with a picture of 480x272 dots on a serial port, 115200 baud, 8N1.
//!
//! ```text
//!   status:{"initializer":{…},"power":{"P1":true,…},"logs":{…}}\n     the whole state, below 2,048 bytes
//!   log:node1 [info] power: on\n                                      one of the last twelve lines, at most 80 characters
//!   boss:ready\n   boss:shutdown\n                                    the state is shown; the power may be cut
//! ```
//!
//! Source: the display's own firmware (`labinator_statusinator`, `src/main.cpp`) and its sender. The firmware keeps 2,048
//! bytes of a line and puts what comes after them over the last one, so a longer state would be no JSON. Its font has ASCII
//! only. It answers nothing; what it prints is for people.

use alloc::format;
use alloc::string::String;

/// Bits a second.
pub const BAUD: u32 = 115_200;
/// Bytes of a line that the firmware keeps, one of them for its end.
pub const LINE: usize = 2048;
/// Characters of a line of the log.
pub const LOG: usize = 80;
/// Characters of a step that fit between its picture and the display's edge.
pub const STEP: usize = 18;
/// Characters of a lab's name that fit.
pub const NAME: usize = 14;
/// Power lamps.
pub const LAMPS: usize = 8;

/// How many of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// So many are as they should be.
    pub done: u32,
    /// Of so many.
    pub all: u32,
}

/// The state, as far as the display has room for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The lab's name.
    pub lab: String,
    /// What is being done, in a few words.
    pub step: String,
    /// Hypervisors.
    pub hypervisors: Count,
    /// Machines that are wanted.
    pub nodes: Count,
    /// Pods.
    pub pods: Count,
    /// Lamps P1 to P8: green where true, red where not.
    pub power: [bool; LAMPS],
    /// Machines that were given up: shown as errors.
    pub errors: u32,
    /// What a person should look at: shown as warnings.
    pub warnings: u32,
}

/// What the display shows as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Boss {
    /// The state.
    #[default]
    Ready,
    /// That the power may be cut.
    Shutdown,
}

impl Boss {
    /// Its line, with its end.
    #[must_use]
    pub const fn line(self) -> &'static str {
        match self {
            Self::Ready => "boss:ready\n",
            Self::Shutdown => "boss:shutdown\n",
        }
    }
}

impl Status {
    /// Its line, with its end. Whatever is in it, it is shorter than what the firmware keeps: texts are cut to the room that
    /// the picture has for them.
    #[must_use]
    pub fn line(&self) -> String {
        let lamps: [String; LAMPS] = core::array::from_fn(|at| {
            format!("\"P{}\":{}", at + 1, self.power.get(at).is_some_and(|on| *on))
        });
        format!(
            "status:{{\"initializer\":{{\"LabName\":\"{}\",\"CurrentStep\":\"{}\",\"NumHypervisors\":{},\
             \"InitializedHypervisors\":{},\"NumNodes\":{},\"InitializedNodes\":{},\"NumPods\":{},\"InitializedPods\":{}}},\
             \"power\":{{{}}},\"logs\":{{\"NumErrorMessages\":{},\"NumWarnMessages\":{}}}}}\n",
            quoted(&plain(&self.lab, NAME)),
            quoted(&plain(&self.step, STEP)),
            self.hypervisors.all,
            self.hypervisors.done,
            self.nodes.all,
            self.nodes.done,
            self.pods.all,
            self.pods.done,
            lamps.join(","),
            self.errors,
            self.warnings,
        )
    }
}

/// A line of the log, with its end.
#[must_use]
pub fn log_line(text: &str) -> String {
    format!("log:{}\n", plain(text, LOG))
}

/// Text as the display's font has it: ASCII, without controls, at most so many characters.
#[must_use]
pub fn plain(text: &str, most: usize) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            ' '..='~' => plain.push(c),
            '·' | '–' | '—' | '−' => plain.push('-'),
            '→' | '▶' => plain.push_str("->"),
            '…' => plain.push_str("..."),
            '“' | '”' => plain.push('"'),
            '’' | '‘' => plain.push('\''),
            '×' => plain.push('x'),
            'µ' => plain.push('u'),
            '\t' | '\n' | '\r' => plain.push(' '),
            c if c.is_control() => {}
            _ => plain.push('?'),
        }
    }
    plain.truncate(most);
    plain
}

/// Inside a JSON string (RFC 8259 section 7); of what [`plain`] leaves, two characters need it.
fn quoted(plain: &str) -> String {
    let mut text = String::new();
    for c in plain.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_state_is_what_the_firmware_reads() {
        let mut status = Status {
            lab: String::from("hybrid-4"),
            step: String::from("booting 3 of 6"),
            nodes: Count { done: 3, all: 6 },
            errors: 1,
            ..Status::default()
        };
        status.power[1] = true;
        assert_eq!(
            status.line(),
            "status:{\"initializer\":{\"LabName\":\"hybrid-4\",\"CurrentStep\":\"booting 3 of 6\",\"NumHypervisors\":0,\
             \"InitializedHypervisors\":0,\"NumNodes\":6,\"InitializedNodes\":3,\"NumPods\":0,\"InitializedPods\":0},\
             \"power\":{\"P1\":false,\"P2\":true,\"P3\":false,\"P4\":false,\"P5\":false,\"P6\":false,\"P7\":false,\
             \"P8\":false},\"logs\":{\"NumErrorMessages\":1,\"NumWarnMessages\":0}}\n"
        );
    }

    #[test]
    fn a_line_of_the_log_is_ascii_and_ends_at_eighty_characters() {
        assert_eq!(log_line("node1: on → off · 9.1 s …\n"), "log:node1: on -> off - 9.1 s ... \n");
        let long = log_line(&"ab".repeat(100));
        assert_eq!(long.len(), "log:".len() + LOG + 1);
        assert_eq!(log_line("größe\u{7}"), "log:gr??e\n");
    }

    proptest! {
        #[test]
        fn whatever_is_in_it_a_line_fits_and_is_one_line(
            lab in ".*", step in ".*", numbers in proptest::array::uniform8(any::<u32>()), power in any::<[bool; 8]>(),
        ) {
            let [a, b, c, d, e, f, errors, warnings] = numbers;
            let count = |done, all| Count { done, all };
            let (hypervisors, nodes, pods) = (count(a, b), count(c, d), count(e, f));
            let line = Status { lab, step: step.clone(), hypervisors, nodes, pods, power, errors, warnings }.line();
            prop_assert!(line.len() < LINE, "{} bytes", line.len());
            for line in [line, log_line(&step)] {
                prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
                prop_assert!(line.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
            }
        }
    }
}
