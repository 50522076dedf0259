//! What is known of the cluster: its nodes, its pods, how they add up, and how fresh that is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Most pods and most nodes that are kept; the rest is counted.
pub(crate) const MOST: usize = 20_000;

/// A node's fitness for pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// Its kubelet says so.
    Ready,
    /// It does not, or says nothing any more.
    NotReady {
        /// Why, in the words of the cluster.
        reason: String,
    },
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name in the cluster.
    pub name: String,
    /// Its fitness.
    pub state: NodeState,
    /// What it is short of: `MemoryPressure`, `DiskPressure`, ...
    pub pressures: Vec<String>,
    /// Its kubelet's version, as `v1.33.2`.
    pub version: String,
    /// Its address inside the cluster.
    pub address: Option<String>,
    /// Closed to new pods by `kubectl cordon`.
    pub unschedulable: bool,
    /// Has a taint that keeps pods away which do not tolerate it.
    pub tainted: bool,
    /// Its labels, which selectors of workloads are compared with.
    pub labels: BTreeMap<String, String>,
}

/// Names a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// What a pod is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodState {
    /// Every container runs and answers its probes.
    Ready,
    /// On its way.
    Starting {
        /// What it waits for, where the kubelet says: `ImagePullBackOff: ..`.
        waits_for: Option<String>,
    },
    /// Ended well, and will not run again: done.
    Succeeded,
    /// Ends again and again.
    CrashLoop {
        /// How often it was started again.
        restarts: u32,
    },
    /// No node takes it.
    Pending {
        /// The scheduler's reason.
        reason: String,
    },
    /// Ended badly, and will not run again.
    Failed {
        /// Why.
        reason: String,
    },
    /// Is being taken away.
    Terminating,
}

impl PodState {
    /// What it does, as a phrase after its name that stays the same while nothing changes.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Ready => "is ready".to_owned(),
            Self::Starting { waits_for: None } => "is starting".to_owned(),
            Self::Starting { waits_for: Some(what) } => format!("is starting ({what})"),
            Self::Succeeded => "is done".to_owned(),
            Self::CrashLoop { .. } => "ends again and again".to_owned(),
            Self::Pending { reason } => format!("is pending ({reason})"),
            Self::Failed { reason } if reason.is_empty() => "failed".to_owned(),
            Self::Failed { reason } => format!("failed ({reason})"),
            Self::Terminating => "is being taken away".to_owned(),
        }
    }
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: PodName,
    /// Tells it from an earlier one of the same name.
    pub uid: String,
    /// The node that was chosen for it.
    pub node: Option<String>,
    /// What it is doing.
    pub state: PodState,
    /// Kind and name of what made it; a Deployment where its `ReplicaSet` was made by one.
    pub owner: Option<(String, String)>,
}

/// The way to the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Link {
    /// Never there yet.
    #[default]
    Connecting,
    /// What is seen is how it is.
    Live,
    /// What is seen is how it was.
    Lost {
        /// What happened.
        why: String,
    },
}

/// Pods by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ready.
    pub ready: usize,
    /// Starting.
    pub starting: usize,
    /// Ended well: these are done, and nobody waits for them.
    pub succeeded: usize,
    /// In a crash loop.
    pub crash_loop: usize,
    /// Without a node.
    pub pending: usize,
    /// Ended badly, with no other pod of the same owner in their place.
    pub failed: usize,
    /// Going away.
    pub terminating: usize,
    /// Ended badly, and replaced: an evicted pod, a Job's earlier try.
    pub replaced: usize,
}

impl Counts {
    /// Pods that somebody waits for: all but those that are going away or were replaced.
    #[must_use]
    pub const fn wanted(&self) -> usize {
        self.done() + self.starting + self.crash_loop + self.pending + self.failed
    }

    /// Pods that are where they should be: ready, or ended well.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.ready + self.succeeded
    }

    const fn add(&mut self, state: &PodState, replaced: bool) {
        let count = match state {
            PodState::Ready => &mut self.ready,
            PodState::Starting { .. } => &mut self.starting,
            PodState::Succeeded => &mut self.succeeded,
            PodState::CrashLoop { .. } => &mut self.crash_loop,
            PodState::Pending { .. } => &mut self.pending,
            PodState::Failed { .. } if replaced => &mut self.replaced,
            PodState::Failed { .. } => &mut self.failed,
            PodState::Terminating => &mut self.terminating,
        };
        *count += 1;
    }
}

/// What is known of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    nodes: BTreeMap<String, Node>,
    pods: BTreeMap<PodName, Pod>,
    nodes_left_out: usize,
    pods_left_out: usize,
    links: BTreeMap<&'static str, Link>,
}

impl Picture {
    /// The nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The node that has this address inside the cluster.
    #[must_use]
    pub fn node_at(&self, address: IpAddr) -> Option<&Node> {
        let has = |node: &&Node| node.address.as_ref().and_then(|text| text.parse().ok()) == Some(address);
        self.nodes.values().find(has)
    }

    /// The pods, by namespace and name.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get(&PodName { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// How many nodes and pods the cluster has beyond those that are kept.
    #[must_use]
    pub const fn left_out(&self) -> (usize, usize) {
        (self.nodes_left_out, self.pods_left_out)
    }

    /// The way to the server: live when both watches are.
    #[must_use]
    pub fn link(&self) -> Link {
        let mut links = self.links.values();
        if self.links.len() < 2 {
            return links.find(|link| **link != Link::Live).cloned().unwrap_or_default();
        }
        links.find(|link| **link != Link::Live).cloned().unwrap_or(Link::Live)
    }

    /// All pods by state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counted(|_| Some(())).remove(&()).unwrap_or_default()
    }

    /// Pods by state for each node; those without one are under no name.
    #[must_use]
    pub fn counts_by_node(&self) -> BTreeMap<Option<&str>, Counts> {
        self.counted(|pod| Some(pod.node.as_deref()))
    }

    /// Pods by state for each namespace.
    #[must_use]
    pub fn counts_by_namespace(&self) -> BTreeMap<&str, Counts> {
        self.counted(|pod| Some(pod.name.namespace.as_str()))
    }

    /// Adds the pods up under a key of each.
    pub(super) fn counted<'a, K: Ord>(&'a self, key: impl Fn(&'a Pod) -> Option<K>) -> BTreeMap<K, Counts> {
        let lives = |pod: &&Pod| !matches!(pod.state, PodState::Failed { .. } | PodState::Terminating);
        let alive: BTreeSet<_> = self
            .pods
            .values()
            .filter(lives)
            .filter_map(|pod| Some((pod.name.namespace.as_str(), pod.owner.as_ref()?)))
            .collect();
        let mut counts: BTreeMap<K, Counts> = BTreeMap::new();
        for pod in self.pods.values() {
            let Some(key) = key(pod) else { continue };
            let replaced =
                pod.owner.as_ref().is_some_and(|owner| alive.contains(&(pod.name.namespace.as_str(), owner)));
            counts.entry(key).or_default().add(&pod.state, replaced);
        }
        counts
    }

    pub(super) fn set_link(&mut self, of: &'static str, link: Link) -> bool {
        self.links.insert(of, link.clone()) != Some(link)
    }

    pub(super) fn put_node(&mut self, node: Node, added: bool) {
        let known = self.nodes.contains_key(&node.name);
        if self.nodes.len() >= MOST && !known {
            self.nodes_left_out += usize::from(added);
            return;
        }
        if !known && !added {
            // It was left out until there was room.
            self.nodes_left_out = self.nodes_left_out.saturating_sub(1);
        }
        self.nodes.insert(node.name.clone(), node);
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        if self.nodes.remove(name).is_none() {
            self.nodes_left_out = self.nodes_left_out.saturating_sub(1);
        }
    }

    pub(super) fn replace_nodes(&mut self, nodes: Vec<Node>, left_out: usize) {
        self.nodes = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
        self.nodes_left_out = left_out;
    }

    pub(super) fn put_pod(&mut self, pod: Pod, added: bool) {
        let known = self.pods.contains_key(&pod.name);
        if self.pods.len() >= MOST && !known {
            self.pods_left_out += usize::from(added);
            return;
        }
        if !known && !added {
            // It was left out until there was room.
            self.pods_left_out = self.pods_left_out.saturating_sub(1);
        }
        self.pods.insert(pod.name.clone(), pod);
    }

    pub(super) fn remove_pod(&mut self, name: &PodName) {
        if self.pods.remove(name).is_none() {
            self.pods_left_out = self.pods_left_out.saturating_sub(1);
        }
    }

    pub(super) fn replace_pods(&mut self, pods: Vec<Pod>, left_out: usize) {
        self.pods = pods.into_iter().map(|pod| (pod.name.clone(), pod)).collect();
        self.pods_left_out = left_out;
    }
}
