//! The eye: looks at the Talos of each machine of the run, and tells what is news to the lab.
//!
//! ```text
//! its events tell of a change, or a pause is over
//!      ▼
//! pushed to?  yes ─▶ mutual TLS ─▶ Known, Foreign        no, or no answer ─▶ without a certificate ─▶ Maintenance, Locked
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Lab, Machine};
use model::{Fact, Goal, NodeName, PowerState, Proof, Rung, ScenarioName, TalosSight, TalosStage};
use netboot::Down;
use talos::api::{Identity, MachineStatus, Node, NodeError, Seen};
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use super::Room;
use super::follow::Following;
use super::minted::Minted;

/// How often it is asked which machines there are to look at.
const TICK: Duration = Duration::from_secs(1);
/// Pause between two looks at a machine.
const EVERY: Duration = Duration::from_secs(2);
/// The same at one whose events come as they happen.
const BELT: Duration = Duration::from_secs(10);
/// How long a look waits for the events that come with the first.
const SWARM: Duration = Duration::from_millis(50);
/// Looks without an answer after which a machine that was known counts as silent: one lost packet proves nothing.
const MISSES: u32 = 5;
/// The service that tells whether etcd runs.
const ETCD: &str = "etcd";

/// A machine to look at.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) node: NodeName,
    at: SocketAddr,
    boot: u32,
    /// It has, or may have, a config of this run's cluster.
    ours: bool,
    pub(super) controls: bool,
    /// What the lab believes.
    believed: TalosSight,
}

impl Target {
    /// A machine of which the lab believes nothing.
    pub(super) const fn unknown(node: NodeName, at: SocketAddr, controls: bool) -> Self {
        Self { node, at, boot: 0, ours: true, controls, believed: TalosSight::Silent }
    }
}

/// What is kept of a machine between two looks.
#[derive(Debug, Default)]
pub(super) struct Kept {
    boot: u32,
    /// Its connection, and as whom.
    line: Option<(Arc<Identity>, Arc<Node>)>,
    version: String,
    misses: u32,
    /// When it was looked at last.
    looked: Option<Instant>,
    /// Its events, once it was known.
    following: Option<Following>,
}

impl Kept {
    /// True when it is time to look: something was told, or the pause is over.
    fn is_due(&self) -> bool {
        let follows = self.following.as_ref();
        let news = follows.is_some_and(Following::take_news);
        let quiet = self.misses == 0 && follows.is_some_and(Following::is_open);
        let pause = if quiet { BELT } else { EVERY };
        news || self.looked.is_none_or(|looked| looked.elapsed() >= pause)
    }
}

/// What a look brought.
type Look = (Target, Kept, Option<TalosSight>);

/// Looks until the desk closes.
pub(super) async fn run(room: Arc<Room>) {
    let mut kept: BTreeMap<NodeName, Kept> = BTreeMap::new();
    let mut looks: JoinSet<Look> = JoinSet::new();
    // A machine that does not answer holds up nobody else.
    let mut busy: BTreeMap<Id, NodeName> = BTreeMap::new();
    let woken = Arc::new(Notify::new());
    while let Ok((run, targets)) = room.desk.look(|look| targets(look.lab)).await {
        kept.retain(|node, _| targets.iter().any(|target| target.node == *node));
        let minted = match run {
            Some((run, scenario)) => room.minted(run, &scenario).await.ok(),
            None => None,
        };
        for target in targets {
            if busy.values().any(|node| *node == target.node) {
                continue;
            }
            let mut known = kept.remove(&target.node).unwrap_or_default();
            if known.boot != target.boot {
                known = Kept { boot: target.boot, ..Kept::default() };
            }
            if !known.is_due() {
                kept.insert(target.node, known);
                continue;
            }
            known.looked = Some(Instant::now());
            let (room, minted, node) = (Arc::clone(&room), minted.clone(), target.node.clone());
            let look = looks.spawn(async move {
                let sight = room.sight(&target, minted.as_deref(), &mut known).await;
                (target, known, sight)
            });
            busy.insert(look.id(), node);
        }
        let pause = sleep(TICK);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                Some(look) = looks.join_next_with_id() => {
                    busy.remove(&look.as_ref().map_or_else(JoinError::id, |(id, _)| *id));
                    let Ok((_, look)) = look else { continue };
                    if !room.takes(look, &mut kept, &woken).await {
                        return;
                    }
                }
                () = &mut pause => break,
                () = woken.notified() => {
                    // Events come in swarms; one look after the swarm.
                    sleep(SWARM).await;
                    break;
                }
            }
        }
    }
}

/// The machines that took their image, those that wait in their Talos or are on their way there, and the run whose
/// secrets are kept.
fn targets(lab: &Lab) -> (Option<(u32, ScenarioName)>, Vec<Target>) {
    let building = lab.cluster().zip(lab.active_run());
    let looked_at = |machine: &&Arc<Machine>| {
        let runs =
            machine.rung >= Rung::Fetched || (machine.talos.adopted && machine.power != PowerState::Off);
        let used = machine.goal == Goal::Ready && machine.off_wanted.is_none() && runs;
        (building.is_some() && used) || machine.parks_in_talos()
    };
    let target = |machine: &Arc<Machine>| {
        let ip = lab.node(&machine.node)?.ip;
        Some(Target {
            node: machine.node.clone(),
            at: SocketAddr::new(ip.into(), Node::PORT),
            boot: machine.boots,
            ours: machine.talos.is_ours() && !machine.parks_in_talos(),
            controls: building.is_some_and(|((_, spec), _)| spec.controls(&machine.node)),
            believed: machine.talos.sight.clone(),
        })
    };
    let all = lab.machines.values().filter(looked_at).filter_map(target).collect();
    let run = building.filter(|((cluster, _), _)| cluster.secrets.is_some());
    (run.map(|(_, run)| (run.number, run.scenario.clone())), all)
}

impl Room {
    /// Tells what a look brought, and follows a machine that is known. False when the desk closed.
    async fn takes(
        &self,
        (target, mut known, sight): Look,
        kept: &mut BTreeMap<NodeName, Kept>,
        woken: &Arc<Notify>,
    ) -> bool {
        let is_known = matches!(sight, Some(TalosSight::Known { .. }));
        if let (Some((_, line)), true, None) = (&known.line, is_known, &known.following) {
            let (node, line) = (target.node.clone(), Arc::clone(line));
            known.following = Some(Following::of(node, line, Arc::clone(woken)));
        }
        kept.insert(target.node.clone(), known);
        let news = sight.filter(|sight| *sight != target.believed);
        if matches!(news, Some(TalosSight::Known { .. })) {
            // It has its config: what is laid ready for it is of no use to anybody good.
            let node = target.node.clone();
            drop(self.counter.try_send(Down::WithdrawConfig { node }));
        }
        match news {
            Some(sight) => self.desk.tell(Fact::TalosSeen { node: target.node, sight }).await.is_ok(),
            None => true,
        }
    }

    /// One look. `None` while it is too early to say that a known machine is silent.
    async fn sight(&self, target: &Target, minted: Option<&Minted>, kept: &mut Kept) -> Option<TalosSight> {
        let sight = match minted.filter(|_| target.ours) {
            Some(minted) => self.as_one_of_us(target, minted, kept).await,
            None => self.seen_from_outside(target).await,
        };
        if sight != TalosSight::Silent {
            kept.misses = 0;
            return Some(sight);
        }
        kept.misses = kept.misses.saturating_add(1);
        let known = matches!(target.believed, TalosSight::Known { .. });
        (!known || kept.misses >= MISSES).then_some(sight)
    }

    /// What it shows to somebody of this cluster.
    pub(super) async fn as_one_of_us(&self, target: &Target, minted: &Minted, kept: &mut Kept) -> TalosSight {
        let same = |who: &Arc<Identity>| Arc::ptr_eq(who, &minted.identity);
        let line = match kept.line.take().filter(|(who, _)| same(who)) {
            Some((_, line)) => line,
            None => {
                // Its events, too, are followed as whom we are now; from their beginning, and so without a gap.
                kept.following = None;
                Arc::new(Node::of_cluster(target.at, Arc::clone(&minted.identity)).over(self.dial.clone()))
            }
        };
        match self.known(target, &line, kept).await {
            Ok(sight) => {
                kept.line = Some((Arc::clone(&minted.identity), line));
                sight
            }
            // What waits for a config shows a certificate of nobody's, too.
            Err(NodeError::WrongCluster { .. } | NodeError::IdentityRefused { .. }) => {
                match self.seen_from_outside(target).await {
                    TalosSight::Locked => TalosSight::Foreign,
                    other => other,
                }
            }
            // It may wait again: without its state, or before it took the config.
            Err(_) => match self.seen_from_outside(target).await {
                TalosSight::Locked => TalosSight::Silent,
                other => other,
            },
        }
    }

    async fn known(&self, target: &Target, line: &Node, kept: &mut Kept) -> Result<TalosSight, NodeError> {
        let MachineStatus { stage, status } = line.machine_status().await?;
        if kept.version.is_empty() {
            kept.version = line.version().await?.tag.trim_start_matches('v').to_owned();
        }
        let etcd = target.controls
            && line
                .services()
                .await?
                .iter()
                .any(|service| service.id == ETCD && service.healthy == Some(true));
        Ok(TalosSight::Known {
            version: kept.version.clone(),
            stage: TalosStage::of(&stage),
            ready: status.ready,
            unmet: status.unmet(),
            etcd,
        })
    }

    async fn seen_from_outside(&self, target: &Target) -> TalosSight {
        match Node::in_maintenance(target.at, None).over(self.dial.clone()).probe().await {
            Seen::Maintenance { fingerprint, .. } => {
                // The eye dialled its reserved address, and knows no more than that.
                TalosSight::Maintenance { fingerprint: fingerprint.to_string(), proof: Proof::Address }
            }
            Seen::Configured => TalosSight::Locked,
            Seen::NotReady
            | Seen::Closed
            | Seen::Silent { .. }
            | Seen::NotTalos { .. }
            | Seen::Impostor { .. } => TalosSight::Silent,
        }
    }
}
