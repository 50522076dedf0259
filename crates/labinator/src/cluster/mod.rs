//! The cluster of a run: its secrets, the configs of its machines, the hand that pushes them, the eye that looks at each
//! machine's Talos, and the ear that hears what Kubernetes says of them.
//!
//! ```text
//! Mint ──▶ vault ──▶ SecretsReady        eye ──▶ TalosSeen     (its identity, or that it waits)
//! Push ──▶ config ─▶ Finished            ear ──▶ MemberSeen    (what the cluster says of it)
//! Bootstrap ───────▶ Finished
//! ```
//!
//! A taken push proves nothing; only the eye's mutual TLS does.

mod adopt;
mod configs;
mod ear;
mod eye;
mod hand;
mod minted;

use std::path::Path;
use std::sync::Arc;

use model::{Command, CommandId, LabSpec, ScenarioName};
use talos::api::Dial;
use talos::config::Endpoint;
use talos::secrets::Secrets;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::desk::Desk;

use minted::Keeper;

pub use adopt::{AdoptError, Adopter};
pub(crate) use configs::mistakes;

/// The cluster that a boss built last.
#[derive(Debug)]
pub(crate) struct Built {
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
    Ok(Built { run, scenario, secrets, endpoint, addresses })
}

/// Orders that wait for the hand; each is carried out by a task of its own.
const ORDERS_WAITING: usize = 64;

/// What hand and eye share.
#[derive(Debug)]
struct Room {
    spec: LabSpec,
    keeper: Keeper,
    dial: Dial,
    desk: Desk,
}

/// Starts hand, eye and ear; orders go to the hand. A lab without a cluster has none of them.
pub fn spawn(
    tasks: &mut JoinSet<()>,
    spec: &LabSpec,
    state: &Path,
    dial: Dial,
    desk: Desk,
) -> Option<(mpsc::Sender<(CommandId, Command)>, Adopter)> {
    spec.scenarios.values().any(|scenario| scenario.talos.is_some()).then_some(())?;
    let keeper = Keeper::of(&state.join("secrets"));
    let room = Arc::new(Room { spec: spec.clone(), keeper, dial, desk });
    let (sender, orders) = mpsc::channel(ORDERS_WAITING);
    tasks.spawn(hand::run(Arc::clone(&room), orders));
    tasks.spawn(eye::run(Arc::clone(&room)));
    tasks.spawn(ear::run(Arc::clone(&room)));
    Some((sender, Adopter(room)))
}
