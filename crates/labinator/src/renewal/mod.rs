//! The agent that this boss carries, and the agents of machines that are told to take it.
//!
//! ```text
//! `agent` beside this program ─ linked statically? ─▶ shelf ─▶ each agent on the channel that is another build ─▶ order
//!                                                                 │ wipes, refused it, or was lost with it twice
//!                                                                 └─▶ left alone, and the doctor says why
//! ```
//! Only over the channel: there an agent knows that it is told by the same core all the time, which cannot be said of the
//! answers to its heartbeats.

mod program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use drivers::channel::{Answered, Channel};
use model::{AgentBuild, AgentUpdates, AgentView, Digest, NodeName, RenewalState};
use store::shelf::Shelf;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval};

use crate::publisher::Publisher;

/// How often agents are looked at.
const EVERY: Duration = Duration::from_secs(2);
/// How long an agent has before it is told again.
const AGAIN: Duration = Duration::from_secs(60);
/// How often the program is put on the shelf anew, which lets go of what nobody named for a day.
const ANEW: Duration = Duration::from_hours(1);
/// Machines may be switched off at any moment; one that was lost with a build this often is not given it again.
const LOST: u32 = 2;

/// What the boss carries, and how it is with each machine, for whoever looks.
#[derive(Debug, Clone, Default)]
pub struct Renewals(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    carried: Option<AgentBuild>,
    unfit: Option<String>,
    held: bool,
    tried: BTreeMap<NodeName, Tried>,
}

/// A build that a machine was told to take.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tried {
    digest: Digest,
    boot_id: String,
    at: Instant,
    lost: u32,
}

/// What is to be done about one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Order,
    Wait,
    Nothing,
}

impl Renewals {
    /// Of a boss that carries this build.
    #[cfg(test)]
    pub(crate) fn carrying(digest: Digest, held: bool) -> Self {
        let carried = Some(AgentBuild { digest, size: 1 });
        Self(Arc::new(Mutex::new(Known { carried, held, ..Known::default() })))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The build that agents should be.
    #[must_use]
    pub fn carried(&self) -> Option<AgentBuild> {
        self.known().carried
    }

    /// Why the program beside this one is not given to anybody.
    #[must_use]
    pub fn unfit(&self) -> Option<String> {
        self.known().unfit.clone()
    }

    /// True where agents stay as they are by the lab file.
    #[must_use]
    pub fn held(&self) -> bool {
        self.known().held
    }

    /// True when this machine was lost with the build so often that it is not given it again.
    #[must_use]
    pub fn gave_up(&self, node: &NodeName) -> bool {
        let known = self.known();
        known.tried.get(node).is_some_and(|tried| {
            tried.lost >= LOST && known.carried.is_some_and(|build| build.digest == tried.digest)
        })
    }
}

impl Known {
    /// What is due for this agent now. Counts what a machine was lost with.
    fn due(&mut self, node: &NodeName, agent: &AgentView, now: Instant) -> Due {
        let Some(build) = self.carried.filter(|_| !self.held) else { return Due::Nothing };
        let boot_id = &agent.report.boot_id;
        // One that cannot say which build it is cannot take another.
        let Some(is) = agent.report.build else { return Due::Nothing };
        if is == build.digest {
            // It came up as that build: whatever befell its machine before was not the build.
            self.tried.remove(node);
            return Due::Nothing;
        }
        let beat = agent.beat.as_ref();
        if beat.is_some_and(|beat| beat.wipe.is_some()) {
            return Due::Wait;
        }
        let told = beat.and_then(|beat| beat.renewal.as_ref()).filter(|told| told.digest == build.digest);
        match told.map(|told| (told.state, told.why.is_empty())) {
            Some((RenewalState::Refused | RenewalState::Other, _)) => return Due::Nothing,
            Some((RenewalState::Ready, _) | (RenewalState::Fetching, true)) => return Due::Wait,
            Some((RenewalState::Fetching, false)) | None => {}
        }
        let Some(tried) = self.tried.get_mut(node).filter(|tried| tried.digest == build.digest) else {
            return Due::Order;
        };
        if tried.boot_id != *boot_id {
            tried.boot_id.clone_from(boot_id);
            tried.lost += 1;
            if tried.lost >= LOST {
                tracing::warn!(%node, "it started again twice while its agent took another build: not tried again");
            }
            return if tried.lost >= LOST { Due::Nothing } else { Due::Order };
        }
        match tried.lost >= LOST || now.duration_since(tried.at) < AGAIN {
            true => Due::Wait,
            false => Due::Order,
        }
    }

    fn ordered(&mut self, node: &NodeName, digest: Digest, boot_id: &str, now: Instant) {
        let lost = self.tried.get(node).filter(|tried| tried.digest == digest).map_or(0, |tried| tried.lost);
        let tried = Tried { digest, boot_id: boot_id.to_owned(), at: now, lost };
        self.tried.insert(node.clone(), tried);
    }
}

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// The program, where there is one.
    pub(crate) agent: Option<PathBuf>,
    /// What the counter serves from.
    pub(crate) shelf: PathBuf,
    /// What the lab file says.
    pub(crate) updates: AgentUpdates,
}

/// Keeps agents at the build that this boss carries. Goes on until dropped.
pub(crate) async fn run(renewals: Renewals, ground: Ground, publisher: Arc<Publisher>, channel: Channel) {
    renewals.known().held = ground.updates == AgentUpdates::Hold;
    let Some(path) = ground.agent.clone() else { return };
    let mut looks = interval(EVERY);
    let (mut seen, mut put) = (None, None::<Instant>);
    loop {
        looks.tick().await;
        let stamp = stamp_of(&path);
        let is_old = put.is_none_or(|put| put.elapsed() >= ANEW);
        if stamp != seen || is_old {
            (seen, put) = (stamp, Some(Instant::now()));
            let (from, shelf) = (path.clone(), Shelf::new(&ground.shelf));
            let carried = spawn_blocking(move || program::shelve(&from, &shelf)).await;
            let carried = carried.unwrap_or_else(|why| Err(why.to_string()));
            let mut known = renewals.known();
            (known.carried, known.unfit) = match carried {
                Ok(build) => (build, None),
                Err(why) => (None, Some(why)),
            };
        }
        tell_all(&renewals, &publisher, &channel).await;
    }
}

fn stamp_of(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

async fn tell_all(renewals: &Renewals, publisher: &Publisher, channel: &Channel) {
    let Some(build) = renewals.carried() else { return };
    let picture = publisher.latest();
    for host in channel.hosts() {
        let agent = picture.machines.iter().find(|machine| machine.node == host);
        let Some(agent) = agent.and_then(|machine| machine.agent.as_ref()) else { continue };
        let now = Instant::now();
        if renewals.known().due(&host, agent, now) != Due::Order {
            continue;
        }
        // Before it is said: the machine may be lost before its answer comes.
        renewals.known().ordered(&host, build.digest, &agent.report.boot_id, now);
        match channel.order_build(&host, &build).await {
            Ok(Answered::Takes) => tracing::info!(node = %host, "its agent takes build {}", build.digest),
            Ok(Answered::Refuses(why)) => tracing::warn!(node = %host, "its agent stays as it is: {why}"),
            Ok(Answered::Unknown) => tracing::debug!(node = %host, "its agent cannot take another build"),
            Err(why) => tracing::debug!(node = %host, "its agent was not told of another build: {why}"),
        }
    }
}

#[cfg(test)]
mod tests;
