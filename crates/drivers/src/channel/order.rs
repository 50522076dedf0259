//! An order to an agent that is one question and one answer.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use model::NodeName;
use tokio::time::timeout;

use super::{Channel, Unreached, request};

/// Most bytes of an answer that are read; what is longer is cut.
const LONGEST: usize = 64 << 10;

impl Channel {
    /// Sends an order, as JSON, to the agent of a machine: status and text of what it answers within this time.
    ///
    /// # Errors
    /// [`Unreached`].
    pub(super) async fn order(
        &self,
        host: &NodeName,
        path: &str,
        order: serde_json::Result<Vec<u8>>,
        limit: Duration,
    ) -> Result<(StatusCode, Vec<u8>), Unreached> {
        let asker = self.lines().get(host).map(|line| line.asker.clone());
        let mut asker = asker.ok_or(Unreached::NoAgent)?;
        let text = order.map_err(|_| Unreached::Broken)?;
        let asked = async {
            poll_fn(|cx| asker.poll_ready(cx)).await?;
            let (answer, mut to) = asker.send_request(request(Method::POST, path), false)?;
            to.send_data(text.into(), true)?;
            let answer = answer.await?;
            let (status, mut body) = (answer.status(), answer.into_body());
            let mut said: Vec<u8> = Vec::new();
            while let Some(piece) = body.data().await {
                let piece: Bytes = piece?;
                body.flow_control().release_capacity(piece.len())?;
                let room = LONGEST.saturating_sub(said.len());
                said.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            }
            Ok::<_, h2::Error>((status, said))
        };
        let asked = timeout(limit, asked).await.map_err(|_| Unreached::Broken)?;
        asked.map_err(|_| Unreached::Broken)
    }
}
