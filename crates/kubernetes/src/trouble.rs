//! What can be wrong between us and an API server.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Longest sentence that is kept of what a server says.
const LONGEST: usize = 400;

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig: {what}")]
    Kubeconfig {
        /// What is wrong in it.
        what: String,
        /// What to do.
        advice: String,
    },
    /// Nobody answers there.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        why: String,
    },
    /// TLS found no trust: the server's certificate, or ours in the server's eyes.
    #[error("no trust between {server} and us: {why}")]
    Untrusted {
        /// Host and port.
        server: String,
        /// What the certificate lacks.
        why: String,
    },
    /// The server says no.
    #[error("the server refuses: {0}")]
    Refused(Box<Status>),
    /// What came back is not what Kubernetes sends.
    #[error("{server} does not answer like an API server: {what}")]
    Garbled {
        /// Host and port.
        server: String,
        /// What came instead.
        what: String,
    },
    /// No answer within the limit.
    #[error("{server} did not answer within {} s", .limit.as_secs())]
    Late {
        /// Host and port.
        server: String,
        /// The limit.
        limit: Duration,
    },
}

impl Trouble {
    /// Stable word for logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Kubeconfig { .. } => "kubeconfig",
            Self::Unreachable { .. } => "cluster-unreachable",
            Self::Untrusted { .. } => "cluster-untrusted",
            Self::Refused(_) => "cluster-refused",
            Self::Garbled { .. } => "cluster-garbled",
            Self::Late { .. } => "cluster-late",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Kubeconfig { advice, .. } => advice.clone(),
            Self::Unreachable { .. } | Self::Late { .. } => {
                "see that the control plane is up and that this machine reaches its address".to_owned()
            }
            Self::Untrusted { .. } => {
                "take a kubeconfig of this cluster that is still valid, and compare the clocks".to_owned()
            }
            Self::Refused(status) => match status.code {
                401 => "the server does not know these credentials: take a new kubeconfig".to_owned(),
                403 => "give this user the right that is named, or take another kubeconfig".to_owned(),
                404 => "see that the object and its kind exist on this server".to_owned(),
                429 => "the server is busy: try again later".to_owned(),
                _ => "change what the server names".to_owned(),
            },
            Self::Garbled { .. } => "see that `server` in the kubeconfig is an API server".to_owned(),
        }
    }

    /// The status the server sent, where it did.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused(status) => Some(status),
            Self::Kubeconfig { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Garbled { .. }
            | Self::Late { .. } => None,
        }
    }

    /// True when the version we hold is too old for the server (410), so that only a new list helps.
    pub(crate) fn is_gone(&self) -> bool {
        self.status().is_some_and(|status| status.code == 410)
    }

    /// How long the server asks to be left alone.
    pub(crate) fn asked_to_wait(&self) -> Option<Duration> {
        self.status()?.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds.min(60))))
    }
}

/// The answer of a server that says no: the kind `Status` of `meta/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// HTTP's number.
    pub code: u16,
    /// One word: `NotFound`, `Conflict`, `Invalid`, ...
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// Fields and what is wrong with each.
    pub causes: Vec<Cause>,
    /// Seconds after which to ask again.
    pub retry_after: Option<u32>,
}

/// One field a server complains about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// One word: `FieldValueInvalid`, `FieldManagerConflict`, ...
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// Path of the field, as the server writes it.
    pub field: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    kind: String,
    code: u16,
    reason: Option<String>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Option<Vec<Cause>>,
    retry_after_seconds: Option<u32>,
}

impl Status {
    /// Reads the body of an answer with this number. A proxy in between sends no Status, and its text is kept.
    pub(crate) fn read(code: u16, body: &[u8]) -> Self {
        let wire = serde_json::from_slice::<Wire>(body).unwrap_or_default();
        if wire.kind != "Status" {
            let text = String::from_utf8_lossy(body);
            return Self { code, message: shortened(text.trim()), ..Self::default() };
        }
        let details = wire.details.unwrap_or_default();
        Self {
            code: if wire.code == 0 { code } else { wire.code },
            reason: wire.reason.unwrap_or_default(),
            message: shortened(&wire.message.unwrap_or_default()),
            causes: details.causes.unwrap_or_default(),
            retry_after: details.retry_after_seconds.filter(|seconds| *seconds > 0),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{} {}", self.code, self.message)
        } else {
            write!(f, "{} {}: {}", self.code, self.reason, self.message)
        }
    }
}

/// The beginning of a sentence that somebody else wrote.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_names_its_fields() {
        let body = br#"{"kind":"Status","code":409,"reason":"Conflict","message":"m","details":{"causes":
            [{"reason":"FieldManagerConflict","message":"conflict with \"kubectl\"","field":".spec.replicas"}]}}"#;
        let status = Status::read(409, body);
        assert_eq!(status.causes[0].field, ".spec.replicas");
        assert_eq!(status.to_string(), "409 Conflict: m");
    }

    #[test]
    fn what_a_proxy_says_is_kept_and_cut() {
        let status = Status::read(502, "x".repeat(10_000).as_bytes());
        assert_eq!(status.code, 502);
        assert_eq!(status.message.len(), LONGEST + 2);
    }
}
