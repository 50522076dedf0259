//! The ear: hears from Kubernetes which machines are part of the cluster, and tells what is news to the lab.
//!
//! The API server is reached at any machine of the control plane that answers, whatever its name resolves to here: the
//! boss need not be its own name server.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kubernetes::watch::{Link, NodeState, Picture};
use kubernetes::{Dial, Dialed, Watch};
use lifecycle::Lab;
use model::{Fact, Membership, NodeName, ScenarioName};
use talos::api::Dial as Network;
use tokio::time::sleep;

use super::Room;
use super::configs::Order;

/// Pause between two looks at the lab and the picture.
const EVERY: Duration = Duration::from_secs(1);

/// What the lab believes of the cluster.
#[derive(Debug)]
struct Believed {
    run: u32,
    scenario: ScenarioName,
    /// Where API servers are.
    servers: Vec<SocketAddr>,
    members: Vec<Member>,
}

/// One of its machines.
#[derive(Debug)]
struct Member {
    node: NodeName,
    address: IpAddr,
    believed: Membership,
}

/// Dials the control plane, one machine after the other.
#[derive(Debug)]
struct ControlPlane {
    network: Network,
    servers: Mutex<Vec<SocketAddr>>,
}

impl Dial for ControlPlane {
    fn dial(&self, _host: &str, _port: u16) -> Dialed {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let network = self.network.clone();
        Box::pin(async move {
            let mut why =
                io::Error::new(io::ErrorKind::NotConnected, "no machine of the control plane is known");
            for server in servers {
                match network.dial(server).await {
                    Ok(stream) => return Ok(Box::new(stream) as Box<dyn kubernetes::Duplex>),
                    Err(error) => why = error,
                }
            }
            Err(why)
        })
    }
}

/// Listens until the desk closes.
pub(super) async fn run(room: Arc<Room>) {
    let plane = Arc::new(ControlPlane { network: room.dial.clone(), servers: Mutex::default() });
    let mut listening: Option<(u32, Watch)> = None;
    while let Ok(believed) = room.desk.look(|look| believed(look.lab)).await {
        if let Some(believed) = believed {
            plane.servers.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&believed.servers);
            if listening.as_ref().is_none_or(|(run, _)| *run != believed.run) {
                listening =
                    room.listen(&believed, Arc::clone(&plane)).await.map(|watch| (believed.run, watch));
            }
            if let Some((_, watch)) = &listening {
                let heard = heard(&watch.picture().borrow(), &believed.members);
                for (node, membership) in heard {
                    if room.desk.tell(Fact::MemberSeen { node, membership }).await.is_err() {
                        return;
                    }
                }
            }
        } else {
            listening = None;
        }
        sleep(EVERY).await;
    }
}

/// The cluster of the run in hand, once its etcd was begun.
fn believed(lab: &Lab) -> Option<Believed> {
    let (_, spec) = lab.cluster()?;
    let run = lab.active_run()?;
    let scenario = lab.scenario()?;
    let begun = lab.has_begun_etcd();
    begun.then_some(())?;
    let servers = spec
        .control_plane
        .iter()
        .filter(|node| lab.machines.get(*node).is_some_and(|machine| machine.talos.known.is_some()));
    let address =
        |node: &NodeName| Some(SocketAddr::new(lab.node(node)?.ip.into(), super::configs::KUBERNETES_PORT));
    let members = scenario.nodes.iter().filter_map(|node| {
        let believed = lab.machines.get(node)?.talos.member.clone();
        Some(Member { node: node.clone(), address: lab.node(node)?.ip.into(), believed })
    });
    Some(Believed {
        run: run.number,
        scenario: run.scenario.clone(),
        servers: servers.filter_map(address).collect(),
        members: members.collect(),
    })
}

/// What is news. While the way to the server is lost, nothing is: what was seen is how it was.
fn heard(picture: &Picture, members: &[Member]) -> Vec<(NodeName, Membership)> {
    if picture.link() != Link::Live {
        return Vec::new();
    }
    let says = |member: &Member| {
        // A cluster that was taken over may call its machines otherwise.
        let node = picture.node(member.node.as_str()).or_else(|| picture.node_at(member.address));
        match node.map(|node| &node.state) {
            None => Membership::Absent,
            Some(NodeState::Ready) => Membership::Ready,
            Some(NodeState::NotReady { reason }) => Membership::NotReady { why: reason.clone() },
        }
    };
    let news = members.iter().map(|member| (member, says(member)));
    news.filter(|(member, now)| member.believed != *now)
        .map(|(member, now)| (member.node.clone(), now))
        .collect()
}

impl Room {
    async fn listen(self: &Arc<Self>, believed: &Believed, plane: Arc<ControlPlane>) -> Option<Watch> {
        let minted = self.minted(believed.run, &believed.scenario).await.ok()?;
        let kubeconfig = Order::of(&self.spec, &believed.scenario)
            .and_then(|order| order.kubeconfig(&minted.secrets))
            .map_err(|why| tracing::error!("no kubeconfig can be made: {why}"))
            .ok()?;
        let watch = Watch::spawn(kubeconfig.as_bytes(), plane);
        watch.map_err(|why| tracing::error!("the cluster cannot be watched: {why}")).ok()
    }
}
