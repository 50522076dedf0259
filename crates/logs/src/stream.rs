//! The stream that receivers fill and viewers follow, each viewer at its own pace.
//!
//! A viewer has a place in the ring and two pieces of 16 KiB on their way, nothing else. One that does not read stands
//! still, and finds a gap mark where it goes on; nobody waits for it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::disk::Folder;
use crate::intake::Intake;
use crate::store::Store;
use crate::view::{Asked, Cursor, Earlier, say};

/// Pieces on their way to a viewer.
const PIECES: usize = 2;
/// Pause between pieces, while lines come without end.
const PAUSE: Duration = Duration::from_millis(10);
/// Silence after which a viewer is told how far it is.
const BEAT: Duration = Duration::from_secs(2);
/// How long folded lines may stay untold.
const FOLDS: Duration = Duration::from_secs(1);
/// Bytes read at once, of any connection.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// Lines, for receivers and viewers.
#[derive(Debug, Clone)]
pub struct Stream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    epoch: String,
    state: Mutex<State>,
    /// Lines so far.
    news: watch::Sender<u64>,
    /// Where viewers are served: not where the lab is judged.
    runtime: Handle,
    /// What outlives the ring, where lines are kept on disk.
    folder: OnceLock<Arc<Folder>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) intake: Intake,
    pub(crate) scratch: Vec<u8>,
}

/// Milliseconds since 1970 by this machine's clock.
#[must_use]
pub(crate) fn wall() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

impl Stream {
    /// A stream over a store; `epoch` tells its numbers from those of every other one. Viewers are served on `runtime`.
    #[must_use]
    pub fn new(store: Store, epoch: String, runtime: Handle) -> Self {
        let state = State { intake: Intake::new(store), scratch: vec![0; SCRATCH] };
        Self(Arc::new(Inner {
            epoch,
            state: Mutex::new(state),
            news: watch::Sender::new(0),
            runtime,
            folder: OnceLock::new(),
        }))
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.0.epoch
    }

    pub(crate) fn read_from(&self, folder: Arc<Folder>) {
        // The first one stays.
        drop(self.0.folder.set(folder));
    }

    /// What is kept on disk, where lines are.
    #[must_use]
    pub fn folder(&self) -> Option<&Folder> {
        self.0.folder.get().map(|folder| &**folder)
    }

    /// Says what segments have, before the ring's.
    async fn show_earlier(&self, earlier: Earlier, pieces: mpsc::Sender<Bytes>) {
        let Some(folder) = self.0.folder.get().cloned() else { return };
        // The semaphore is never closed.
        let Ok(_seat) = folder.seats.acquire().await else { return };
        let reading = Arc::clone(&folder);
        let read = move || {
            earlier.tell(&reading, |piece| pieces.blocking_send(Bytes::copy_from_slice(piece)).is_ok());
        };
        if let Err(why) = self.0.runtime.spawn_blocking(read).await {
            tracing::warn!("segments of lines could not be read: {why}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn work<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> T {
        let mut state = self.state();
        let before = state.intake.store.next();
        let done = work(&mut state, wall());
        let changed = state.intake.store.next() != before || state.intake.store.folds_wait();
        let lines = state.intake.store.totals().lines;
        drop(state);
        if changed {
            self.0.news.send_replace(lines);
        }
        done
    }

    /// Gives lines in. The second argument is the time now, in milliseconds since 1970.
    pub fn give<T>(&self, work: impl FnOnce(&mut Intake, u64) -> T) -> T {
        self.work(|state, now| work(&mut state.intake, now))
    }

    /// Looks at what is kept.
    pub fn look<T>(&self, work: impl FnOnce(&Store) -> T) -> T {
        work(&self.state().intake.store)
    }

    /// Says folded lines within a second. Goes on until dropped.
    pub async fn tell_folds(self) {
        let mut news = self.0.news.subscribe();
        loop {
            if self.look(Store::folds_wait) {
                sleep(FOLDS).await;
                self.give(|intake, now| intake.store.tell_folds(now));
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// Lines as server-sent events, in pieces. The viewer ends when the receiver is dropped.
    #[must_use]
    pub fn view(&self, asked: Asked) -> mpsc::Receiver<Bytes> {
        let (pieces, receiver) = mpsc::channel(PIECES);
        let stream = self.clone();
        self.0.runtime.spawn(async move {
            // An error means that the viewer is gone.
            drop(stream.show(asked, pieces).await);
        });
        receiver
    }

    async fn show(
        &self,
        asked: Asked,
        pieces: mpsc::Sender<Bytes>,
    ) -> Result<(), mpsc::error::SendError<Bytes>> {
        let follow = asked.follow;
        let mut news = self.0.news.subscribe();
        let mut out = Vec::new();
        let epoch = &self.0.epoch;
        let (mut cursor, earlier) = {
            let store = &mut self.state().intake.store;
            let earlier = Earlier::of(&asked, store, epoch);
            (Cursor::new(asked, store, epoch, &mut out), earlier)
        };
        if let Some(earlier) = earlier {
            self.show_earlier(earlier, pieces.clone()).await;
        }
        loop {
            news.mark_unchanged();
            let all_said = cursor.tell(&mut self.state().intake.store, epoch, &mut out);
            if !out.is_empty() {
                pieces.send(Bytes::copy_from_slice(&out)).await?;
                out.clear();
            }
            if !all_said {
                // Others on this thread have their turn.
                tokio::task::yield_now().await;
                continue;
            }
            if !follow {
                return Ok(());
            }
            let waited = tokio::select! {
                waited = timeout(BEAT, news.changed()) => waited,
                () = pieces.closed() => return Ok(()),
            };
            match waited {
                Ok(Ok(())) => sleep(PAUSE).await,
                Ok(Err(_)) => return Ok(()),
                Err(_) => say(&mut out, "beat", epoch, cursor.next - 1, |out| out.extend_from_slice(b"null")),
            }
        }
    }
}
