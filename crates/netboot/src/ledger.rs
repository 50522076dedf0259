//! The ledger: leases and claims, written before they are acknowledged.
//!
//! ```text
//! lease   append ──▶ acknowledge ──▶ synced with its group, at most a second later
//! claim   append ──▶ sync ──▶ first byte leaves; the same (node, run, boot, kind) gets the same bytes again
//! ```
//! Leases carry a length and no date: the boss has no clock it can trust. After a restart each counts from then, so
//! no address is given away too early.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{MacAddr, NodeName};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};
use store::Files;
use store::log::{Log, LogError, Recovery};
use tokio::sync::Notify;

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
    /// What for.
    pub kind: ClaimKind,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    Lease(Lease),
    Freed { address: Ipv4Addr },
    Claim { key: ClaimKey, value: String },
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
    claims: BTreeMap<ClaimKey, Claim>,
}

impl Inner {
    fn append(&mut self, record: &Record) -> Result<(), LedgerError> {
        // A record has only text and numbers, so it is always JSON.
        let text = serde_json::to_vec(record).map_err(io::Error::other)?;
        Ok(self.log.append(&text)?)
    }

    fn remember(&mut self, record: Record) {
        match record {
            Record::Lease(lease) => {
                // One machine holds one address: the new one frees the old.
                self.leases.retain(|_, old| old.mac != lease.mac);
                self.leases.insert(lease.address, lease);
            }
            Record::Freed { address } => {
                self.leases.remove(&address);
            }
            Record::Claim { key, value } => {
                let of_node: Vec<_> =
                    self.claims.keys().filter(|old| old.node == key.node).cloned().collect();
                for old in of_node.iter().take((of_node.len() + 1).saturating_sub(CLAIMS_KEPT)) {
                    self.claims.remove(old);
                }
                self.claims.insert(key, Claim { value, synced: false });
            }
        }
    }

    fn records(&self) -> Vec<Vec<u8>> {
        let leases = self.leases.values().map(|lease| Record::Lease(lease.clone()));
        let claims = self
            .claims
            .iter()
            .map(|(key, claim)| Record::Claim { key: key.clone(), value: claim.value.clone() });
        leases.chain(claims).filter_map(|record| serde_json::to_vec(&record).ok()).collect()
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
        let mut inner = Inner { log: opened.log, leases: BTreeMap::new(), claims: BTreeMap::new() };
        for (number, record) in opened.records.iter().enumerate() {
            let record =
                serde_json::from_slice(record).map_err(|error| LedgerError::Record(number + 1, error))?;
            inner.remember(record);
        }
        // Opening the log has synced all of it.
        inner.claims.values_mut().for_each(|claim| claim.synced = true);
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

    /// Writes a lease; when this returns it may be acknowledged. One that stands already is not written again, so
    /// renewals cost the disk nothing; true when something was written.
    ///
    /// # Errors
    /// [`LedgerError::Log`]: it must not be acknowledged.
    pub fn write_lease(&self, lease: Lease) -> Result<bool, LedgerError> {
        let mut inner = self.inner();
        if inner.leases.get(&lease.address) == Some(&lease) {
            return Ok(false);
        }
        let record = Record::Lease(lease);
        inner.append(&record)?;
        inner.remember(record);
        drop(inner);
        self.unsynced.notify_one();
        Ok(true)
    }

    /// Writes that an address is free again.
    ///
    /// # Errors
    /// [`LedgerError::Log`]: after a restart it counts as taken.
    pub fn free(&self, address: Ipv4Addr) -> Result<(), LedgerError> {
        let mut inner = self.inner();
        if !inner.leases.contains_key(&address) {
            return Ok(());
        }
        let record = Record::Freed { address };
        inner.append(&record)?;
        inner.remember(record);
        drop(inner);
        self.unsynced.notify_one();
        Ok(())
    }

    /// The bytes of a one-time thing: made and synced at the first ask, the same at every later one.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing may leave.
    pub async fn claim(&self, key: ClaimKey) -> Result<String, LedgerError> {
        let (value, syncing) = {
            let mut inner = self.inner();
            let value = match inner.claims.get(&key) {
                Some(claim) if claim.synced => return Ok(claim.value.clone()),
                Some(claim) => claim.value.clone(),
                None => {
                    let value = random_word()?;
                    let record = Record::Claim { key: key.clone(), value: value.clone() };
                    inner.append(&record)?;
                    inner.remember(record);
                    value
                }
            };
            (value, inner.log.begin_sync())
        };
        let synced = tokio::task::spawn_blocking(|| syncing.run()).await.map_err(io::Error::other)?;
        let mut inner = self.inner();
        inner.log.finish_sync(synced)?;
        if let Some(claim) = inner.claims.get_mut(&key) {
            claim.synced = true;
        }
        drop(inner);
        Ok(value)
    }

    /// True when this word was handed to this node in one of its last boots.
    #[must_use]
    pub fn knows(&self, node: &NodeName, word: &str) -> bool {
        self.inner().claims.iter().any(|(key, claim)| key.node == *node && claim.value == word)
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
            if inner.log.size() > WORTH_COMPACTING {
                let records = inner.records();
                let live: usize = records.iter().map(Vec::len).sum();
                if inner.log.size() / 4 > u64::try_from(live).unwrap_or(u64::MAX) {
                    inner.log.rewrite(records.iter().map(Vec::as_slice))?;
                    inner.claims.values_mut().for_each(|claim| claim.synced = true);
                }
            }
            Ok(())
        });
        done.await.map_err(io::Error::other)?
    }
}

/// 128 random bits in hexadecimal.
fn random_word() -> io::Result<String> {
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
