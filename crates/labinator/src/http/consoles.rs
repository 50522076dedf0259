//! Serial consoles of guests and virtual machines: what they wrote, piece by piece, and typing into them.

use std::time::Duration;

use api::{ConsolePart, TypeAsk, Typed};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drivers::channel::{Consoles, Unreached};
use model::NodeName;
use serde::Deserialize;

use super::{House, answer};

/// Bytes in one answer.
const PIECE: usize = 48 << 10;
/// Bytes that are typed at once.
const TYPED: usize = 4 << 10;
/// Longest time that an answer waits for something new.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    wait: bool,
}

pub(super) async fn read(
    State(house): State<House>,
    Path(node): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Ok(Query(wanted)) = query else {
        let advice = "`from` is the number of a byte, `wait` is true or false";
        return answer::error(StatusCode::BAD_REQUEST, "bad_query", "the query cannot be read", advice);
    };
    let part = match node.parse::<NodeName>() {
        Ok(node) => part_of(house.channel.consoles(), &node, &wanted).await,
        Err(_) => None,
    };
    match part {
        Some(part) => Json(part).into_response(),
        None => {
            let message = format!("nothing came of a console of {node}");
            let advice = "virtual machines of this boss have one, and guests once they run below an agent that made a key";
            answer::error(StatusCode::NOT_FOUND, "no_console", &message, advice)
        }
    }
}

async fn part_of(consoles: &Consoles, node: &NodeName, wanted: &Wanted) -> Option<ConsolePart> {
    let mut news = consoles.news(node)?;
    let mut part = consoles.read(node, wanted.from, PIECE)?;
    if part.bytes.is_empty() && wanted.wait {
        // Either way it is read again: nothing new is an answer, too.
        drop(tokio::time::timeout(PATIENCE, news.wait_for(|end| *end != wanted.from)).await);
        part = consoles.read(node, wanted.from, PIECE)?;
    }
    let count = u64::try_from(part.bytes.len()).unwrap_or_default();
    Some(ConsolePart {
        from: part.from,
        next: part.from.saturating_add(count),
        lost: part.lost,
        bytes: STANDARD.encode(&part.bytes),
    })
}

pub(super) async fn write(
    State(house): State<House>,
    Path(node): Path<String>,
    body: Result<Json<TypeAsk>, JsonRejection>,
) -> Response {
    let read = body.ok().and_then(|Json(asked)| STANDARD.decode(asked.bytes).ok());
    let Some(text) = read.filter(|text| text.len() <= TYPED) else {
        let advice = "`bytes` is base64 of at most 4096 bytes";
        return answer::error(StatusCode::BAD_REQUEST, "bad_body", "this cannot be typed", advice);
    };
    let bytes = u64::try_from(text.len()).unwrap_or_default();
    let typed = match node.parse::<NodeName>() {
        Ok(node) => house.channel.type_into(&node, text.into()).await,
        Err(_) => Err(Unreached::NoAgent),
    };
    match typed {
        Ok(()) => Json(Typed { bytes }).into_response(),
        Err(why) => {
            let advice = format!("`labinator explain {node}` says whether it runs and where");
            answer::error(StatusCode::CONFLICT, "unreached", &format!("{node}: {why}"), &advice)
        }
    }
}
