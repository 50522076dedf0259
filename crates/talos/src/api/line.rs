//! One connection to one node: TCP, TLS, HTTP/2, and what went wrong on the way in the node's own terms.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as TlsError};
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::tls::{self, Trust, Witness};

/// Bytes both ways: a TCP connection, or a stream in memory.
pub trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Carrier>>> + Send>>;

/// How an address becomes a stream.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(SocketAddr) -> Dialling + Send + Sync>);

impl fmt::Debug for Dial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Dial")
    }
}

impl Dial {
    /// By something else than TCP, for example a network that does not exist.
    pub fn by<F, R>(dial: F) -> Self
    where
        F: Fn(SocketAddr) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<Box<dyn Carrier>>> + Send + 'static,
    {
        Self(Arc::new(move |at| Box::pin(dial(at))))
    }

    /// A stream to that address.
    ///
    /// # Errors
    /// Nobody is there.
    pub async fn dial(&self, at: SocketAddr) -> io::Result<Box<dyn Carrier>> {
        (self.0)(at).await
    }

    /// TCP, with probes of its own: a machine that lost power is noticed within half a minute. HTTP/2 cannot do this,
    /// see [`PING`].
    #[must_use]
    pub fn tcp() -> Self {
        Self::by(|at| async move {
            let stream = TcpStream::connect(at).await?;
            stream.set_nodelay(true)?;
            let probes = socket2::TcpKeepalive::new()
                .with_time(Duration::from_secs(10))
                .with_interval(Duration::from_secs(5))
                .with_retries(4);
            socket2::SockRef::from(&stream).set_tcp_keepalive(&probes)?;
            Ok(Box::new(stream) as Box<dyn Carrier>)
        })
    }
}

/// HTTP/2 pings no closer than this: a grpc-go server without a policy of its own, as Talos's, allows one in five
/// minutes and closes the connection of who asks more often ("`too_many_pings`", grpc-go `keepalive.EnforcementPolicy`).
const PING: Duration = Duration::from_secs(310);

/// What a ping may take.
const PONG: Duration = Duration::from_secs(20);

/// A connection that is up and whose handshake the node has accepted.
#[derive(Clone)]
pub(super) struct Line {
    sender: SendRequest<Body>,
    fingerprint: Option<Fingerprint>,
    _task: Arc<Hold>,
}

/// Ends the connection's task with its last user.
struct Hold(AbortHandle);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Line").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn is_up(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) const fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }
}

/// Dials, shakes hands, and waits for the node's first byte: in TLS 1.3 a server judges the client's certificate after
/// the client has finished, so only then is it known that it is taken. A node's gRPC server speaks first. Nothing of a
/// request leaves before.
///
/// # Errors
/// Nobody there, not Talos, not whom we trust, or it does not take us.
pub(super) async fn open(
    at: SocketAddr,
    trust: &Trust,
    dial: &Dial,
    limit: Duration,
) -> Result<Line, NodeError> {
    let (config, witness) = tls::config(trust)?;
    let opening = async {
        let stream = dial.dial(at).await.map_err(|why| unreachable(at, &why))?;
        let name = ServerName::IpAddress(at.ip().into());
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let mut tls = tls.map_err(|why| verdict(at, trust, &witness, &why))?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(NodeError::NotTalos { at, why: "it does not offer HTTP/2".to_owned() });
        }
        let mut first = [0u8; 1];
        let read = tls.read(&mut first).await.map_err(|why| verdict(at, trust, &witness, &why))?;
        if read == 0 {
            return Err(NodeError::Unreachable {
                at,
                why: "it ended the connection".to_owned(),
                refused: false,
            });
        }
        let stream = Opened { first: Some(first[0]), tls };
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(PING))
            .keep_alive_timeout(PONG)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) =
            handshake.map_err(|why| NodeError::NotTalos { at, why: why.to_string() })?;
        let task = tokio::spawn(async move {
            // How it ended is told to whoever waits for a reply on it.
            drop(connection.await);
        });
        let hold = Arc::new(Hold(task.abort_handle()));
        Ok(Line { sender, fingerprint: witness.seen(), _task: hold })
    };
    let what = "the handshake";
    tokio::time::timeout(limit, opening).await.unwrap_or(Err(NodeError::TimedOut { at, what, limit }))
}

fn unreachable(at: SocketAddr, why: &io::Error) -> NodeError {
    let refused = why.kind() == io::ErrorKind::ConnectionRefused;
    NodeError::Unreachable { at, why: why.to_string(), refused }
}

/// What a failed handshake says about the node.
fn verdict(at: SocketAddr, trust: &Trust, witness: &Witness, why: &io::Error) -> NodeError {
    if let Some((expected, seen)) = witness.missed() {
        return NodeError::Impostor { at, expected, seen };
    }
    let Some(tls) = why.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return unreachable(at, why);
    };
    match tls {
        TlsError::InvalidCertificate(error) => of_certificate(at, error),
        TlsError::AlertReceived(alert) => of_alert(at, trust, *alert),
        other => NodeError::NotTalos { at, why: other.to_string() },
    }
}

fn of_certificate(at: SocketAddr, error: &CertificateError) -> NodeError {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            NodeError::CertificateTime { at, why: "expired" }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            NodeError::CertificateTime { at, why: "not valid yet" }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            NodeError::WrongName { at, why: error.to_string() }
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => NodeError::WrongCluster { at },
        other => NodeError::NotTalos { at, why: other.to_string() },
    }
}

/// Alerts as Go's TLS server sends them (`crypto/tls/handshake_server*.go`).
fn of_alert(at: SocketAddr, trust: &Trust, alert: AlertDescription) -> NodeError {
    match alert {
        AlertDescription::CertificateRequired => NodeError::IdentityWanted { at },
        AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => match trust {
            // Before TLS 1.3 there was no alert of its own for a missing certificate.
            Trust::Maintenance(_) => NodeError::IdentityWanted { at },
            Trust::Cluster(_) => NodeError::IdentityRefused { at, why: format!("{alert:?}") },
        },
        AlertDescription::InternalError | AlertDescription::UnrecognisedName => {
            NodeError::NoCertificateYet { at }
        }
        other => NodeError::NotTalos { at, why: format!("it sent the alert {other:?}") },
    }
}

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// The stream with its first byte put back.
struct Opened {
    first: Option<u8>,
    tls: TlsStream<Box<dyn Carrier>>,
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(first) = self.first.filter(|_| into.remaining() > 0) {
            into.put_slice(&[first]);
            self.first = None;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tls).poll_read(context, into)
    }
}

impl AsyncWrite for Opened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tls).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }
}
