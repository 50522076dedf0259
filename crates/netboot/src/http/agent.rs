//! The agents' end-points: a report once per boot, a heartbeat every few seconds, orders in the answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use model::{AgentBeat, AgentReport, AgentWelcome};
use serde::de::DeserializeOwned;

use super::body::Body;
use super::route::text;
use crate::counter::Counter;

/// Largest report in bytes; a box with a hundred disks fits.
const LARGEST: usize = 256 << 10;
/// How long a report may take to come.
const LIMIT: Duration = Duration::from_secs(10);

/// Takes a report.
pub(super) async fn hello(counter: &Arc<Counter>, request: Request<Incoming>) -> Response<Body> {
    match read::<AgentReport>(request).await {
        Ok(report) => {
            let (mac, boot_id) = (report.mac, report.boot_id.clone());
            match counter.take_report(report) {
                Some(welcome) => {
                    answer(&AgentWelcome { wipe: counter.wipe_for(mac, &boot_id).await, ..welcome })
                }
                None => text(StatusCode::FORBIDDEN, "this nonce was not given to this machine\n"),
            }
        }
        Err(refusal) => refusal,
    }
}

/// Takes a heartbeat.
pub(super) async fn heartbeat(counter: &Arc<Counter>, request: Request<Incoming>) -> Response<Body> {
    match read::<AgentBeat>(request).await {
        Ok(beat) => {
            let (mac, boot_id) = (beat.mac, beat.boot_id.clone());
            let welcome = counter.take_beat(beat);
            answer(&AgentWelcome { wipe: counter.wipe_for(mac, &boot_id).await, ..welcome })
        }
        Err(refusal) => refusal,
    }
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Response<Body>> {
    let whole = tokio::time::timeout(LIMIT, Limited::new(request.into_body(), LARGEST).collect()).await;
    let Ok(whole) = whole else {
        return Err(text(StatusCode::REQUEST_TIMEOUT, "the body came too slowly\n"));
    };
    let Ok(whole) = whole else { return Err(text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n")) };
    serde_json::from_slice(&whole.to_bytes())
        .map_err(|error| text(StatusCode::BAD_REQUEST, &format!("cannot read the body: {error}\n")))
}

fn answer(welcome: &AgentWelcome) -> Response<Body> {
    // Names and a closed set of orders: always JSON.
    let json = serde_json::to_vec(welcome).unwrap_or_default();
    let mut response = Response::new(Body::memory(Bytes::from(json)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
