//! The server as it runs: TLS and HTTP/1.1 over any stream, and time that passes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::UnixTime;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::{Answer, refusal};
use super::cluster::{Cluster, Member};
use super::manner::Manner;
use super::rest::{Call, Reply, Watching};
use super::trust::{Identity, Shown};
use crate::visits::{Visitors, Visits};

/// Between two bookmarks of a watch.
const BOOKMARK: Duration = Duration::from_secs(60);
/// Largest body that is taken, as etcd takes.
const LARGEST: usize = 3 * 1024 * 1024;

/// What a server is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The same seed gives the same history.
    pub seed: u64,
    /// Milliseconds since 1970 when it starts.
    pub began: u64,
    /// What it calls its version, as `v1.33.2`.
    pub version: String,
    /// Changes it remembers; a watch from before them is told 410.
    pub remembers: usize,
}

/// A server. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cluster: Mutex<Cluster>,
    identity: Mutex<Identity>,
    start: Instant,
    began: u64,
    /// The store's version, for watches and for whoever waits.
    changes: watch::Sender<u64>,
    /// Counts up when every connection is to be closed.
    cut: watch::Sender<u64>,
    away: watch::Sender<bool>,
    /// How many watches were opened, and how many lists were asked for.
    asked: Mutex<(u64, u64)>,
    visitors: Visitors,
    disk: OnceLock<Write>,
}

/// Writes what a server holds, and returns once it lies on the disk.
struct Write(Box<dyn Fn() -> io::Result<()> + Send + Sync>);

impl fmt::Debug for Write {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Write")
    }
}

type Outgoing = BoxBody<Bytes, io::Error>;

impl Server {
    /// A server whose clock begins now.
    #[must_use]
    pub fn new(settings: &Settings, identity: Identity) -> Self {
        let time = (settings.began, settings.remembers);
        let cluster = Cluster::new(settings.seed, &settings.version, time);
        let version = cluster.store.version();
        Self(Arc::new(Shared {
            cluster: Mutex::new(cluster),
            identity: Mutex::new(identity),
            start: Instant::now(),
            began: settings.began,
            changes: watch::channel(version).0,
            cut: watch::channel(0).0,
            away: watch::channel(false).0,
            asked: Mutex::default(),
            visitors: Visitors::default(),
            disk: OnceLock::new(),
        }))
    }

    /// A server that holds what another one wrote.
    #[must_use]
    pub fn restored(settings: &Settings, identity: Identity, written: &Value) -> Self {
        let server = Self::new(settings, identity);
        server.touch(|cluster| cluster.read_back(written));
        server
    }

    /// Everything it holds, for [`Self::restored`].
    #[must_use]
    pub fn written(&self) -> Value {
        self.lock().written()
    }

    /// From now on a client hears that something was written once `write` has come back. The first one counts.
    pub fn keep_by(&self, write: impl Fn() -> io::Result<()> + Send + Sync + 'static) {
        drop(self.0.disk.set(Write(Box::new(write))));
    }

    /// Lets time pass in the cluster, for as long as it is polled.
    pub async fn run(&self) {
        let mut changes = self.0.changes.subscribe();
        loop {
            let next = self.touch(|cluster| cluster.next_due());
            changes.borrow_and_update();
            let due = next.map(|at| self.0.start + Duration::from_millis(at.saturating_sub(self.0.began)));
            tokio::select! {
                () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// Serves connections of this socket, for as long as it is polled.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub async fn listen(&self, listener: TcpListener) -> io::Result<()> {
        let mut open = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let server = self.clone();
            open.spawn(async move { server.serve(stream).await });
            while open.try_join_next().is_some() {}
        }
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        if *self.0.away.borrow() {
            return;
        }
        let mut cut = self.0.cut.subscribe();
        let identity = self.0.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let talk = async {
            // A client that does not like our certificate hangs up; so do we.
            let Ok(stream) = identity.acceptor().accept(stream).await else { return };
            let shown = stream.get_ref().1.peer_certificates();
            let _visit = self.0.visitors.enter(shown);
            let now = UnixTime::since_unix_epoch(Duration::from_millis(self.now()));
            let shown = identity.knows(shown, now);
            let service = service_fn(move |request| {
                let server = self.clone();
                async move { Ok::<_, Infallible>(server.answer(request, shown).await) }
            });
            // Whatever ends a connection ends it.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        };
        tokio::select! {
            () = talk => {}
            _ = cut.changed() => {}
        }
    }

    /// A machine joins the cluster, or speaks again.
    pub fn join(&self, member: &Member) {
        self.touch(|cluster| cluster.join(member));
    }

    /// A machine says nothing any more.
    pub fn lose(&self, node: &str) {
        self.touch(|cluster| cluster.lose(node));
    }

    /// Names of the machines it knows.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        self.lock().store.all("nodes", None).map(|(key, _)| key.name.clone()).collect()
    }

    /// From now on it behaves like this.
    pub fn behave(&self, manners: Vec<Manner>) {
        let away = manners.contains(&Manner::Away);
        self.touch(|cluster| cluster.manners.set(manners));
        self.0.away.send_replace(away);
        if away {
            self.cut();
        }
    }

    /// Closes every connection without a word.
    pub fn cut(&self) {
        self.0.cut.send_modify(|count| *count += 1);
    }

    /// Forgets the past: a watch from an earlier version is told 410.
    pub fn forget(&self) {
        self.touch(|cluster| cluster.store.forget());
    }

    /// New connections see this certificate, and their clients are judged by this authority.
    pub fn present(&self, identity: Identity) {
        *self.0.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// How many watches were opened and how many lists were asked for so far.
    #[must_use]
    pub fn asked(&self) -> (u64, u64) {
        *self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is and was connected, by SHA-256 of the certificate that was shown.
    #[must_use]
    pub fn visits(&self) -> BTreeMap<String, Visits> {
        self.0.visitors.all()
    }

    /// An object as it is now, by `apiVersion`, kind, namespace and name.
    #[must_use]
    pub fn object(&self, (api_version, kind): (&str, &str), namespace: &str, name: &str) -> Option<Value> {
        self.touch(|cluster| {
            let kind = cluster.kind(api_version, kind)?;
            let key = super::store::Key::new(&kind.resource(), namespace, name);
            cluster.store.get(&key).map(|object| Value::clone(object))
        })
    }

    /// Puts an object into the cluster as a client would who may do everything.
    ///
    /// # Errors
    /// The sentence it is refused with.
    pub fn create(&self, object: &Value) -> Result<(), String> {
        let answer = self.touch(|cluster| cluster.create_whole(object));
        if answer.code == 201 {
            return Ok(());
        }
        Err(super::cluster::text(&answer.body, "/message").to_owned())
    }

    /// Takes an object away as a client would.
    ///
    /// # Errors
    /// The sentence it is refused with.
    pub fn delete(
        &self,
        (api_version, kind): (&str, &str),
        namespace: &str,
        name: &str,
    ) -> Result<(), String> {
        let answer = self.touch(|cluster| cluster.delete_whole((api_version, kind), namespace, name));
        if answer.code == 200 {
            return Ok(());
        }
        Err(super::cluster::text(&answer.body, "/message").to_owned())
    }

    /// The number of the last change, now and whenever it grows.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since 1970.
    fn now(&self) -> u64 {
        let passed = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.began.saturating_add(passed)
    }

    /// Lets time pass up to now, does something, and tells whoever waits.
    pub(super) fn touch<T>(&self, act: impl FnOnce(&mut Cluster) -> T) -> T {
        let now = self.now();
        let mut cluster = self.lock();
        cluster.advance(now);
        let result = act(&mut cluster);
        let version = cluster.store.version();
        drop(cluster);
        self.0.changes.send_if_modified(|known| std::mem::replace(known, version) != version);
        result
    }

    async fn answer(&self, request: Request<Incoming>, shown: Shown) -> Response<Outgoing> {
        let (delay, away) = self.touch(|cluster| (cluster.manners.delay(), cluster.manners.turned_away()));
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        if let Some(seconds) = away {
            let no = refusal(
                429,
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            );
            let mut response = whole(&no);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            return response;
        }
        let call = match read(request).await {
            Ok(call) => call,
            Err(no) => return whole(&no),
        };
        let knows_nobody = self.touch(|cluster| cluster.manners.has(Manner::KnowsNobody));
        // Nobody was given a token.
        let shown = if call.token { Shown::Unknown } else { shown };
        let open = ["/version", "/healthz", "/livez", "/readyz"].contains(&call.path.as_str());
        match shown {
            Shown::Known if !knows_nobody => {}
            Shown::Known | Shown::Unknown => return whole(&refusal(401, "Unauthorized", "Unauthorized")),
            Shown::Nothing if open => {}
            Shown::Nothing => {
                let message = format!(
                    "forbidden: User \"system:anonymous\" cannot {} path \"{}\"",
                    call.method.to_lowercase(),
                    call.path
                );
                return whole(&refusal(403, "Forbidden", &message));
            }
        }
        let reply = self.touch(|cluster| cluster.call(&call));
        if let (true, Some(Write(write))) = (call.method != "GET", self.0.disk.get())
            && let Err(why) = write()
        {
            return whole(&refusal(500, "InternalError", &format!("etcdserver: {why}")));
        }
        match reply {
            Reply::Answer(answer) => {
                if call.method == "GET" && answer.body.get("items").is_some() {
                    self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
                }
                whole(&answer)
            }
            Reply::Watch(watching) => self.stream(*watching),
        }
    }

    fn stream(&self, watching: Watching) -> Response<Outgoing> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        // Bounded, so that a client that does not read holds its watch up and nothing else.
        let (lines, body) = mpsc::channel(64);
        let server = self.clone();
        tokio::spawn(async move { server.feed(watching, lines).await });
        let mut response = Response::new(Lines(body).boxed());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        response
    }

    /// Feeds a watch until it ends, or nobody reads it.
    async fn feed(&self, mut watching: Watching, lines: mpsc::Sender<io::Result<Bytes>>) {
        let mut changes = self.0.changes.subscribe();
        let began = Instant::now();
        let (silent, cut, bookmarks) = self.touch(|cluster| {
            let manners = &cluster.manners;
            (manners.has(Manner::SilentWatches), manners.cut(), !manners.has(Manner::NoBookmarks))
        });
        let ends = began + Duration::from_millis(watching.lasts);
        let broken = cut.map(|after| began + Duration::from_millis(after));
        let mut next_bookmark = began + BOOKMARK;
        loop {
            changes.borrow_and_update();
            let events =
                if silent { Ok(Vec::new()) } else { self.touch(|cluster| cluster.events(&mut watching)) };
            let (events, last) = match events {
                Ok(events) => (events, false),
                Err(line) => (vec![line], true),
            };
            for event in events {
                if lines.send(Ok(line(&event))).await.is_err() {
                    return;
                }
            }
            if last {
                return;
            }
            tokio::select! {
                biased;
                () = lines.closed() => return,
                () = sleep_until(broken.unwrap_or(ends)), if broken.is_some() => {
                    drop(lines.send(Err(io::Error::from(io::ErrorKind::ConnectionReset))).await);
                    return;
                }
                () = sleep_until(ends) => return,
                _ = changes.changed() => {}
                () = sleep_until(next_bookmark) => {
                    next_bookmark += BOOKMARK;
                    if watching.bookmarks && bookmarks && !silent {
                        let bookmark = self.touch(|cluster| cluster.bookmark(&watching));
                        if lines.send(Ok(line(&bookmark))).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

/// Lines of a watch as the body of an answer.
struct Lines(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| line.map(Frame::data)))
    }
}

async fn read(request: Request<Incoming>) -> Result<Call, Answer> {
    let (head, body) = request.into_parts();
    let header =
        |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|_| refusal(413, "RequestEntityTooLarge", "limit is 3145728"))?.to_bytes();
    let query = head.uri.query().unwrap_or_default();
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (plain(name), plain(value))
    });
    Ok(Call {
        method: head.method.as_str().to_owned(),
        path: plain(head.uri.path()),
        query: query.collect(),
        accept: header(ACCEPT),
        content_type: header(CONTENT_TYPE),
        agent: header(USER_AGENT),
        token: head.headers.contains_key(AUTHORIZATION),
        body: body.to_vec(),
    })
}

/// A word of a query without its escapes.
fn plain(word: &str) -> String {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let half =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match (half(ahead.next()), half(ahead.next())) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = ahead;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn whole(answer: &Answer) -> Response<Outgoing> {
    let (kind, text) = match &answer.body {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        body => ("application/json", body.to_string()),
    };
    let mut response = Response::new(Full::from(text).map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
