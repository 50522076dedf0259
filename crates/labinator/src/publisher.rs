//! One picture with a number, one stream without gaps, for any number of readers who never write.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Change, StreamItem};
use model::{Event, Snapshot};
use tokio::sync::watch;

use crate::journal::EVENTS_KEPT;

/// Holds the latest picture and the last events.
#[derive(Debug)]
pub struct Publisher {
    state: Mutex<State>,
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    latest: Arc<Snapshot>,
    events: VecDeque<Arc<Event>>,
}

impl Publisher {
    /// Begins with a first picture and the events that led to it.
    #[must_use]
    pub fn new(first: Snapshot, events: impl IntoIterator<Item = Arc<Event>>) -> Arc<Self> {
        let mut kept: VecDeque<Arc<Event>> = events.into_iter().collect();
        kept.drain(..kept.len().saturating_sub(EVENTS_KEPT));
        let state = State { latest: Arc::new(first), events: kept };
        Arc::new(Self { state: Mutex::new(state), news: watch::Sender::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a new picture together with the events since the last one.
    pub fn publish(&self, snapshot: Snapshot, events: impl IntoIterator<Item = Arc<Event>>) {
        let mut state = self.state();
        state.events.extend(events);
        let surplus = state.events.len().saturating_sub(EVENTS_KEPT);
        state.events.drain(..surplus);
        state.latest = Arc::new(snapshot);
        drop(state);
        self.news.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Changes whenever there is a new picture.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The latest picture.
    #[must_use]
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state().latest)
    }

    /// Events after number `after`, oldest first, at most `limit`, and the number of the oldest that is kept.
    #[must_use]
    pub fn events(&self, after: u64, limit: usize) -> (Vec<Arc<Event>>, u64) {
        let state = self.state();
        let oldest = state.events.front().map_or(state.latest.through + 1, |e| e.seq);
        let from = state.events.partition_point(|e| e.seq <= after);
        (state.events.range(from..).take(limit).cloned().collect(), oldest)
    }

    /// A reader. `seen` is the last event it knows, with the epoch it had it from: it gets what came after,
    /// or is told to start over.
    #[must_use]
    pub fn reader(self: &Arc<Self>, seen: Option<(&str, u64)>) -> Reader {
        Reader {
            news: self.news.subscribe(),
            publisher: Arc::clone(self),
            shown: None,
            seen: seen.map(|(epoch, seq)| (epoch.to_owned(), seq)),
            fresh: true,
        }
    }
}

/// One who looks.
#[derive(Debug)]
pub struct Reader {
    publisher: Arc<Publisher>,
    news: watch::Receiver<u64>,
    shown: Option<Arc<Snapshot>>,
    seen: Option<(String, u64)>,
    fresh: bool,
}

/// One item with the number a reader can come back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Everything up to this event has been said.
    pub through: u64,
    /// What is said.
    pub item: StreamItem,
}

impl Reader {
    /// What is new since the last call; waits until something is. Empty never comes back, except when the
    /// publisher is gone.
    pub async fn next(&mut self) -> Vec<Numbered> {
        loop {
            if !self.fresh && self.news.changed().await.is_err() {
                return Vec::new();
            }
            self.news.mark_unchanged();
            self.fresh = false;
            let items = self.take();
            if !items.is_empty() {
                return items;
            }
        }
    }

    /// The epoch of the picture shown last.
    #[must_use]
    pub fn epoch(&self) -> String {
        self.shown.as_ref().map_or_else(|| self.publisher.latest().epoch.clone(), |s| s.epoch.clone())
    }

    fn take(&mut self) -> Vec<Numbered> {
        let publisher = Arc::clone(&self.publisher);
        let state = publisher.state();
        let latest = Arc::clone(&state.latest);
        let mut items = Vec::new();
        let known = match (&self.shown, self.seen.take()) {
            (Some(shown), _) => Some(shown.through),
            (None, Some((epoch, seq))) if epoch == latest.epoch && seq <= latest.through => Some(seq),
            (None, Some(_)) => {
                items.push(Numbered { through: latest.through, item: StreamItem::StartOver });
                None
            }
            (None, None) => None,
        };
        let oldest = state.events.front().map_or(latest.through + 1, |e| e.seq);
        let lost = known.is_some_and(|known| known + 1 < oldest && known < latest.through);
        if lost {
            items.push(Numbered { through: latest.through, item: StreamItem::StartOver });
        }
        // Who starts over has nothing to go on from: its new picture is all there is.
        let known = known.filter(|_| !lost);
        match &self.shown {
            Some(before) if !lost => {
                if let Some(change) = change(before, &latest) {
                    items.push(Numbered { through: before.through, item: StreamItem::Change(change) });
                }
            }
            Some(_) | None => {
                let item = StreamItem::Snapshot(Box::new((*latest).clone()));
                items.push(Numbered { through: known.unwrap_or(latest.through), item });
            }
        }
        if let Some(known) = known {
            let from = state.events.partition_point(|e| e.seq <= known);
            for event in state.events.range(from..).take_while(|e| e.seq <= latest.through) {
                items.push(Numbered { through: event.seq, item: StreamItem::Event((**event).clone()) });
            }
        }
        self.shown = Some(latest);
        items
    }
}

/// What changed between two pictures, found by comparing which chunks are shared.
fn change(before: &Snapshot, after: &Snapshot) -> Option<Change> {
    let same_board = before.machines.len() == after.machines.len();
    let machines: Vec<_> = after
        .machines
        .iter()
        .enumerate()
        .filter(|(i, machine)| {
            !before.machines.get(*i).is_some_and(|old| same_board && Arc::ptr_eq(old, machine))
        })
        .map(|(_, machine)| Arc::clone(machine))
        .collect();
    let same_lab = Arc::ptr_eq(&before.lab, &after.lab) || before.lab == after.lab;
    let lab = (!same_lab).then(|| Arc::clone(&after.lab));
    if machines.is_empty() && lab.is_none() && before.through == after.through {
        return None;
    }
    Some(Change { through: after.through, at: after.at, lab, machines })
}
