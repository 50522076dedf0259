//! A core's page with its certificates, over real sockets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use drivers::channel::Channel;
use labinator::clock::Clock;
use labinator::http::{guarded_router, serve_page};
use labinator::trust::{Tokens, Trust, fingerprint};
use store::lossy::LossyFiles;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::stand;

pub(crate) use stand::TOKEN;
pub(crate) const DAY: u64 = 86_400_000;
/// 2026-11-26, in milliseconds.
pub(crate) const BEGIN: u64 = 20_783 * DAY;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lab-trust-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    /// The stable word of a refusal.
    pub(crate) fn code(&self) -> String {
        let body: api::ErrorBody =
            serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{}: {why}", self.body));
        body.code
    }

    pub(crate) fn header(&self, wanted: &str) -> Option<String> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    }
}

/// What the built program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct House {
    pub(crate) folder: PathBuf,
    pub(crate) trust: Trust,
    pub(crate) tokens: Tokens,
    /// Fingerprint of the root.
    pub(crate) root: String,
    at: SocketAddr,
    config: Arc<ClientConfig>,
    _own: Folder,
    _core: stand::Core,
    _running: JoinSet<()>,
}

impl House {
    pub(crate) async fn open(name: &str, clock: Clock) -> Self {
        let own = Folder::new(name);
        let folder = own.0.clone();
        let spec = stand::spec(1);
        let core = stand::Core::begin_lab(Arc::new(LossyFiles::new()), spec.clone(), 0, 6);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let trust = Trust::new(clock.clone(), &spec, &folder, at);
        trust.look().await;
        let channel = Channel::new(Arc::new(|_| None));
        let handles = stand::house(&core.desk, (&spec, &folder), clock, (trust.clone(), channel));
        let tokens = handles.tokens.clone();
        let mut running = JoinSet::new();
        let guarded = guarded_router(handles);
        let served = trust.clone();
        running.spawn(async move { serve_page(listener, guarded, served).await.unwrap() });
        let root = trust.root().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(root.der().to_vec())).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            folder,
            trust,
            tokens,
            root: fingerprint(&root),
            at,
            config: Arc::new(config),
            _own: own,
            _core: core,
            _running: running,
        }
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.unwrap()
    }

    /// The certificate that a client is shown.
    pub(crate) async fn shown(&self) -> Vec<u8> {
        let stream = self.connect().await;
        stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec()
    }

    /// Asks over TLS, as a program without this house's client. Of an answer without a length only the head is read.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&'static str, String)],
    ) -> Answer {
        let mut stream = self.connect().await;
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: boss\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{more}\r\n{body}",
            body.len()
        );
        // One that refuses does not wait for the whole body.
        drop(stream.write_all(request.as_bytes()).await);
        let mut text = Vec::new();
        let read = async {
            let mut piece = [0; 4096];
            while let Ok(size @ 1..) = stream.read(&mut piece).await {
                text.extend(piece.iter().take(size));
                if whole(&text) {
                    break;
                }
            }
        };
        soon(read).await;
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path:.60}: `{text}`"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) async fn open_stream(&self, token: &str) -> Stream {
        let mut stream = self.connect().await;
        let request = format!(
            "GET /v1/stream HTTP/1.1\r\nhost: boss\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut piece = [0; 15];
        soon(stream.read_exact(&mut piece)).await.unwrap();
        assert_eq!(&piece, b"HTTP/1.1 200 OK");
        Stream(stream)
    }

    /// Runs the built program against this page.
    pub(crate) async fn run(&self, line: &[&str], more: &[&str], token: &str) -> Said {
        let said = Command::new(env!("CARGO_BIN_EXE_labinator"))
            .args(["--server", &format!("https://{}", self.at), "--token", token])
            .args(line)
            .args(more)
            .env_remove("LABINATOR_CA")
            .env_remove("LABINATOR_TOKEN")
            .stdin(Stdio::null())
            .output();
        let said = soon(said).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: said.status.code().unwrap(), out: text(said.stdout), err: text(said.stderr) }
    }
}

/// Whether an answer is there as far as its head says.
fn whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A stream of events that goes on.
pub(crate) struct Stream(TlsStream<TcpStream>);

impl Stream {
    /// Whether more comes: what is there already, or the next sign of life; never its end.
    pub(crate) async fn is_open(&mut self) -> bool {
        let mut piece = [0; 4096];
        soon(self.0.read(&mut piece)).await.is_ok_and(|size| size > 0)
    }

    /// Returns at its end.
    pub(crate) async fn ends(&mut self) {
        let mut piece = [0; 4096];
        while let Ok(1..) = self.0.read(&mut piece).await {}
    }
}
