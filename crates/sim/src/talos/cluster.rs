//! What simulated nodes share: the etcd of each cluster, and whether a control plane signs workers' certificates.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// A member of a simulated etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Its node's name.
    pub hostname: String,
    /// Its node's address.
    pub address: String,
    /// It follows and does not vote yet.
    pub learner: bool,
}

#[derive(Debug, Default)]
struct Shared {
    members: Vec<Member>,
    /// How many bootstraps began an etcd of their own: more than one is a split brain.
    bootstraps: u32,
    /// Addresses of control planes whose trustd answers.
    trustd: Vec<String>,
    /// The key trustd signs with: a control plane has it from its config, a worker never sees it.
    authority: Option<String>,
}

/// A network of nodes. Clusters on it are told apart by the id in their configs.
#[derive(Debug, Clone)]
pub struct Cluster {
    shared: Arc<Mutex<BTreeMap<String, Shared>>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { shared: Arc::default(), changed: Arc::new(watch::channel(0).0) }
    }
}

impl Cluster {
    fn with<T>(&self, id: &str, look: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        look(shared.entry(id.to_owned()).or_default())
    }

    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Shared) -> T) -> T {
        let out = self.with(id, change);
        self.changed.send_modify(|number| *number += 1);
        out
    }

    /// The members of a cluster's etcd.
    #[must_use]
    pub fn members(&self, id: &str) -> Vec<Member> {
        self.with(id, |shared| shared.members.clone())
    }

    /// How many etcds were begun for a cluster. More than one is a split brain.
    #[must_use]
    pub fn bootstraps(&self, id: &str) -> u32 {
        self.with(id, |shared| shared.bootstraps)
    }

    pub(super) fn begin(&self, id: &str, first: Member) {
        self.change(id, |shared| {
            shared.bootstraps += 1;
            shared.members.push(first);
        });
    }

    pub(super) fn join(&self, id: &str, member: Member) {
        self.change(id, |shared| shared.members.push(member));
    }

    pub(super) fn promote(&self, id: &str, member: u64) {
        self.change(id, |shared| {
            for found in shared.members.iter_mut().filter(|found| found.id == member) {
                found.learner = false;
            }
        });
    }

    pub(super) fn leave(&self, id: &str, member: u64) {
        self.change(id, |shared| shared.members.retain(|found| found.id != member));
    }

    pub(super) fn signs(&self, id: &str, address: &str, does: bool) {
        self.change(id, |shared| {
            shared.trustd.retain(|known| known != address);
            if does {
                shared.trustd.push(address.to_owned());
            }
        });
    }

    pub(super) fn keep_authority(&self, id: &str, key: &str) {
        self.change(id, |shared| shared.authority = Some(key.to_owned()));
    }

    pub(super) fn authority(&self, id: &str) -> Option<String> {
        self.with(id, |shared| shared.authority.clone())
    }

    pub(super) async fn until_signed(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        while self.with(id, |shared| shared.trustd.is_empty() || shared.authority.is_none())
            && changed.changed().await.is_ok()
        {}
    }

    pub(super) async fn until_begun(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        while self.with(id, |shared| shared.members.is_empty()) && changed.changed().await.is_ok() {}
    }
}
