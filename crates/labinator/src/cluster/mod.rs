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

mod configs;
mod ear;
mod eye;
mod hand;
mod minted;

use std::path::Path;
use std::sync::Arc;

use model::{Command, CommandId, LabSpec};
use talos::api::Dial;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::desk::Desk;

use minted::Keeper;

pub(crate) use configs::mistakes;

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

/// Starts hand and eye. A lab without a cluster has neither; orders to it would have no taker.
pub fn spawn(
    tasks: &mut JoinSet<()>,
    spec: &LabSpec,
    state: &Path,
    dial: Dial,
    desk: Desk,
) -> Option<mpsc::Sender<(CommandId, Command)>> {
    spec.scenarios.values().any(|scenario| scenario.talos.is_some()).then_some(())?;
    let keeper = Keeper::of(&state.join("secrets"));
    let room = Arc::new(Room { spec: spec.clone(), keeper, dial, desk });
    let (sender, orders) = mpsc::channel(ORDERS_WAITING);
    tasks.spawn(hand::run(Arc::clone(&room), orders));
    tasks.spawn(eye::run(Arc::clone(&room)));
    tasks.spawn(ear::run(room));
    Some(sender)
}
