//! Taking over a cluster that runs.

use api::AdoptAsk;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lifecycle::{Refusal, may_adopt};

use super::{House, answer};
use crate::cluster::AdoptError;
use crate::desk::DeskError;

pub(super) async fn adopt(
    State(house): State<House>,
    Path(scenario): Path<String>,
    Json(ask): Json<AdoptAsk>,
) -> Response {
    let Some(adopter) = &house.adopter else { return no_cluster(&house, scenario).await };
    match adopter.adopt(scenario, ask.secrets.reveal(), ask.only_look, ask.by).await {
        Ok(adopted) => Json(adopted).into_response(),
        Err(error) => refused(&error),
    }
}

/// A lab without any cluster: either there is no such scenario, or it is none.
async fn no_cluster(house: &House, asked: String) -> Response {
    let refusal = house.desk.look(move |look| match may_adopt(look.lab, &asked) {
        Ok(scenario) => Refusal::NoCluster { scenario: scenario.clone() },
        Err(refusal) => refusal,
    });
    answer::refused(&refusal.await.map_or_else(|closed| closed, DeskError::Refused))
}

fn refused(error: &AdoptError) -> Response {
    let text = error.to_string();
    match error {
        AdoptError::Refused(error) => answer::refused(error),
        AdoptError::Unreadable(_) => {
            let advice = "give the file that `talosctl gen secrets` wrote, or `labinator talos export`";
            answer::error(StatusCode::BAD_REQUEST, "secrets_unreadable", &text, advice)
        }
        AdoptError::NotThere(_) => {
            let advice =
                "are these the secrets of that cluster, and are the addresses of the lab file its machines'?";
            answer::error(StatusCode::CONFLICT, "not_this_cluster", &text, advice)
        }
        AdoptError::NotKept { code, .. } => {
            let advice = "make room on the disk that holds the state folder";
            answer::error(StatusCode::INSUFFICIENT_STORAGE, code, &text, advice)
        }
    }
}
