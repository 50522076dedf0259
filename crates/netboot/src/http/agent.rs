//! The agents' end-points: a report once per boot, a heartbeat every few seconds, orders in the answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use model::{AGENT_SEAL_HEADER, AgentBeat, AgentReport, AgentWelcome, MacAddr, Seal, Spoken, read_spoken};

use super::body::Body;
use super::route::text;
use crate::agents::{Said, Unheard};
use crate::counter::Counter;

/// Largest report in bytes; a box with a hundred disks fits.
const LARGEST: usize = 256 << 10;
/// How long a report may take to come.
const LIMIT: Duration = Duration::from_secs(10);

/// Takes a report.
pub(super) async fn hello(
    counter: &Arc<Counter>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let seal = seal_of(&request);
    match read::<AgentReport>(request).await {
        Ok((report, body)) => {
            let said = Said { body: &body, seal, from: peer.to_canonical() };
            let (mac, boot_id) = (report.mac, report.boot_id.clone());
            let welcome = counter.take_report(report, &said).await;
            told(counter, welcome, (mac, &boot_id)).await
        }
        Err(refusal) => refusal,
    }
}

/// Takes a heartbeat.
pub(super) async fn heartbeat(
    counter: &Arc<Counter>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    let seal = seal_of(&request);
    match read::<AgentBeat>(request).await {
        Ok((beat, body)) => {
            let said = Said { body: &body, seal, from: peer.to_canonical() };
            let (mac, boot_id) = (beat.mac, beat.boot_id.clone());
            let welcome = counter.take_beat(beat, &said);
            told(counter, welcome, (mac, &boot_id)).await
        }
        Err(refusal) => refusal,
    }
}

fn seal_of(request: &Request<Incoming>) -> Option<Seal> {
    request.headers().get(AGENT_SEAL_HEADER)?.to_str().ok()?.parse().ok()
}

async fn told(
    counter: &Counter,
    outcome: Result<AgentWelcome, Unheard>,
    (mac, boot_id): (MacAddr, &str),
) -> Response<Body> {
    match outcome {
        // Who is asked to say it again has not shown yet who it is.
        Ok(welcome) if welcome.report_again => answer(&welcome),
        Ok(welcome) => answer(&AgentWelcome { wipe: counter.wipe_for(mac, boot_id).await, ..welcome }),
        Err(Unheard::OtherNonce) => text(StatusCode::FORBIDDEN, "this nonce was not given to this machine\n"),
        Err(Unheard::NotSealed) => {
            text(StatusCode::UNAUTHORIZED, "this is not sealed by the key of this boot\n")
        }
        Err(Unheard::SaidBefore) => text(StatusCode::CONFLICT, "this was said before\n"),
        Err(Unheard::OtherKey) => text(StatusCode::FORBIDDEN, "another key claimed this boot\n"),
    }
}

async fn read<T: Spoken>(request: Request<Incoming>) -> Result<(T, Bytes), Response<Body>> {
    let whole = tokio::time::timeout(LIMIT, Limited::new(request.into_body(), LARGEST).collect()).await;
    let Ok(whole) = whole else {
        return Err(text(StatusCode::REQUEST_TIMEOUT, "the body came too slowly\n"));
    };
    let Ok(whole) = whole else { return Err(text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n")) };
    let body = whole.to_bytes();
    match read_spoken(&body) {
        Ok((said, unknown)) => {
            if !unknown.is_empty() {
                tracing::debug!("an agent says what this counter does not know: {}", unknown.join(", "));
            }
            Ok((said, body))
        }
        Err(error) => Err(text(StatusCode::BAD_REQUEST, &format!("cannot read the body: {error}\n"))),
    }
}

fn answer(welcome: &AgentWelcome) -> Response<Body> {
    // Names and a closed set of orders: always JSON.
    let json = serde_json::to_vec(welcome).unwrap_or_default();
    let mut response = Response::new(Body::memory(Bytes::from(json)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
