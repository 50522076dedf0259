//! The machines page by page.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{House, answer};
use crate::paging::{Wanted, page};

pub(super) async fn list(
    State(house): State<House>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(wanted)) => Json(page(&house.desk.publisher().latest(), &wanted)).into_response(),
        Err(why) => {
            let advice = "`limit` and `zone` are numbers, `word` is a word of the page such as `bad`, \
                          `order` is `board` or `trouble`";
            answer::error(StatusCode::BAD_REQUEST, "bad_query", &why.body_text(), advice)
        }
    }
}
