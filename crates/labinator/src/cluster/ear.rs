//! The ear: hears from Kubernetes which machines are part of the cluster and how its pods are, and tells what is news to
//! the lab. `pods.rs` adds them up.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kubernetes::Watch;
use kubernetes::watch::{Expected, Link, NodeState, Picture, Workload};
use lifecycle::Lab;
use model::{Asset, ClusterPods, Fact, Membership, NodeName, NodePods, ScenarioName};
use tokio::time::{Instant, sleep};

use super::configs::Order;
use super::plane::{ControlPlane, servers};
use super::pods;
use super::{RENEW, Room};

/// Pause between two looks at the lab and the picture.
const EVERY: Duration = Duration::from_secs(1);
/// A server that is not heard for longer than this is away: a restart of its process takes less.
const HICCUP: Duration = Duration::from_secs(30);

/// What the lab believes of the cluster.
#[derive(Debug)]
struct Believed {
    run: u32,
    scenario: ScenarioName,
    servers: Vec<SocketAddr>,
    members: Vec<Member>,
    manifests: Vec<Asset>,
    pods: Option<Arc<ClusterPods>>,
}

/// One of its machines.
#[derive(Debug)]
struct Member {
    node: NodeName,
    address: IpAddr,
    believed: Membership,
    pods: Option<NodePods>,
}

/// One watch of a cluster.
#[derive(Debug)]
struct Listening {
    run: u32,
    /// Whose credentials it has.
    fingerprint: String,
    renewed: Instant,
    watch: Watch,
    /// What its manifests ask for; nothing before they were found.
    expected: Option<Expected>,
    /// Since when nothing is heard.
    lost: Option<Instant>,
}

/// Listens until the desk closes.
pub(super) async fn run(room: Arc<Room>) {
    let plane = Arc::new(ControlPlane::over(room.dial.clone()));
    let mut listening: Option<Listening> = None;
    while let Ok(believed) = room.desk.look(|look| believed(look.lab)).await {
        listening = match believed {
            Some(believed) => {
                plane.is(&believed.servers);
                let mut now = room.listens(listening.take(), &believed, &plane).await;
                for fact in now.as_mut().map(|now| now.news(&believed)).unwrap_or_default() {
                    if room.desk.tell(fact).await.is_err() {
                        return;
                    }
                }
                now
            }
            None => None,
        };
        sleep(EVERY).await;
    }
}

/// The cluster of the run in hand, once its etcd was begun.
fn believed(lab: &Lab) -> Option<Believed> {
    let (cluster, _) = lab.cluster()?;
    let run = lab.active_run()?;
    let scenario = lab.scenario()?;
    lab.has_begun_etcd().then_some(())?;
    let members = scenario.members().filter_map(|node| {
        let talos = &lab.machines.get(node)?.talos;
        let (believed, pods) = (talos.member.clone(), talos.pods.clone());
        Some(Member { node: node.clone(), address: lab.node(node)?.ip.into(), believed, pods })
    });
    Some(Believed {
        run: run.number,
        scenario: run.scenario.clone(),
        servers: servers(lab),
        members: members.collect(),
        manifests: cluster.manifests.clone(),
        pods: cluster.pods.clone(),
    })
}

/// What is news of the machines.
fn of_members(picture: &Picture, members: &[Member]) -> Vec<Fact> {
    let by_node = pods::by_node(picture);
    let mut news = Vec::new();
    for Member { node, address, believed, pods } in members {
        // A cluster that was taken over may call its machines otherwise.
        let seen = picture.node(node.as_str()).or_else(|| picture.node_at(*address));
        let membership = match seen.map(|seen| &seen.state) {
            None => Membership::Absent,
            Some(NodeState::Ready) => Membership::Ready,
            Some(NodeState::NotReady { reason }) => Membership::NotReady { why: reason.clone() },
        };
        if membership != *believed {
            news.push(Fact::MemberSeen { node: node.clone(), membership });
        }
        let now = seen.and_then(|seen| by_node.get(seen.name.as_str())).cloned().unwrap_or_default();
        if *pods != Some(now.clone()) {
            news.push(Fact::NodePodsSeen { node: node.clone(), pods: now });
        }
    }
    news
}

impl Listening {
    /// What is news. While the way to the server is lost, what was seen is how it was; that it is lost is news once it
    /// takes long.
    fn news(&mut self, believed: &Believed) -> Vec<Fact> {
        let picture = self.watch.picture();
        let picture = picture.borrow();
        let said = |pods: ClusterPods| Fact::PodsSeen { run: believed.run, pods: Arc::new(pods) };
        let why = match picture.link() {
            Link::Live => None,
            Link::Connecting => Some("it was never reached".to_owned()),
            Link::Lost { why } => Some(why),
        };
        if let Some(why) = why {
            let since = *self.lost.get_or_insert_with(Instant::now);
            let known = believed.pods.as_ref().filter(|pods| pods.away.is_none());
            let known = known.filter(|_| since.elapsed() >= HICCUP);
            return known
                .map(|pods| said(ClusterPods { away: Some(why), ..(**pods).clone() }))
                .into_iter()
                .collect();
        }
        self.lost = None;
        let mut news = of_members(&picture, &believed.members);
        let Some(expected) = &mut self.expected else { return news };
        let pods = pods::counted(&picture, expected);
        if believed.pods.as_deref() != Some(&pods) {
            news.push(said(pods));
        }
        news
    }
}

impl Room {
    /// Goes on listening to this cluster, or begins to.
    async fn listens(
        self: &Arc<Self>,
        before: Option<Listening>,
        believed: &Believed,
        plane: &Arc<ControlPlane>,
    ) -> Option<Listening> {
        let before = before.filter(|before| before.run == believed.run);
        let Ok(minted) = self.minted(believed.run, &believed.scenario).await else {
            // Whoever listens already goes on.
            return before;
        };
        if let Some(mut before) = before {
            let same = before.fingerprint == minted.fingerprint;
            if !same || before.renewed.elapsed() >= RENEW {
                let kubeconfig = self.kubeconfig(believed, &minted.secrets)?;
                match before.watch.replace(kubeconfig.as_bytes()) {
                    Ok(()) => before.fingerprint.clone_from(&minted.fingerprint),
                    Err(why) => tracing::error!("the cluster is watched with an old certificate: {why}"),
                }
                before.renewed = Instant::now();
            }
            if before.expected.is_none() {
                before.expected = self.expected(believed).await;
            }
            return Some(before);
        }
        let kubeconfig = self.kubeconfig(believed, &minted.secrets)?;
        let watch = Watch::spawn(kubeconfig.as_bytes(), Arc::clone(plane) as Arc<dyn kubernetes::Dial>)
            .map_err(|why| tracing::error!("the cluster cannot be watched: {why}"))
            .ok()?;
        Some(Listening {
            run: believed.run,
            fingerprint: minted.fingerprint.clone(),
            renewed: Instant::now(),
            watch,
            expected: self.expected(believed).await,
            lost: None,
        })
    }

    fn kubeconfig(
        &self,
        believed: &Believed,
        secrets: &talos::secrets::Secrets,
    ) -> Option<zeroize::Zeroizing<String>> {
        Order::of(&self.spec, &believed.scenario)
            .and_then(|order| order.kubeconfig(secrets))
            .map_err(|why| tracing::error!("no kubeconfig can be made: {why}"))
            .ok()
    }

    /// What the manifests of the run ask for, and which of it was seen to end before.
    async fn expected(self: &Arc<Self>, believed: &Believed) -> Option<Expected> {
        let (room, files) = (Arc::clone(self), believed.manifests.clone());
        let found = tokio::task::spawn_blocking(move || room.kept.find(&files)).await.ok()?;
        let manifests = found.map_err(|why| tracing::error!("what was pinned cannot be read: {why}")).ok()?;
        let mut expected = Expected::default();
        for manifest in manifests.all() {
            expected.add(&manifest.object);
        }
        for finished in believed.pods.iter().flat_map(|pods| &pods.finished) {
            if let Some(job) = Workload::read(finished) {
                expected.finish(&job);
            }
        }
        Some(expected)
    }
}
