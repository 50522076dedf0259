//! Who may: a token, as a header for programs and as a cookie for the page, and what its role may ask.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::route_of;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use model::{Moment, Secret, Span};

use super::door::Peer;
use super::throttle::Throttle;
use super::{House, answer, audit};
use crate::trust::{Holder, Tokens, Trust};

/// Cookie that carries the token of a browser.
const COOKIE: &str = "labinator";
/// Header that a page of ours sends with each change, and a page of somebody else's cannot.
const SAME_PAGE: &str = "x-labinator";

/// The token of one controller.
#[derive(Debug, Clone)]
pub struct Token(Arc<Secret<String>>);

impl Token {
    /// A fresh token of 128 random bits, 32 hexadecimal digits.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn fresh() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self::of(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// A token that is known already.
    #[must_use]
    pub fn of(text: String) -> Self {
        Self(Arc::new(Secret::new(text)))
    }

    /// The token, for the one link that is printed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// Compares in a time that does not depend on where the texts differ.
    pub(super) fn is(&self, offered: &str) -> bool {
        let own = self.reveal().as_bytes();
        let differs = own.iter().zip(offered.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == offered.len() && differs == 0
    }
}

/// Wrong tokens are written down no more often than this, in milliseconds of lab time.
const WRONG_EVERY: u64 = 10_000;

/// What the guard works with.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    tokens: Tokens,
    trust: Trust,
    doubts: Arc<Mutex<Doubts>>,
}

#[derive(Debug, Default)]
struct Doubts {
    throttle: Throttle,
    /// When a wrong token was written down last.
    told: Option<model::LabTime>,
}

/// A token as it was offered.
enum Offered<'a> {
    Link(&'a str),
    Header(&'a str),
    Cookie(&'a str),
}

impl<'a> Offered<'a> {
    fn of(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Self> {
        let link = from_link(uri).map(Self::Link);
        link.or_else(|| bearer(headers).map(Self::Header)).or_else(|| cookie(headers).map(Self::Cookie))
    }

    const fn text(&self) -> &'a str {
        match self {
            Self::Link(text) | Self::Header(text) | Self::Cookie(text) => text,
        }
    }
}

impl Guard {
    pub(super) fn new(house: &House) -> Self {
        Self { tokens: house.tokens.clone(), trust: house.trust.clone(), doubts: Arc::default() }
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose token this is. One that is nobody's makes its sender wait, and so does one of whoever was not there before
    /// while the sender waits.
    fn holder(&self, offered: Option<&Offered<'_>>, from: IpAddr, now: Moment) -> Result<Holder, NotLetIn> {
        let at = now.since_start;
        let found = offered.and_then(|offered| self.tokens.holder(offered.text(), now.wall));
        let mut doubts = self.doubts();
        if let Some(pause) = doubts.throttle.pause(from, at)
            && !found.as_ref().is_some_and(|holder| doubts.throttle.knows(from, &holder.name, at))
        {
            return Err(NotLetIn::Throttled(pause));
        }
        if let Some(holder) = found {
            doubts.throttle.right(from, &holder.name, at);
            return Ok(holder);
        }
        if offered.is_some() {
            doubts.throttle.wrong(from, at);
            if doubts.told.is_none_or(|told| at.since(told).0 >= WRONG_EVERY) {
                doubts.told = Some(at);
                audit::tell("nobody", &from.to_string(), "with a wrong token", StatusCode::UNAUTHORIZED);
            }
        }
        Err(NotLetIn::NoToken)
    }

    /// Who asks and for what, or why that is not to be had.
    fn asked(&self, request: &Request) -> Result<Asked, Box<Response>> {
        let (uri, headers) = (request.uri(), request.headers());
        let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|peer| peer.0);
        let from = peer.map_or_else(|| Ipv4Addr::LOCALHOST.into(), |peer| peer.from.ip().to_canonical());
        let offered = Offered::of(uri, headers);
        let holder =
            self.holder(offered.as_ref(), from, self.trust.at_least_now()).map_err(|why| match why {
                NotLetIn::Throttled(pause) => too_many(pause.0.div_ceil(1000)),
                NotLetIn::NoToken => turned_away(uri),
            })?;
        match offered {
            Some(Offered::Link(token)) => {
                return Err(into_cookie(uri, token, peer.is_some_and(|peer| peer.tls)).into());
            }
            Some(Offered::Cookie(_)) => {
                if let Some(why) = not_of_own_page(request.method(), headers) {
                    let advice = "open the lab's own page";
                    return Err(answer::error(StatusCode::FORBIDDEN, "other_page", why, advice).into());
                }
            }
            Some(Offered::Header(_)) | None => {}
        }
        let method = match *request.method() {
            Method::GET | Method::HEAD => api::Method::Get,
            _ => api::Method::Post,
        };
        let what = format!("{} {}", request.method(), uri.path());
        let route = route_of(method, uri.path());
        if !holder.may(method, uri.path()) {
            audit::tell(&holder.name, &from.to_string(), &what, StatusCode::FORBIDDEN);
            return Err(lacks(&holder).into());
        }
        Ok(Asked { holder, from, method, route, what })
    }
}

/// Why somebody is not let in.
enum NotLetIn {
    NoToken,
    Throttled(Span),
}

/// A request that is let through.
struct Asked {
    holder: Holder,
    from: IpAddr,
    method: api::Method,
    route: Option<&'static api::Route>,
    what: String,
}

/// Lets a request through, or says how to be let through.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if is_open(request.uri().path()) {
        return dressed(next.run(request).await);
    }
    let asked = match guard.asked(&request) {
        Ok(asked) => asked,
        Err(told) => return *told,
    };
    let answer = dressed(next.run(request).await);
    if asked.method == api::Method::Post {
        audit::tell(&asked.holder.name, &asked.from.to_string(), &asked.what, answer.status());
    }
    match asked.route {
        Some(route) if route.streams => {
            let now = move || guard.trust.at_least_now().wall;
            until_gone(answer, guard.tokens.gone(asked.holder, now))
        }
        _ => answer,
    }
}

/// A stream ends when the token does not count any more that it was opened with.
fn until_gone(answer: Response, gone: impl Future<Output = ()> + Send + 'static) -> Response {
    let (head, body) = answer.into_parts();
    let body = body.into_data_stream().take_until(Box::pin(gone));
    Response::from_parts(head, Body::from_stream(body))
}

/// Why a request that carries the cookie is not one of the lab's own page.
fn not_of_own_page(method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let changes = method != Method::GET && method != Method::HEAD;
    if changes && !headers.contains_key(SAME_PAGE) {
        return Some("a change asked for with the cookie needs the header X-Labinator");
    }
    if changes && headers.contains_key(header::ORIGIN) && !is_of_own_page(headers) {
        return Some("a change asked for with the cookie must come from this lab's page");
    }
    if headers.contains_key(header::UPGRADE) && !is_of_own_page(headers) {
        return Some("a WebSocket opened with the cookie must come from this lab's page");
    }
    None
}

fn lacks(holder: &Holder) -> Response {
    let why = format!("a token of the role {} may not ask this", holder.role);
    let advice = "`labinator token create` makes one that may, for whoever is admin";
    answer::error(StatusCode::FORBIDDEN, "role_lacks", &why, advice)
}

fn too_many(seconds: u64) -> Response {
    let why = format!("too many wrong tokens came from this address; ask again in {seconds} s");
    let told = answer::error(StatusCode::TOO_MANY_REQUESTS, "throttled", &why, "check the token meanwhile");
    ([(header::RETRY_AFTER, seconds.to_string())], told).into_response()
}

/// What anybody may read: nothing of the lab.
fn is_open(path: &str) -> bool {
    let acme = path.strip_prefix(super::acme::PATH).is_some_and(|rest| rest.starts_with('/'));
    acme || path == "/root.pem"
        || api::ROUTES.iter().any(|route| route.right == api::Right::Anyone && route.path == path)
}

/// Headers that keep a browser from doing more than the page needs.
fn dressed(mut response: Response) -> Response {
    const DRESS: [(header::HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in DRESS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a browser says that the page which asks came from where it asks. A WebSocket is a GET that no page of
/// somebody else's is kept from (RFC 6455 section 10.2), and a page on another port of this host carries the cookie, too.
fn is_of_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| Some(origin.split_once("://")?.1));
    matches!((origin, text(header::HOST)), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
}

fn from_link(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// The link's token moves into a cookie, so that it stays out of the address bar and of logs. One that came over TLS goes
/// over nothing else.
fn into_cookie(uri: &Uri, token: &str, tls: bool) -> Response {
    let secure = if tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/{secure}");
    let back = [(header::LOCATION, uri.path().to_owned()), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, back).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn turned_away(uri: &Uri) -> Response {
    if uri.path().starts_with("/v1/") {
        let advice = "send `Authorization: Bearer TOKEN`, or open the link that `labinator` printed";
        return answer::error(StatusCode::UNAUTHORIZED, "no_token", "this needs a token of the lab", advice);
    }
    let page = "<!doctype html><meta charset=utf-8><title>labinator</title><p>Open the link that \
                <code>labinator</code> printed: it carries the token.";
    dressed((StatusCode::UNAUTHORIZED, axum::response::Html(page)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_only_itself() {
        let token = Token::of("abc".to_owned());
        assert!(token.is("abc"));
        for wrong in ["", "ab", "abd", "abcd", "ABC"] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_page_is_our_own_only_where_it_came_from_this_host_and_port() {
        let is_own = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("boss:8080"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            is_of_own_page(&headers)
        };
        assert!(is_own(Some("http://boss:8080")) && is_own(Some("https://BOSS:8080")));
        for other in [None, Some("null"), Some("http://boss"), Some("http://boss:8081"), Some("http://evil")]
        {
            assert!(!is_own(other), "{other:?}");
        }
        assert!(!is_of_own_page(&HeaderMap::new()));
    }

    #[test]
    fn a_fresh_token_is_long_and_never_the_same() {
        let (one, two) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert_ne!(one.reveal(), two.reveal());
        assert!(!format!("{one:?}").contains(one.reveal()));
    }
}
