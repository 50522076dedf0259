//! One attempt to give a node its config, and every way it can end.

use tonic::Code;

use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::node::Node;
use super::proto::machine;

/// When a config takes effect (`machine.ApplyConfigurationRequest.Mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApplyMode {
    /// The node decides; the one mode that every release takes in every state.
    #[default]
    Auto,
    /// With a reboot. Not from 1.14 on.
    Reboot,
    /// At once, or not at all.
    NoReboot,
    /// With the next boot.
    Staged,
    /// At once, and taken back after a minute.
    Try,
}

/// How to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Apply {
    /// When it takes effect.
    pub mode: ApplyMode,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// Why a node does not take a config, in its own words and taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC's name for the kind of refusal.
    pub status: Code,
    /// The first field that the words name, as a path: `machine.install.disk`.
    pub field: Option<String>,
    /// Each problem on its own.
    pub problems: Vec<String>,
    /// All words.
    pub text: String,
}

/// How it ended. Only [`ApplyOutcome::Confirmed`] says that the node runs this config.
#[derive(Debug, Clone)]
pub enum ApplyOutcome {
    /// The node said yes. Whether it runs it is not proven yet.
    Unconfirmed {
        /// To whom it went.
        fingerprint: Option<Fingerprint>,
        /// The node's doubts.
        warnings: Vec<String>,
        /// What it says it did.
        details: String,
    },
    /// It came back under its new identity: certificates of our cluster on both sides.
    Confirmed {
        /// Its release.
        version: String,
        /// The node's doubts, when it took the config.
        warnings: Vec<String>,
    },
    /// It had a config before we came. Nothing was sent.
    AlreadyConfigured {
        /// It answers under our cluster's identity; otherwise nothing says whose it is.
        ours: bool,
    },
    /// It belongs to another cluster. Nothing was sent.
    WrongCluster,
    /// It read the config and says no.
    Refused(Refusal),
    /// Not whom we pinned: rebooted since, or somebody else. Nothing was sent.
    Impostor {
        /// Whom we pinned.
        expected: Fingerprint,
        /// Who answers.
        seen: Fingerprint,
    },
    /// Nothing was sent: no connection, or not one to trust.
    Unreachable(NodeError),
    /// It was sent, and no answer came: look before repeating (siderolabs/talos#8566).
    ReplyLost {
        /// To whom it went.
        fingerprint: Option<Fingerprint>,
        /// How it ended.
        why: String,
    },
}

impl ApplyOutcome {
    /// A stable name for scripts and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "apply/unconfirmed",
            Self::Confirmed { .. } => "apply/confirmed",
            Self::AlreadyConfigured { .. } => "apply/already-configured",
            Self::WrongCluster => "apply/wrong-cluster",
            Self::Refused(_) => "apply/refused",
            Self::Impostor { .. } => "apply/impostor",
            Self::Unreachable(_) => "apply/unreachable",
            Self::ReplyLost { .. } => "apply/reply-lost",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "wait until it answers under its new identity",
            Self::Confirmed { .. } => "nothing to do",
            Self::AlreadyConfigured { ours: true } => {
                "it is one of ours: apply with --talosconfig to change its config"
            }
            Self::AlreadyConfigured { ours: false } => {
                "wipe it before its next boot if it is to get a new config"
            }
            Self::WrongCluster => {
                "look which cluster it serves; wipe it before its next boot if it is meant for this one"
            }
            Self::Refused(_) => "change the field it names, check with --dry-run, and apply again",
            Self::Impostor { .. } => "compare with the fingerprint on the node's console, then pin that one",
            Self::Unreachable(error) => error.advice(),
            Self::ReplyLost { .. } => "look what the node is now before you ask again",
        }
    }
}

impl Node {
    /// Sends a config once and says how that ended. Never [`ApplyOutcome::Confirmed`]; that takes [`super::push`].
    pub async fn apply_configuration(&self, config: &[u8], how: Apply) -> ApplyOutcome {
        let line = match self.line().await {
            Ok(line) => line,
            Err(error) => return before_sending(error),
        };
        let fingerprint = line.fingerprint();
        let request = machine::ApplyReq {
            data: config.to_vec(),
            mode: match how.mode {
                ApplyMode::Reboot => machine::ApplyMode::Reboot,
                ApplyMode::Auto => machine::ApplyMode::Auto,
                ApplyMode::NoReboot => machine::ApplyMode::NoReboot,
                ApplyMode::Staged => machine::ApplyMode::Staged,
                ApplyMode::Try => machine::ApplyMode::Try,
            }
            .into(),
            dry_run: how.dry_run,
            try_mode_timeout: None,
        };
        match self.changing_over(line, &machine::APPLY_CONFIGURATION, request).await {
            Ok(reply) => {
                let item = reply.messages.into_iter().next().unwrap_or_default();
                ApplyOutcome::Unconfirmed { fingerprint, warnings: item.warnings, details: item.mode_details }
            }
            Err(NodeError::Refused { status, text, .. }) => {
                ApplyOutcome::Refused(Refusal::read(status, text))
            }
            Err(NodeError::ReplyLost { why, .. }) => ApplyOutcome::ReplyLost { fingerprint, why },
            Err(other) => ApplyOutcome::ReplyLost { fingerprint, why: other.to_string() },
        }
    }
}

/// What a connection that did not come about says.
fn before_sending(error: NodeError) -> ApplyOutcome {
    match error {
        NodeError::IdentityWanted { .. } => ApplyOutcome::AlreadyConfigured { ours: false },
        NodeError::WrongCluster { .. } => ApplyOutcome::WrongCluster,
        NodeError::Impostor { expected, seen, .. } => ApplyOutcome::Impostor { expected, seen },
        other => ApplyOutcome::Unreachable(other),
    }
}

impl Refusal {
    /// Takes Go's words apart: "N errors occurred:" with a bullet each (hashicorp/go-multierror), or a YAML tree of
    /// "unknown keys found during decoding".
    fn read(status: Code, text: String) -> Self {
        let mut problems: Vec<String> = text
            .split("\n\t* ")
            .skip(1)
            .map(|problem| problem.trim().replace('\n', " "))
            .filter(|problem| !problem.is_empty())
            .collect();
        if problems.is_empty() {
            problems.push(text.trim().to_owned());
        }
        let field = unknown_key(&text).or_else(|| text.split_whitespace().find_map(path_in));
        Self { status, field, problems, text }
    }
}

/// A word that is a path into a config.
fn path_in(word: &str) -> Option<String> {
    let word = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let path = word.starts_with("machine.") || word.starts_with("cluster.");
    path.then(|| word.to_owned())
}

/// The first unknown key as a path: the tree under the headline, followed down to its first leaf.
fn unknown_key(text: &str) -> Option<String> {
    let (_, tree) = text.split_once("unknown keys found during decoding:\n")?;
    let mut path: Vec<(usize, &str)> = Vec::new();
    for line in tree.lines() {
        let depth = line.len() - line.trim_start().len();
        let Some((key, _)) = line.trim_start().trim_start_matches("- ").split_once(':') else { break };
        if path.last().is_some_and(|(last, _)| *last >= depth) {
            break;
        }
        path.push((depth, key));
    }
    let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
    (!keys.is_empty()).then(|| keys.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_field_and_each_problem() {
        let text = "configuration validation failed: 2 errors occurred:\n\t* either install disk or diskSelector \
                    should be defined\n\t* invalid value at machine.network.hostname\n\n";
        let refusal = Refusal::read(Code::InvalidArgument, text.to_owned());
        assert_eq!(refusal.field.as_deref(), Some("machine.network.hostname"));
        assert_eq!(refusal.problems.len(), 2, "{:?}", refusal.problems);
        assert_eq!(refusal.problems[0], "either install disk or diskSelector should be defined");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_path() {
        let text = "failed to parse config: unknown keys found during decoding:\nmachine:\n    nework:\n        a: b\n    z: 1\n";
        let refusal = Refusal::read(Code::Unknown, text.to_owned());
        assert_eq!(refusal.field.as_deref(), Some("machine.nework.a"));
    }
}
