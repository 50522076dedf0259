//! Lines of everybody, as they come, and what they cost.

use ::logs::{Asked, Filter, Source, Spent, Stage};
use api::{LogDisk, LogRule, LogSkew, LogSummary, LogTemplate, LogsLost};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::{House, answer};

/// Lines before now that a viewer begins with when it does not say.
const TAIL: usize = 100;
/// Templates told at most.
const TEMPLATES: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    node: Option<String>,
    level: Option<String>,
    grep: Option<String>,
    after: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
    tail: Option<usize>,
    #[serde(default = "yes")]
    follow: bool,
}

const fn yes() -> bool {
    true
}

pub(super) async fn stream(
    State(house): State<House>,
    query: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(wanted)) = query else {
        let advice =
            "`since` and `until` are milliseconds since 1970, `tail` is a number, `follow` true or false";
        return answer::error(StatusCode::BAD_REQUEST, "bad_query", "the query cannot be read", advice);
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let asked = match asked(wanted, last) {
        Ok(asked) => asked,
        Err((message, advice)) => {
            return answer::error(StatusCode::BAD_REQUEST, "bad_filter", &message, advice);
        }
    };
    let pieces = house.logs.view(asked);
    let body = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), pieces))
    });
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (head, Body::from_stream(body)).into_response()
}

fn asked(wanted: Wanted, last: Option<String>) -> Result<Asked, (String, &'static str)> {
    let level = wanted.level.as_deref().map(level).transpose()?;
    let filter = Filter::new(wanted.node, level, wanted.grep.as_deref()).map_err(|why| {
        (format!("the expression cannot be used: {why}"), "it is a regular expression of RE2's kind")
    })?;
    let after = match last.or(wanted.after) {
        Some(id) => Some(
            id.split_once(':')
                .and_then(|(epoch, seq)| Some((epoch.to_owned(), seq.parse().ok()?)))
                .ok_or_else(|| {
                    (format!("`{id}` is no place in the stream"), "it is the `id` of the last event")
                })?,
        ),
        None => None,
    };
    Ok(Asked {
        filter,
        after,
        since: wanted.since,
        until: wanted.until,
        tail: wanted.tail.unwrap_or(TAIL),
        follow: wanted.follow,
    })
}

/// The number of a severity (RFC 5424 table 2).
fn level(word: &str) -> Result<u8, (String, &'static str)> {
    let found = api::LOG_LEVELS.iter().position(|level| *level == word);
    let number = found.and_then(|at| u8::try_from(at).ok());
    number.or_else(|| word.parse().ok().filter(|number| *number <= 7)).ok_or_else(|| {
        (
            format!("there is no level `{word}`"),
            "levels: emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7",
        )
    })
}

pub(super) async fn summary(State(house): State<House>) -> Response {
    let disk = house.logs.folder().map(|folder| {
        let Spent { today, a_day, in_all, failures } = folder.spent();
        LogDisk { today, a_day, kept: in_all, failures }
    });
    Json(LogSummary { disk, ..house.logs.look(summed) }).into_response()
}

fn summed(store: &::logs::Store) -> LogSummary {
    let totals = store.totals();
    let lost = Stage::ALL.iter().zip(totals.lost);
    let mut templates: Vec<LogTemplate> = store
        .templates()
        .map(|(program, template)| LogTemplate {
            template: template.number,
            program: program.to_owned(),
            pattern: template.pattern.to_string(),
            lines: template.count,
            folded: template.folded,
            severity: template.severity,
        })
        .collect();
    templates.sort_by_key(|template| std::cmp::Reverse(template.lines));
    let kinds = u64::try_from(templates.len()).unwrap_or_default();
    templates.truncate(TEMPLATES);
    LogSummary {
        lines: totals.lines,
        bytes: totals.bytes,
        oldest: store.oldest(),
        next: store.next(),
        memory: u64::try_from(store.bytes()).unwrap_or_default(),
        disk: None,
        sources: Source::ALL.iter().zip(totals.sources).map(|(s, n)| (s.word().to_owned(), n)).collect(),
        levels: api::LOG_LEVELS.iter().zip(totals.severities).map(|(l, n)| ((*l).to_owned(), n)).collect(),
        lost: lost.map(|(stage, lines)| LogsLost { stage: stage.word().to_owned(), lines }).collect(),
        rules: store.ruled().map(|(rule, lines)| LogRule { rule: rule.to_owned(), lines }).collect(),
        clocks: store.behind().map(|(node, ms)| LogSkew { node: node.to_owned(), behind_ms: ms }).collect(),
        kinds,
        templates,
    }
}
