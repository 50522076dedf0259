//! A config pushed until it is proven: the node answers under its new identity.
//!
//! ```text
//!  apply ─▶ yes, or the reply was lost ─▶ look ─▶ our identity ──────────▶ Confirmed
//!                                          │  ├─▶ another's ─────────────▶ WrongCluster
//!                                          │  ├─▶ maintenance, same key ─▶ after a lost reply: apply again
//!                                          │  └─▶ maintenance, other key ▶ Impostor
//!                                          └───▶ closed, silent ─────────▶ look again, until the limit
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::apply::{Apply, ApplyOutcome};
use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::node::Node;
use super::probe::Seen;

/// What is pushed where.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// The node as it waits. Pin it if its fingerprint is known.
    pub waiting: &'a Node,
    /// The same node as it will answer with this config.
    pub configured: &'a Node,
    /// The config.
    pub config: &'a [u8],
    /// How long it may take until it answers: an installation pulls an image and reboots.
    pub limit: Duration,
}

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A node that took a config still answers in maintenance for a moment: only one that waits after so long did not take it.
const SETTLED: Duration = Duration::from_secs(5);

/// How often a config is sent again after a lost reply to a node that is still the same and still waits.
const SENDINGS: u32 = 3;

/// How the first sending went, as far as the looks after it must know.
struct Sent {
    fingerprint: Option<Fingerprint>,
    warnings: Vec<String>,
    details: String,
    /// Why its reply was lost.
    lost: Option<String>,
    /// It had a config already.
    refused: bool,
    sendings: u32,
    at: Instant,
}

/// Sends the config, looks before repeating, and ends with proof or with what stands in the way.
pub async fn push(push: Push<'_>) -> ApplyOutcome {
    let ends = Instant::now() + push.limit;
    // Who answers first is whom every repetition must meet again.
    let mut sent = match send(&push, None, 1).await {
        Ok(sent) => sent,
        Err(outcome) => return outcome,
    };
    loop {
        match look(&push, &sent).await {
            Look::Proven(version) if sent.refused => {
                drop(version);
                return ApplyOutcome::AlreadyConfigured { ours: true };
            }
            Look::Proven(version) => return ApplyOutcome::Confirmed { version, warnings: sent.warnings },
            Look::Ended(outcome) => return outcome,
            Look::Waits
                if sent.lost.is_some() && sent.sendings < SENDINGS && sent.at.elapsed() >= SETTLED =>
            {
                sent = match send(&push, sent.fingerprint, sent.sendings + 1).await {
                    Ok(sent) => sent,
                    Err(outcome) => return outcome,
                };
            }
            Look::Waits | Look::NotYet => {}
        }
        if Instant::now() + LOOK_EVERY >= ends {
            return unproven(sent);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn unproven(sent: Sent) -> ApplyOutcome {
    let Sent { fingerprint, warnings, details, lost, refused, .. } = sent;
    match lost {
        _ if refused => ApplyOutcome::AlreadyConfigured { ours: false },
        Some(why) => ApplyOutcome::ReplyLost { fingerprint, why },
        None => ApplyOutcome::Unconfirmed { fingerprint, warnings, details },
    }
}

async fn send(push: &Push<'_>, expected: Option<Fingerprint>, sendings: u32) -> Result<Sent, ApplyOutcome> {
    if let Some(expected) = expected {
        push.waiting.hang_up().await;
        match push.waiting.fingerprint().await {
            Ok(seen) if seen != expected => return Err(ApplyOutcome::Impostor { expected, seen }),
            Ok(_) | Err(_) => {}
        }
    }
    let new = Sent {
        fingerprint: expected,
        warnings: vec![],
        details: String::new(),
        lost: None,
        refused: false,
        sendings,
        at: Instant::now(),
    };
    match push.waiting.apply_configuration(push.config, Apply::default()).await {
        ApplyOutcome::Unconfirmed { fingerprint, warnings, details } => {
            Ok(Sent { fingerprint, warnings, details, ..new })
        }
        ApplyOutcome::ReplyLost { fingerprint, why } => Ok(Sent { fingerprint, lost: Some(why), ..new }),
        ApplyOutcome::AlreadyConfigured { .. } => Ok(Sent { refused: true, ..new }),
        // It was there a moment ago, so it may be on its way: look on.
        ApplyOutcome::Unreachable(error) if expected.is_some() => {
            Ok(Sent { lost: Some(error.to_string()), ..new })
        }
        other => Err(other),
    }
}

/// What one look found.
enum Look {
    /// It answers under its new identity: its release.
    Proven(String),
    /// It waits in maintenance, the same as before.
    Waits,
    /// Nothing to conclude from.
    NotYet,
    /// No further look helps.
    Ended(ApplyOutcome),
}

async fn look(push: &Push<'_>, sent: &Sent) -> Look {
    push.configured.hang_up().await;
    match push.configured.version().await {
        Ok(version) => return Look::Proven(version.tag),
        Err(NodeError::WrongCluster { .. } | NodeError::IdentityRefused { .. }) => {}
        Err(_) => return Look::NotYet,
    }
    push.waiting.hang_up().await;
    match push.waiting.probe().await {
        Seen::Maintenance { fingerprint, .. } => match sent.fingerprint {
            Some(expected) if expected != fingerprint => {
                Look::Ended(ApplyOutcome::Impostor { expected, seen: fingerprint })
            }
            Some(_) | None => Look::Waits,
        },
        Seen::Impostor { seen } => match sent.fingerprint {
            Some(expected) => Look::Ended(ApplyOutcome::Impostor { expected, seen }),
            None => Look::NotYet,
        },
        // It has a config, and its certificate is not from our cluster.
        Seen::Configured => Look::Ended(ApplyOutcome::WrongCluster),
        Seen::NotReady | Seen::Closed | Seen::Silent { .. } | Seen::NotTalos { .. } => Look::NotYet,
    }
}
