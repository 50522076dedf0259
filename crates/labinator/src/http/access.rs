//! Who may: the token, as a header for programs and as a cookie for the page.

use std::io::Read;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::Secret;

use super::answer;

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

/// Lets a request through, or says how to be let through.
pub(super) async fn guard(State(token): State<Token>, request: Request, next: Next) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    if is_open(uri.path()) {
        return dressed(next.run(request).await);
    }
    if let Some(offered) = from_link(uri) {
        return if token.is(offered) { into_cookie(uri, offered) } else { turned_away(uri) };
    }
    let by_header = bearer(headers).is_some_and(|offered| token.is(offered));
    let by_cookie = cookie(headers).is_some_and(|offered| token.is(offered));
    if !by_header && !by_cookie {
        return turned_away(uri);
    }
    if !by_header && request.method() != Method::GET && !headers.contains_key(SAME_PAGE) {
        let why = "a change asked for with the cookie needs the header X-Labinator";
        return answer::error(StatusCode::FORBIDDEN, "other_page", why, "open the lab's own page");
    }
    if !by_header && headers.contains_key(header::UPGRADE) && !is_of_own_page(headers) {
        let why = "a WebSocket opened with the cookie must come from this lab's page";
        return answer::error(StatusCode::FORBIDDEN, "other_page", why, "open the lab's own page");
    }
    dressed(next.run(request).await)
}

/// What anybody may read: nothing of the lab.
fn is_open(path: &str) -> bool {
    path == "/root.pem"
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

/// The link's token moves into a cookie, so that it stays out of the address bar and of logs.
fn into_cookie(uri: &Uri, token: &str) -> Response {
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/");
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
        return answer::error(StatusCode::UNAUTHORIZED, "no_token", "this needs the lab's token", advice);
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
