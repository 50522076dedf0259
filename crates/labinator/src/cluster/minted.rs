//! The secrets of a run: made once, sealed and synced before anybody hears that they are there, and found again by a
//! core that starts later.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use model::{ScenarioName, Secret, WallTime};
use pki::vault::{Vault, VaultError};
use sha2::{Digest as _, Sha256};
use talos::api::{Identity, NodeError};
use talos::pki::{Leaf, OsRandom, PkiError};
use talos::release::Minor;
use talos::secrets::{Incomplete, Secrets, SecretsError};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::RENEW;

/// The role of whoever may do everything (`pkg/machinery/role`).
const ADMIN: &str = "os:admin";

/// The secrets of one run, ready to be used.
#[derive(Debug)]
pub(crate) struct Minted {
    /// Which run.
    pub(crate) run: u32,
    /// What every config is made from.
    pub(crate) secrets: Secrets,
    /// Who we are to its machines.
    pub(crate) identity: Arc<Identity>,
    /// Since when.
    made: Instant,
    /// Tells them from others: SHA-256 of the certificate of the Talos CA, in hexadecimal.
    pub(crate) fingerprint: String,
}

/// Why there are no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MintError {
    /// They cannot be kept or read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// They cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What was kept is none.
    #[error("the secrets that were kept for run {run} cannot be read: {why}")]
    Kept {
        /// Which run.
        run: u32,
        /// Why.
        why: SecretsError,
    },
    /// They lack a key.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    /// Our own certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] NodeError),
    /// Nobody made them.
    #[error("no secrets were kept for run {0}")]
    Absent(u32),
}

impl MintError {
    /// Stable word for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Vault(why) => why.code(),
            Self::Pki(_) => "mint",
            Self::Kept { .. } => "secrets_broken",
            Self::Incomplete(_) => "secrets_incomplete",
            Self::Identity(_) => "identity",
            Self::Absent(_) => "secrets_absent",
        }
    }
}

impl Minted {
    /// Readies secrets for use.
    pub(super) fn of(run: u32, secrets: Secrets) -> Result<Self, MintError> {
        let admin = secrets.os().issue(&Leaf::talos_client(&[ADMIN]), now(), &mut OsRandom::new())?;
        let (certificate, key) = admin.to_pem();
        let (authority, _) = secrets.os().to_pem();
        let identity = Identity::from_pem(authority.as_bytes(), certificate.as_bytes(), key.as_bytes())?;
        let digest = Sha256::digest(secrets.os().certificate().der());
        let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { run, secrets, identity: Arc::new(identity), made: Instant::now(), fingerprint })
    }
}

/// Keeps the secrets of runs.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    latest: Mutex<Option<Arc<Minted>>>,
}

impl Keeper {
    /// In this folder, which is made when it is needed.
    pub(crate) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), latest: Mutex::default() }
    }

    /// Makes the secrets of a run and keeps them, or finds those that were kept. It takes seconds and waits for the disk.
    pub(crate) fn mint(
        &self,
        run: u32,
        scenario: &ScenarioName,
        contract: Minor,
    ) -> Result<Arc<Minted>, MintError> {
        match self.find(run, scenario) {
            Err(MintError::Absent(_)) => {}
            found => return found,
        }
        let (mut secrets, service_account) = Secrets::mint(contract, now(), &mut OsRandom::new())?;
        secrets.complete(service_account.run()?);
        let vault = Vault::open(&self.folder)?;
        if !seal(&vault, run, scenario, &secrets)? {
            // Somebody else was faster: a run has one set of secrets.
            return self.find(run, scenario);
        }
        // What was built with older ones is gone: every machine of a new run is wiped. The run before is kept for whoever
        // still wants to look into its disks.
        for old in vault.names()? {
            if run_of(&old).is_some_and(|(_, old)| old + 1 < run) {
                vault.forget(&old)?;
            }
        }
        self.take(run, secrets)
    }

    /// Keeps secrets that were made elsewhere.
    pub(super) fn keep(&self, minted: &Minted, scenario: &ScenarioName) -> Result<(), MintError> {
        let vault = Vault::open(&self.folder)?;
        // What was kept for a run that never was is nobody's.
        vault.forget(&name(minted.run, scenario))?;
        seal(&vault, minted.run, scenario, &minted.secrets)?;
        Ok(())
    }

    /// Throws away what was kept for a run that is none.
    pub(super) fn forget(&self, run: u32, scenario: &ScenarioName) -> Result<(), MintError> {
        Ok(Vault::open(&self.folder)?.forget(&name(run, scenario))?)
    }

    /// The secrets of a run that were kept, with a certificate of ours that is younger than [`RENEW`].
    pub(crate) fn find(&self, run: u32, scenario: &ScenarioName) -> Result<Arc<Minted>, MintError> {
        let known = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = known.filter(|known| known.run == run);
        if let Some(known) = known.as_ref().filter(|known| known.made.elapsed() < RENEW) {
            return Ok(Arc::clone(known));
        }
        let read = || {
            let secrets = read(&Vault::open(&self.folder)?, run, scenario)?;
            self.take(run, secrets)
        };
        match (read(), known) {
            // The old certificate is good for months, and the disk may come back.
            (Err(why), Some(known)) => {
                tracing::warn!("the certificate for run {run} stays as it is: {why}");
                Ok(known)
            }
            (made, _) => made,
        }
    }

    fn take(&self, run: u32, secrets: Secrets) -> Result<Arc<Minted>, MintError> {
        let minted = Arc::new(Minted::of(run, secrets)?);
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&minted));
        Ok(minted)
    }
}

/// The secrets of the run that was the last to have some.
pub(super) fn newest(folder: &Path) -> Result<(u32, ScenarioName, Secrets), MintError> {
    let vault = Vault::open(folder)?;
    let runs = vault.names()?;
    let newest = runs.iter().filter_map(|name| run_of(name)).max_by_key(|(_, run)| *run);
    let (scenario, run) = newest.ok_or(MintError::Absent(0))?;
    let secrets = read(&vault, run, &scenario)?;
    Ok((run, scenario, secrets))
}

/// False when the run has some already.
fn seal(vault: &Vault, run: u32, scenario: &ScenarioName, secrets: &Secrets) -> Result<bool, MintError> {
    let text = Zeroizing::new(secrets.to_yaml()?.as_bytes().to_vec());
    Ok(vault.put_new(&name(run, scenario), &Secret::new(text))?)
}

fn read(vault: &Vault, run: u32, scenario: &ScenarioName) -> Result<Secrets, MintError> {
    let kept = vault.get(&name(run, scenario))?.ok_or(MintError::Absent(run))?;
    let text = Zeroizing::new(String::from_utf8_lossy(kept.reveal()).into_owned());
    Secrets::from_yaml(&text).map_err(|why| MintError::Kept { run, why })
}

fn name(run: u32, scenario: &ScenarioName) -> String {
    format!("{scenario}-run-{run}")
}

/// Scenario and run of a name.
fn run_of(name: &str) -> Option<(ScenarioName, u32)> {
    let (scenario, run) = name.rsplit_once("-run-")?;
    Some((scenario.parse().ok()?, run.parse().ok()?))
}

/// The boss's clock. Certificates are back-dated, so that one that is a little ahead does no harm.
pub(super) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
