//! A node at one address, as one of its callers sees it: a connection kept while it lives, and calls with a limit.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tonic::codegen::http::Uri;
use tonic::{Request, Response, Status, Streaming};

use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::identity::Identity;
use super::line::{self, Dial, Line};
use super::proto::cosi::state_client::StateClient;
use super::proto::machine::machine_service_client::MachineServiceClient;
use super::proto::storage::storage_service_client::StorageServiceClient;
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

    pub(super) async fn machine(&self) -> Result<MachineServiceClient<Line>, NodeError> {
        let client = MachineServiceClient::with_origin(self.line().await?, self.origin()?);
        Ok(client.max_decoding_message_size(LARGEST).max_encoding_message_size(LARGEST))
    }

    pub(super) async fn storage(&self) -> Result<StorageServiceClient<Line>, NodeError> {
        let client = StorageServiceClient::with_origin(self.line().await?, self.origin()?);
        Ok(client.max_decoding_message_size(LARGEST))
    }

    pub(super) async fn state(&self) -> Result<StateClient<Line>, NodeError> {
        let client = StateClient::with_origin(self.line().await?, self.origin()?);
        Ok(client.max_decoding_message_size(LARGEST))
    }

    pub(super) async fn images(
        &self,
    ) -> Result<super::proto::machine::image_service_client::ImageServiceClient<Line>, NodeError> {
        Ok(super::proto::machine::image_service_client::ImageServiceClient::with_origin(
            self.line().await?,
            self.origin()?,
        ))
    }

    pub(super) async fn lifecycle(
        &self,
    ) -> Result<super::proto::machine::lifecycle_service_client::LifecycleServiceClient<Line>, NodeError>
    {
        Ok(super::proto::machine::lifecycle_service_client::LifecycleServiceClient::with_origin(
            self.line().await?,
            self.origin()?,
        ))
    }

    /// A reading call: late means [`NodeError::TimedOut`], cut means [`NodeError::Unreachable`].
    pub(super) async fn reading<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, NodeError> {
        let limit = self.limits.read;
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.failed(what, &status)),
            Err(_) => Err(NodeError::TimedOut { at: self.at, what, limit }),
        }
    }

    /// A call that changes something: late and cut both mean [`NodeError::ReplyLost`].
    pub(super) async fn changing<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, NodeError> {
        let limit = self.limits.change;
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            Ok(Err(status)) => Err(self.failed(what, &status)),
            Err(_) => {
                Err(NodeError::ReplyLost { at: self.at, what, why: format!("no reply within {limit:?}") })
            }
        }
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
        let limit = self.limits.read;
        match tokio::time::timeout(limit, stream.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(self.failed(what, &status)),
            Err(_) => Err(NodeError::TimedOut { at: self.at, what, limit }),
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
pub(super) fn asking<T>(message: T, limit: Duration) -> Request<T> {
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
