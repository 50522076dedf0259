//! The page without scripts: for the wall, for w3m, and for the day the other one breaks.

use std::fmt::Write as _;

use api::{Finding, Light, WordCount};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::{MachineView, NodeWord, Snapshot, Span};
use serde::Deserialize;

use super::House;
use crate::paging::{self, Order, Wanted};

/// Seconds between two reloads by the browser.
const RELOAD: u32 = 2;
/// Machines on one page; a larger lab has several, and the machines in trouble come first.
const ON_A_PAGE: usize = 120;

/// Which part of a large lab is shown. What cannot be read is left out: this page always shows something.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct PageQuery {
    after: Option<String>,
    word: Option<String>,
}

pub(super) async fn page(State(house): State<House>, Query(query): Query<PageQuery>) -> Response {
    let now = house.doctor.now();
    let light = house.doctor.light();
    let html = render(&house.desk.publisher().latest(), &query, light.as_ref(), now.since_start);
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], html)
        .into_response()
}

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("status.css")).into_response()
}

/// The page as text. Everything that came from outside is escaped.
fn render(lab: &Snapshot, query: &PageQuery, light: Option<&Light>, now: model::LabTime) -> String {
    let mut html = String::new();
    let view = &lab.lab;
    let head = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content={RELOAD}><title>{name}: {phase}</title>\
         <link rel=stylesheet href=/status.css>\
         <h1>{name}</h1><p><strong>{phase}</strong> for {since}: {because}</p>",
        name = escape(view.name.as_str()),
        phase = view.phase,
        since = now.since(view.phase_since.since_start),
        because = escape(&view.phase_because),
    );
    html.push_str(&head);
    if !view.counter_up {
        html.push_str("<p><strong>! the boot counter is away: no machine can boot</strong>");
    }
    html.push_str(&lamp(light));
    let large = lab.machines.len() > ON_A_PAGE;
    let word = query.word.as_ref().and_then(|word| serde_json::from_value(word.as_str().into()).ok());
    let order = if large { Order::Trouble } else { Order::Board };
    let wanted =
        Wanted { limit: Some(ON_A_PAGE), after: query.after.clone(), word, order, ..Wanted::default() };
    let part = paging::page(lab, &wanted);
    if large {
        html.push_str("<p>");
        for WordCount { word, count } in &part.words {
            let link = format!("<a href=\"/status?word={word}\">{} {count} {word}</a> ", shape(*word));
            html.push_str(&link);
        }
        html.push_str("<a href=\"/status\">all</a>");
    }
    html.push_str(
        "<table><thead><tr><th scope=col>place<th scope=col>machine<th scope=col>state<th scope=col>for\
         <th scope=col>waits for<th scope=col>last boot</thead><tbody>",
    );
    for machine in &part.machines {
        row(&mut html, machine, now);
    }
    html.push_str("</tbody></table>");
    if let Some(next) = &part.next {
        let word = word.map_or_else(String::new, |word: NodeWord| format!("&amp;word={word}"));
        let link = format!("<p><a href=\"/status?after={next}{word}\">the next {ON_A_PAGE} machines</a></p>");
        html.push_str(&link);
    }
    let clock = format!("<p>event {}, this page reloads itself every {RELOAD} s</p></html>", lab.through);
    html.push_str(&clock);
    html
}

/// The boss's light, unless all is well.
fn lamp(light: Option<&Light>) -> String {
    let Some(light) = light.filter(|light| matches!(light.finding, Finding::Broken | Finding::Warning))
    else {
        return String::new();
    };
    let mark = if light.finding == Finding::Broken { "✗" } else { "!" };
    let (broken, warnings) = (light.broken, light.warnings);
    format!(
        "<p>{mark} boss: {} ({broken} broken, {warnings} warnings: labinator doctor)",
        escape(&light.text)
    )
}

fn row(html: &mut String, machine: &MachineView, now: model::LabTime) {
    let waits = machine.waiting.as_ref().map_or_else(String::new, |w| {
        format!("{} ({} of {})", w.what, now.since(w.since), w.until.since(w.since))
    });
    let fault = machine.fault.as_ref().map_or_else(String::new, |f| f.text.clone());
    let boot = machine.boot.as_ref().map_or_else(String::new, |b| {
        let firmware = b.firmware.map_or_else(String::new, |f| format!(", {f}"));
        format!("{}{firmware}", Span(b.total_ms))
    });
    let written = write!(
        html,
        "<tr><td>{},{}<th scope=row>{}<td class={word}>{} {word}<td>{}<td>{}<td>{}",
        machine.cell.column,
        machine.cell.row,
        escape(machine.node.as_str()),
        shape(machine.word),
        now.since(machine.since.since_start),
        escape(if waits.is_empty() { &fault } else { &waits }),
        escape(&boot),
        word = machine.word,
    );
    // Writing into a String cannot fail.
    debug_assert!(written.is_ok());
}

/// A shape besides the word, for whoever sees the wall from three metres.
const fn shape(word: NodeWord) -> &'static str {
    match word {
        NodeWord::Ready => "●",
        NodeWord::Off => "○",
        NodeWord::Parked => "◒",
        NodeWord::Bad => "✕",
        NodeWord::Degraded => "▲",
        NodeWord::Unknown => "?",
        NodeWord::Starting | NodeWord::Stopping => "◌",
        NodeWord::Dhcp | NodeWord::Waiting | NodeWord::Loader | NodeWord::Image | NodeWord::Kernel => "◐",
        NodeWord::Maintenance | NodeWord::Joining => "◑",
    }
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Marks that turn the direction of writing could disguise a name.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_is_only_text() {
        let safe = escape("<img src=x onerror=alert(1)>\u{202e}\"'&\u{7}");
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{202e}', '\u{7}']), "{safe}");
        assert!(safe.contains("&lt;img"));
    }
}
