//! The events of one machine that is known, on one stream for as long as it is: what they tell is not believed twice, but
//! the eye looks at once when they tell that something changed.
//!
//! ```text
//! open ─▶ events ─▶ broken ─▶ after the last id ─▶ events          nobody there ─▶ again after 1, 2, 4 .. 30 s
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::NodeName;
use talos::api::{EventFeed, Node, Told};
use talos::feed::Event;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Pause after a stream could not be opened, doubled each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LONGEST: Duration = Duration::from_secs(30);

/// A stream that is followed until this is dropped.
#[derive(Debug)]
pub(super) struct Following {
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct State {
    /// Something was told since the eye looked last.
    news: AtomicBool,
    /// The last thing that was tried went well.
    open: AtomicBool,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Follows a machine; `eye` is woken when there is something to look at.
    pub(super) fn of(node: NodeName, line: Arc<Node>, eye: Arc<Notify>) -> Self {
        let state = Arc::new(State::default());
        let task = tokio::spawn(follow(node, line, eye, Arc::clone(&state))).abort_handle();
        Self { state, task }
    }

    /// True once after something was told.
    pub(super) fn take_news(&self) -> bool {
        self.state.news.swap(false, Ordering::Relaxed)
    }

    /// True while events come as they happen: then looking is only a belt.
    pub(super) fn is_open(&self) -> bool {
        self.state.open.load(Ordering::Relaxed)
    }
}

async fn follow(node: NodeName, line: Arc<Node>, eye: Arc<Notify>, state: Arc<State>) {
    let mut feed = EventFeed::of(line, "");
    let mut pause = FIRST;
    loop {
        match feed.next().await {
            Ok(told) => {
                state.open.store(true, Ordering::Relaxed);
                pause = FIRST;
                if told == Told::Gap {
                    tracing::warn!(%node, "some events of its Talos were lost: it keeps a thousand");
                }
                if matters(&told) {
                    state.news.store(true, Ordering::Relaxed);
                    eye.notify_one();
                }
            }
            Err(why) => {
                tracing::debug!(%node, "no events for {} s: {why}", pause.as_secs());
                state.open.store(false, Ordering::Relaxed);
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST);
            }
        }
    }
}

/// True for what may change what a look tells.
const fn matters(told: &Told) -> bool {
    match told {
        Told::NewBoot | Told::Gap => true,
        Told::Event { event, .. } => match event {
            Event::Status { .. } | Event::Service { .. } | Event::Restart { .. } => true,
            Event::Sequence { .. }
            | Event::Phase { .. }
            | Event::Task { .. }
            | Event::ConfigLoad { .. }
            | Event::ConfigValidation { .. }
            | Event::Address { .. }
            | Event::Other { .. } => false,
        },
    }
}
