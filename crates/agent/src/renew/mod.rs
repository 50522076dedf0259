//! Taking another build of the agent in this one's place, without ending: same process, same key, guests and services
//! untouched.
//!
//! ```text
//! told over the channel ─▶ fetched by SHA-256 ─▶ run once ─▶ READY ─ next answered heartbeat, no wipe ─▶ exec
//!        ▲ other trouble: ask me again │ wrong digest, does not run: REFUSED                              │
//!        │                                                                                                ▼
//! this build again, REFUSED ◀─ exec ─ it ended, or no heartbeat was answered in time ◀── ON TRIAL (probation.rs)
//!                                                                                         │ answered
//!                                                                                         ▼ it stays
//! ```
//! What is handed over (`handover.rs`) goes through a socket between the two and is never in a file. What an image or a
//! package brought stays as it is: whoever starts it again begins with that, and is told again.

mod check;
mod handover;
mod probation;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{AGENT_PROGRAM, AgentBuild, Asset, Digest, Renewal, RenewalState};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

pub(crate) use check::{WORD as CHECK_WORD, own as check_own};
pub(crate) use handover::{Handover, KnownBoss, Running};
pub(crate) use probation::{Resumed, Trial, words};

use crate::console::Console;
use crate::guests::{FetchTrouble, fetch_once, is_whole};

/// Where builds lie on a live image: in memory, as everything of it.
pub(crate) const FOLDER: &str = "/run/labinator/agent";
/// What stands in the folder while a build is on trial, and afterwards if it did not stay.
const REFUSED: &str = "refused.json";
/// How often a fetch is begun before the boss has to ask again.
const TRIES: u32 = 5;
/// Pause between two.
const AGAIN: Duration = Duration::from_secs(2);
/// Said of a build that was on trial when the agent ended without a word.
const ENDED: &str = "it ended before a heartbeat of it was answered";

/// A build that did not stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    digest: Digest,
    /// The machine's boot: in another one it may be tried again.
    boot_id: String,
    why: String,
}

#[derive(Debug, Default)]
struct State {
    told: Option<Renewal>,
    wanted: Option<AgentBuild>,
    boss: Option<SocketAddr>,
    /// Forms of a handover that the ready build takes.
    form: u32,
}

/// What an agent knows of other builds of itself.
#[derive(Debug)]
pub(crate) struct Renewer {
    folder: PathBuf,
    own: Option<Digest>,
    boot_id: String,
    /// Seconds that another build is on trial.
    trial: Option<u64>,
    state: Mutex<State>,
    ordered: Notify,
}

impl Renewer {
    /// One that keeps builds in this folder, which need not exist.
    pub(crate) fn new(folder: PathBuf, own: Option<Digest>, boot_id: &str) -> Self {
        let kept: Option<Refused> =
            fs::read(folder.join(REFUSED)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let kept = kept.filter(|kept| kept.boot_id == boot_id && Some(kept.digest) != own);
        let told =
            kept.map(|kept| Renewal { digest: kept.digest, state: RenewalState::Refused, why: kept.why });
        let state = Mutex::new(State { told, ..State::default() });
        Self { folder, own, boot_id: boot_id.to_owned(), trial: None, state, ordered: Notify::new() }
    }

    /// The same with another length of a trial, in seconds.
    pub(crate) fn on_trial_for(self, trial: Option<u64>) -> Self {
        Self { trial, ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the boss serves files.
    pub(crate) fn boss_is(&self, boss: SocketAddr) {
        self.state().boss = Some(boss);
    }

    /// Where the boss serves files, once somebody said so.
    pub(crate) fn boss(&self) -> Option<SocketAddr> {
        self.state().boss
    }

    /// What heartbeats tell.
    pub(crate) fn told(&self) -> Option<Renewal> {
        self.state().told.clone()
    }

    /// Takes the boss's order, unless this is that build or it was refused.
    ///
    /// # Errors
    /// A sentence for the boss.
    pub(crate) fn order(&self, build: AgentBuild) -> Result<(), String> {
        if self.own.is_none() {
            return Err("this agent cannot read its own program".to_owned());
        }
        if self.own == Some(build.digest) {
            return Ok(());
        }
        let mut state = self.state();
        match state.told.as_ref().filter(|told| told.digest == build.digest) {
            Some(told) if told.state == RenewalState::Refused => return Err(told.why.clone()),
            Some(told) if told.state == RenewalState::Ready || state.wanted == Some(build) => return Ok(()),
            Some(_) | None => {}
        }
        state.wanted = Some(build);
        state.told =
            Some(Renewal { digest: build.digest, state: RenewalState::Fetching, why: String::new() });
        drop(state);
        self.ordered.notify_one();
        Ok(())
    }

    /// Fetches and checks what is ordered. Goes on until dropped.
    pub(crate) async fn work(&self, console: &Console) {
        loop {
            self.ordered.notified().await;
            let Some(build) = self.state().wanted else { continue };
            console.say(&format!("told to take agent {}", short(build.digest)));
            let outcome = self.prepare(build).await;
            let mut state = self.state();
            if state.wanted != Some(build) {
                // Another one was ordered meanwhile, which is what was notified.
                continue;
            }
            state.wanted = None;
            let (form, told) = match outcome {
                Ok(form) => (form, (RenewalState::Ready, String::new())),
                Err(Trouble::Late(why)) => (0, (RenewalState::Fetching, why)),
                Err(Trouble::Bad(why)) => (0, (RenewalState::Refused, why)),
            };
            let (now, why) = told;
            if !why.is_empty() {
                console.say(&format!("agent {}: {why}", short(build.digest)));
            }
            state.form = form;
            state.told = Some(Renewal { digest: build.digest, state: now, why });
        }
    }

    /// The form of handover that the build takes.
    async fn prepare(&self, build: AgentBuild) -> Result<u32, Trouble> {
        let late = |why: String| Trouble::Late(why);
        let asset = Asset { name: AGENT_PROGRAM.to_owned(), digest: build.digest, size: build.size };
        let place = self.place(build.digest);
        if !is_whole(&self.folder, build.digest).await {
            // At most one beside this one: it lies in memory on a live image.
            drop(fs::remove_file(&place));
            self.tidy(build.digest);
            fs::create_dir_all(&self.folder)
                .map_err(|why| late(format!("{}: {why}", self.folder.display())))?;
            let mut tries = 0;
            loop {
                let boss =
                    self.state().boss.ok_or_else(|| late("nobody said where the boss is".to_owned()))?;
                match fetch_once(&self.folder, boss, &asset, &|_| {}).await {
                    Ok(()) => break,
                    Err(why @ FetchTrouble::Digest(_)) if tries > 0 => {
                        return Err(Trouble::Bad(why.to_string()));
                    }
                    Err(why) if tries + 1 >= TRIES => return Err(late(format!("cannot be fetched: {why}"))),
                    Err(_) => tries += 1,
                }
                sleep(AGAIN).await;
            }
        }
        let run = move || {
            fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).map_err(|why| why.to_string())?;
            check::other(&place)
        };
        let checked = spawn_blocking(run).await.map_err(|why| late(why.to_string()))?;
        checked.map_err(Trouble::Bad)
    }

    fn place(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Removes every build but this one.
    fn tidy(&self, keep: Digest) {
        for folder in [self.folder.clone(), self.folder.join("partial")] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let other = name.to_str().is_some_and(|name| {
                    name.parse().is_ok_and(|digest: Digest| digest != keep && Some(digest) != self.own)
                });
                if other {
                    // What cannot be removed only takes room.
                    drop(fs::remove_file(entry.path()));
                }
            }
        }
    }

    /// The build that is to take over now, if there is one.
    pub(crate) fn ready(&self) -> Option<Digest> {
        self.told().filter(|told| told.state == RenewalState::Ready).map(|told| told.digest)
    }

    /// Gives this process to the ready build. Returns only when that cannot be: then it is refused.
    pub(crate) fn hand_over(
        &self,
        digest: Digest,
        (handover, pipes): (Handover, Vec<OwnedFd>),
        console: &Console,
    ) {
        console.say(&format!("agent {} takes over", short(digest)));
        let form = self.state().form.min(handover::FORM);
        let handover = Handover { form, trial: self.trial, ..handover };
        let pipes: Vec<_> = pipes.iter().map(OwnedFd::as_fd).collect();
        // Whoever starts after a sudden end knows by this what was on trial.
        let why = match self.note(digest, ENDED) {
            Ok(()) => handover::exec(&self.place(digest), &handover, &pipes).to_string(),
            Err(why) => format!("{}: {why}", self.folder.display()),
        };
        console.say(&format!("agent {}: {why}", short(digest)));
        self.refuse(digest, &why);
    }

    /// Notes that a build did not stay, and tells it from now on.
    pub(crate) fn refuse(&self, digest: Digest, why: &str) {
        // One that cannot be noted is still refused by this process.
        drop(self.note(digest, why));
        self.state().told = Some(Renewal { digest, state: RenewalState::Refused, why: why.to_owned() });
    }

    /// What was refused for its silence was not to blame: nobody answers this build either.
    pub(crate) fn acquit(&self) {
        drop(fs::remove_file(self.folder.join(REFUSED)));
        self.state().told = None;
    }

    /// This build stays: whatever was noted of one on trial is over.
    pub(crate) fn stays(&self) {
        drop(fs::remove_file(self.folder.join(REFUSED)));
        if let Some(own) = self.own {
            self.tidy(own);
        }
    }

    /// Whole, by rename.
    fn note(&self, digest: Digest, why: &str) -> std::io::Result<()> {
        let refused = Refused { digest, boot_id: self.boot_id.clone(), why: why.to_owned() };
        let draft = self.folder.join(format!("{REFUSED}.new"));
        let text = serde_json::to_vec(&refused).map_err(std::io::Error::other)?;
        fs::create_dir_all(&self.folder)?;
        let mut file = fs::File::create(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(draft, self.folder.join(REFUSED))
    }
}

/// Why a build is not ready.
#[derive(Debug)]
enum Trouble {
    /// It is not to blame; the boss may ask again.
    Late(String),
    /// It is.
    Bad(String),
}

/// Enough of a digest for a person to compare.
pub(crate) fn short(digest: Digest) -> String {
    digest.to_string().chars().take(12).collect()
}

/// Where builds lie beside the guests of an agent that is not process 1.
pub(crate) fn folder_beside(guests: &Path) -> PathBuf {
    guests.join(".agent")
}

#[cfg(test)]
mod tests;
