//! The lab's certificates in the running core: looked at every few seconds by the wall clock, made when they are due, and
//! put into the server that runs.
//!
//! ```text
//! clock, last seen ─▶ Floor ─┐
//! leaf in the slot ──────────┼─▶ Tries::decide ─▶ serve · make another · wait, with a name
//! tries that failed ─────────┘                        │
//!                              sealed store ─▶ LabCa ─┴▶ Slot ─▶ the page's TLS
//! ```

mod names;
mod seen;
mod tokens;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{LabSpec, Moment, Span, WallTime};
use pki::ca::{CaError, Issued, LabCa};
use pki::clock::Floor;
use pki::renewal::{LIFETIME, Tries, Validity, Verdict, Waiting, Why};
use pki::slot::Slot;
use pki::vault::Vault;
use pki::x509::{Certificate, Name, OsRandom, Random as _, Request};
use tokio::sync::Notify;

pub use seen::WRITTEN;
pub use tokens::{Holder, TokenError, Tokens};
pub use view::{fingerprint, view};

use crate::clock::Clock;
use seen::Seen;

/// How often everything is compared with the clock.
const EVERY: Duration = Duration::from_secs(5);
/// Longest life of a certificate that is issued for others: a year.
pub const LONGEST: Span = Span::secs(365 * 86_400);

/// The lab's certificates.
#[derive(Debug, Clone)]
pub struct Trust(Arc<Office>);

#[derive(Debug)]
struct Office {
    clock: Clock,
    lab: String,
    vault: PathBuf,
    asked: names::Asked,
    slot: Arc<Slot>,
    floor: Arc<Mutex<Floor>>,
    seen: Mutex<Seen>,
    page: Mutex<Service>,
    woken: Notify,
}

/// What is known of one service.
#[derive(Debug)]
struct Service {
    tries: Tries,
    since: Moment,
    waiting: Option<Waiting>,
    leaf: Option<Leaf>,
}

#[derive(Debug, Clone)]
struct Leaf {
    certificate: Certificate,
    root: Certificate,
    lab: Certificate,
    names: Vec<Name>,
    validity: Validity,
    made: WallTime,
    why: Why,
}

impl Trust {
    /// Certificates of this lab, for a page at this address. Nothing is made before [`Trust::run`].
    #[must_use]
    pub fn new(clock: Clock, spec: &LabSpec, state: &std::path::Path, page: SocketAddr) -> Self {
        let seen = Seen::read(state);
        let floor = Arc::new(Mutex::new(Floor { written: WRITTEN, seen: seen.at() }));
        let judged = (clock.clone(), Arc::clone(&floor));
        let believed = move || {
            let now = judged.0.now().wall;
            let floor = *judged.1.lock().unwrap_or_else(PoisonError::into_inner);
            floor.judge(now).is_ok().then_some(now)
        };
        let since = clock.now();
        Self(Arc::new(Office {
            clock,
            lab: spec.lab.to_string(),
            vault: state.join("secrets"),
            asked: names::Asked::of(spec, page),
            slot: Arc::new(Slot::new(Arc::new(believed))),
            floor,
            seen: Mutex::new(seen),
            page: Mutex::new(Service {
                tries: Tries::default(),
                since,
                waiting: Some(Waiting::Leaf),
                leaf: None,
            }),
            woken: Notify::new(),
        }))
    }

    /// Where the page's TLS takes its certificate from.
    #[must_use]
    pub fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.0.slot)
    }

    /// Looks every few seconds, and at once when asked. Goes on until dropped.
    pub async fn run(self) {
        loop {
            self.look().await;
            // A short timer: the wall clock is compared anew each time, so one that jumps is noticed by the next look.
            drop(tokio::time::timeout(EVERY, self.0.woken.notified()).await);
        }
    }

    /// One look: what the clock, the leaf and the authority want now, and that done.
    pub async fn look(&self) {
        let office = Arc::clone(&self.0);
        // The store is synced to the disk, which may take its time.
        if let Err(why) = tokio::task::spawn_blocking(move || office.look()).await {
            tracing::error!("certificates could not be looked after: {why}");
        }
    }

    /// Makes every certificate anew.
    ///
    /// # Errors
    /// The clock shall be believed and lies before this program was written; the root cannot be thrown away.
    pub async fn renew(&self, how: How) -> Result<(), Refused> {
        if how == How::BelieveClock {
            let now = self.0.clock.now().wall;
            Floor { written: WRITTEN, seen: None }.judge(now).map_err(Refused::Clock)?;
            let mut floor = self.0.floor();
            *floor = Floor { written: WRITTEN, seen: Some(now) };
            drop(floor);
            self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).set(now);
            tracing::warn!("the wall clock is believed as it is, because a person said so");
        }
        if how == How::NewRoot {
            let vault = self.0.vault.clone();
            let forgot = move || LabCa::forget(&Vault::open(&vault)?);
            let forgot = tokio::task::spawn_blocking(forgot).await;
            forgot.map_err(|why| Refused::Failed(why.to_string()))??;
            tracing::warn!("the lab gets another root, because a person said so");
        }
        self.0.page().tries.ask();
        self.look().await;
        Ok(())
    }

    /// Issues a certificate for somebody else's key; leaf and authority as PEM.
    ///
    /// # Errors
    /// The clock is not believed, or the authority cannot be opened.
    pub async fn grant(&self, request: Request, lifetime: Span) -> Result<(String, Certificate), Refused> {
        let office = Arc::clone(&self.0);
        let granted = tokio::task::spawn_blocking(move || office.grant(&request, lifetime)).await;
        granted.map_err(|why| Refused::Failed(why.to_string()))?
    }

    /// The same at once, for a thread that may wait for the disk. The leaf goes along.
    ///
    /// # Errors
    /// As [`Self::grant`].
    pub fn grant_here(&self, request: &Request, lifetime: Span) -> Result<(String, Certificate), Refused> {
        self.0.grant(request, lifetime)
    }

    /// Now, and never before what was seen already: by it tokens end, so a clock that begins anew revives none.
    #[must_use]
    pub fn at_least_now(&self) -> Moment {
        let (now, seen) = (self.0.clock.now(), self.0.floor().seen);
        Moment { wall: now.wall.max(seen.unwrap_or_default()), ..now }
    }

    /// The root that clients are told; absent until it was made.
    #[must_use]
    pub fn root(&self) -> Option<Certificate> {
        self.0.page().leaf.as_ref().map(|leaf| leaf.root.clone())
    }

    /// What the page waits for; nothing while it serves.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        match self.0.slot.shown() {
            Some(_) => None,
            None => Some(self.0.page().waiting.clone().unwrap_or(Waiting::Leaf)),
        }
    }
}

/// How certificates are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As they are made when they are due.
    Plain,
    /// The clock is right as it is, a person says.
    BelieveClock,
    /// By another root, which every client must be told.
    NewRoot,
}

/// Why nothing is issued.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The clock is not believed.
    #[error("{0}")]
    Clock(pki::clock::ClockFault),
    /// The authority.
    #[error(transparent)]
    Authority(#[from] CaError),
    /// The process.
    #[error("{0}")]
    Failed(String),
}

impl Office {
    fn page(&self) -> MutexGuard<'_, Service> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let (now, floor) = (self.clock.now(), *self.floor());
        if floor.judge(now.wall).is_ok() {
            self.floor().seen = floor.seen.max(Some(now.wall));
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).note(now.wall);
        }
        let wanted = self.asked.now();
        let mut page = self.page();
        let named = page.leaf.as_ref().is_none_or(|leaf| wanted.iter().all(|name| leaf.names.contains(name)));
        if !named {
            page.tries.ask();
        }
        let verdict = page.tries.decide(now, &floor, page.leaf.as_ref().map(|leaf| &leaf.validity));
        if let Some(why) = verdict.renewal() {
            self.make(&mut page, now, (wanted, why));
        }
        let verdict = page.tries.decide(now, &floor, page.leaf.as_ref().map(|leaf| &leaf.validity));
        page.note(now, verdict);
    }

    fn make(&self, page: &mut Service, now: Moment, (names, why): (Vec<Name>, Why)) {
        let dice = dice();
        match self.issue(&names, now.wall) {
            Ok((ca, issued)) => {
                let certificate = issued.identity.certificate.clone();
                let validity = Validity::issued(now.wall, LIFETIME, certificate.not_after(), dice);
                if let Err(failed) = self.slot.put(&issued, validity) {
                    page.tries.failed(now, failed.to_string(), dice);
                    return;
                }
                page.tries.done();
                tracing::info!("the page has another certificate: {why}");
                let (root, lab) = (ca.root().clone(), ca.lab().clone());
                page.leaf = Some(Leaf { certificate, root, lab, names, validity, made: now.wall, why });
            }
            Err(failed) => {
                if page.tries.last_failure().is_none() {
                    tracing::error!(
                        code = failed.code(),
                        "the lab's authority cannot issue: {failed}; {}",
                        failed.advice()
                    );
                }
                page.tries.failed(now, failed.to_string(), dice);
            }
        }
    }

    fn issue(&self, names: &[Name], now: WallTime) -> Result<(LabCa, Issued), CaError> {
        let mut random = OsRandom::new();
        let ca = LabCa::open(&Vault::open(&self.vault)?, &self.lab, now, &mut random)?;
        let issued = ca.issue(names, LIFETIME, now, &mut random)?;
        Ok((ca, issued))
    }

    fn grant(&self, request: &Request, lifetime: Span) -> Result<(String, Certificate), Refused> {
        let now = self.clock.now().wall;
        self.floor().judge(now).map_err(Refused::Clock)?;
        let mut random = OsRandom::new();
        let ca = Vault::open(&self.vault)
            .map_err(CaError::from)
            .and_then(|vault| LabCa::open(&vault, &self.lab, now, &mut random))?;
        let leaf = ca.grant(request, Span(lifetime.0.min(LONGEST.0)), now, &mut random)?;
        Ok((leaf.to_pem() + &ca.lab().to_pem(), leaf))
    }
}

impl Service {
    /// Remembers since when it is as it is, and says so once.
    fn note(&mut self, now: Moment, verdict: Verdict) {
        let waiting = match verdict {
            Verdict::Serve | Verdict::ServeAndRenew(_) => None,
            Verdict::Renew(_) => Some(Waiting::Leaf),
            Verdict::Wait(what) => Some(what),
        };
        let code = |what: &Option<Waiting>| what.as_ref().map(Waiting::code);
        if code(&waiting) != code(&self.waiting) {
            self.since = now;
            match &waiting {
                Some(what) => tracing::warn!("the page over TLS is {what}"),
                None => tracing::info!("the page is served over TLS"),
            }
        }
        self.waiting = waiting;
    }
}

/// A byte by chance; without one, services are renewed at the same time, which does no harm.
fn dice() -> u8 {
    let mut byte = [0];
    match OsRandom::new().fill(&mut byte) {
        Ok(()) => u8::from_ne_bytes(byte),
        Err(_) => 0,
    }
}
