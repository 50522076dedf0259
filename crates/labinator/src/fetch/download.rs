//! One file over HTTP or HTTPS: redirects followed, broken transfers resumed, nothing believed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore, crypto::ring};

use super::FetchError;

/// Redirects followed for one file.
const REDIRECTS: usize = 8;
/// Tries for one file; each goes on where the last one broke off.
const TRIES: usize = 5;
/// How long a connection and each answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Silence after which a transfer counts as broken.
const SILENCE: Duration = Duration::from_secs(30);
/// Largest list of digests that is read.
const LARGEST_TEXT: usize = 16 << 20;
/// Where Debian keeps the certificates that machines trust; `SSL_CERT_FILE` names another.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A client. The certificates it trusts are read when the first HTTPS address comes.
#[derive(Debug, Default)]
pub(super) struct Client {
    tls: std::sync::OnceLock<Arc<ClientConfig>>,
}

impl Client {
    /// A short text.
    pub(super) async fn text(&self, url: &str) -> Result<String, FetchError> {
        let response = self.get(url, 0).await?;
        let limited = http_body_util::Limited::new(response.into_body(), LARGEST_TEXT);
        let body = tokio::time::timeout(LIMIT, limited.collect()).await;
        let body = body.map_err(|_| broken(url, "it came too slowly"))?.map_err(|why| broken(url, why))?;
        String::from_utf8(body.to_bytes().to_vec()).map_err(|why| broken(url, why))
    }

    /// Fetches a file to this path, going on with what is there already. `tell` hears the bytes so far and
    /// the size, where the server says one.
    pub(super) async fn file(
        &self,
        url: &str,
        to: &Path,
        mut tell: impl FnMut(u64, Option<u64>),
    ) -> Result<(), FetchError> {
        let mut last = None;
        for _ in 0..TRIES {
            match self.once(url, to, &mut tell).await {
                Ok(()) => return Ok(()),
                // What cannot get better is told at once.
                Err(
                    why @ (FetchError::Status { .. }
                    | FetchError::Address { .. }
                    | FetchError::Untrusted { .. }
                    | FetchError::Trust { .. }
                    | FetchError::Io { .. }),
                ) => {
                    return Err(why);
                }
                Err(why) => last = Some(why),
            }
        }
        Err(last.unwrap_or_else(|| broken(url, "it never came to an end")))
    }

    async fn once(
        &self,
        url: &str,
        to: &Path,
        tell: &mut impl FnMut(u64, Option<u64>),
    ) -> Result<(), FetchError> {
        let has = std::fs::metadata(to).map_or(0, |about| about.len());
        let response = match self.get(url, has).await {
            // Nothing is left to send: it was whole, or it is another file by now. The digest says which.
            Err(FetchError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) if has > 0 => {
                return Ok(());
            }
            answer => answer?,
        };
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT && starts_at(&response) == Some(has);
        let fault = |source| FetchError::Io { path: to.to_owned(), source };
        let mut file = match goes_on {
            true => File::options().append(true).open(to).map_err(fault)?,
            false => File::create(to).map_err(fault)?,
        };
        let mut moved = if goes_on { has } else { 0 };
        let left = length(&response);
        let size = left.map(|left| left + moved);
        let mut body = response.into_body();
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame()).await;
            let Some(frame) = frame.map_err(|_| broken(url, "it fell silent"))? else { break };
            let frame = frame.map_err(|why| broken(url, why))?;
            let Some(data) = frame.data_ref() else { continue };
            file.write_all(data).map_err(fault)?;
            moved += u64::try_from(data.len()).unwrap_or_default();
            tell(moved, size);
        }
        file.sync_all().map_err(fault)?;
        match size {
            Some(size) if moved < size => Err(broken(url, format!("{moved} of {size} bytes came"))),
            Some(_) | None => Ok(()),
        }
    }

    async fn get(&self, url: &str, from: u64) -> Result<Response<Incoming>, FetchError> {
        let mut at = url.to_owned();
        for _ in 0..REDIRECTS {
            let response = tokio::time::timeout(LIMIT, self.ask(&at, from)).await;
            let response = response.map_err(|_| broken(&at, "no answer in time"))??;
            let status = response.status();
            if status.is_redirection() {
                let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
                at = joined(&at, to.ok_or_else(|| broken(&at, "a redirect to nowhere"))?);
                // A server that was trusted does not send anybody to one that cannot be.
                if url.starts_with("https://") && !at.starts_with("https://") {
                    return Err(broken(url, format!("it redirects to {at}, which is not HTTPS")));
                }
                continue;
            }
            if !status.is_success() {
                return Err(FetchError::Status { url: at, status });
            }
            return Ok(response);
        }
        Err(broken(url, "too many redirects"))
    }

    async fn ask(&self, url: &str, from: u64) -> Result<Response<Incoming>, FetchError> {
        let wrong = || FetchError::Address { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, concat!("labinator/", env!("CARGO_PKG_VERSION")));
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| wrong())?;
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|why| broken(url, why))?;
        if !secure {
            return send(url, stream, request).await;
        }
        let name = ServerName::try_from(host).map_err(|_| wrong())?;
        let connector = TlsConnector::from(self.tls()?);
        let stream = connector.connect(name, stream).await.map_err(|why| match distrust(&why) {
            Some(why) => FetchError::Untrusted { url: url.to_owned(), why, trusted: trusted() },
            None => broken(url, why),
        })?;
        send(url, stream, request).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, FetchError> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let path = trusted();
        let fault = |source| FetchError::Trust { path: path.clone(), why: source };
        let mut pem = Vec::new();
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut pem))
            .map_err(|why| fault(why.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            // One that this version cannot read is one that is not trusted.
            drop(certificate.map(|certificate| roots.add(certificate)));
        }
        if roots.is_empty() {
            return Err(fault("it holds no certificate".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|why| fault(why.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

/// The bundle of certificates that are trusted.
fn trusted() -> PathBuf {
    std::env::var_os("SSL_CERT_FILE").map_or_else(|| PathBuf::from(TRUSTED), PathBuf::from)
}

/// What is wrong with a server's certificate, where that is why there is no connection.
fn distrust(why: &std::io::Error) -> Option<String> {
    let Some(TlsError::InvalidCertificate(fault)) = why.get_ref()?.downcast_ref::<TlsError>() else {
        return None;
    };
    Some(match fault {
        CertificateError::UnknownIssuer => "nobody who is trusted signed it".to_owned(),
        other => other.to_string(),
    })
}

async fn send<S>(
    url: &str,
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, FetchError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let fault = |why: hyper::Error| broken(url, why);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(fault)?;
    // It ends with its answer's body.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(fault)
}

fn broken(url: &str, why: impl Into<Why>) -> FetchError {
    FetchError::Broken { url: url.to_owned(), why: why.into().0 }
}

/// What happened, in words.
struct Why(String);

impl<T: std::fmt::Display> From<T> for Why {
    fn from(why: T) -> Self {
        Self(why.to_string())
    }
}

fn length(response: &Response<Incoming>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn starts_at(response: &Response<Incoming>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Where a redirect leads, seen from where it was found.
fn joined(from: &str, to: &str) -> String {
    if to.starts_with("http://") || to.starts_with("https://") {
        return to.to_owned();
    }
    let (scheme, rest) = from.split_once("://").unwrap_or(("http", from));
    let host = rest.split('/').next().unwrap_or_default();
    if to.starts_with("//") {
        return format!("{scheme}:{to}");
    }
    if to.starts_with('/') {
        return format!("{scheme}://{host}{to}");
    }
    let folder = from.rsplit_once('/').map_or(from, |(folder, _)| folder);
    format!("{folder}/{to}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        assert_eq!(joined("https://a/b/c", "https://d/e"), "https://d/e");
        assert_eq!(joined("https://a/b/c", "/e"), "https://a/e");
        assert_eq!(joined("https://a/b/c", "e"), "https://a/b/e");
        assert_eq!(joined("https://a/b/c", "//d/e"), "https://d/e");
    }
}
