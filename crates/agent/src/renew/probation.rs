//! A build on trial: until a heartbeat of it was answered, the one before comes back in its place.
//!
//! It comes back from here when this build panics, ends or falls silent. What the kernel ends at once cannot be caught by
//! whom it ends: an ordinary process is then started again by whoever looks after it, as the build that was installed,
//! and finds the note of its trial; a machine whose process 1 it was starts again from its image, and the core counts
//! that.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use model::Digest;

use super::handover::{self, Failed, Handover, HeldWords, KnownBoss, Received, Way};
use crate::key::BootKey;
use crate::lease::Held;
use crate::link::Port;
use crate::live::Board;

/// How long a build may take until a heartbeat of it is answered, unless told.
const LIMIT: Duration = Duration::from_secs(60);

/// What this process goes on with; nothing where it was started as any other.
#[derive(Debug, Default)]
pub(crate) struct Resumed {
    /// It is handed over to.
    pub(crate) is_resumed: bool,
    /// The key of this boot.
    pub(crate) key: Option<Arc<BootKey>>,
    /// Who proved to be the boss.
    pub(crate) boss: KnownBoss,
    /// What reaches it.
    pub(crate) held: Option<Held>,
    /// What runs beside the agent.
    pub(crate) board: Arc<Board>,
    /// This build is on trial.
    pub(crate) trial: Option<Trial>,
    /// Another build was, and did not stay.
    pub(crate) failed: Option<Failed>,
}

impl Resumed {
    /// Takes what was handed to this process, and begins its trial.
    pub(crate) fn take() -> Self {
        let Ok(Some(received)) = Received::take() else { return Self::default() };
        let own = crate::report::own_build();
        let Received { handover, before, pipes } = received;
        let key = handover.key.as_deref().and_then(|document| {
            BootKey::of(document, handover.count, handover.word.clone()).ok().map(Arc::new)
        });
        let board = Arc::new(Board::of(handover.services.clone(), pipes));
        let trial = match (handover.way, before, own) {
            (Way::Forth, Some(before), Some(own)) => {
                Some(Trial::begin((before, own), (handover.clone(), key.clone(), Arc::clone(&board))))
            }
            (Way::Forth | Way::Back, _, _) => None,
        };
        if let (Some(trial), true, None) = (&trial, handover.key.is_some(), &key) {
            trial.go_back("it cannot read the key of this boot", false);
        }
        let held = handover.held.clone().map(held);
        let failed = handover.failed.filter(|_| handover.way == Way::Back);
        Self { is_resumed: true, key, boss: handover.boss, held, board, trial, failed }
    }
}

/// In words, as they are handed over.
pub(crate) fn words(held: &Held) -> HeldWords {
    let Held { port, address, boss, resolver } = held;
    HeldWords {
        port: port.name.clone(),
        index: port.index,
        mac: port.mac,
        address: *address,
        boss: *boss,
        resolver: *resolver,
    }
}

fn held(words: HeldWords) -> Held {
    let HeldWords { port, index, mac, address, boss, resolver } = words;
    let address: IpAddr = address;
    Held { port: Port { name: port, index, mac, carrier: true }, address, boss, resolver }
}

/// The trial of this build.
#[derive(Debug, Clone)]
pub(crate) struct Trial(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answered: Mutex<bool>,
    told: Condvar,
    before: OwnedFd,
    own: Digest,
    handover: Handover,
    key: Option<Arc<BootKey>>,
    board: Arc<Board>,
}

type Carried = (Handover, Option<Arc<BootKey>>, Arc<Board>);

impl Trial {
    fn begin((before, own): (OwnedFd, Digest), (handover, key, board): Carried) -> Self {
        let inner =
            Inner { answered: Mutex::new(false), told: Condvar::new(), before, own, handover, key, board };
        let trial = Self(Arc::new(inner));
        let watched = trial.clone();
        // A thread, because what is watched may be a runtime that stands still.
        let begun = std::thread::Builder::new().name("trial".to_owned()).spawn(move || watched.watch());
        if let Err(why) = begun {
            trial.go_back(&format!("its trial cannot be watched: {why}"), false);
        }
        trial
    }

    fn watch(&self) {
        let answered = self.0.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = self.0.handover.trial.map_or(LIMIT, Duration::from_secs);
        let waited = self.0.told.wait_timeout_while(answered, limit, |answered| !*answered);
        let (answered, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let over = *answered;
        drop(answered);
        if !over {
            let why = format!("no heartbeat of it was answered within {} s", limit.as_secs());
            self.go_back(&why, true);
        }
    }

    /// A heartbeat was answered: this build stays. True the first time.
    pub(crate) fn answered(&self) -> bool {
        let mut answered = self.0.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !std::mem::replace(&mut *answered, true);
        drop(answered);
        self.0.told.notify_all();
        first
    }

    /// This build ended.
    pub(crate) fn ended(&self, why: &str) {
        let over = *self.0.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if !over {
            self.go_back(why, false);
        }
    }

    /// Becomes the build before again. Returns only when even that cannot be.
    fn go_back(&self, why: &str, silent: bool) {
        let inner = &self.0;
        let (count, word) = match &inner.key {
            Some(key) => key.said(),
            None => (inner.handover.count, inner.handover.word.clone()),
        };
        let (services, pipes) = inner.board.handed();
        let failed = Some(Failed { digest: inner.own, why: why.to_owned(), silent });
        let handover = Handover { way: Way::Back, count, word, services, failed, ..inner.handover.clone() };
        let pipes: Vec<_> = pipes.iter().map(OwnedFd::as_fd).collect();
        // There is nothing left to try: this build goes on as well as it can.
        drop(handover::exec_back(&inner.before, &handover, &pipes));
    }
}
