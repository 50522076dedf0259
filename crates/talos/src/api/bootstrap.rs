//! The one bootstrap of a cluster's etcd, which must never be asked of a second node.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::error::NodeError;
use super::node::Node;
use super::proto::machine::{BOOTSTRAP, BootstrapReq};

/// How asking for it ended.
#[derive(Debug, Clone)]
pub enum Bootstrap {
    /// The node begins: its etcd pulls its image and comes up on its own.
    Begun,
    /// There is an etcd, or was one: nothing was asked, or the node says so.
    AlreadyThere,
    /// Not yet: ask again.
    NotYet {
        /// The node's words.
        text: String,
    },
    /// Never on this node: a worker, a maintenance server, a config without etcd.
    Never {
        /// The node's words.
        text: String,
    },
    /// It was asked, and whether it began is unknown: look before asking again, and never ask another node.
    Unknown {
        /// How it ended.
        why: String,
    },
}

/// The service that a bootstrap needs.
const RUNTIME: &str = "cri";

/// How long etcd is given to show its members before a bootstrap. A node without one lets its client block.
const LOOK: Duration = Duration::from_secs(5);

/// Time between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

impl Node {
    /// Looks whether etcd has members, and only if not and its container runtime is there, asks for a bootstrap once.
    ///
    /// # Errors
    /// The node cannot be reached or is not whom we trust: nothing was asked.
    pub async fn bootstrap(&self) -> Result<Bootstrap, NodeError> {
        if matches!(tokio::time::timeout(LOOK, self.etcd_members(true)).await, Ok(Ok(members)) if !members.is_empty())
        {
            return Ok(Bootstrap::AlreadyThere);
        }
        if let Some(text) = self.too_early().await {
            return Ok(Bootstrap::NotYet { text });
        }
        let request = BootstrapReq { recover_etcd: false, recover_skip_hash_check: false };
        match self.changing(&BOOTSTRAP, request).await {
            Ok(_) => Ok(Bootstrap::Begun),
            Err(NodeError::Refused { status, text, at, what }) => match status {
                Code::AlreadyExists => Ok(Bootstrap::AlreadyThere),
                Code::FailedPrecondition if text.contains("control plane node") => {
                    Ok(Bootstrap::Never { text })
                }
                Code::FailedPrecondition | Code::Unavailable => Ok(Bootstrap::NotYet { text }),
                Code::Unimplemented | Code::InvalidArgument | Code::PermissionDenied => {
                    Ok(Bootstrap::Never { text })
                }
                _ => Err(NodeError::Refused { at, what, status, text }),
            },
            Err(NodeError::ReplyLost { why, .. }) => Ok(Bootstrap::Unknown { why }),
            Err(other) => Err(other),
        }
    }

    /// What a bootstrap would be refused for: until CRI is well it is "not available yet" (`v1alpha1_server.go`,
    /// `Bootstrap`). A node that does not tell its services decides by itself.
    async fn too_early(&self) -> Option<String> {
        let services = self.services().await.ok()?;
        let cri = services.into_iter().find(|service| service.id == RUNTIME);
        match cri {
            Some(cri) if cri.healthy == Some(true) => None,
            Some(cri) => Some(format!("its container runtime is {}", cri.state)),
            None => Some("its container runtime does not run yet".to_owned()),
        }
    }

    /// Asks again while the node says "not yet" or cannot be reached, until `limit`. After a lost reply it looks: a node
    /// whose etcd came up is [`Bootstrap::AlreadyThere`]; asking the *same* node again does no harm.
    ///
    /// # Errors
    /// The last reason, if none of the attempts was made.
    pub async fn bootstrap_within(&self, limit: Duration) -> Result<Bootstrap, NodeError> {
        let ends = Instant::now() + limit;
        loop {
            let last = self.bootstrap().await;
            let again = match &last {
                Ok(Bootstrap::NotYet { .. } | Bootstrap::Unknown { .. }) => true,
                Ok(Bootstrap::Begun | Bootstrap::AlreadyThere | Bootstrap::Never { .. }) => false,
                Err(error) => error.passes(),
            };
            if !again || Instant::now() + AGAIN >= ends {
                return last;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
