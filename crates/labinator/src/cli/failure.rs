//! How a verb can end badly, and with which exit code.

use std::process::ExitCode;

use api::ErrorBody;
use http::StatusCode;

/// Why a verb did not do what was asked. Exit codes: 1 failed with a reason, 2 wrong usage, 3 refused,
/// 4 timed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It was tried and did not work.
    Failed {
        /// What went wrong.
        why: String,
        /// What can be done about it; may be empty.
        advice: String,
    },
    /// It was asked wrongly.
    Usage(String),
    /// The controller said no.
    Refused(ErrorBody),
    /// It took too long.
    TimedOut(String),
    /// Nobody reads the output any more.
    Gone,
    /// Everything was printed already; only the exit code is left to say.
    Said(u8),
}

impl Failure {
    /// It did not work.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), advice: String::new() }
    }

    /// It did not work, and here is what helps.
    #[must_use]
    pub fn with_advice(why: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), advice: advice.into() }
    }

    /// What an answer that is not a success means: 4xx is a refusal, 5xx a failure.
    #[must_use]
    pub fn of_answer(status: StatusCode, body: ErrorBody) -> Self {
        if status.is_client_error() {
            Self::Refused(body)
        } else {
            Self::Failed { why: body.message, advice: body.advice }
        }
    }

    /// The exit code as a number.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Failed { .. } => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::TimedOut(_) => 4,
            Self::Gone => 0,
            Self::Said(code) => *code,
        }
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        self.code().into()
    }

    /// What to write to standard error; empty when there is nothing left to say.
    #[must_use]
    pub fn text(&self) -> String {
        let (head, why, advice) = match self {
            Self::Failed { why, advice } => ("error", why.as_str(), advice.as_str()),
            Self::Usage(why) => ("error", why.as_str(), ""),
            Self::Refused(body) => ("refused", body.message.as_str(), body.advice.as_str()),
            Self::TimedOut(why) => ("timed out", why.as_str(), ""),
            Self::Gone | Self::Said(_) => return String::new(),
        };
        if advice.is_empty() { format!("{head}: {why}") } else { format!("{head}: {why}\n  help: {advice}") }
    }
}
