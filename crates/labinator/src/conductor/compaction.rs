//! Keeping the journal short: a checkpoint is written beside the work, and only its last step is waited for.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::Conductor;
use crate::journal::{Checkpoint, Compaction, JournalError, Next};

/// Pause after a compaction that failed, most likely on a full disk.
const AFTER_FAILURE: Duration = Duration::from_secs(600);

/// A step on another thread.
type Step = JoinHandle<Result<Compaction, JournalError>>;

impl Conductor {
    /// Begins to write a checkpoint, when one is due. It shares the lab as it is now: machines that change while it is
    /// written are copied, one by one.
    pub(super) fn begin_compaction(&mut self) -> Option<Step> {
        if !self.journal.is_worn() || self.compact_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let (mut events, _) = self.publisher.events(0, usize::MAX);
        events.extend(self.news.iter().cloned());
        let checkpoint = Checkpoint { lab: self.lab.clone(), through: self.seq, events };
        let compaction = self.journal.begin_compaction(checkpoint);
        Some(spawn_blocking(move || compaction.run()))
    }

    /// Takes what a step came to, and begins the next one. The last one is waited for: it copies what was appended in
    /// the meantime, which is little, and costs two syncs, as an order does.
    pub(super) async fn goes_on(&mut self, step: Option<Result<Compaction, JournalError>>) -> Option<Step> {
        let outcome = match step? {
            Ok(done) => match self.journal.goes_on(done) {
                Next::Again(compaction) => return Some(spawn_blocking(move || compaction.run())),
                Next::Swap(swap, checkpoint) => {
                    let swapped = match spawn_blocking(move || swap.run()).await {
                        Ok(swapped) => swapped,
                        Err(why) => {
                            tracing::error!("nobody knows which file the journal is: {why}");
                            return None;
                        }
                    };
                    self.journal.finish_swap(swapped, checkpoint)
                }
            },
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(
                code = error.code(),
                "the journal could not be made shorter: {error}: {}",
                error.advice()
            );
            self.compact_at = Some(Instant::now() + AFTER_FAILURE);
        }
        None
    }
}
