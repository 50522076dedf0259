//! Telling an agent which build to take, and what to do with our loader on its machine's disks.

use std::time::Duration;

use http::StatusCode;
use model::{AgentBuild, CHANNEL_BUILD_PATH, CHANNEL_LOADER_PATH, DiskLoaderOrder, DiskLoaders, NodeName};

use super::{Channel, LIMIT, Unreached};

/// Longest time of an order about a loader: it is fetched and written meanwhile.
const PLACING: Duration = Duration::from_secs(18);

/// What an agent says to the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It takes the build, or has it.
    Takes,
    /// It does not, and why.
    Refuses(String),
    /// It is older than such orders.
    Unknown,
}

/// Why nothing was done about a loader, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// Nobody was asked, or no answer came: what was begun may be done.
    #[error(transparent)]
    Unreached(#[from] Unreached),
    /// The agent says why not.
    #[error("{0}")]
    Refused(String),
    /// It is older than such orders.
    #[error("its agent is older than this: it takes the build of this boss, or starts again")]
    Unknown,
}

impl Channel {
    /// The machines whose agents are connected.
    #[must_use]
    pub fn hosts(&self) -> Vec<NodeName> {
        self.lines().keys().cloned().collect()
    }

    /// Tells the agent of a machine to take this build.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn order_build(&self, host: &NodeName, build: &AgentBuild) -> Result<Answered, Unreached> {
        let (status, reason) = self.order(host, CHANNEL_BUILD_PATH, serde_json::to_vec(build), LIMIT).await?;
        Ok(match status {
            StatusCode::ACCEPTED => Answered::Takes,
            StatusCode::NOT_FOUND => Answered::Unknown,
            status => Answered::Refuses(reason_of(status, &reason)),
        })
    }

    /// Has the agent of a machine look after our loader on the machine's disks.
    ///
    /// # Errors
    /// [`Unplaced`].
    pub async fn order_loader(
        &self,
        host: &NodeName,
        order: &DiskLoaderOrder,
    ) -> Result<DiskLoaders, Unplaced> {
        let order = serde_json::to_vec(order);
        let (status, said) = self.order(host, CHANNEL_LOADER_PATH, order, PLACING).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&said).map_err(|_| Unreached::Broken.into()),
            StatusCode::NOT_FOUND => Err(Unplaced::Unknown),
            status => Err(Unplaced::Refused(reason_of(status, &said))),
        }
    }
}

fn reason_of(status: StatusCode, said: &[u8]) -> String {
    match String::from_utf8_lossy(said).into_owned() {
        reason if reason.is_empty() => format!("it answers with status {status}"),
        reason => reason,
    }
}
