//! Questions about tokens, and requests for some.

use api::{Ask, SecretText, TokenAsk, TokenList, TokenMade};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{House, answer};
use crate::trust::TokenError;

pub(super) async fn list(State(house): State<House>) -> Response {
    Json(TokenList { tokens: house.tokens.list() }).into_response()
}

pub(super) async fn create(State(house): State<House>, Json(ask): Json<TokenAsk>) -> Response {
    let now = house.trust.at_least_now().wall;
    let tokens = house.tokens.clone();
    // It is synced to the disk, which may take its time.
    match tokio::task::spawn_blocking(move || tokens.create(&ask, now)).await {
        Ok(Ok((token, listed))) => {
            let mut made = Json(TokenMade { token: SecretText::new(token), listed }).into_response();
            made.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            made
        }
        Ok(Err(why)) => refused(&why),
        Err(why) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", &why.to_string(), ""),
    }
}

pub(super) async fn revoke(
    State(house): State<House>,
    Path(name): Path<String>,
    Json(_): Json<Ask>,
) -> Response {
    let tokens = house.tokens.clone();
    match tokio::task::spawn_blocking(move || tokens.revoke(&name)).await {
        Ok(Ok(())) => Json(TokenList { tokens: house.tokens.list() }).into_response(),
        Ok(Err(why)) => refused(&why),
        Err(why) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", &why.to_string(), ""),
    }
}

fn refused(why: &TokenError) -> Response {
    let status = match why {
        TokenError::Name(_) | TokenError::Days | TokenError::Allow(_) | TokenError::Many => {
            StatusCode::BAD_REQUEST
        }
        TokenError::Taken(_) | TokenError::Full => StatusCode::CONFLICT,
        TokenError::Unknown(_) => StatusCode::NOT_FOUND,
        TokenError::Disk(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    answer::error(status, why.code(), &why.to_string(), why.advice())
}
