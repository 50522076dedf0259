//! Certificates by ACME in the running core: the counter of `pki::acme` with a disk, the lab's authority, and somebody who
//! looks at the servers that shall be proven.

mod look;
mod policy;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{LabSpec, Span};
use pki::acme::{Answer, Ask, Book, House, Office, Work};
use pki::x509::{Certificate, Name, OsRandom, Request};
use store::{Disk, Files as _};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::trust::Trust;
use policy::Policy;

/// Servers that are looked at at once.
const LOOKS: usize = 8;

/// The counter.
#[derive(Debug, Clone)]
pub struct Acme(Arc<Place>);

#[derive(Debug)]
struct Place {
    path: PathBuf,
    policy: Policy,
    trust: Trust,
    office: Mutex<Desk>,
    woken: Notify,
}

#[derive(Debug)]
struct Desk {
    office: Office,
    works: Vec<Work>,
}

/// Why a request was not answered: nothing of it is kept.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}", path = path.display())]
pub struct NotKept {
    path: PathBuf,
    why: std::io::Error,
}

impl Acme {
    /// The counter with what the state folder keeps. Where that cannot be read it begins anew, and the log says so: every
    /// client makes another account then.
    #[must_use]
    pub fn open(state: &Path, spec: &LabSpec, trust: Trust) -> Self {
        let path = state.join("acme.json");
        let book = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|why| {
                let aside = state.join("acme.json.damaged");
                let kept = match std::fs::rename(&path, &aside) {
                    Ok(()) => format!("it is {} now", aside.display()),
                    Err(why) => format!("it could not be put aside: {why}"),
                };
                tracing::error!("the accounts of ACME begin anew: {}: {why}; {kept}", path.display());
                Book::default()
            }),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Book::default(),
            Err(why) => {
                tracing::error!("the accounts of ACME begin anew: {}: {why}", path.display());
                Book::default()
            }
        };
        let mut office = Office::new(book);
        let works = office.works();
        let policy = Policy::of(spec);
        let office = Mutex::new(Desk { office, works });
        Self(Arc::new(Place { path, policy, trust, office, woken: Notify::new() }))
    }

    /// Answers a request. What it changed is synced to the disk before.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn answer(&self, ask: &Ask<'_>) -> Result<Answer, NotKept> {
        let now = self.0.trust.at_least_now().wall;
        let mut desk = self.0.desk();
        let before = desk.office.book().clone();
        let answer = desk.office.ask(ask, now, &mut OsRandom::new(), &*self.0);
        self.0.keep(&mut desk, before)?;
        let works = desk.office.works();
        if !works.is_empty() {
            desk.works.extend(works);
            self.0.woken.notify_one();
        }
        Ok(answer)
    }

    /// Looks at servers as they have to be. Goes on until dropped.
    pub async fn run(self) {
        let mut looks = JoinSet::new();
        loop {
            while let Some(work) = (looks.len() < LOOKS).then(|| self.0.desk().works.pop()).flatten() {
                let place = Arc::clone(&self.0);
                looks.spawn(async move {
                    let outcome = look::at(place.policy.address(&work.name), &work).await;
                    if let Err(why) = &outcome {
                        tracing::info!("ACME: {} is not proven: {why}", policy::text(&work.name));
                    }
                    // It is synced to the disk, which may take its time.
                    let kept = tokio::task::spawn_blocking(move || {
                        let now = place.trust.at_least_now().wall;
                        let mut desk = place.desk();
                        let before = desk.office.book().clone();
                        desk.office.settled((&work.order, work.at), outcome, now);
                        place.keep(&mut desk, before)
                    });
                    if let Ok(Err(why)) = kept.await {
                        tracing::error!("a proof of ACME is not kept: {why}");
                    }
                });
            }
            tokio::select! {
                () = self.0.woken.notified() => {}
                Some(_) = looks.join_next(), if !looks.is_empty() => {}
            }
        }
    }
}

impl Place {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what changed; what cannot be written is as it was.
    fn keep(&self, desk: &mut Desk, before: Book) -> Result<(), NotKept> {
        if *desk.office.book() == before {
            return Ok(());
        }
        let written = serde_json::to_vec(desk.office.book())
            .map_err(std::io::Error::other)
            .and_then(|text| Disk.replace(&self.path, &text));
        written.map_err(|why| {
            desk.office.put_back(before);
            NotKept { path: self.path.clone(), why }
        })
    }
}

impl House for Place {
    fn may(&self, name: &Name) -> Result<(), String> {
        self.policy.may(name)
    }

    fn grant(&self, request: &Request, lifetime: Span) -> Result<(String, Certificate), String> {
        let granted = self.trust.grant_here(request, lifetime).map_err(|why| why.to_string())?;
        let names: Vec<_> = request.names().iter().map(policy::text).collect();
        tracing::info!("ACME: a certificate for {}", names.join(", "));
        Ok(granted)
    }
}
