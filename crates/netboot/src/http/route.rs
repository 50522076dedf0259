//! Which answer belongs to which request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LAST_MODIFIED, RETRY_AFTER, USER_AGENT,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use model::{AGENT_BEAT_PATH, AGENT_HELLO_PATH, Carrier, FileRole, MacAddr, Sight};
use store::Digest;
use store::shelf::ShelfError;

use super::body::{Body, Transfer};
use super::range::{Part, Validators, choose};
use super::{agent, date};
use crate::counter::Counter;
use crate::script;

/// Contents from this size on count as image transfers and need a place. Scripts and small files never wait.
const IMAGE_SIZE: u64 = 1 << 20;
/// Seconds after which a client that found no place asks again.
const COME_BACK: HeaderValue = HeaderValue::from_static("2");

/// Answers one request of a peer.
pub(super) async fn answer(
    counter: &Arc<Counter>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == AGENT_HELLO_PATH || path == AGENT_BEAT_PATH {
        return match (request.method(), path.as_str()) {
            (&Method::POST, AGENT_HELLO_PATH) => agent::hello(counter, request).await,
            (&Method::POST, _) => agent::heartbeat(counter, request).await,
            _ => only("POST"),
        };
    }
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        return only("GET, HEAD");
    }
    let headers = request.headers();
    let answer = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "f", digest, name] => content(counter, peer, headers, &Wanted { head, digest, name }),
        ["", "autoexec.ipxe"] | ["", "boot", "autoexec.ipxe"] => {
            let text = ipxe_script(counter, counter.who_has(peer), head).await;
            as_script(text.map(|text| script::with_network(&text)))
        }
        ["", "boot", name] => match name.strip_suffix(".ipxe").map(str::parse) {
            Some(Ok(mac)) => as_script(ipxe_script(counter, Some(mac), head).await),
            _ => not_found(),
        },
        ["", name] => loader(counter, peer, headers, head, name),
        _ => not_found(),
    };
    if head { bodiless(answer) } else { answer }
}

/// A script for this machine, or for one that has yet to say who it is.
async fn ipxe_script(counter: &Arc<Counter>, mac: Option<MacAddr>, head: bool) -> Option<String> {
    if head { script::preview(counter, mac) } else { script::answer(counter, mac).await }
}

fn as_script(text: Option<String>) -> Response<Body> {
    let Some(text) = text else { return come_back("no boot table yet, ask again\n") };
    let mut response = Response::new(Body::memory(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn loader(
    counter: &Arc<Counter>,
    peer: IpAddr,
    headers: &HeaderMap,
    head: bool,
    name: &str,
) -> Response<Body> {
    let Some(loader) = counter.loaders.get(name) else { return not_found() };
    let file = File {
        name: Cow::Borrowed(name),
        role: FileRole::Loader,
        etag: loader.etag.clone(),
        modified: loader.modified,
        body: Body::memory(loader.bytes.clone()),
    };
    serve(counter, peer, headers, file, head)
}

struct Wanted<'a> {
    head: bool,
    digest: &'a str,
    name: &'a str,
}

fn content(counter: &Arc<Counter>, peer: IpAddr, headers: &HeaderMap, wanted: &Wanted<'_>) -> Response<Body> {
    let Ok(digest) = wanted.digest.parse::<Digest>() else { return not_found() };
    let content = match counter.shelf.open(digest) {
        Ok(content) => content,
        Err(ShelfError::Missing(_)) => return not_found(),
        Err(error) => {
            tracing::error!(code = error.code(), "cannot serve {}: {error}", wanted.name);
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the content cannot be read\n");
        }
    };
    let name = readable(wanted.name);
    let image = content.size() >= IMAGE_SIZE && !wanted.head;
    let permit = image.then(|| Arc::clone(&counter.transfers).try_acquire_owned().ok()).flatten();
    if image && permit.is_none() && is_patient(headers) {
        if let Some(mac) = counter.who_has(peer) {
            counter.sights.see(mac, Sight::Deferred { name: name.into_owned() });
        }
        return come_back("other machines are being served, ask again\n");
    }
    let role = counter.board().map_or(FileRole::Other, |board| board.role(model::Digest(digest.0)));
    let file = File {
        name,
        role,
        etag: format!("\"{digest}\""),
        modified: content.modified(),
        body: Body::shelf(content).admitted(permit),
    };
    serve(counter, peer, headers, file, wanted.head)
}

/// Only iPXE (since 2014) and our agent come back after a 503. OVMF gives up at the first, so firmware never sees one.
fn is_patient(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    agent.starts_with("iPXE/") || agent.starts_with(model::AGENT_VENDOR_CLASS)
}

/// A file name of a request, cut to what a log can show.
fn readable(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_graphic() && c != '%';
    if name.len() <= 64 && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().take(64).map(|c| if plain(c) { c } else { '_' }).collect())
}

struct File<'a> {
    name: Cow<'a, str>,
    role: FileRole,
    etag: String,
    modified: SystemTime,
    body: Body,
}

fn serve(
    counter: &Arc<Counter>,
    peer: IpAddr,
    headers: &HeaderMap,
    file: File<'_>,
    head: bool,
) -> Response<Body> {
    let size = file.body.left();
    let modified = date::write(file.modified);
    let part = choose(headers, size, Validators { etag: &file.etag, modified: &modified });
    let (status, body, range) = match part {
        Part::Whole => (StatusCode::OK, file.body, None),
        Part::Bytes(first, count) => {
            let range = format!("bytes {first}-{}/{size}", first + count - 1);
            (StatusCode::PARTIAL_CONTENT, file.body.part(first, count), Some(range))
        }
        Part::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, Body::empty(), Some(format!("bytes */{size}"))),
        Part::Unchanged => (StatusCode::NOT_MODIFIED, Body::empty(), None),
        Part::Other => (StatusCode::PRECONDITION_FAILED, Body::empty(), None),
    };
    // EDK2 looks at the type before it looks at the name.
    let kind = if file.name.ends_with(".efi") { "application/efi" } else { "application/octet-stream" };
    let watched = !head && status.is_success();
    let body = match counter.who_has(peer).filter(|_| watched) {
        Some(mac) => {
            let name = file.name.into_owned();
            let asked =
                Sight::FileAsked { role: file.role, name: name.clone(), carrier: Carrier::Http, size };
            counter.sights.see(mac, asked);
            let transfer = Transfer::new(counter, mac, name, body.left());
            let resumed = matches!(part, Part::Bytes(first, _) if first > 0);
            body.watched(if resumed { transfer.resumed() } else { transfer })
        }
        None => body,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, ETAG, &file.etag);
    set(headers, LAST_MODIFIED, &modified);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(range) = range {
        set(headers, CONTENT_RANGE, &range);
    }
    response
}

/// The same head with its length, and no body.
fn bodiless(answer: Response<Body>) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    set(&mut parts.headers, CONTENT_LENGTH, &body.left().to_string());
    Response::from_parts(parts, Body::empty())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Digests, dates and numbers are always header text.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn only(methods: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "not this method\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// Polite refusal; iPXE obeys it since 2014.
fn come_back(words: &str) -> Response<Body> {
    let mut busy = text(StatusCode::SERVICE_UNAVAILABLE, words);
    busy.headers_mut().insert(RETRY_AFTER, COME_BACK);
    busy
}

fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "no such file\n")
}

/// A short answer for people.
pub(super) fn text(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = Response::new(Body::memory(Bytes::copy_from_slice(words.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
