//! The events of a node as one stream that survives its connections, and says where something is missing.
//!
//! ```text
//!  open, all there is ─▶ events ─▶ connection lost ─▶ same boot: after the last id ─▶ events
//!                           │                     └─▶ another boot: all there is, and say so
//!                           └────▶ ended by the node (we were too slow) ─▶ all there is, without what we had;
//!                                                                          if the last one is gone, say so
//! ```

use std::sync::Arc;
use std::time::Duration;

use tonic::Streaming;

use super::error::NodeError;
use super::node::Node;
use super::proto::machine::{EVENTS, Event as Wire, EventsReq};
use crate::feed::Event;

/// What the stream tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Something happened.
    Event {
        /// Its number: 20 letters that grow with time (xid).
        id: String,
        /// Whose request it belongs to, if any.
        actor: String,
        /// What.
        event: Event,
    },
    /// The node booted since: what the last boot did at its end was not seen.
    NewBoot,
    /// Some events of this boot were lost: the node keeps about a thousand.
    Gap,
}

/// A stream of a node's events. Takes a client certificate, or maintenance from 1.13 on.
#[derive(Debug)]
pub struct EventFeed {
    node: Arc<Node>,
    actor: String,
    stream: Option<Streaming<Wire>>,
    boot: Option<String>,
    last: Option<String>,
    /// The stream was ended by the node: what we have must be found in what it keeps.
    behind: bool,
    /// In what it keeps, everything up to this one was told before.
    skip_to: Option<String>,
    next: Option<Told>,
}

/// Time before a connection is made anew, so that a node that ends each one at once is not stormed.
const PAUSE: Duration = Duration::from_millis(250);

impl EventFeed {
    /// Of a node, from the first event that it keeps; only those of `actor`, if it is not empty.
    #[must_use]
    pub fn of(node: Arc<Node>, actor: &str) -> Self {
        Self {
            node,
            actor: actor.to_owned(),
            stream: None,
            boot: None,
            last: None,
            behind: false,
            skip_to: None,
            next: None,
        }
    }

    /// The next of it. Can be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// The node cannot be reached now, or refuses; call again to try again, after a while if [`NodeError::passes`].
    pub async fn next(&mut self) -> Result<Told, NodeError> {
        loop {
            if let Some(told) = self.next.take() {
                return Ok(told);
            }
            let Some(stream) = self.stream.as_mut() else {
                self.open().await?;
                continue;
            };
            match stream.message().await {
                Ok(Some(wire)) => {
                    if let Some(told) = self.take(wire)? {
                        return Ok(told);
                    }
                }
                Ok(None) => {
                    self.behind = true;
                    self.lost().await;
                }
                Err(status) => {
                    self.lost().await;
                    let error = self.node.failed(EVENTS.name(), &status);
                    if !matches!(error, NodeError::ReplyLost { .. }) {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn lost(&mut self) {
        self.stream = None;
        self.node.hang_up().await;
        tokio::time::sleep(PAUSE).await;
    }

    async fn open(&mut self) -> Result<(), NodeError> {
        // Only admins may read it; without it every reconnection is treated as one to a boot that may be another.
        let boot = match self.node.boot_id().await {
            Ok(boot) => Some(boot),
            Err(NodeError::Refused { .. }) => None,
            Err(other) => return Err(other),
        };
        let again = self.last.is_some();
        let same = again && boot.is_some() && boot == self.boot;
        let mut request = EventsReq { with_actor_id: self.actor.clone(), ..EventsReq::default() };
        self.skip_to = None;
        match &self.last {
            Some(last) if same && !self.behind => request.tail_id.clone_from(last),
            last => {
                request.tail_events = -1;
                let known_other = again && boot.is_some() && !same;
                if !known_other {
                    self.skip_to.clone_from(last);
                }
                if known_other {
                    self.last = None;
                    self.next = Some(Told::NewBoot);
                }
            }
        }
        self.stream = Some(self.node.following(&EVENTS, request).await?);
        self.boot = boot;
        self.behind = false;
        Ok(())
    }

    fn take(&mut self, wire: Wire) -> Result<Option<Told>, NodeError> {
        // The first message has an id and says nothing: it only proves that the stream is open.
        let Some(data) = wire.data.filter(|data| !data.type_url.is_empty()) else { return Ok(None) };
        if let Some(known) = &self.skip_to {
            if wire.id <= *known {
                if wire.id == *known {
                    self.skip_to = None;
                }
                return Ok(None);
            }
            // Greater, and the one we know was not among them.
            self.skip_to = None;
            self.next = Some(self.told(wire.id, wire.actor_id, &data)?);
            return Ok(Some(Told::Gap));
        }
        Ok(Some(self.told(wire.id, wire.actor_id, &data)?))
    }

    fn told(&mut self, id: String, actor: String, data: &prost_types::Any) -> Result<Told, NodeError> {
        let event = Event::decode(&data.type_url, &data.value).map_err(|why| NodeError::Unreadable {
            at: self.node.at(),
            what: EVENTS.name(),
            why: why.to_string(),
        })?;
        self.last = Some(id.clone());
        Ok(Told::Event { id, actor, event })
    }
}
