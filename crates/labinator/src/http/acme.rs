//! The counter of ACME behind the page's door. Whoever asks is known by the key that signed, so no token is asked for.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pki::acme::{Answer, Ask, Body as Carried, Verb};

use super::door::Peer;
use super::{House, answer};

/// What the addresses of this counter begin with.
pub(super) const PATH: &str = "/acme";
/// Largest request, in bytes: a request for a hundred names with an RSA key is a tenth of it.
const LARGEST: usize = 64 << 10;

pub(super) async fn ask(State(house): State<House>, request: Request) -> Response {
    let tls = request.extensions().get::<ConnectInfo<Peer>>().is_some_and(|peer| peer.0.tls);
    let (head, body) = request.into_parts();
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let base = format!("{}://{host}{PATH}", if tls { "https" } else { "http" });
    let path = head.uri.path().strip_prefix(PATH).unwrap_or_default().to_owned();
    let said = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let signed = said.is_some_and(|kind| kind.split(';').next() == Some("application/jose+json"));
    let verb = match head.method {
        Method::GET => Verb::Get,
        Method::HEAD => Verb::Head,
        Method::POST => Verb::Post,
        _ => Verb::Other,
    };
    let Ok(body) = to_bytes(body, LARGEST).await else {
        let advice = "ask for fewer names at once";
        return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is too large", advice);
    };
    // It is synced to the disk, which may take its time.
    let asked = tokio::task::spawn_blocking(move || told(&house, (&base, &path), (verb, signed), &body));
    asked.await.unwrap_or_else(|why| {
        answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            &why.to_string(),
            "see the controller's log",
        )
    })
}

fn told(house: &House, (base, path): (&str, &str), (verb, signed): (Verb, bool), body: &Bytes) -> Response {
    match house.acme.answer(&Ask { verb, base, path, signed, body }) {
        Ok(answer) => written(base, answer),
        Err(why) => {
            tracing::error!("ACME: {why}");
            let advice = "look at the disk of the state folder: space, owner, errors";
            answer::error(StatusCode::INSUFFICIENT_STORAGE, "not_kept", &why.to_string(), advice)
        }
    }
}

fn written(base: &str, answer: Answer) -> Response {
    let (kind, body) = match answer.body {
        Carried::Nothing => (None, Body::empty()),
        Carried::Json(value) => (Some("application/json"), Body::from(value.to_string())),
        Carried::Problem(value) => (Some("application/problem+json"), Body::from(value.to_string())),
        Carried::Chain(pem) => (Some("application/pem-certificate-chain"), Body::from(pem)),
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
    let index = Some(format!("<{base}/directory>;rel=\"index\""));
    let up = answer.up.map(|up| format!("<{up}>;rel=\"up\""));
    let again = answer.retry_after.map(|seconds| seconds.to_string());
    let nonce = header::HeaderName::from_static("replay-nonce");
    for (name, value) in [
        (header::CONTENT_TYPE, kind.map(str::to_owned)),
        (header::LOCATION, answer.location),
        (header::LINK, index),
        (header::LINK, up),
        (header::RETRY_AFTER, again),
        (nonce, answer.nonce),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
