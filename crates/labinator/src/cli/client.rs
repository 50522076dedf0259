//! Asking a controller: one connection per question, over its Unix socket or TCP.

use std::time::Duration;

use api::ErrorBody;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use model::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::args::Globals;
use super::failure::Failure;
use super::socket::{Server, socket_path};
use super::tls::{self, Known};

/// Most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open WebSocket to a controller.
pub(super) type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Asks one controller.
#[derive(Debug, Clone)]
pub struct Client {
    server: Server,
    token: Option<Secret<String>>,
    root: Option<Known>,
}

impl Client {
    /// A client for what the command line says, or for the local socket.
    #[must_use]
    pub fn new(globals: &Globals) -> Self {
        let token = globals.token.clone().or_else(|| std::env::var("LABINATOR_TOKEN").ok());
        Self {
            server: globals.server.clone().unwrap_or_else(|| Server::Unix(socket_path())),
            token: token.filter(|t| !t.is_empty()).map(Secret::new),
            root: globals.ca.clone().or_else(root_of_environment),
        }
    }

    /// Whom it asks.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// What the controller answered, or that it cannot be reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Posts `body` to `path`.
    ///
    /// # Errors
    /// What the controller answered, or that it cannot be reached.
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|e| Failure::failed(format!("cannot ask: {e}")))?;
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Failure> {
        let request = self.request(method, path, body)?;
        let answered = async {
            let answer = success(self.send(request).await?).await?;
            collect(answer).await
        };
        let bytes = tokio::time::timeout(PATIENCE, answered).await.map_err(|_| {
            Failure::TimedOut(format!("{} did not answer within {} s", self.server, PATIENCE.as_secs()))
        })??;
        serde_json::from_slice(&bytes).map_err(|e| {
            Failure::with_advice(
                format!("{} answered something else than expected: {e}", self.server),
                "is it the same version as this program? `labinator --version`",
            )
        })
    }

    /// Opens the stream of `path`, after the event `last` if one is known.
    ///
    /// # Errors
    /// What the controller answered, or that it cannot be reached.
    pub async fn stream(&self, path: &str, last: Option<&str>) -> Result<Incoming, Failure> {
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert("last-event-id", last);
        }
        let opened = async { success(self.send(request).await?).await };
        let answer = tokio::time::timeout(PATIENCE, opened)
            .await
            .map_err(|_| Failure::TimedOut(format!("{} did not open its stream", self.server)))??;
        Ok(answer.into_body())
    }

    /// Opens `path` as a WebSocket (RFC 6455) with this subprotocol.
    ///
    /// # Errors
    /// What the controller answered, or that it cannot be reached.
    pub(super) async fn socket(&self, path: &str, protocol: &'static str) -> Result<Socket, Failure> {
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        let key = generate_key();
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        let nonce = HeaderValue::from_str(&key);
        headers.insert(header::SEC_WEBSOCKET_KEY, nonce.map_err(|why| Failure::failed(why.to_string()))?);
        let opened = async {
            let answer = self.send(request).await?;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                Ok(answer)
            } else {
                success(answer).await
            }
        };
        let answer = tokio::time::timeout(PATIENCE, opened)
            .await
            .map_err(|_| Failure::TimedOut(format!("{} did not open {path}", self.server)))??;
        let accept = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(Failure::failed(format!("{} does not speak WebSocket at {path}", self.server)));
        }
        let upgraded = hyper::upgrade::on(answer).await;
        let upgraded = upgraded.map_err(|e| Failure::failed(format!("the connection broke: {e}")))?;
        Ok(Socket::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let host = match &self.server {
            Server::Unix(_) => "labinator".to_owned(),
            tcp @ Server::Tcp { .. } => {
                let url = tcp.to_string();
                url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned()
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        request
            .body(Full::new(body))
            .map_err(|_| Failure::Usage("the token cannot stand in a header".to_owned()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        match &self.server {
            Server::Unix(path) => match tokio::net::UnixStream::connect(path).await {
                Ok(stream) => exchange(stream, request).await,
                Err(why) => Err(self.unreachable(&why)),
            },
            Server::Tcp { tls, host, port } => {
                let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(|why| self.unreachable(&why))?;
                match tls {
                    true => {
                        exchange(Box::pin(tls::connect(stream, host, self.root.as_ref())).await?, request)
                            .await
                    }
                    false => exchange(stream, request).await,
                }
            }
        }
    }

    fn unreachable(&self, why: &std::io::Error) -> Failure {
        let advice = match why.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "the socket belongs to another user: use sudo, or --server http://127.0.0.1:8080 --token …"
            }
            _ => "start one with `labinator serve --lab lab.yaml`, or name another with --server",
        };
        Failure::with_advice(format!("no controller answers at {}: {why}", self.server), advice)
    }
}

/// `LABINATOR_CA`: a file or a fingerprint. One that is neither is as a file that is not there.
fn root_of_environment() -> Option<Known> {
    let text = std::env::var("LABINATOR_CA").ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| Known::File(text.into())))
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let broken = |e: hyper::Error| Failure::failed(format!("the connection to the controller broke: {e}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the answer's last byte, when the answer is dropped, or when it becomes a WebSocket.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(broken)
}

async fn collect(answer: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|e| Failure::failed(format!("the controller's answer broke off: {e}")))
}

/// Turns an answer that is not a success into what it says.
async fn success(answer: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let bytes = collect(answer).await?;
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| unreadable(status));
    Err(Failure::of_answer(status, body))
}

fn unreadable(status: StatusCode) -> ErrorBody {
    let advice = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "give the token with --token or LABINATOR_TOKEN",
        _ => "",
    };
    ErrorBody {
        code: "no_body".to_owned(),
        message: format!("the controller answered {status}"),
        advice: advice.to_owned(),
    }
}
