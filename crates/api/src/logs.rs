//! The log stream: what its events carry, and its summary.

use std::collections::BTreeMap;

use model::WallTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Words for severities 0 to 7 (RFC 5424 table 2), as syslog tools have them.
pub const LOG_LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// What the log stream says. Each is one server-sent event; `event:` is the variant's name in kebab case and `data:` its
/// body as JSON. `id:` is `EPOCH:SEQ`; a reader that comes back with it in `Last-Event-ID` goes on behind it, and is told
/// of a gap where that is not kept any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", content = "data", rename_all = "kebab-case")]
pub enum LogItem {
    /// A line.
    Line(LogEntry),
    /// So many more lines like others, beyond what one template may have of the ring: counted, not kept.
    Folded(LogFold),
    /// So many lines are missing here: they never came.
    Lost(LogLoss),
    /// So many lines are missing here: they went before this reader came to them.
    Gap(LogGap),
    /// Sent every two seconds when nothing else is; its `id` says how far the reader is.
    Beat(()),
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Its number, from 1, for this run of the controller.
    pub seq: u64,
    /// When it was written, by the boss's clock: the sender's time, corrected, or when it came.
    pub at: WallTime,
    /// Whose: a machine of the board, or what a sender that is none calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Number of the machine's boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u32>,
    /// Where it came in: `syslog`, `ipxe`, `talos`, `console`, `lab`, `file`.
    pub source: String,
    /// The program that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// 0 emergency to 7 debug.
    pub severity: u8,
    /// Number of its template.
    pub template: u32,
    /// What it says.
    pub text: String,
}

/// Lines that were counted and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFold {
    /// Its number.
    pub seq: u64,
    /// When that was said, up to a second after the lines came.
    pub at: WallTime,
    /// Whose the last of them was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The program that wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The worst severity of its template.
    pub severity: u8,
    /// Number of the template.
    pub template: u32,
    /// How many.
    pub lines: u64,
    /// What they have in common, with `*` for what differs.
    pub pattern: String,
}

/// Lines that never came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLoss {
    /// Its number.
    pub seq: u64,
    /// When that was noticed.
    pub at: WallTime,
    /// Whose, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where: `hand-over`, `cut` (a message too long), `console` (bytes), `unreadable`, `disk` (not written), `file`
    /// (times that a file was cut short, or gone before it was read).
    pub stage: String,
    /// How many.
    pub lines: u64,
}

/// Lines that went before a reader came to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogGap {
    /// `viewer`: the ring went on while this reader did not. `another-core`: the controller was started again. `torn`: what
    /// was being written to disk when the controller was killed.
    pub reason: String,
    /// Number of the first that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// How many, of all that this reader did or did not want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
}

/// What came, what it was, and what is missing, since the controller began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogSummary {
    /// Lines that came.
    pub lines: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Number of the oldest that is kept.
    pub oldest: u64,
    /// Number that the next one will have.
    pub next: u64,
    /// Bytes of memory that the ring has.
    pub memory: u64,
    /// What the disk has had; absent where nothing is kept on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<LogDisk>,
    /// Lines by where they came in.
    pub sources: BTreeMap<String, u64>,
    /// Lines by severity.
    pub levels: BTreeMap<String, u64>,
    /// Lines that are missing, by where they went.
    pub lost: Vec<LogsLost>,
    /// Lines by rule.
    pub rules: Vec<LogRule>,
    /// Clocks of nodes that write their time.
    pub clocks: Vec<LogSkew>,
    /// How many templates there are.
    pub kinds: u64,
    /// The most frequent of them.
    pub templates: Vec<LogTemplate>,
}

/// What of the lines was written to disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogDisk {
    /// Bytes written today (UTC).
    pub today: u64,
    /// Bytes that may be written a day.
    pub a_day: u64,
    /// Bytes that are kept.
    pub kept: u64,
    /// Writes that failed.
    pub failures: u64,
}

/// Lines that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsLost {
    /// Where they went.
    pub stage: String,
    /// How many; bytes for `console`.
    pub lines: u64,
}

/// Lines that a rule counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogRule {
    /// Its name.
    pub rule: String,
    /// How many.
    pub lines: u64,
}

/// A clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogSkew {
    /// Whose.
    pub node: String,
    /// Milliseconds behind the boss's, the way of a line included; negative when ahead.
    pub behind_ms: i64,
}

/// What some lines have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTemplate {
    /// Its number.
    pub template: u32,
    /// The program that writes them; empty unknown.
    pub program: String,
    /// The words, with `*` for those that differ.
    pub pattern: String,
    /// Lines so far.
    pub lines: u64,
    /// Those of them that were counted and not kept.
    pub folded: u64,
    /// The worst severity so far.
    pub severity: u8,
}
