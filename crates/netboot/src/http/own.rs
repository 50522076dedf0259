//! The end-points of Labinator's own loader: its question, and what it says on its way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use wire::loader::{Ask, LONGEST_TEXT, Word};

use super::body::Body;
use super::route::text;
use crate::counter::Counter;
use crate::own::{self, Unanswered};

/// How long a text may take to come.
const LIMIT: Duration = Duration::from_secs(10);
/// Seconds after which a loader asks again while nobody can answer it.
const COME_BACK: u64 = 2;

/// Answers a question.
pub(super) async fn ask(counter: &Arc<Counter>, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let body = match read(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let asked = match Ask::read(&body) {
        Ok(asked) => asked,
        Err(error) => return text(StatusCode::BAD_REQUEST, &format!("cannot read the question: {error}\n")),
    };
    match own::answer(counter, peer, &asked).await {
        Ok(sealed) => {
            let mut response = Response::new(Body::memory(Bytes::from(sealed)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            response
        }
        Err(why) => refused(why),
    }
}

/// Takes a line.
pub(super) async fn word(counter: &Counter, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let body = match read(request).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    match Word::read(&body).map(|word| own::said(counter, peer, word)) {
        Ok(Ok(())) => text(StatusCode::OK, "noted\n"),
        Ok(Err(why)) => refused(why),
        Err(error) => text(StatusCode::BAD_REQUEST, &format!("cannot read the line: {error}\n")),
    }
}

fn refused(why: Unanswered) -> Response<Body> {
    match why {
        Unanswered::NotYet => {
            let words = "no boot table, or no word of the core that answers may be signed: ask again\n";
            let mut busy = text(StatusCode::SERVICE_UNAVAILABLE, words);
            busy.headers_mut().insert(RETRY_AFTER, COME_BACK.into());
            busy
        }
        Unanswered::OtherMachine => text(StatusCode::FORBIDDEN, "this address is another machine's\n"),
    }
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Response<Body>> {
    let whole = tokio::time::timeout(LIMIT, Limited::new(request.into_body(), LONGEST_TEXT).collect()).await;
    match whole {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(_)) => Err(text(StatusCode::PAYLOAD_TOO_LARGE, "the text is too large\n")),
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the text came too slowly\n")),
    }
}
