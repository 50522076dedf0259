//! One question to the API server, and its answer: HTTP/1.1 over TLS, with a limit.
//!
//! A question takes a connection that is free, or opens one. What is written here is all of Kubernetes's protocol
//! that we speak; the objects are JSON.

mod dial;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::kubeconfig::Access;
use crate::trouble::{Status, Trouble};

pub use dial::{Dial, Dialed, Duplex, Tcp};

/// To be connected.
const DIALING: Duration = Duration::from_secs(10);
/// For an answer that is read whole.
pub(crate) const ANSWERING: Duration = Duration::from_secs(30);
/// Largest answer that is read whole: a page of 500 pods is about 4 MiB.
const LARGEST: usize = 32 * 1024 * 1024;
/// Connections kept for the next question.
const KEPT: usize = 4;

type Sender = SendRequest<Full<Bytes>>;

/// A way to one API server, as one user.
pub struct Client {
    access: Access,
    dial: Arc<dyn Dial>,
    tls: TlsConnector,
    free: Mutex<Vec<Sender>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.access.server()).finish_non_exhaustive()
    }
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    /// Kind of the body, and the body.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

impl Question {
    pub(crate) const fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None }
    }
}

impl Client {
    /// A way to the server that this kubeconfig names. Nothing is dialed yet.
    ///
    /// # Errors
    /// [`Trouble::Kubeconfig`].
    pub fn new(kubeconfig: &[u8], dial: Arc<dyn Dial>) -> Result<Self, Trouble> {
        let access = Access::read(kubeconfig)?;
        let tls = TlsConnector::from(Arc::new(tls(&access)?));
        Ok(Self { access, dial, tls, free: Mutex::default() })
    }

    /// Host and port of the server.
    #[must_use]
    pub fn server(&self) -> String {
        self.access.server()
    }

    /// What the server calls its own version, as `v1.33.2`.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn version(&self) -> Result<String, Trouble> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let version: Version = self.ask(&Question::get("/version".to_owned())).await?;
        Ok(version.git_version)
    }

    /// Asks and reads the answer as `T`.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, question: &Question) -> Result<T, Trouble> {
        let body = self.ask_bytes(question).await?;
        serde_json::from_slice(&body).map_err(|why| self.garbled(&why))
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn ask_bytes(&self, question: &Question) -> Result<Bytes, Trouble> {
        let answer = async {
            let (response, sender) = self.send(question).await?;
            let whole = self.whole(response).await?;
            self.give_back(sender);
            Ok(whole)
        };
        timeout(ANSWERING, answer).await.unwrap_or_else(|_| Err(self.late(ANSWERING)))
    }

    /// Asks and gives back the body as it comes: for a watch. Its connection is its own.
    pub(crate) async fn open(&self, path: String) -> Result<Incoming, Trouble> {
        let answer = async {
            let (response, _) = self.send(&Question::get(path)).await?;
            if response.status().is_success() {
                return Ok(response.into_body());
            }
            self.whole(response).await.and(Err(self.garbled(&"an error without a status")))
        };
        timeout(ANSWERING, answer).await.unwrap_or_else(|_| Err(self.late(ANSWERING)))
    }

    async fn send(&self, question: &Question) -> Result<(Response<Incoming>, Sender), Trouble> {
        // A connection that waited may have been closed by the server meanwhile; then a fresh one is asked, but only
        // if the question was surely not taken.
        while let Some(mut free) = self.take_free() {
            if free.ready().await.is_err() {
                continue;
            }
            match free.try_send_request(self.request(question)?).await {
                Ok(response) => return Ok((response, free)),
                Err(mut why) => {
                    if why.take_message().is_none() {
                        return Err(self.broken(why.error()));
                    }
                }
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(self.request(question)?).await;
        Ok((response.map_err(|why| self.broken(&why))?, sender))
    }

    async fn connect(&self) -> Result<Sender, Trouble> {
        let server = self.access.server();
        let dialing = async {
            let stream = self
                .dial
                .dial(&self.access.host, self.access.port)
                .await
                .map_err(|why| Trouble::Unreachable { server: server.clone(), why: why.to_string() })?;
            let name = self.access.name.clone();
            self.tls.connect(name, stream).await.map_err(|why| distrust(&server, &why))
        };
        let stream = timeout(DIALING, dialing).await.unwrap_or_else(|_| Err(self.late(DIALING)))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|why| self.broken(&why))?;
        // It ends with the sender and the body it carries.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(&self, question: &Question) -> Result<Request<Full<Bytes>>, Trouble> {
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(format!("{}{}", self.access.prefix, question.path))
            .header(HOST, self.access.server())
            .header(USER_AGENT, concat!("labinator/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.access.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let mut body = Bytes::new();
        if let Some((kind, bytes)) = &question.body {
            request = request.header(CONTENT_TYPE, *kind);
            body = Bytes::copy_from_slice(bytes);
        }
        request.body(Full::new(body)).map_err(|why| self.garbled(&why))
    }

    /// Reads an answer to its end; one that says no becomes an error.
    async fn whole(&self, response: Response<Incoming>) -> Result<Bytes, Trouble> {
        let code = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|why| self.broken_body(&*why))?.to_bytes();
        if code.is_success() {
            return Ok(body);
        }
        let mut status = Status::read(code.as_u16(), &body);
        status.retry_after = status.retry_after.or(wait);
        Err(Trouble::Refused(Box::new(status)))
    }

    fn take_free(&self) -> Option<Sender> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, sender: Sender) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT && !sender.is_closed() {
            free.push(sender);
        }
    }

    pub(crate) fn late(&self, limit: Duration) -> Trouble {
        Trouble::Late { server: self.access.server(), limit }
    }

    pub(crate) fn garbled(&self, what: &dyn std::fmt::Display) -> Trouble {
        Trouble::Garbled { server: self.access.server(), what: what.to_string() }
    }

    /// What a connection that broke says. The server's no to our certificate arrives only now: in TLS 1.3 the
    /// client is done before the server has looked at it.
    pub(crate) fn broken(&self, why: &hyper::Error) -> Trouble {
        self.broken_body(why)
    }

    fn broken_body(&self, why: &(dyn std::error::Error + 'static)) -> Trouble {
        let server = self.access.server();
        let mut deepest: &(dyn std::error::Error + 'static) = why;
        loop {
            if let Some(why) = deepest.downcast_ref::<std::io::Error>() {
                return distrust(&server, why);
            }
            match deepest.source() {
                Some(source) => deepest = source,
                None => return Trouble::Unreachable { server, why: why.to_string() },
            }
        }
    }
}

/// TLS that trusts the cluster's authority only.
fn tls(access: &Access) -> Result<ClientConfig, Trouble> {
    let wrong = |key: &str, why: &dyn std::fmt::Display| Trouble::Kubeconfig {
        what: format!("`{key}` cannot be used: {why}"),
        advice: "take a new kubeconfig".to_owned(),
    };
    let mut roots = RootCertStore::empty();
    for certificate in &access.trusted {
        roots.add(certificate.clone()).map_err(|why| wrong("certificate-authority-data", &why))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| wrong("server", &why))?
        .with_root_certificates(roots);
    match &access.identity {
        Some((chain, key)) => config
            .with_client_auth_cert(chain.clone(), key.reveal().clone_key())
            .map_err(|why| wrong("client-key-data", &why)),
        None => Ok(config.with_no_client_auth()),
    }
}

/// An error of the stream: about trust, or about the way.
fn distrust(server: &str, why: &std::io::Error) -> Trouble {
    use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};
    let server = server.to_owned();
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let why = match inner {
        // Another authority of the same name, as a lab that was made anew has, gives a bad signature.
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "its certificate is not signed by the authority of the kubeconfig".to_owned()
        }
        Some(Error::InvalidCertificate(fault)) => format!("its certificate: {fault}"),
        Some(Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            "it says that our certificate has expired".to_owned()
        }
        Some(Error::AlertReceived(alert)) => format!("it turns our certificate down ({alert:?})"),
        Some(_) | None => return Trouble::Unreachable { server, why: why.to_string() },
    };
    Trouble::Untrusted { server, why }
}
