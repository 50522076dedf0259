//! One thing that is wrong in the tree: where, what, and what to do about it.

use std::fmt;

use crate::stage::Tally;

/// A fault with its place, printed as `file:line: what: advice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the root of the tree.
    pub(crate) file: String,
    /// Counted from one; the first line when the whole file is meant.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Finding {
    /// A finding at a place.
    pub(crate) fn new(
        file: impl Into<String>,
        line: usize,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { file: file.into(), line, what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.what, self.advice)
    }
}

/// Prints the findings and counts: so many things looked at, so many of them wrong.
pub(crate) fn judge(looked_at: usize, findings: &[Finding]) -> Tally {
    for finding in findings {
        println!("{finding}");
    }
    Tally {
        passed: looked_at.saturating_sub(findings.len()),
        failed: findings.len(),
        failures: findings.iter().map(ToString::to_string).collect(),
        skipped: Vec::new(),
    }
}
