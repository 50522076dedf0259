//! The stream: a picture, then changes and events, with a number to come back with.

use std::convert::Infallible;
use std::time::Duration;

use api::StreamItem;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use futures_util::stream;
use tokio::time::timeout;

use super::House;
use crate::publisher::{Numbered, Reader};

/// Silence after which a beat is sent.
const BEAT: Duration = Duration::from_secs(2);

pub(super) async fn stream(
    State(house): State<House>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| {
        let (epoch, seq) = id.split_once(':')?;
        Some((epoch.to_owned(), seq.parse().ok()?))
    });
    let publisher = house.desk.publisher();
    let reader = publisher.reader(last.as_ref().map(|(epoch, seq)| (epoch.as_str(), *seq)));
    let items = stream::unfold((reader, Vec::new().into_iter()), move |(mut reader, mut waiting)| {
        let house = house.clone();
        async move {
            loop {
                if let Some(item) = waiting.next() {
                    return Some((Ok(event(&reader, &item)), (reader, waiting)));
                }
                waiting = match timeout(BEAT, reader.next()).await {
                    Ok(items) if items.is_empty() => return None,
                    Ok(items) => items.into_iter(),
                    Err(_) => {
                        let latest = house.desk.publisher().latest();
                        let item = StreamItem::Beat(house.doctor.now());
                        vec![Numbered { through: latest.through, item }].into_iter()
                    }
                };
            }
        }
    });
    Sse::new(items)
}

/// One server-sent event: the variant's name, its body as one line of JSON, and the number.
fn event(reader: &Reader, item: &Numbered) -> Event {
    // The body alone, without the tree of a value in between: the picture of a fleet has megabytes.
    let (name, body) = match &item.item {
        StreamItem::Snapshot(picture) => ("snapshot", serde_json::to_string(picture)),
        StreamItem::Change(change) => ("change", serde_json::to_string(change)),
        StreamItem::Event(event) => ("event", serde_json::to_string(event)),
        StreamItem::StartOver => ("start-over", Ok("null".to_owned())),
        StreamItem::Beat(moment) => ("beat", serde_json::to_string(moment)),
    };
    // A picture has only text and numbers, so it is always JSON.
    let event = Event::default().event(name).data(body.unwrap_or_default());
    match item.item {
        // A beat comes between events of a picture that is being told: it has no number of its own.
        StreamItem::Beat(_) | StreamItem::StartOver => event,
        StreamItem::Snapshot(_) | StreamItem::Change(_) | StreamItem::Event(_) => {
            event.id(format!("{}:{}", reader.epoch(), item.through))
        }
    }
}
