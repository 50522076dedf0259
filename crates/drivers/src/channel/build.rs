//! Telling an agent which build to take.

use std::future::poll_fn;

use bytes::Bytes;
use http::{Method, StatusCode};
use model::{AgentBuild, CHANNEL_BUILD_PATH, NodeName};
use tokio::time::timeout;

use super::{Channel, LIMIT, Unreached, request};

/// Longest reason that is read; what is longer is cut.
const LONGEST_REASON: usize = 4 << 10;

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
        let asker = self.lines().get(host).map(|line| line.asker.clone());
        let mut asker = asker.ok_or(Unreached::NoAgent)?;
        let text = serde_json::to_vec(build).map_err(|_| Unreached::Broken)?;
        let asked = async {
            poll_fn(|cx| asker.poll_ready(cx)).await?;
            let (answer, mut to) = asker.send_request(request(Method::POST, CHANNEL_BUILD_PATH), false)?;
            to.send_data(text.into(), true)?;
            let answer = answer.await?;
            let (status, mut body) = (answer.status(), answer.into_body());
            let mut reason: Vec<u8> = Vec::new();
            while let Some(piece) = body.data().await {
                let piece: Bytes = piece?;
                body.flow_control().release_capacity(piece.len())?;
                let room = LONGEST_REASON.saturating_sub(reason.len());
                reason.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            }
            Ok::<_, h2::Error>((status, reason))
        };
        let asked = timeout(LIMIT, asked).await.map_err(|_| Unreached::Broken)?;
        let (status, reason) = asked.map_err(|_| Unreached::Broken)?;
        Ok(match status {
            StatusCode::ACCEPTED => Answered::Takes,
            StatusCode::NOT_FOUND => Answered::Unknown,
            status if reason.is_empty() => Answered::Refuses(format!("it answers with status {status}")),
            _ => Answered::Refuses(String::from_utf8_lossy(&reason).into_owned()),
        })
    }
}
