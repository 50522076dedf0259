//! The ledger: leases and claims, written before they are acknowledged.
//!
//! ```text
//! leases  append a group with one write ──▶ acknowledge them ──▶ synced with more groups, at most a second later
//! claim   append ──▶ sync ──▶ first byte leaves; the same (node, run, boot, kind) gets the same bytes again
//! ```
//! Leases carry a length and no date: the boss has no clock it can trust. After a restart each counts from then, so
//! no address is given away too early.

mod lease6;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{MacAddr, NodeName};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use store::Files;
use store::log::{Log, LogError, Recovery};
use tokio::sync::Notify;

pub use lease6::{Holder, Lease6};

/// How long a lease waits for others to be synced with.
const GROUP: Duration = Duration::from_millis(500);
/// How long to wait after a sync failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Claims kept of each node. Older boots will not ask again.
const CLAIMS_KEPT: usize = 8;
/// A log smaller than this is not worth compacting.
const WORTH_COMPACTING: u64 = 256 << 10;

/// Why the ledger cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The log below refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record of the log is whole but says nothing this version understands.
    #[error("record {0} of the ledger cannot be read: {1}")]
    Record(usize, serde_json::Error),
    /// The system gave no randomness, or a task was cut off while the process ends.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

impl LedgerError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Record(..) => "ledger-record",
            Self::System(_) => "ledger-system",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Log(error) => error.advice(),
            Self::Record(..) => "use the release that wrote the ledger, or move it away",
            Self::System(_) => "look at the kernel's log",
        }
    }
}

/// An address that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Ethernet address of the holder.
    pub mac: MacAddr,
    /// What it holds.
    pub address: Ipv4Addr,
    /// The machine's name: reserved, or as it calls itself; may be empty.
    pub host_name: String,
    /// For how many seconds from the acknowledgement.
    pub seconds: u32,
}

/// What a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// The word on the kernel line by which an agent's report is known to belong to this boot.
    Nonce,
    /// The word by which Talos fetches its config in this boot.
    Pull,
    /// The key that the agent of this boot made: the first one that its nonce came with, and where from.
    AgentKey,
    /// The machine took its installer whole. `boot` of the key is the number of the installation.
    Install,
    /// The boot that may wipe a disk, by the kernel's boot id. `boot` of the key is the number of the wipe.
    Wipe,
}

/// What becomes of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is given, or given anew with other words.
    Given(Lease),
    /// The address is free again.
    Freed(Ipv4Addr),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Which boot of which machine a one-time thing belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimKey {
    /// Which node.
    pub node: NodeName,
    /// Which run of the scenario.
    pub run: u32,
    /// Which boot.
    pub boot: u32,
    /// How many times the machine had started again in it before, with an agent's key each time: the core has not
    /// counted these starts yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
    /// What for.
    pub kind: ClaimKind,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    Lease(Lease),
    Freed { address: Ipv4Addr },
    Lease6(Lease6),
    Freed6 { address: Ipv6Addr },
    Claim { key: ClaimKey, value: String },
}

/// A record on its way to the disk, which takes nothing with it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Row<'a> {
    Lease(&'a Lease),
    Freed { address: Ipv4Addr },
    Lease6(&'a Lease6),
    Freed6 { address: Ipv6Addr },
    Claim { key: &'a ClaimKey, value: &'a str },
}

impl Row<'_> {
    fn text(self) -> Result<Vec<u8>, LedgerError> {
        // A record has only text and numbers, so it is always JSON.
        Ok(serde_json::to_vec(&self).map_err(io::Error::other)?)
    }
}

#[derive(Debug)]
struct Claim {
    value: String,
    synced: bool,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    leases: BTreeMap<Ipv4Addr, Lease>,
    /// Which address a machine holds.
    holders: HashMap<MacAddr, Ipv4Addr>,
    leases6: BTreeMap<Ipv6Addr, Lease6>,
    held6: BTreeMap<Holder, Ipv6Addr>,
    /// By node, since each ask looks at those of one.
    claims: BTreeMap<NodeName, BTreeMap<ClaimKey, Claim>>,
    /// Records in the log, those that later ones made void included.
    rows: usize,
}

impl Inner {
    fn append(&mut self, rows: &[Row<'_>]) -> Result<(), LedgerError> {
        let texts: Vec<Vec<u8>> = rows.iter().map(|row| row.text()).collect::<Result<_, _>>()?;
        self.log.append_all(texts.iter().map(Vec::as_slice))?;
        self.rows += rows.len();
        Ok(())
    }

    /// True when this says nothing new. Earlier changes of the same group may have said otherwise.
    fn stands(&self, change: &Change, earlier: &[&Change]) -> bool {
        let touched = |address: Ipv4Addr, mac: Option<MacAddr>| {
            earlier.iter().any(|change| match change {
                Change::Given(lease) => lease.address == address || Some(lease.mac) == mac,
                Change::Freed(freed) => *freed == address,
            })
        };
        match change {
            Change::Given(lease) => {
                self.leases.get(&lease.address) == Some(lease) && !touched(lease.address, Some(lease.mac))
            }
            Change::Freed(address) => !self.leases.contains_key(address) && !touched(*address, None),
        }
    }

    fn give(&mut self, lease: Lease) {
        // One machine holds one address: the new one frees the old.
        if let Some(old) = self.holders.insert(lease.mac, lease.address)
            && old != lease.address
        {
            self.leases.remove(&old);
        }
        let (mac, address) = (lease.mac, lease.address);
        if let Some(before) = self.leases.insert(address, lease)
            && before.mac != mac
            && self.holders.get(&before.mac) == Some(&address)
        {
            self.holders.remove(&before.mac);
        }
    }

    fn free(&mut self, address: Ipv4Addr) {
        if let Some(lease) = self.leases.remove(&address)
            && self.holders.get(&lease.mac) == Some(&address)
        {
            self.holders.remove(&lease.mac);
        }
    }

    fn claim(&self, key: &ClaimKey) -> Option<&Claim> {
        self.claims.get(&key.node)?.get(key)
    }

    fn remember_claim(&mut self, key: ClaimKey, value: String) {
        let of_node = self.claims.entry(key.node.clone()).or_default();
        let alike: Vec<_> = of_node.keys().filter(|other| other.kind == key.kind).cloned().collect();
        for old in alike.iter().take((alike.len() + 1).saturating_sub(CLAIMS_KEPT)) {
            of_node.remove(old);
        }
        of_node.insert(key, Claim { value, synced: false });
    }

    /// True when most of the log is history.
    fn is_worn(&self) -> bool {
        let claims: usize = self.claims.values().map(BTreeMap::len).sum();
        let live = self.leases.len() + self.leases6.len() + claims;
        self.log.size() > WORTH_COMPACTING && self.rows / 4 > live
    }

    fn compact(&mut self) -> Result<(), LedgerError> {
        let leases = self.leases.values().map(Row::Lease);
        let leases6 = self.leases6.values().map(Row::Lease6);
        let claims =
            self.claims.values().flatten().map(|(key, claim)| Row::Claim { key, value: &claim.value });
        let texts: Vec<Vec<u8>> =
            leases.chain(leases6).chain(claims).map(Row::text).collect::<Result<_, _>>()?;
        self.log.rewrite(texts.iter().map(Vec::as_slice))?;
        self.rows = texts.len();
        self.claims.values_mut().flat_map(BTreeMap::values_mut).for_each(|claim| claim.synced = true);
        Ok(())
    }
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    unsynced: Notify,
}

impl Ledger {
    /// Opens the ledger and reads it back.
    ///
    /// # Errors
    /// [`LedgerError::Log`] and [`LedgerError::Record`]; the file is left as it is.
    pub fn open(files: Arc<dyn Files>, path: &Path) -> Result<(Arc<Self>, Recovery), LedgerError> {
        let opened = Log::open(files, path)?;
        let mut inner = Inner {
            log: opened.log,
            leases: BTreeMap::new(),
            holders: HashMap::new(),
            leases6: BTreeMap::new(),
            held6: BTreeMap::new(),
            claims: BTreeMap::new(),
            rows: opened.records.len(),
        };
        for (number, record) in opened.records.iter().enumerate() {
            let record =
                serde_json::from_slice(record).map_err(|error| LedgerError::Record(number + 1, error))?;
            match record {
                Record::Lease(lease) => inner.give(lease),
                Record::Freed { address } => inner.free(address),
                Record::Lease6(lease) => inner.give6(lease),
                Record::Freed6 { address } => inner.take6(address),
                Record::Claim { key, value } => inner.remember_claim(key, value),
            }
        }
        // Opening the log has synced all of it.
        inner.claims.values_mut().flat_map(BTreeMap::values_mut).for_each(|claim| claim.synced = true);
        let ledger = Self { inner: Mutex::new(inner), unsynced: Notify::new() };
        Ok((Arc::new(ledger), opened.recovery))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All leases, by address.
    #[must_use]
    pub fn leases(&self) -> Vec<Lease> {
        self.inner().leases.values().cloned().collect()
    }

    /// Writes changes in their order with one write; when this returns they may be acknowledged. A lease that stands
    /// already is not written again, so renewals cost the disk nothing. How many were written.
    ///
    /// # Errors
    /// [`LedgerError::Log`]: none of them was written, and none may be acknowledged.
    pub fn write(&self, changes: &[Change]) -> Result<usize, LedgerError> {
        let mut inner = self.inner();
        let mut fresh: Vec<&Change> = Vec::with_capacity(changes.len());
        for change in changes {
            if !inner.stands(change, &fresh) {
                fresh.push(change);
            }
        }
        if fresh.is_empty() {
            return Ok(0);
        }
        let rows: Vec<Row<'_>> = fresh
            .iter()
            .map(|change| match change {
                Change::Given(lease) => Row::Lease(lease),
                Change::Freed(address) => Row::Freed { address: *address },
            })
            .collect();
        inner.append(&rows)?;
        let written = fresh.len();
        for change in fresh {
            match change {
                Change::Given(lease) => inner.give(lease.clone()),
                Change::Freed(address) => inner.free(*address),
            }
        }
        drop(inner);
        self.unsynced.notify_one();
        Ok(written)
    }

    /// The bytes of a one-time thing: made and synced at the first ask, the same at every later one.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing may leave.
    pub async fn claim(&self, key: ClaimKey) -> Result<String, LedgerError> {
        self.claim_with(key, random_word).await
    }

    /// Who holds a one-time thing: the one who asked first.
    ///
    /// # Errors
    /// [`LedgerError`]: nobody may have it.
    pub async fn claim_for(&self, key: ClaimKey, holder: String) -> Result<String, LedgerError> {
        self.claim_with(key, || Ok(holder)).await
    }

    async fn claim_with(
        &self,
        key: ClaimKey,
        make: impl FnOnce() -> io::Result<String> + Send,
    ) -> Result<String, LedgerError> {
        let (value, syncing) = {
            let mut inner = self.inner();
            let value = match inner.claim(&key) {
                Some(claim) if claim.synced => return Ok(claim.value.clone()),
                Some(claim) => claim.value.clone(),
                None => {
                    let value = make()?;
                    inner.append(&[Row::Claim { key: &key, value: &value }])?;
                    inner.remember_claim(key.clone(), value.clone());
                    value
                }
            };
            (value, inner.log.begin_sync())
        };
        let synced = tokio::task::spawn_blocking(|| syncing.run()).await.map_err(io::Error::other)?;
        let mut inner = self.inner();
        inner.log.finish_sync(synced)?;
        if let Some(claim) = inner.claims.get_mut(&key.node).and_then(|of_node| of_node.get_mut(&key)) {
            claim.synced = true;
        }
        drop(inner);
        Ok(value)
    }

    /// Writes a one-time thing down that happened, and is not handed out. Synced with its group.
    ///
    /// # Errors
    /// [`LedgerError::Log`]: after a restart it counts as not having happened.
    pub fn spend(&self, key: ClaimKey) -> Result<(), LedgerError> {
        let mut inner = self.inner();
        if inner.claim(&key).is_some() {
            return Ok(());
        }
        let value = "spent".to_owned();
        inner.append(&[Row::Claim { key: &key, value: &value }])?;
        inner.remember_claim(key, value);
        drop(inner);
        self.unsynced.notify_one();
        Ok(())
    }

    /// True when this one-time thing was spent.
    #[must_use]
    pub fn holds(&self, key: &ClaimKey) -> bool {
        self.inner().claim(key).is_some()
    }

    /// True when this word was handed out for this one-time thing.
    #[must_use]
    pub fn is_claimed(&self, key: &ClaimKey, word: &str) -> bool {
        self.inner().claim(key).is_some_and(|claim| claim.synced && claim.value == word)
    }

    /// True when this word was handed to this node in one of its last boots.
    #[must_use]
    pub fn knows(&self, node: &NodeName, word: &str) -> bool {
        self.boot_of(node, word).is_some()
    }

    /// In which of its last boots this node was handed this nonce.
    #[must_use]
    pub fn boot_of(&self, node: &NodeName, nonce: &str) -> Option<ClaimKey> {
        let inner = self.inner();
        let mut claims = inner.claims.get(node)?.iter();
        let found = claims.find(|(key, claim)| key.kind == ClaimKind::Nonce && claim.value == nonce);
        found.map(|(key, _)| key.clone())
    }

    /// What is claimed by this key.
    #[must_use]
    pub fn claimed(&self, key: &ClaimKey) -> Option<String> {
        self.inner().claim(key).map(|claim| claim.value.clone())
    }

    /// The last of a boot's starts in which an agent's key was claimed.
    #[must_use]
    pub fn last_start(&self, node: &NodeName, run: u32, boot: u32) -> Option<u32> {
        let inner = self.inner();
        let starts = inner
            .claims
            .get(node)?
            .keys()
            .filter(|key| (key.run, key.boot, key.kind) == (run, boot, ClaimKind::AgentKey));
        starts.map(|key| key.again).max()
    }

    /// Syncs what was written, in groups, and compacts. Goes on until dropped; sleeps while there is nothing to do.
    pub async fn run(self: Arc<Self>) {
        loop {
            self.unsynced.notified().await;
            tokio::time::sleep(GROUP).await;
            while let Err(error) = self.sync_once().await {
                tracing::warn!(code = error.code(), "the ledger could not be synced: {error}");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    /// Syncs all that was written, and rewrites the log when most of it is history.
    ///
    /// # Errors
    /// [`LedgerError`]: a later call tries again.
    pub async fn sync_once(self: &Arc<Self>) -> Result<(), LedgerError> {
        let ledger = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let syncing = ledger.inner().log.begin_sync();
            let synced = syncing.run();
            let mut inner = ledger.inner();
            inner.log.finish_sync(synced)?;
            if inner.is_worn() {
                inner.compact()?;
            }
            Ok(())
        });
        done.await.map_err(io::Error::other)?
    }
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_word() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    let count = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if count < bytes.len() {
        return Err(io::Error::other("the kernel gave too little randomness"));
    }
    Ok(bytes.iter().fold(String::with_capacity(32), |mut word, byte| {
        for digit in [byte >> 4, byte & 15] {
            word.extend(char::from_digit(u32::from(digit), 16));
        }
        word
    }))
}
