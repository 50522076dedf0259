//! The cluster of a run: its secrets, the configs of its machines, the hand that pushes them, the eye that looks at each
//! machine's Talos, and the ear that hears what Kubernetes says of them.
//!
//! ```text
//! Mint ──▶ vault ──▶ SecretsReady        eye ──▶ TalosSeen     (its identity, or that it waits)
//! Push ──▶ config ─▶ Finished            ear ──▶ MemberSeen    (what the cluster says of it)
//! Offer ──▶ config ─▶ counter, Finished
//! Bootstrap ───────▶ Finished                    PodsSeen, NodePodsSeen
//! Apply ─▶ manifests ─▶ Finished
//! ```
//!
//! A taken push proves nothing; only the eye's mutual TLS does.

mod adopt;
mod configs;
mod ear;
mod eye;
mod follow;
mod hand;
pub(crate) mod image;
mod lock;
mod manifests;
mod minted;
mod plane;
mod pods;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Command, CommandId, Fact, LabSpec, NodeName, ScenarioName};
use netboot::Down;
use talos::api::Dial;
use talos::config::Endpoint;
use talos::secrets::Secrets;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::desk::{Desk, DeskError};

use minted::Keeper;

pub use adopt::{AdoptError, Adopter};
pub(crate) use configs::mistakes;
pub(crate) use lock::Lock;
pub use manifests::Kept;
pub(crate) use manifests::mistakes as mistakes_of_manifests;

/// The cluster that a boss built last.
#[derive(Debug)]
pub(crate) struct Built {
    /// Of which lab.
    pub(crate) spec: LabSpec,
    /// Which run.
    pub(crate) run: u32,
    /// Of which scenario.
    pub(crate) scenario: ScenarioName,
    /// What it was made from.
    pub(crate) secrets: Secrets,
    /// Where its Kubernetes is.
    pub(crate) endpoint: Endpoint,
    /// Addresses of its control plane.
    pub(crate) addresses: Vec<String>,
}

impl Built {
    /// The config of one of its machines, as the machine was given it. It holds keys.
    ///
    /// # Errors
    /// Why there is none, with what to do.
    pub(crate) fn config(&self, node: &NodeName) -> Result<Zeroizing<String>, String> {
        configs::Order::of(&self.spec, &self.scenario)?.config(node, &self.secrets)
    }
}

/// Looks into a state folder for the cluster that was built last.
pub(crate) fn latest(state: &Path) -> Result<Built, String> {
    let spec = crate::serve::lab_of(state).map_err(|why| why.to_string())?;
    let (run, scenario, secrets) = minted::newest(&state.join("secrets")).map_err(|why| match why {
        minted::MintError::Absent(_) => "this boss has built no cluster".to_owned(),
        other => other.to_string(),
    })?;
    let endpoint = configs::Order::of(&spec, &scenario)?.endpoint().clone();
    let talos = spec.scenarios.get(&scenario).and_then(|scenario| scenario.talos.as_ref());
    let address = |node| spec.board.nodes.get(node).map(|node: &model::NodeSpec| node.ip.to_string());
    let addresses = talos.into_iter().flat_map(|talos| &talos.control_plane).filter_map(address).collect();
    Ok(Built { spec, run, scenario, secrets, endpoint, addresses })
}

/// Reads the manifests of every scenario, and tells the lab before anybody can start one; what nobody has pinned is
/// forgotten.
///
/// # Errors
/// The desk is closed.
pub async fn read_manifests(desk: &Desk, kept: Kept, spec: LabSpec) -> Result<(), DeskError> {
    let pinned = desk.look(|look| look.lab.cluster().map(|(cluster, _)| cluster.manifests.clone())).await?;
    let reading = tokio::task::spawn_blocking(move || {
        let taken =
            spec.scenarios.iter().filter_map(|(name, scenario)| Some((name.clone(), kept.take(scenario)?)));
        let taken: Vec<_> = taken.collect();
        let found = taken.iter().flat_map(|(_, manifests)| &manifests.files);
        kept.sweep(found.chain(pinned.iter().flatten()));
        taken
    });
    let taken = reading.await.unwrap_or_else(|why| {
        tracing::error!("the manifests were not read to their end: {why}");
        Vec::new()
    });
    for (scenario, manifests) in taken {
        for mistake in &manifests.mistakes {
            tracing::warn!("scenario {scenario} cannot be started: {mistake}");
        }
        desk.tell(Fact::ManifestsRead { scenario, manifests }).await?;
    }
    Ok(())
}

/// Certificates of ours last a year, and a lab may, too: after so long another one is made and used.
const RENEW: Duration = Duration::from_secs(12 * 3600);
/// Orders that wait for the hand; each is carried out by a task of its own.
const ORDERS_WAITING: usize = 64;

/// What hand and eye share.
#[derive(Debug)]
struct Room {
    spec: LabSpec,
    keeper: Keeper,
    kept: Kept,
    dial: Dial,
    desk: Desk,
    /// What the boot counter is told.
    counter: mpsc::Sender<Down>,
}

/// Starts hand, eye and ear; orders go to the hand. A lab without a cluster has none of them.
pub fn spawn(
    tasks: &mut JoinSet<()>,
    spec: &LabSpec,
    state: &Path,
    dial: Dial,
    (desk, counter): (Desk, mpsc::Sender<Down>),
) -> Option<(mpsc::Sender<(CommandId, Command)>, Adopter)> {
    spec.scenarios.values().any(|scenario| scenario.talos.is_some()).then_some(())?;
    let keeper = Keeper::of(&state.join("secrets"));
    let kept = Kept::of(state);
    let room = Arc::new(Room { spec: spec.clone(), keeper, kept, dial, desk, counter });
    let (sender, orders) = mpsc::channel(ORDERS_WAITING);
    tasks.spawn(hand::run(Arc::clone(&room), orders));
    tasks.spawn(eye::run(Arc::clone(&room)));
    tasks.spawn(ear::run(Arc::clone(&room)));
    Some((sender, Adopter(room)))
}
