//! The JSON lines in which Talos sends its kernel's and its services' logs (`runtime/logging/sender_jsonlines.go`).

use serde_json::{Map, Value};

use super::hint::Hint;

/// The longest line that is kept, in bytes. A longer one is skipped whole and counted.
const LONGEST: usize = 64 * 1024;

/// One line of a node's log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The message.
    pub message: String,
    /// When, by the node's clock (RFC 3339), as it came.
    pub time: String,
    /// debug, info, warn, error, ..., as it came.
    pub level: String,
    /// The service that wrote it; nothing for the kernel.
    pub service: Option<String>,
    /// Number of the kernel's line, if it is one: gaps are lost lines.
    pub sequence: Option<u64>,
    /// What else it says.
    pub more: Map<String, Value>,
}

impl Line {
    /// How bad it is: 0 emergency to 7 debug (RFC 5424 table 2). The kernel's own word counts before the level that Talos
    /// makes of it; a line that says neither is a notice.
    #[must_use]
    pub fn severity(&self) -> u8 {
        let own = self.more.get("priority").and_then(Value::as_str).unwrap_or_default();
        let word = if own.is_empty() { self.level.as_str() } else { own };
        match word {
            "emerg" => 0,
            "alert" => 1,
            "crit" | "fatal" | "panic" | "dpanic" => 2,
            "err" | "error" => 3,
            "warning" | "warn" => 4,
            "info" => 6,
            "debug" => 7,
            _ => 5,
        }
    }
}

/// Bytes that are no line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    NotJson(String),
    /// An object without `msg`.
    #[error("it has no `msg`")]
    NoMessage,
    /// Longer than 64 KiB.
    #[error("longer than {LONGEST} bytes")]
    TooLong,
}

impl LineError {
    /// A stable name for scripts and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "talos/line-not-json",
            Self::NoMessage => "talos/line-no-message",
            Self::TooLong => "talos/line-too-long",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::NoMessage => {
                "look who sends to this port, and whether its format is json_lines"
            }
            Self::TooLong => "look what the service writes; the line was skipped",
        }
    }
}

impl Line {
    /// Reads one, from a datagram or between two newlines.
    ///
    /// # Errors
    /// It is no line of Talos.
    pub fn read(bytes: &[u8]) -> Result<Hint<Self>, LineError> {
        if bytes.len() > LONGEST {
            return Err(LineError::TooLong);
        }
        let mut more: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|why| LineError::NotJson(why.to_string()))?;
        let mut text = |key: &str| match more.remove(key) {
            Some(Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        let message = text("msg").ok_or(LineError::NoMessage)?;
        let time = text("talos-time").unwrap_or_default();
        let level = text("talos-level").unwrap_or_default();
        let service = text("talos-service");
        let sequence = more.get("seq").and_then(Value::as_u64);
        Ok(Hint::new(Self { message, time, level, service, sequence, more }))
    }
}

/// Cuts a byte stream into lines. What is left when the connection ends is a torn line, and dropped with it.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Vec<u8>,
    /// The rest of a line that is too long.
    skipping: bool,
}

impl Lines {
    /// Takes what was read and gives the lines that are complete, in order.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Result<Hint<Line>, LineError>> {
        self.take_each(bytes, |_| ())
    }

    /// The same, and shows each line as it came.
    pub fn take_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> Vec<Result<Hint<Line>, LineError>> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if self.skipping {
                self.skipping = false;
                continue;
            }
            self.kept.extend_from_slice(line);
            let whole = std::mem::take(&mut self.kept);
            if !whole.is_empty() {
                each(&whole);
                out.push(Line::read(&whole));
            }
        }
        if self.skipping {
            return out;
        }
        if self.kept.len() + rest.len() > LONGEST {
            self.kept = Vec::new();
            self.skipping = true;
            out.push(Err(LineError::TooLong));
        } else {
            self.kept.extend_from_slice(rest);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = r#"{"clock":1234,"facility":"user","msg":"[talos] phase config (8/8): 1 tasks(s)","priority":"warning","seq":812,"talos-level":"warn","talos-time":"2026-11-26T05:54:56.1Z"}"#;
    const SERVICE: &str = r#"{"msg":"waiting for peers","talos-level":"info","talos-service":"etcd","talos-time":"2026-11-26T05:54:57Z","member":7}"#;

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_lines() {
        let stream = format!("{KERNEL}\n{SERVICE}\n");
        for cut in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(cut);
            let mut lines = Lines::default();
            let mut all = lines.take(a);
            all.extend(lines.take(b));
            let all: Vec<Line> = all.into_iter().map(|line| line.unwrap().said().clone()).collect();
            assert_eq!(all.len(), 2, "cut at {cut}");
            assert_eq!((all[0].sequence, all[0].service.as_deref()), (Some(812), None));
            assert_eq!((all[1].level.as_str(), all[1].service.as_deref()), ("info", Some("etcd")));
            assert_eq!(all[1].more.get("member"), Some(&Value::from(7)));
        }
    }

    #[test]
    fn a_torn_line_is_dropped_and_a_bad_one_spoils_no_other() {
        let mut lines = Lines::default();
        let all = lines.take(format!("nonsense\n{{}}\n\n{SERVICE}\n{{\"msg\":\"to").as_bytes());
        let codes: Vec<&str> =
            all.iter().map(|line| line.as_ref().map_or_else(LineError::code, |_| "ok")).collect();
        assert_eq!(codes, ["talos/line-not-json", "talos/line-no-message", "ok"]);
    }

    #[test]
    fn a_line_without_end_is_skipped_once_and_does_not_grow() {
        let mut lines = Lines::default();
        let mut errors = 0;
        for _ in 0..10 {
            errors += lines.take(&[b'x'; 40_000]).len();
            assert!(lines.kept.len() <= LONGEST);
        }
        assert_eq!(errors, 1);
        assert_eq!(lines.take(format!("\n{SERVICE}\n").as_bytes()).len(), 1);
    }
}
