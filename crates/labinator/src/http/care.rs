//! Questions about the boss's health, and the packets of failed starts.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{House, answer};

pub(super) async fn doctor(State(house): State<House>) -> Response {
    let snapshot = house.desk.publisher().latest();
    Json(house.doctor.examine(&snapshot).await).into_response()
}

pub(super) async fn images(State(house): State<House>) -> Response {
    Json(house.doctor.stock().await).into_response()
}

pub(super) async fn failures(State(house): State<House>) -> Response {
    match tokio::task::spawn_blocking(move || house.failures.list()).await {
        Ok(list) => Json(list).into_response(),
        Err(why) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", &why.to_string(), ""),
    }
}

pub(super) async fn capture(State(house): State<House>, Path(file): Path<String>) -> Response {
    let name = file.clone();
    match tokio::task::spawn_blocking(move || house.failures.read(&name)).await {
        Ok(Some(content)) => {
            let disposition = format!("attachment; filename=\"{file}\"");
            let head =
                [(header::CONTENT_TYPE, api::CAPTURE.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
            (head, content).into_response()
        }
        Ok(None) | Err(_) => {
            let advice = "`GET /v1/failures` lists those that are kept";
            answer::error(StatusCode::NOT_FOUND, "no_capture", "no such capture is kept", advice)
        }
    }
}
