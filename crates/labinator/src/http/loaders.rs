//! Our loader on the disks of machines.

use api::LoaderAsk;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::DiskLoaders;

use super::{House, answer};
use crate::disk_loader::InstallError;

pub(super) async fn look(State(house): State<House>, Path(node): Path<String>) -> Response {
    told(house.installer.look(&node).await)
}

pub(super) async fn change(
    State(house): State<House>,
    Path(node): Path<String>,
    body: Result<Json<LoaderAsk>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(ask)) => told(house.installer.change(&node, ask).await),
        Err(why) => {
            let advice = "`wish` is `install` or `remove`, `by` says who asks";
            answer::error(StatusCode::BAD_REQUEST, "bad_body", &why.body_text(), advice)
        }
    }
}

fn told(outcome: Result<DiskLoaders, InstallError>) -> Response {
    match outcome {
        Ok(how) => Json(how).into_response(),
        Err(InstallError::Desk(error)) => answer::refused(&error),
        Err(error) => answer::error(StatusCode::CONFLICT, error.code(), &error.to_string(), &error.advice()),
    }
}
