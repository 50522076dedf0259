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

/// A node that its cluster's discovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) hostname: String,
    pub(super) address: String,
    pub(super) control_plane: bool,
    /// Its release.
    pub(super) version: String,
}

#[derive(Debug, Default)]
struct Shared {
    members: Vec<Member>,
    found: Vec<Found>,
    /// How many bootstraps began an etcd of their own: more than one is a split brain.
    bootstraps: u32,
    /// Addresses of control planes whose trustd answers.
    trustd: Vec<String>,
    /// The key trustd signs with: a control plane has it from its config, a worker never sees it.
    authority: Option<String>,
    /// Certificate and key that a trustd beyond this computer issued.
    issued: Option<(String, String)>,
}

/// What a worker's certificate comes from.
#[derive(Clone)]
pub(super) enum Signer {
    /// The key of the authority, PEM: its trustd is on this computer.
    Key(String),
    /// A trustd somewhere else issued these, PEM.
    Issued { certificate: String, key: String },
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

    /// Gives the lead to another member, if this one has it; returns that one's name.
    pub(super) fn forfeit(&self, id: &str, member: u64) -> Option<String> {
        self.change(id, |shared| {
            // The first one leads.
            (shared.members.first()?.id == member && shared.members.len() > 1).then_some(())?;
            shared.members.rotate_left(1);
            shared.members.first().map(|leads| leads.hostname.clone())
        })
    }

    /// The nodes that discovery found, by name.
    pub(super) fn found(&self, id: &str) -> Vec<Found> {
        self.with(id, |shared| shared.found.clone())
    }

    /// A node shows itself to the others.
    pub(super) fn discover(&self, id: &str, node: Found) {
        self.change(id, |shared| {
            shared.found.retain(|known| known.address != node.address);
            shared.found.push(node);
            shared.found.sort_by(|a, b| a.hostname.cmp(&b.hostname));
        });
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

    /// Takes what a trustd beyond this computer issued.
    pub(super) fn issued(&self, id: &str, certificate: String, key: String) {
        self.change(id, |shared| shared.issued = Some((certificate, key)));
    }

    /// Waits until somebody signs.
    pub(super) async fn until_signed(&self, id: &str) -> Option<Signer> {
        let mut changed = self.changed.subscribe();
        loop {
            let found = self.with(id, |shared| {
                let issued =
                    shared.issued.clone().map(|(certificate, key)| Signer::Issued { certificate, key });
                let here = || shared.authority.clone().filter(|_| !shared.trustd.is_empty()).map(Signer::Key);
                issued.or_else(here)
            });
            if found.is_some() {
                return found;
            }
            // The sender lives in `self`, so waiting cannot fail.
            changed.changed().await.ok()?;
        }
    }

    /// What was begun here and lies on this computer's disk.
    pub(super) fn restore(&self, id: &str, members: Vec<Member>) {
        self.change(id, |shared| (shared.members, shared.bootstraps) = (members, 1));
    }

    /// Takes the leader's word for the members. What the machine at `own` says of itself stays: the leader hears of it
    /// later.
    pub(super) fn mirror(&self, id: &str, own: &str, mut members: Vec<Member>) {
        self.change(id, |shared| {
            if let Some(known) = shared.members.iter().find(|known| known.address == own) {
                members.retain(|member| member.address != own);
                members.push(known.clone());
            }
            shared.members = members;
        });
    }

    /// Takes a machine's word for its own membership.
    pub(super) fn hear(&self, id: &str, address: &str, member: Option<Member>) {
        let known = self.with(id, |shared| shared.members.iter().find(|one| one.address == address).cloned());
        if known == member {
            return;
        }
        self.change(id, |shared| {
            shared.members.retain(|one| one.address != address);
            shared.members.extend(member);
        });
    }

    /// Counts up with every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) async fn until_begun(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        while self.with(id, |shared| shared.members.is_empty()) && changed.changed().await.is_ok() {}
    }
}
