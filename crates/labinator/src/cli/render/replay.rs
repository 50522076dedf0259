//! A journal told again: what happened when, and where the time between the phases went.

use model::{Fact, Keeping};

use super::paint::{Paint, clock, cut, seconds};
use super::sentence::{Names, sentence};
use crate::journal::Told;

/// Every event that matters to a person, with its time and the time since the run it belongs to began.
/// Names of machines are learned from the description that the journal holds.
#[must_use]
pub fn render_replay(told: &Told, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let mut names = told.spec.as_deref().map_or_else(Names::default, Names::of_spec);
    let mut began = None;
    let mut lines = Vec::new();
    if told.before > 0 {
        let before = format!("What happened up to event {} is in the journal's checkpoint.", told.before);
        lines.push(paint.faint(&before));
    }
    let mut count: u64 = 0;
    for event in &told.events {
        count = count.saturating_add(1);
        let at = event.at.since_start;
        match &event.fact {
            Fact::CoreStarted { spec, .. } => names = Names::of_spec(spec),
            Fact::StartAccepted { .. } | Fact::AdoptAccepted { .. } | Fact::StopAccepted { .. } => {
                began = Some(at);
            }
            _ => {}
        }
        if event.fact.keeping() == Keeping::Fleeting {
            continue;
        }
        let since = began.map_or(String::new(), |began| format!("+{}", seconds(at.since(began).0)));
        let head = format!("{}  {since:>8}  ", clock(event.at.wall));
        let text = cut(&sentence(event, &names), width.saturating_sub(head.len()));
        let text = match &event.fact {
            Fact::PhaseEntered { .. } => paint.strong(&text),
            Fact::Faulted { .. } => paint.broken(&text),
            _ => text,
        };
        lines.push(format!("{}{text}", paint.faint(&head)));
    }
    let end = if count == 1 { "1 event".to_owned() } else { format!("{count} events") };
    lines.push(format!("{end}."));
    lines.push(String::new());
    lines.join("\n")
}
