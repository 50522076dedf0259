//! What answers at an address, learned without showing or sending anything.
//!
//! ```text
//!  no connection ──────────────▶ Closed, Silent
//!  TLS: client certificate ────▶ Configured
//!  TLS: no certificate of its own ▶ NotReady
//!  Version: OK ────────────────▶ Maintenance, from 1.13
//!  Version: Unimplemented ─────▶ Maintenance, up to 1.12
//! ```

use tonic::Code;

use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::node::Node;
use super::proto::machine::VERSION;

/// The two ways Talos behaves before it has a config and while it gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Character {
    /// Up to 1.12: a small server of its own in maintenance, then a closed port until the installed system is up.
    UpTo12,
    /// From 1.13: the ordinary API throughout, with a reader's rights in maintenance.
    From13,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It waits for a config.
    Maintenance {
        /// How it behaves.
        character: Character,
        /// Its certificate's: pin it, so that what follows goes to the same.
        fingerprint: Fingerprint,
        /// Its release, where it tells.
        version: Option<String>,
    },
    /// It has a config of some cluster; whose, only its authority's certificate tells.
    Configured,
    /// It has a config and no certificate yet.
    NotReady,
    /// The machine is up, the port is closed: it boots or installs.
    Closed,
    /// Nobody answers.
    Silent {
        /// The last thing known.
        why: String,
    },
    /// Something else answers.
    NotTalos {
        /// What was wrong.
        why: String,
    },
    /// Not the one that was pinned.
    Impostor {
        /// Who answers.
        seen: Fingerprint,
    },
}

impl Node {
    /// Looks without sending anything but the question for a version, which tells the character too.
    ///
    /// Ask a node made by [`Node::in_maintenance`]: one of a cluster shows its certificate.
    pub async fn probe(&self) -> Seen {
        match self.look().await {
            Ok(seen) => seen,
            Err(NodeError::IdentityWanted { .. } | NodeError::IdentityRefused { .. }) => Seen::Configured,
            Err(NodeError::NoCertificateYet { .. }) => Seen::NotReady,
            Err(NodeError::Unreachable { refused: true, .. }) => Seen::Closed,
            Err(NodeError::Impostor { seen, .. }) => Seen::Impostor { seen },
            Err(
                error @ (NodeError::Unreachable { .. }
                | NodeError::TimedOut { .. }
                | NodeError::ReplyLost { .. }),
            ) => Seen::Silent { why: error.to_string() },
            Err(
                error @ (NodeError::NotTalos { .. }
                | NodeError::WrongCluster { .. }
                | NodeError::CertificateTime { .. }
                | NodeError::WrongName { .. }
                | NodeError::Refused { .. }
                | NodeError::Unreadable { .. }
                | NodeError::Identity { .. }),
            ) => Seen::NotTalos { why: error.to_string() },
        }
    }

    async fn look(&self) -> Result<Seen, NodeError> {
        let fingerprint = self.fingerprint().await?;
        match self.reading(&VERSION, ()).await {
            Ok(reply) => {
                let version = reply
                    .messages
                    .into_iter()
                    .next()
                    .and_then(|item| item.version)
                    .map(|version| version.tag);
                Ok(Seen::Maintenance { character: Character::From13, fingerprint, version })
            }
            Err(NodeError::Refused { status: Code::Unimplemented, .. }) => {
                Ok(Seen::Maintenance { character: Character::UpTo12, fingerprint, version: None })
            }
            Err(other) => Err(other),
        }
    }
}
