//! Power devices that speak HTTP: one small client, with the four ways in which they ask who we are.
//!
//! A connection carries one question. Plugs have room for two or three connections and lose those that are kept, and
//! what is asked every few seconds gains nothing from keeping them.

mod amt;
mod digest;
mod esphome;
mod home_assistant;
mod pinned;
mod plug;
mod proxmox;
mod redfish;
mod shelly;
mod tasmota;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, USER_AGENT, WWW_AUTHENTICATE};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::device::{Cure, DeviceError};
use digest::Challenge;

pub(super) use amt::Amt;
pub(super) use esphome::Esphome;
pub(super) use home_assistant::HomeAssistant;
pub(crate) use pinned::Fingerprint;
pub(super) use pinned::Pinned;
pub(super) use plug::{Plug, milliwatts};
pub(super) use proxmox::Proxmox;
pub(super) use redfish::Redfish;
pub(super) use shelly::Shelly;
pub(super) use tasmota::Tasmota;
pub(super) use webhook::Webhook;

/// To be connected.
const DIALING: Duration = Duration::from_secs(3);
/// For a whole answer; a controller in a server takes seconds for some.
const ANSWERING: Duration = Duration::from_secs(8);
/// Longest answer that is read.
const LARGEST: usize = 256 << 10;
/// Of an answer that says no, this much is shown to a person.
const SHOWN: usize = 160;

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    tls: bool,
    host: String,
    port: u16,
    /// What stands before every path; empty, or with a slash at its beginning and none at its end.
    base: String,
}

impl Origin {
    /// Reads `HOST`, `HOST:PORT` or a whole address, `http://HOST/PATH`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            None => (false, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((other, _)) => return Err(format!("`{other}` is neither http nor https")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let standard = if tls { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().map_err(|_| format!("`{port}` is not a port"))?)
            }
            _ => (authority, standard),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err(format!("`{authority}` is not a host"));
        }
        let path = path.trim_end_matches('/');
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { tls, host, port, base })
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let standard = if self.tls { 443 } else { 80 };
        if self.port == standard { host } else { format!("{host}:{}", self.port) }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

/// Who we are to a device.
#[derive(Clone)]
pub(crate) enum Login {
    /// Nobody in particular.
    Nobody,
    /// A user with a password: Basic or Digest, whichever it asks for.
    User(String, String),
    /// A token.
    Bearer(String),
    /// What stands behind `Authorization:` as it is.
    Token(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::User(..) => "a user",
            Self::Bearer(_) | Self::Token(_) => "a token",
        })
    }
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    /// Path and query, from the origin on.
    pub(crate) path: String,
    /// A body, of JSON unless the headers say otherwise.
    pub(crate) body: Option<String>,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Question {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, headers: Vec::new() }
    }

    pub(crate) fn post(path: impl Into<String>, body: impl Into<String>) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body.into()), headers: Vec::new() }
    }

    /// A form as a browser posts it.
    pub(crate) fn form(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let pairs =
            fields.iter().map(|(name, value)| format!("{}={}", plug::encoded(name), plug::encoded(value)));
        let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        let body = pairs.collect::<Vec<_>>().join("&");
        Self { method: Method::POST, path: path.into(), body: Some(body), headers }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The words beside the status, where they are not the standard's.
    words: Option<String>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body's beginning, in one line, for a person.
    pub(crate) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(SHOWN).collect()
    }
}

impl Answer {
    /// Why it says no: its body, or the words beside its status, where some have it alone.
    fn reason(&self) -> String {
        let words = self.words.as_deref().unwrap_or_default();
        match self.shown() {
            body if words.is_empty() => body,
            body if body.is_empty() => words.to_owned(),
            body => format!("{words}; {body}"),
        }
    }
}

/// A way to one device.
#[derive(Debug)]
pub(crate) struct Web {
    origin: Origin,
    login: Login,
    pinned: Option<Arc<Pinned>>,
    /// How it asked who we are, the last time.
    scheme: Option<Scheme>,
}

/// How a device wants to be told who asks.
#[derive(Debug)]
enum Scheme {
    /// In the clear.
    Basic,
    /// By a proof.
    Digest(Challenge),
}

impl Web {
    /// Nothing is dialed yet. Over TLS the device's certificate is known by its fingerprint, and by nothing else: those
    /// of plugs and controllers are signed by nobody.
    pub(crate) fn new(origin: Origin, login: Login, certificate: Option<Fingerprint>) -> Self {
        let pinned = origin.tls.then(|| Arc::new(Pinned::new(certificate)));
        Self { origin, login, pinned, scheme: None }
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Asks, and gives every answer back that is not about who we are.
    pub(crate) async fn ask(&mut self, question: &Question) -> Result<Answer, DeviceError> {
        let answer = self.once(question).await?;
        if answer.status == StatusCode::FORBIDDEN {
            return Err(self.locked(&answer));
        }
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // Nobody is told a password who did not ask: the first question is refused, and says how to ask. So is one with
        // a nonce that got old.
        let before = self.scheme.take();
        self.scheme = match (&self.login, before, challenges(&answer).max_by_key(Challenge::is_strong)) {
            (Login::User(..), None, Some(challenge)) => Some(Scheme::Digest(challenge)),
            (Login::User(..), Some(_), Some(challenge)) if challenge.stale => Some(Scheme::Digest(challenge)),
            (Login::User(..), None, None) => Some(Scheme::Basic),
            _ => return Err(self.locked(&answer)),
        };
        let answer = self.once(question).await?;
        if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.scheme = None;
            return Err(self.locked(&answer));
        }
        Ok(answer)
    }

    /// Asks, and takes success for the only answer.
    pub(crate) async fn expect(&mut self, question: &Question) -> Result<Answer, DeviceError> {
        let answer = self.ask(question).await?;
        self.judged(question, answer)
    }

    /// An answer that is a success, or what it says instead.
    pub(super) fn judged(&self, question: &Question, answer: Answer) -> Result<Answer, DeviceError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let why =
            format!("{} answers {} to {}: {}", self.origin, answer.status, question.path, answer.reason());
        let code = "http-status";
        // What is busy or in trouble may be asked again; what does not know the question will not know it then.
        Err(match answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
            true => DeviceError::doubt(code, why),
            false => DeviceError::refused(code, why),
        })
    }

    /// As [`Web::expect`], with JSON in the answer.
    pub(crate) async fn json(&mut self, question: &Question) -> Result<serde_json::Value, DeviceError> {
        let answer = self.expect(question).await?;
        answer.json().ok_or_else(|| self.garbled(&question.path, &answer.shown()))
    }

    /// An answer that is not what the device's documentation says.
    pub(crate) fn garbled(&self, path: &str, shown: &str) -> DeviceError {
        let shown: String = shown.chars().take(SHOWN).collect();
        let why = format!("{} answers {path} with what is not understood: {shown}", self.origin);
        DeviceError::doubt("not-understood", why)
    }

    fn locked(&self, answer: &Answer) -> DeviceError {
        let who = match &self.login {
            Login::Nobody => "it wants a user and a password, and the lab file has none".to_owned(),
            Login::User(user, _) => format!("it does not take the password of `{user}`"),
            Login::Bearer(_) => "it does not take the token".to_owned(),
            Login::Token(_) if answer.status == StatusCode::FORBIDDEN => {
                format!("the token may not do that: {}", answer.reason())
            }
            Login::Token(_) => format!("it does not take the token: {}", answer.reason()),
        };
        DeviceError::locked(format!("{} answers {}: {who}", self.origin, answer.status))
    }

    fn lost(&self, code: &'static str, why: impl std::fmt::Display) -> DeviceError {
        DeviceError::lost(code, format!("{}: {why}", self.origin))
    }

    async fn once(&mut self, question: &Question) -> Result<Answer, DeviceError> {
        let request = self.request(question)?;
        let Origin { host, port, .. } = &self.origin;
        let stream = match timeout(DIALING, TcpStream::connect((host.as_str(), *port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(self.lost("unreached", why)),
            Err(_) => {
                return Err(self.lost("unreached", format!("no connection within {} s", DIALING.as_secs())));
            }
        };
        let answer = async {
            match &self.pinned {
                None => exchange(stream, request).await,
                Some(pinned) => {
                    let stream = pinned.shake_hands(stream, host).await?;
                    exchange(stream, request).await
                }
            }
        };
        match timeout(ANSWERING, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Trouble::Stranger(why))) => Err(DeviceError {
                // Another certificate is another device, or somebody between: nothing is told to it.
                code: "certificate",
                why: format!("{}: {why}", self.origin),
                cure: Cure::Locked,
            }),
            Ok(Err(Trouble::Tls(why))) => Err(self.lost("tls", why)),
            Ok(Err(Trouble::Broken(why))) => {
                let why = format!("{}: the connection broke before the answer: {why}", self.origin);
                Err(DeviceError::doubt("broken", why))
            }
            Err(_) => {
                let why = format!("{}: no answer within {} s", self.origin, ANSWERING.as_secs());
                Err(DeviceError::doubt("silent", why))
            }
        }
    }

    fn request(&mut self, question: &Question) -> Result<Request<Full<Bytes>>, DeviceError> {
        let uri = format!("{}{}", self.origin.base, question.path);
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(&uri)
            .header(HOST, self.origin.authority())
            .header(USER_AGENT, concat!("labinator/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close");
        let says = question.headers.iter().any(|(name, _)| *name == CONTENT_TYPE.as_str());
        if question.body.is_some() && !says {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &question.headers {
            request = request.header(*name, value);
        }
        let authorization = match (&self.login, &mut self.scheme) {
            (Login::Nobody, _) | (Login::User(..), None) => None,
            (Login::Bearer(token), _) => Some(format!("Bearer {token}")),
            (Login::Token(value), _) => Some(value.clone()),
            (Login::User(user, password), Some(Scheme::Basic)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (Login::User(user, password), Some(Scheme::Digest(challenge))) => {
                let chance = STANDARD.encode(chance()?);
                Some(challenge.answer((user, password), (question.method.as_str(), &uri), &chance))
            }
        };
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let body = question.body.clone().unwrap_or_default();
        request
            .body(Full::new(Bytes::from(body)))
            .map_err(|why| DeviceError::refused("bad-question", format!("{uri} cannot be asked: {why}")))
    }
}

/// What went wrong on a connection.
pub(super) enum Trouble {
    /// The certificate is not the one that is known.
    Stranger(String),
    /// There is no TLS with it.
    Tls(String),
    /// It ended too early.
    Broken(String),
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |why: &dyn std::fmt::Display| Trouble::Broken(why.to_string());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|why| broken(&why))?;
    let running = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(|why| broken(&why))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|why| broken(&why))?.to_bytes();
        let words = head.extensions.get::<ReasonPhrase>();
        let words =
            words.map(|words| String::from_utf8_lossy(words.as_bytes()).chars().take(SHOWN).collect());
        Ok(Answer { status: head.status, headers: head.headers, body, words })
    };
    let answer = answer.await;
    running.abort();
    answer
}

fn challenges(answer: &Answer) -> impl Iterator<Item = Challenge> {
    let headers = answer.headers.get_all(WWW_AUTHENTICATE).iter();
    headers.filter_map(|header| Challenge::read(header.to_str().ok()?))
}

fn chance() -> Result<[u8; 12], DeviceError> {
    use ring::rand::SecureRandom as _;
    let mut random = [0; 12];
    let system = ring::rand::SystemRandom::new();
    system
        .fill(&mut random)
        .map_err(|_| DeviceError::lost("no-chance", "the system gives no random numbers"))?;
    Ok(random)
}
