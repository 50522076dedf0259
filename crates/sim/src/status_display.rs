//! The original status display: what its firmware keeps of what comes over the line.
//!
//! It keeps 2,048 bytes of a line and puts whatever follows over the last of them, takes a state only where it is JSON, and
//! has twelve lines of the log, the newest first. Nothing that it prints is an answer.

use std::collections::VecDeque;

use serde_json::Value;

/// Bytes of a line that are kept, the last of them for its end.
const LINE: usize = 2048;
/// Lines of the log that are shown.
const LOGS: usize = 12;

/// The display.
#[derive(Debug, Clone, Default)]
pub struct StatusDisplay {
    line: Vec<u8>,
    state: Option<Value>,
    logs: VecDeque<String>,
    may_cut: bool,
    said: Vec<u8>,
    taken: u32,
    bad: u32,
}

impl StatusDisplay {
    /// One that has just got power: it waits for five seconds, says so, and listens.
    #[must_use]
    pub fn starting() -> Self {
        Self { said: b"Startup delay: 5000\r\nSetting up\r\n".to_vec(), ..Self::default() }
    }

    /// Hears bytes from the line.
    pub fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.take(&String::from_utf8_lossy(&line));
                }
                b'\r' => {}
                byte => {
                    if self.line.len() >= LINE - 1 {
                        self.line.pop();
                    }
                    self.line.push(*byte);
                }
            }
        }
    }

    fn take(&mut self, line: &str) {
        let Some((kind, text)) = line.split_once(':') else {
            self.bad += u32::from(!line.is_empty());
            return;
        };
        match kind {
            "status" => match serde_json::from_str(text) {
                Ok(state) => {
                    self.state = Some(state);
                    self.taken += 1;
                }
                Err(_) => {
                    self.said.extend_from_slice(format!("Invalid input!{text}\r\n").as_bytes());
                    self.bad += 1;
                }
            },
            "log" => {
                self.logs.push_front(text.to_owned());
                self.logs.truncate(LOGS);
            }
            "boss" => self.may_cut = text == "shutdown",
            _ => self.bad += 1,
        }
    }

    /// What it prints, once.
    pub fn take_said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.said)
    }

    /// A field of the state it shows, such as `/initializer/CurrentStep`.
    #[must_use]
    pub fn shows(&self, pointer: &str) -> Option<&Value> {
        self.state.as_ref()?.pointer(pointer)
    }

    /// The lines of the log that it shows, the newest first.
    #[must_use]
    pub const fn logs(&self) -> &VecDeque<String> {
        &self.logs
    }

    /// True while it says that the power may be cut.
    #[must_use]
    pub const fn says_cut(&self) -> bool {
        self.may_cut
    }

    /// How many states it took.
    #[must_use]
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    /// How many lines were no lines to it.
    #[must_use]
    pub const fn bad(&self) -> u32 {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_no_state() {
        let mut display = StatusDisplay::default();
        display.hear(b"status:{\"a\":1}\n");
        display.hear(format!("status:{{\"a\":\"{}\"}}\n", "x".repeat(LINE)).as_bytes());
        assert_eq!(display.shows("/a"), Some(&Value::from(1)));
        assert_eq!((display.taken(), display.bad()), (1, 1));
        assert!(display.take_said().starts_with(b"Invalid input!"));
    }
}
