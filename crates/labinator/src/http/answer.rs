//! How answers and errors are written.

use api::ErrorBody;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lifecycle::Refusal;

use crate::desk::DeskError;

/// An error in the form of the contract.
pub(super) fn error(status: StatusCode, code: &str, message: &str, advice: &str) -> Response {
    let body = ErrorBody { code: code.to_owned(), message: message.to_owned(), advice: advice.to_owned() };
    (status, Json(body)).into_response()
}

/// What the desk said no to.
pub(super) fn refused(error: &DeskError) -> Response {
    let (status, body) = describe(error);
    (status, Json(body)).into_response()
}

/// A desk's error as status and body.
pub(super) fn describe(error: &DeskError) -> (StatusCode, ErrorBody) {
    let (status, code, advice) = match error {
        DeskError::Refused(refusal) => {
            let status = match refusal {
                Refusal::UnknownScenario { .. } | Refusal::UnknownNode { .. } => StatusCode::NOT_FOUND,
                Refusal::ImageMissing { .. }
                | Refusal::ImagesUnread
                | Refusal::ManifestsWrong { .. }
                | Refusal::AnotherRunning { .. }
                | Refusal::Stopping
                | Refusal::CounterAway
                | Refusal::NoCluster { .. }
                | Refusal::NotInstalling { .. }
                | Refusal::PowerUnknown { .. }
                | Refusal::NoButton { .. }
                | Refusal::Protected { .. }
                | Refusal::Wipe(_)
                | Refusal::Cut(_)
                | Refusal::SwitchedByHand { .. } => StatusCode::CONFLICT,
            };
            (status, refusal.code(), refusal.advice())
        }
        DeskError::NotKept { .. } => {
            let advice = "make room on the disk that holds the state folder".to_owned();
            (StatusCode::INSUFFICIENT_STORAGE, "not_kept", advice)
        }
        DeskError::Closed => (StatusCode::SERVICE_UNAVAILABLE, "closing", "ask again in a moment".to_owned()),
    };
    (status, ErrorBody { code: code.to_owned(), message: error.to_string(), advice })
}
