//! A node at one address, as one of its callers sees it: a connection kept while it lives, and calls with a limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tonic::codegen::http::Uri;
use tonic::{Request, Response, Status, Streaming};

use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::grpc::{Caller, Streamed, Unary};
use super::identity::Identity;
use super::line::{self, Dial, Line};
use super::tls::Trust;

/// The largest message either side takes (`constants.GRPCMaxMessageSize`), in bytes.
const LARGEST: usize = 32 << 20;

/// How long a node may take. Every call has one of these.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From dialling to the node's first byte.
    pub connect: Duration,
    /// A reading call.
    pub read: Duration,
    /// A call that changes something: a config is parsed and validated on the node, an image may be pulled.
    pub change: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(15),
            change: Duration::from_secs(60),
        }
    }
}

/// One node at one address.
#[derive(Debug)]
pub struct Node {
    at: SocketAddr,
    trust: Trust,
    dial: Dial,
    limits: Limits,
    line: Mutex<Option<Line>>,
}

impl Node {
    /// The port of the machine API (`constants.ApidPort`).
    pub const PORT: u16 = 50000;

    /// A node without a config: we show no certificate, and do not judge its own unless it is pinned.
    #[must_use]
    pub fn in_maintenance(at: SocketAddr, pin: Option<Fingerprint>) -> Self {
        Self::new(at, Trust::Maintenance(pin))
    }

    /// A node of our cluster: both sides show certificates, and its one must name the address we dial.
    #[must_use]
    pub fn of_cluster(at: SocketAddr, identity: Arc<Identity>) -> Self {
        Self::new(at, Trust::Cluster(identity))
    }

    fn new(at: SocketAddr, trust: Trust) -> Self {
        Self { at, trust, dial: Dial::tcp(), limits: Limits::default(), line: Mutex::new(None) }
    }

    /// Over something else than TCP.
    #[must_use]
    pub fn over(mut self, dial: Dial) -> Self {
        self.dial = dial;
        self
    }

    /// With other limits.
    #[must_use]
    pub const fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where it is.
    #[must_use]
    pub const fn at(&self) -> SocketAddr {
        self.at
    }

    /// How long it may take.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Who answers now: connects if needed, and returns the fingerprint of the certificate seen.
    ///
    /// # Errors
    /// It cannot be reached, or is not whom we trust.
    pub async fn fingerprint(&self) -> Result<Fingerprint, NodeError> {
        let seen = self.line().await?.fingerprint();
        seen.ok_or_else(|| NodeError::NotTalos { at: self.at, why: "it showed no certificate".to_owned() })
    }

    /// Forgets the connection: the next call dials anew.
    pub async fn hang_up(&self) {
        *self.line.lock().await = None;
    }

    /// The connection that lives, or a new one.
    pub(super) async fn line(&self) -> Result<Line, NodeError> {
        let mut kept = self.line.lock().await;
        if let Some(line) = kept.as_ref().filter(|line| line.is_up()) {
            return Ok(line.clone());
        }
        let line = line::open(self.at, &self.trust, &self.dial, self.limits.connect).await?;
        *kept = Some(line.clone());
        Ok(line)
    }

    /// Where requests say they go; the node does not read it.
    fn origin(&self) -> Result<Uri, NodeError> {
        Uri::try_from(format!("https://{}", self.at))
            .map_err(|why| NodeError::NotTalos { at: self.at, why: why.to_string() })
    }

    /// A caller over a connection.
    fn caller(&self, line: Line) -> Result<Caller<Line>, NodeError> {
        Ok(Caller::new(line, self.origin()?, LARGEST))
    }

    /// A reading call: late means [`NodeError::TimedOut`], cut means [`NodeError::ReplyLost`].
    pub(super) async fn reading<I: Message + 'static, O: Message + Default + 'static>(
        &self,
        call: &Unary<I, O>,
        message: I,
    ) -> Result<O, NodeError> {
        let limit = self.limits.read;
        let mut caller = self.caller(self.line().await?)?;
        let replied = timeout(limit, caller.unary(call, asking(message, limit))).await;
        self.replied(call.name(), replied, || self.timed_out(call.name()))
    }

    /// A call that changes something: late and cut both mean [`NodeError::ReplyLost`].
    pub(super) async fn changing<I: Message + 'static, O: Message + Default + 'static>(
        &self,
        call: &Unary<I, O>,
        message: I,
    ) -> Result<O, NodeError> {
        self.changing_over(self.line().await?, call, message).await
    }

    /// The same over this connection and no other: what is sent goes to who was seen on it.
    pub(super) async fn changing_over<I: Message + 'static, O: Message + Default + 'static>(
        &self,
        line: Line,
        call: &Unary<I, O>,
        message: I,
    ) -> Result<O, NodeError> {
        let limit = self.limits.change;
        let mut caller = self.caller(line)?;
        let replied = timeout(limit, caller.unary(call, asking(message, limit))).await;
        self.replied(call.name(), replied, || self.reply_lost(call.name()))
    }

    /// A reading call that is answered by a stream, which may go on for ever: [`Self::next`] bounds its silence where
    /// that matters.
    pub(super) async fn following<I: Message + 'static, O: Message + Default + 'static>(
        &self,
        call: &Streamed<I, O>,
        message: I,
    ) -> Result<Streaming<O>, NodeError> {
        self.opened(call, message, self.limits.read, || self.timed_out(call.name())).await
    }

    /// A call that changes something and tells its progress in a stream.
    pub(super) async fn changing_long<I: Message + 'static, O: Message + Default + 'static>(
        &self,
        call: &Streamed<I, O>,
        message: I,
    ) -> Result<Streaming<O>, NodeError> {
        self.opened(call, message, self.limits.change, || self.reply_lost(call.name())).await
    }

    /// The head of a stream within `limit`. The node is told none.
    async fn opened<I: Message + 'static, O: Message + Default + 'static>(
        &self,
        call: &Streamed<I, O>,
        message: I,
        limit: Duration,
        late: impl FnOnce() -> NodeError,
    ) -> Result<Streaming<O>, NodeError> {
        let mut caller = self.caller(self.line().await?)?;
        let replied = timeout(limit, caller.streamed(call, Request::new(message))).await;
        self.replied(call.name(), replied, late)
    }

    fn replied<T>(
        &self,
        what: &'static str,
        replied: Result<Result<Response<T>, Status>, Elapsed>,
        late: impl FnOnce() -> NodeError,
    ) -> Result<T, NodeError> {
        match replied {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.failed(what, &status)),
            Err(_) => Err(late()),
        }
    }

    fn timed_out(&self, what: &'static str) -> NodeError {
        NodeError::TimedOut { at: self.at, what, limit: self.limits.read }
    }

    fn reply_lost(&self, what: &'static str) -> NodeError {
        NodeError::ReplyLost { at: self.at, what, why: format!("no reply within {:?}", self.limits.change) }
    }

    /// A refusal by the node, or a reply that never came: only what was made here has a source.
    pub(super) fn failed(&self, what: &'static str, status: &Status) -> NodeError {
        let at = self.at;
        match std::error::Error::source(status) {
            Some(source) => NodeError::ReplyLost { at, what, why: deepest(source) },
            None => NodeError::Refused { at, what, status: status.code(), text: status.message().to_owned() },
        }
    }

    /// The next message of a stream that must not be silent for longer than a reading call.
    pub(super) async fn next<T>(
        &self,
        what: &'static str,
        stream: &mut Streaming<T>,
    ) -> Result<Option<T>, NodeError> {
        match timeout(self.limits.read, stream.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(self.failed(what, &status)),
            Err(_) => Err(self.timed_out(what)),
        }
    }

    /// The single message of a reply.
    pub(super) fn only<T>(&self, what: &'static str, messages: Vec<T>) -> Result<T, NodeError> {
        let unreadable =
            || NodeError::Unreadable { at: self.at, what, why: "it holds no message".to_owned() };
        messages.into_iter().next().ok_or_else(unreadable)
    }
}

/// A request that says how long we wait, so that the node stops then too.
fn asking<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// The last cause of a chain: "connection reset by peer" rather than "transport error".
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}
