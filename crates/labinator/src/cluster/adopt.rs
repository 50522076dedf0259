//! Taking over a cluster that runs, with its secrets and without a write: its machines are looked at by its own identity
//! first, and nothing is recorded unless one of its control plane answers to that.
//!
//! ```text
//! secrets ─▶ look (mutual TLS, reads only) ─▶ sealed ─▶ AdoptAccepted ─▶ eye and ear go on looking
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use api::{Accepted, Adopted, LookedAt};
use lifecycle::{Refusal, Request, may_adopt};
use model::{NodeName, Origin, ScenarioName, TalosSight};
use talos::api::Node;
use talos::secrets::{Secrets, SecretsError};
use tokio::task::JoinSet;

use super::Room;
use super::eye::{Kept, Target};
use super::minted::{MintError, Minted};
use crate::desk::DeskError;

/// Why a cluster is not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// What was given are no secrets of a cluster.
    #[error("the secrets cannot be read: {0}")]
    Unreadable(#[from] SecretsError),
    /// No machine of the control plane shows the identity of that cluster.
    #[error("no machine of the control plane answers as part of that cluster: {0}")]
    NotThere(String),
    /// The secrets cannot be used or kept.
    #[error("the secrets cannot be kept: {why}")]
    NotKept {
        /// Stable word for programs.
        code: &'static str,
        /// Why.
        why: String,
    },
    /// The lab says no.
    #[error(transparent)]
    Refused(#[from] DeskError),
}

impl From<Refusal> for AdoptError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(DeskError::Refused(refusal))
    }
}

impl From<MintError> for AdoptError {
    fn from(why: MintError) -> Self {
        Self::NotKept { code: why.code(), why: why.to_string() }
    }
}

/// Where a cluster is taken over.
#[derive(Debug, Clone)]
pub struct Adopter(pub(super) Arc<Room>);

impl Adopter {
    /// Looks at the machines of a scenario by these secrets, and takes the cluster over unless only a look is wanted.
    ///
    /// # Errors
    /// [`AdoptError`]; nothing was changed, neither here nor there.
    pub async fn adopt(
        &self,
        scenario: String,
        secrets: &str,
        only_look: bool,
        by: Origin,
    ) -> Result<Adopted, AdoptError> {
        let secrets = Secrets::from_yaml(secrets)?;
        let asked = scenario.clone();
        let (name, run, targets) = self
            .0
            .desk
            .look(move |look| {
                let name = may_adopt(look.lab, &asked)?.clone();
                Ok::<_, Refusal>((name.clone(), look.lab.runs.saturating_add(1), targets(look.lab, &name)))
            })
            .await??;
        let minted = Arc::new(Minted::of(run, secrets)?);
        let seen = self.look(targets, &minted).await;
        let machines: Vec<LookedAt> = seen
            .iter()
            .map(|(node, (_, sight))| LookedAt { node: node.clone(), sight: sight.clone() })
            .collect();
        if !seen.values().any(|(controls, sight)| *controls && matches!(sight, TalosSight::Known { .. })) {
            let of_control = seen.iter().filter(|(_, (controls, _))| *controls);
            let told: Vec<String> =
                of_control.map(|(node, (_, sight))| format!("{node} is {sight}")).collect();
            return Err(AdoptError::NotThere(told.join("; ")));
        }
        if only_look {
            return Ok(Adopted { machines, accepted: None });
        }
        let accepted = self.record(name, minted, by).await?;
        Ok(Adopted { machines, accepted: Some(accepted) })
    }

    /// Keeps the secrets, then records the run that uses them.
    async fn record(
        &self,
        scenario: ScenarioName,
        minted: Arc<Minted>,
        by: Origin,
    ) -> Result<Accepted, AdoptError> {
        let (run, fingerprint) = (minted.run, minted.fingerprint.clone());
        let (room, kept_for) = (Arc::clone(&self.0), scenario.clone());
        let kept = tokio::task::spawn_blocking(move || room.keeper.keep(&minted, &kept_for)).await;
        kept.map_err(|why| AdoptError::NotKept { code: "internal", why: why.to_string() })??;
        let request = Request::Adopt { scenario: scenario.to_string(), run, fingerprint, by };
        let accepted = self.0.desk.ask(request).await;
        if accepted.is_err() {
            // What stays after a crash between the two is read by no run but this one.
            if let Err(why) = self.0.keeper.forget(run, &scenario) {
                tracing::error!("secrets of a cluster that was not taken over stay sealed: {why}");
            }
        }
        Ok(accepted?)
    }

    async fn look(
        &self,
        targets: Vec<Target>,
        minted: &Arc<Minted>,
    ) -> BTreeMap<NodeName, (bool, TalosSight)> {
        let mut looks = JoinSet::new();
        for target in targets {
            let (room, minted) = (Arc::clone(&self.0), Arc::clone(minted));
            looks.spawn(async move {
                let sight = room.as_one_of_us(&target, &minted, &mut Kept::default()).await;
                (target.node, (target.controls, sight))
            });
        }
        looks.join_all().await.into_iter().collect()
    }
}

/// The machines of a scenario, whatever is known of them.
fn targets(lab: &lifecycle::Lab, scenario: &ScenarioName) -> Vec<Target> {
    let Some(spec) = lab.spec.scenarios.get(scenario) else { return Vec::new() };
    let controls = |node: &NodeName| spec.talos.as_ref().is_some_and(|talos| talos.controls(node));
    let target = |node: &NodeName| {
        let at = SocketAddr::new(lab.node(node)?.ip.into(), Node::PORT);
        Some(Target::unknown(node.clone(), at, controls(node)))
    };
    spec.members().filter_map(target).collect()
}
