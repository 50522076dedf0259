//! The page's door: TLS for everybody, plain HTTP for this machine, and for whoever else comes without TLS a word where to
//! go. The first byte tells which.
//!
//! ```text
//! connection ─▶ 0x16 (RFC 8446 section 5.1) ─▶ TLS with the certificate of this moment ─▶ the house
//!            └▶ anything else, from loopback ───────────────────────────────────────────▶ the house
//!            └▶ anything else, from elsewhere ──────────────────────────────────────────▶ the lobby
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::{answer, certificates};
use crate::trust::Trust;

/// How long a client may take until its connection is one: first byte and handshake, each.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that are not one yet, at most. Those beyond wait in the listener.
const COMING: usize = 256;
/// Connections that are one and were not taken yet, at most.
const WAITING: usize = 16;
/// First byte of a TLS record that carries a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;
/// Pause after the listener said no, such as when there are no descriptors left.
const BREATH: Duration = Duration::from_millis(200);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// From where.
    pub from: SocketAddr,
    /// Over TLS.
    pub tls: bool,
}

/// Serves the house, and the lobby beside it, from one listener. Goes on until dropped.
///
/// # Errors
/// A server of either ended.
pub async fn serve_page(listener: TcpListener, house: Router, trust: Trust) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(trust.slot().config().map_err(io::Error::other)?));
    let at = listener.local_addr()?;
    let (to_house, from_door) = mpsc::channel(WAITING);
    let (to_lobby, from_plain) = mpsc::channel(WAITING);
    let lobby = lobby(trust).into_make_service_with_connect_info::<Peer>();
    let house = house.into_make_service_with_connect_info::<Peer>();
    let taken = take(listener, acceptor, (to_house, to_lobby));
    let (_, house, lobby) =
        tokio::join!(taken, async { axum::serve(Handed { from: from_door, at }, house).await }, async {
            axum::serve(Handed { from: from_plain, at }, lobby).await
        },);
    house.and(lobby)
}

type Ways = (mpsc::Sender<(Stream, SocketAddr)>, mpsc::Sender<(Stream, SocketAddr)>);

async fn take(listener: TcpListener, acceptor: TlsAcceptor, ways: Ways) {
    let places = Arc::new(Semaphore::new(COMING));
    let mut coming = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while coming.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, ways) = (acceptor.clone(), ways.clone());
                coming.spawn(async move {
                    greet((stream, peer), acceptor, ways).await;
                    drop(place);
                });
            }
            Err(why) => {
                tracing::debug!("the page's listener: {why}");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Finds out how a client speaks, and hands it on.
async fn greet((stream, peer): (TcpStream, SocketAddr), acceptor: TlsAcceptor, (house, lobby): Ways) {
    let mut first = [0];
    let Ok(Ok(1)) = timeout(HANDSHAKE, stream.peek(&mut first)).await else { return };
    // Answers are written whole; the page's stream is small and must not wait.
    drop(stream.set_nodelay(true));
    let sent = if first == [HANDSHAKE_RECORD] {
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => house.send((Either::Left(Box::new(stream)), peer)).await,
            Ok(Err(why)) => return tracing::debug!("{peer}: no TLS: {why}"),
            Err(_) => return,
        }
    } else if is_own(peer.ip()) {
        house.send((Either::Right(stream), peer)).await
    } else {
        lobby.send((Either::Right(stream), peer)).await
    };
    if sent.is_err() {
        tracing::debug!("{peer}: the page ends");
    }
}

/// Whether an address is this machine itself.
fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// What is said to whoever comes from elsewhere without TLS: nothing of the lab but its root.
fn lobby(trust: Trust) -> Router {
    Router::new().route("/root.pem", get(plain_root)).fallback(elsewhere).with_state(trust)
}

async fn plain_root(State(trust): State<Trust>) -> Response {
    certificates::root_file(&trust)
}

async fn elsewhere(State(trust): State<Trust>, request: Request) -> Response {
    if let Some(waiting) = trust.waiting() {
        let message = format!("the page is {waiting}");
        let advice = "`labinator cert status` on the boss tells more; it begins by itself";
        return answer::error(StatusCode::SERVICE_UNAVAILABLE, waiting.code(), &message, advice);
    }
    let path = request.uri().path();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // A token that came along in the clear is not sent again: the query stays behind.
    let there = host.and_then(|host| HeaderValue::from_str(&format!("https://{host}{path}")).ok());
    match there {
        Some(there) if request.method() == Method::GET && !path.starts_with("/v1/") => {
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, there)]).into_response()
        }
        _ => {
            let why =
                "this is asked over TLS only; a token that was sent in the clear is known to the network";
            answer::error(StatusCode::FORBIDDEN, "needs_tls", why, "use https://, and make a new token")
        }
    }
}

/// Connections that were greeted.
struct Handed {
    from: mpsc::Receiver<(Stream, SocketAddr)>,
    at: SocketAddr,
}

impl Listener for Handed {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.from.recv().await {
            Some(handed) => handed,
            // Whoever greets is dropped together with this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Connected<IncomingStream<'_, Handed>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Handed>) -> Self {
        Self { from: *stream.remote_addr(), tls: matches!(stream.io(), Stream::Left(_)) }
    }
}

/// A connection, with or without TLS.
type Stream = Either<Box<TlsStream<TcpStream>>, TcpStream>;

#[cfg(test)]
mod tests {
    use model::LabTime;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::clock::Clock;

    /// What a client from elsewhere is told that asks without TLS.
    async fn told(trust: &Trust, from: &str, asked: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(at).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(asked.as_bytes()).await.unwrap();
        let (to_house, house) = mpsc::channel(1);
        let (to_lobby, from_plain) = mpsc::channel(1);
        let acceptor = TlsAcceptor::from(Arc::new(trust.slot().config().unwrap()));
        greet((stream, from.parse().unwrap()), acceptor, (to_house, to_lobby)).await;
        if !house.is_empty() {
            return "the house".to_owned();
        }
        let mut serving = JoinSet::new();
        let lobby = lobby(trust.clone()).into_make_service_with_connect_info::<Peer>();
        serving.spawn(async move { axum::serve(Handed { from: from_plain, at }, lobby).await.unwrap() });
        let mut text = String::new();
        timeout(HANDSHAKE, client.read_to_string(&mut text)).await.unwrap().unwrap();
        text
    }

    #[tokio::test]
    async fn without_tls_only_this_machine_is_let_in_and_others_are_told_where_to_go() {
        let state = std::env::temp_dir().join(format!("door-{}", std::process::id()));
        let clock = Clock::virtual_from(LabTime(1), model::WallTime(1_795_672_800_000));
        let spec = crate::demo::lab(1).unwrap();
        std::fs::create_dir_all(&state).unwrap();
        let trust = Trust::new(clock, &spec, &state, ([127, 0, 0, 1], 0).into());
        let ask = |line: &str| format!("{line} HTTP/1.1\r\nhost: boss:8080\r\nconnection: close\r\n\r\n");
        let elsewhere = "192.0.2.7:5000";
        let waiting = told(&trust, elsewhere, &ask("GET /")).await;
        assert!(waiting.starts_with("HTTP/1.1 503") && waiting.contains("leaf_coming"), "{waiting}");
        trust.look().await;
        for own in ["127.0.0.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
            assert_eq!(told(&trust, own, &ask("GET /")).await, "the house");
        }
        let page = told(&trust, elsewhere, &ask("GET /?token=hush")).await;
        assert!(
            page.starts_with("HTTP/1.1 308") && page.contains("location: https://boss:8080/\r\n"),
            "{page}"
        );
        assert!(!page.contains("hush"));
        for line in ["GET /v1/snapshot", "POST /v1/stop", "POST /"] {
            let refused = told(&trust, elsewhere, &ask(line)).await;
            assert!(
                refused.starts_with("HTTP/1.1 403") && refused.contains("needs_tls"),
                "{line}: {refused}"
            );
        }
        let root = told(&trust, elsewhere, &ask("GET /root.pem")).await;
        assert!(root.contains("-----BEGIN CERTIFICATE-----"), "{root}");
        std::fs::remove_dir_all(&state).unwrap();
    }
}
