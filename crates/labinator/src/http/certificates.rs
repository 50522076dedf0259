//! Questions about certificates, and requests for some.

use api::{IssueAsk, IssuedCertificate, RenewAsk};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::Span;
use pki::renewal::LIFETIME;
use pki::x509::{Request, pem_decode};

use super::{House, answer};
use crate::trust::{How, Refused, view};

/// Media type of a certificate as PEM (RFC 8555 section 9.1).
const PEM: &str = "application/pem-certificate-chain";

pub(super) async fn list(State(house): State<House>) -> Response {
    Json(house.trust.list()).into_response()
}

pub(super) async fn renew(State(house): State<House>, Json(ask): Json<RenewAsk>) -> Response {
    let mut ways = Vec::from_iter(ask.trust_clock.then_some(How::BelieveClock));
    ways.extend(ask.new_root.then_some(How::NewRoot));
    if ways.is_empty() {
        ways.push(How::Plain);
    }
    for how in ways {
        if let Err(why) = house.trust.renew(how).await {
            return refused(&why);
        }
    }
    Json(house.trust.list()).into_response()
}

pub(super) async fn issue(State(house): State<House>, Json(ask): Json<IssueAsk>) -> Response {
    let read = pem_decode(&ask.request).and_then(|block| Request::read(&block.der));
    let request = match read {
        Ok(request) => request,
        Err(why) => {
            return answer::error(StatusCode::BAD_REQUEST, why.code(), &why.to_string(), why.advice());
        }
    };
    let lifetime = ask.hours.map_or(LIFETIME, |hours| Span::secs(u64::from(hours) * 3600));
    match house.trust.grant(request, lifetime).await {
        Ok((chain, leaf)) => Json(IssuedCertificate { chain, certificate: view(&leaf) }).into_response(),
        Err(why) => refused(&why),
    }
}

fn refused(why: &Refused) -> Response {
    let (status, code, advice) = match why {
        Refused::Clock(fault) => (StatusCode::CONFLICT, fault.code(), fault.advice()),
        Refused::Authority(why) => (StatusCode::SERVICE_UNAVAILABLE, why.code(), why.advice()),
        Refused::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed", ""),
    };
    answer::error(status, code, &why.to_string(), advice)
}

pub(super) async fn root(State(house): State<House>) -> Response {
    house.trust.root_view().map_or_else(no_root, |root| Json(root).into_response())
}

/// The root as a file: for browsers and operating systems, and for whoever comes without TLS.
pub(super) fn root_file(trust: &crate::trust::Trust) -> Response {
    let disposition = "attachment; filename=\"labinator-root.pem\"";
    let head = [(header::CONTENT_TYPE, PEM), (header::CONTENT_DISPOSITION, disposition)];
    trust.root_view().map_or_else(no_root, |root| (head, root.pem).into_response())
}

pub(super) async fn root_download(State(house): State<House>) -> Response {
    root_file(&house.trust)
}

fn no_root() -> Response {
    let advice = "`labinator cert status` on the boss says what it waits for";
    answer::error(StatusCode::SERVICE_UNAVAILABLE, "no_root", "the lab has no root yet", advice)
}
