//! The trail of who asked for which change, and who was turned away: lines of the controller's log, with no body and no
//! token in them.

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// Longest path that is written down, in bytes.
const LONGEST: usize = 200;

/// A user of this machine, as the kernel says (`SO_PEERCRED`, unix(7)).
#[derive(Debug, Clone, Copy)]
pub struct LocalPeer {
    /// Its number, where the kernel tells it.
    pub uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for LocalPeer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|known| known.uid()) }
    }
}

/// Writes down who of this machine asked for a change.
pub(super) async fn of_local(request: Request, next: Next) -> Response {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return next.run(request).await;
    }
    let uid = request.extensions().get::<ConnectInfo<LocalPeer>>().and_then(|peer| peer.0.uid);
    let who = uid.map_or_else(|| "somebody of the boss".to_owned(), |uid| format!("uid {uid}"));
    let what = format!("{} {}", request.method(), request.uri().path());
    let answer = next.run(request).await;
    tell(&who, "here", &what, answer.status());
    answer
}

/// Writes it down.
pub(super) fn tell(who: &str, from: &str, what: &str, answer: StatusCode) {
    let end = what.char_indices().find(|(at, _)| *at >= LONGEST).map_or(what.len(), |(at, _)| at);
    let what = what.get(..end).unwrap_or_default();
    tracing::info!(who, from, answer = answer.as_u16(), "asked: {what}");
}
