//! Which answer belongs to which request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LAST_MODIFIED, RETRY_AFTER, TRAILER,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use model::{AGENT_BEAT_PATH, AGENT_HELLO_PATH, Carrier, FileRole, MacAddr, Sight};
use store::Digest;
use store::shelf::ShelfError;
use tokio::time::Instant;
use wire::ipxe::user_agent_version;
use wire::loader::{ASK_PATH, WORD_PATH};

use super::body::{Body, Transfer};
use super::manner::Manner;
use super::outlet::Outlet;
use super::places::{Place, Places};
use super::range::{Part, Validators, choose};
use super::{agent, digests, own, seed};
use crate::counter::{Counter, Over};
use crate::{grub, pull, script};

/// Contents from this size on count as image transfers and need a place. Scripts and small files never wait.
const IMAGE_SIZE: u64 = 1 << 20;
/// Seconds after which a client asks again while there is no boot table.
const COME_BACK: u64 = 2;
/// How long one that comes back when asked to is held first: most places fall free sooner than it would be back.
const MOMENT: Duration = Duration::from_secs(1);
/// How long a client that only waits is made to wait for a place; then it is served beside the others. Ignition gives up
/// after 10 s without a head.
const WAIT: Duration = Duration::from_secs(8);

/// Answers one request of a peer.
pub(super) async fn answer(
    counter: &Arc<Counter>,
    outlet: &Outlet,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == AGENT_HELLO_PATH || path == AGENT_BEAT_PATH {
        return match (request.method(), path.as_str()) {
            (&Method::POST, AGENT_HELLO_PATH) => agent::hello(counter, peer, request).await,
            (&Method::POST, _) => agent::heartbeat(counter, peer, request).await,
            _ => only("POST"),
        };
    }
    if path == ASK_PATH || path == WORD_PATH {
        return match (request.method(), path.as_str()) {
            (&Method::POST, ASK_PATH) => own::ask(counter, peer, request).await,
            (&Method::POST, _) => own::word(counter, peer, request).await,
            _ => only("POST"),
        };
    }
    if let ["", "n", who, "done"] = path.split('/').collect::<Vec<_>>().as_slice() {
        return match *request.method() {
            Method::POST | Method::GET => seed::done(counter, peer, who, request).await,
            _ => only("GET, POST"),
        };
    }
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        return only("GET, HEAD");
    }
    let headers = request.headers();
    let trailers = !head && digests::reads_trailers(headers, request.version());
    let asked = Asked { peer, outlet, headers, head, trailers };
    let over = Over::of(peer);
    note_ipxe(counter, peer, headers);
    let answer = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "f", digest, name] => content(counter, &asked, digest, name).await,
        ["", "n", who, name @ ..] => match seed::find(counter, peer, who, &name.join("/")) {
            Some(asset) => content(counter, &asked, &asset.digest.to_string(), &asset.name).await,
            None => not_found(),
        },
        [.., "pxelinux.cfg", _] => seed::pxelinux(counter, peer, &path).await.unwrap_or_else(not_found),
        ["", "autoexec.ipxe"] | ["", "boot", "autoexec.ipxe"] => {
            let text = ipxe_script(counter, (counter.who_has(peer), over), head).await;
            as_script(text.map(|text| script::with_network(&text, over)))
        }
        ["", "boot", name] => match name.strip_suffix(".ipxe").map(str::parse) {
            Some(Ok(mac)) => as_script(ipxe_script(counter, (Some(mac), over), head).await),
            _ => not_found(),
        },
        ["", folder, name] | ["", "boot", folder, name] if *folder == grub::FOLDER => {
            grub::answer(counter, name, (counter.who_has(peer), over))
                .await
                .map_or_else(not_found, |text| as_script(Some(text)))
        }
        ["", "c", word] if !head => pull::answer(counter, peer, word),
        ["", name] => loader(counter, &asked, name),
        _ => not_found(),
    };
    if head { bodiless(answer) } else { answer }
}

/// A script for this machine, or for one that has yet to say who it is.
async fn ipxe_script(
    counter: &Arc<Counter>,
    (mac, over): (Option<MacAddr>, Over),
    head: bool,
) -> Option<String> {
    if head { script::preview(counter, mac, over) } else { script::answer(counter, mac, over).await }
}

fn as_script(text: Option<String>) -> Response<Body> {
    let Some(text) = text else { return come_back("no boot table yet, ask again\n", COME_BACK) };
    let mut response = Response::new(Body::memory(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// What is asked, as far as it matters to files.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    peer: IpAddr,
    /// What its connection sends contents by.
    outlet: &'a Outlet,
    headers: &'a HeaderMap,
    head: bool,
    /// Trailers are read.
    trailers: bool,
}

fn loader(counter: &Arc<Counter>, asked: &Asked<'_>, name: &str) -> Response<Body> {
    let Some(loader) = counter.loader(name) else { return not_found() };
    let file = File {
        name: Cow::Borrowed(name),
        role: FileRole::Loader,
        etag: loader.etag.clone(),
        digest: loader.digest(),
        modified: loader.modified,
        body: Body::memory(loader.bytes),
    };
    serve(counter, asked, file)
}

async fn content(counter: &Arc<Counter>, asked: &Asked<'_>, digest: &str, name: &str) -> Response<Body> {
    let Ok(digest) = digest.parse::<Digest>() else { return not_found() };
    let content = match counter.shelf.open(digest) {
        Ok(content) => content,
        Err(ShelfError::Missing(_)) => return not_found(),
        Err(error) => {
            tracing::error!(code = error.code(), "cannot serve {name}: {error}");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the content cannot be read\n");
        }
    };
    let name = readable(name);
    let image = content.size() >= IMAGE_SIZE && !asked.head;
    let place = if image {
        match place(counter, asked).await {
            Ok(place) => Some(place),
            Err(seconds) => {
                if let Some(mac) = counter.who_has(asked.peer) {
                    counter.sights.see(mac, Sight::Deferred { name: name.into_owned() });
                }
                return come_back("other machines are being served, ask again\n", seconds);
            }
        }
    } else {
        None
    };
    let board = counter.board();
    let completes = board.as_ref().zip(counter.who_has(asked.peer)).is_some_and(|(board, mac)| {
        board.entry(mac).is_some_and(|entry| board.completes(entry, model::Digest(digest.0)))
    });
    let place = place.map(|place| place.for_the_last(completes));
    let role = board.map_or(FileRole::Other, |board| board.role(model::Digest(digest.0)));
    let file = File {
        name,
        role,
        etag: format!("\"{digest}\""),
        digest,
        modified: content.modified(),
        body: Body::shelf(content, asked.outlet).admitted(place),
    };
    serve(counter, asked, file)
}

/// A place among the image transfers, as this client can wait for it; or the seconds after which it should come back.
async fn place(counter: &Counter, asked: &Asked<'_>) -> Result<Place, u64> {
    let (places, peer) = (&counter.places, asked.peer);
    let insist = || Places::insist(places, peer, Instant::now());
    match Manner::of(asked.headers) {
        Manner::ComesBack => Places::wait(places, peer, MOMENT).await,
        Manner::Waits => Ok(Places::wait(places, peer, WAIT).await.unwrap_or_else(|_| insist())),
        Manner::GivesUp => Ok(insist()),
    }
}

/// iPXE's own version stands whole only here: builds that keep the firmware's lease send no DISCOVER.
fn note_ipxe(counter: &Counter, peer: IpAddr, headers: &HeaderMap) {
    let agent =
        headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some((version, mac)) = user_agent_version(agent).zip(counter.who_has(peer)) {
        counter.note_ipxe(mac, version);
    }
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
    digest: Digest,
    modified: SystemTime,
    body: Body,
}

fn serve(counter: &Arc<Counter>, asked: &Asked<'_>, file: File<'_>) -> Response<Body> {
    let size = file.body.left();
    let part = choose(asked.headers, size, Validators { etag: &file.etag, modified: file.modified });
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
    let watched = !asked.head && status.is_success();
    let summed = watched && asked.trailers;
    let body = match counter.who_has(asked.peer).filter(|_| watched) {
        Some(mac) => {
            let name = file.name.into_owned();
            let seen = Sight::FileAsked { role: file.role, name: name.clone(), carrier: Carrier::Http, size };
            counter.sights.see(mac, seen);
            let transfer = Transfer::new(counter, mac, name, body.left());
            let resumed = matches!(part, Part::Bytes(first, _) if first > 0);
            body.watched(if resumed { transfer.resumed() } else { transfer })
        }
        None => body,
    };
    let mut response = Response::new(if summed { body.summed() } else { body });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, ETAG, &file.etag);
    set(headers, LAST_MODIFIED, &httpdate::fmt_http_date(file.modified));
    if let Some(digest) = digests::value(file.digest) {
        headers.insert(digests::REPR_DIGEST, digest);
    }
    if summed {
        headers.insert(TRAILER, HeaderValue::from_static("content-digest"));
    }
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
    // Of an unchanged file nothing is sent, and its length is not 0.
    if parts.status != StatusCode::NOT_MODIFIED {
        set(&mut parts.headers, CONTENT_LENGTH, &body.left().to_string());
    }
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
fn come_back(words: &str, seconds: u64) -> Response<Body> {
    let mut busy = text(StatusCode::SERVICE_UNAVAILABLE, words);
    busy.headers_mut().insert(RETRY_AFTER, seconds.into());
    busy
}

pub(crate) fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "no such file\n")
}

/// A short answer for people.
pub(super) fn text(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = Response::new(Body::memory(Bytes::copy_from_slice(words.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
