//! What belongs to one machine, at a literal address: `/n/<mac>/<name>`, `/n/me/<name>`, and `/n/<mac>/done`.
//!
//! Nothing secret is there: whoever is on the segment can read it, and a machine is known by its address alone.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use model::{Asset, MacAddr, Sight};

use super::body::Body;
use super::route::text;
use crate::counter::{Counter, Over};
use crate::pxelinux;

/// Largest body of a machine that says that it is done: `phone_home` of cloud-init sends its host keys.
const LARGEST: usize = 64 << 10;

/// Whom a path is about. `me` is whoever asks, for images whose command line cannot name a machine.
fn whose(counter: &Counter, peer: IpAddr, who: &str) -> Option<MacAddr> {
    if who == "me" { counter.who_has(peer) } else { who.parse().ok() }
}

/// A file of one machine, found.
pub(super) fn find(counter: &Counter, peer: IpAddr, who: &str, name: &str) -> Option<Asset> {
    let mac = whose(counter, peer, who)?;
    let board = counter.board()?;
    board.entry(mac)?.files.get(name).cloned()
}

/// A configuration for PXELINUX or U-Boot, over HTTP.
pub(super) async fn pxelinux(counter: &Counter, peer: IpAddr, path: &str) -> Option<Response<Body>> {
    let links = pxelinux::Links::Http(Over::of(peer));
    let text = pxelinux::answer(counter, path, counter.who_has(peer), links).await?;
    let mut response = Response::new(Body::memory(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Some(response)
}

/// A machine says that it is done. Another machine of the board cannot say it in its place.
pub(super) async fn done(
    counter: &Arc<Counter>,
    peer: IpAddr,
    who: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    // What it says besides is not kept; reading it keeps the connection whole.
    if Limited::new(request.into_body(), LARGEST).collect().await.is_err() {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n");
    }
    let Some(mac) = whose(counter, peer, who) else {
        return text(StatusCode::NOT_FOUND, "no such machine\n");
    };
    let on_board = |mac: MacAddr| counter.board().is_some_and(|board| board.entry(mac).is_some());
    if !on_board(mac) {
        return text(StatusCode::NOT_FOUND, "no such machine\n");
    }
    if counter.who_has(peer).is_some_and(|other| other != mac) {
        return text(StatusCode::FORBIDDEN, "this is another machine's\n");
    }
    counter.sights.see(mac, Sight::Done);
    text(StatusCode::OK, "noted\n")
}
