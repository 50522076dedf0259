//! What is known of the cluster that a run builds, and of each machine's part in it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    Asset, ClusterPods, CommandId, LabTime, Membership, Moment, NodeName, NodePods, Outcome, PowerState,
    Proof, TalosHeard, TalosSight, TalosSpec, TalosStep,
};
use serde::{Deserialize, Serialize};

use crate::guests::Hosts;
use crate::lab::{Lab, Machine};
use crate::park;
use crate::past::Room;
use crate::record;

/// The cluster of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// What tells its secrets from others, once they are kept.
    pub secrets: Option<String>,
    /// The order to make them.
    pub mint: Option<Order>,
    /// The order to begin etcd, and the one machine that was asked.
    pub bootstrap: Option<(NodeName, Order)>,
    /// It ran already and was taken over: nothing of it is made, begun, configured or wiped here.
    #[serde(default)]
    pub adopted: bool,
    /// The manifests it gets, by content, as they were when the run began.
    #[serde(default)]
    pub manifests: Vec<Asset>,
    /// The order to apply them.
    #[serde(default)]
    pub apply: Option<Order>,
    /// How many times in a row that failed.
    #[serde(default)]
    pub refusals: u8,
    /// Why it failed last.
    #[serde(default)]
    pub refused: Option<String>,
    /// What it told last of its pods.
    #[serde(default)]
    pub pods: Option<Arc<ClusterPods>>,
    /// Since when those of the manifests are there, or are not.
    #[serde(default)]
    pub pods_since: LabTime,
}

impl Cluster {
    /// Of a run that begins with these manifests.
    pub(crate) fn with(manifests: Vec<Asset>) -> Self {
        Self { manifests, ..Self::default() }
    }

    /// Orders on their way.
    pub(crate) fn orders(&mut self) -> impl Iterator<Item = &mut Order> {
        let bootstrap = self.bootstrap.as_mut().map(|(_, order)| order);
        self.mint.iter_mut().chain(bootstrap).chain(self.apply.iter_mut())
    }

    /// Takes a driver's answer, if it is about an order of the cluster.
    pub(crate) fn end(&mut self, id: CommandId, outcome: &Outcome, at: LabTime) -> bool {
        if !self.orders().any(|order| order.end(id, outcome, at)) {
            return false;
        }
        if self.apply.as_ref().is_some_and(|order| order.id == id) {
            (self.refusals, self.refused) = match outcome {
                Outcome::Failed { why, .. } => (self.refusals.saturating_add(1), Some(why.clone())),
                Outcome::Done | Outcome::Unknown => (0, None),
            };
        }
        true
    }

    /// Records what it tells of its pods.
    pub(crate) fn see_pods(&mut self, pods: &Arc<ClusterPods>, at: LabTime) {
        if self.pods.as_ref().map(|pods| pods.is_done()) != Some(pods.is_done()) {
            self.pods_since = at;
        }
        self.pods = Some(Arc::clone(pods));
    }
}

/// An order to a driver, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub id: CommandId,
    /// When it was given.
    pub given: LabTime,
    /// What its driver answered, and when.
    pub ended: Option<(Outcome, LabTime)>,
}

impl Order {
    pub(crate) const fn new(id: CommandId, given: LabTime) -> Self {
        Self { id, given, ended: None }
    }

    /// Takes the driver's answer, if it is about this order.
    pub(crate) fn end(&mut self, id: CommandId, outcome: &Outcome, at: LabTime) -> bool {
        let ends = self.id == id && self.ended.is_none();
        if ends {
            self.ended = Some((outcome.clone(), at));
        }
        ends
    }

    /// Nobody will answer it any more.
    pub(crate) fn lose(&mut self, at: LabTime) -> bool {
        let id = self.id;
        self.end(id, &Outcome::Unknown, at)
    }

    /// True when its driver did it.
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.ended, Some((Outcome::Done, _)))
    }
}

/// One machine's part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalosKnown {
    /// Its cluster was taken over: it had its config before this run.
    #[serde(default)]
    pub adopted: bool,
    /// What the last look at its API told.
    pub sight: TalosSight,
    /// Since when.
    pub seen: LabTime,
    /// Since when it is known by its identity without a gap.
    pub known: Option<LabTime>,
    /// When it was known first in this run: from then on it has the cluster's config.
    pub applied: Option<LabTime>,
    /// The last push of this run. Once there was one, no boot wipes the machine.
    pub push: Option<Order>,
    /// How surely it was known when that was ordered.
    #[serde(default)]
    pub proof: Option<Proof>,
    /// Pushes in this boot, or times its config was laid ready for it.
    pub pushes: u8,
    /// Since when it asks for its config and gets none, where it fetches it.
    #[serde(default)]
    pub asks: Option<LabTime>,
    /// The order to reset it at the end of this run.
    #[serde(default)]
    pub reset: Option<Order>,
    /// When its config was laid ready for this boot first.
    #[serde(default)]
    pub offered: Option<LabTime>,
    /// The key that it showed first in this boot.
    pub key: Option<String>,
    /// Another key was shown in the same boot: two machines claim to be this one.
    pub two_keys: bool,
    /// What the cluster says of it.
    pub member: Membership,
    /// Since when it says that, whatever the reason.
    pub member_since: LabTime,
    /// What it says itself, without proof. Shown, and not judged by.
    #[serde(default)]
    pub heard: Option<TalosHeard>,
    /// Its pods, once the cluster told.
    #[serde(default)]
    pub pods: Option<NodePods>,
}

impl TalosKnown {
    /// True when it has, or may have, a config of this run's cluster: it is looked at by that identity and never wiped.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.push.is_some() || self.adopted
    }

    /// What was ordered of it over its API.
    pub(crate) fn orders(&self) -> impl Iterator<Item = &Order> {
        self.push.iter().chain(&self.reset)
    }

    /// Records what a look told.
    pub(crate) fn see(&mut self, sight: &TalosSight, at: LabTime) {
        match sight {
            TalosSight::Known { .. } => {
                self.known.get_or_insert(at);
                self.applied.get_or_insert(at);
            }
            TalosSight::Maintenance { fingerprint, .. } => {
                self.known = None;
                let first = self.key.get_or_insert_with(|| fingerprint.clone());
                self.two_keys |= first != fingerprint;
            }
            TalosSight::Silent | TalosSight::Locked | TalosSight::Foreign => self.known = None,
        }
        self.sight = sight.clone();
        self.seen = at;
    }

    /// Records that it asked for its config, and whether it got it.
    pub(crate) fn ask(&mut self, bytes: Option<u64>, at: LabTime) {
        match bytes {
            Some(_) => self.asks = None,
            None if self.asks_news() => self.asks = Some(at),
            None => {}
        }
    }

    /// True when another ask that got nothing says more than the ones before.
    pub(crate) fn asks_news(&self) -> bool {
        let ended = self.push.as_ref().and_then(|order| order.ended.as_ref()).map(|(_, at)| *at);
        self.asks.is_none_or(|asks| ended.is_some_and(|ended| ended >= asks))
    }

    /// Nothing is known of what it runs any more: it starts anew, or its state just changed.
    pub(crate) fn look_anew(&mut self, at: LabTime) {
        self.see(&TalosSight::Silent, at);
    }

    /// Another boot begins.
    pub(crate) fn begin(&mut self, at: LabTime) {
        self.look_anew(at);
        (self.pushes, self.key, self.two_keys, self.heard) = (0, None, false, None);
        (self.asks, self.offered) = (None, None);
    }

    /// Records what the cluster says of it.
    pub(crate) fn join(&mut self, membership: &Membership, at: LabTime) {
        if core::mem::discriminant(&self.member) != core::mem::discriminant(membership) {
            self.member_since = at;
        }
        self.member = membership.clone();
    }
}

/// How a control plane stands, for those who need one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ControlPlane {
    /// None of its machines has its config yet.
    #[default]
    Coming,
    /// One has: workers find their certificates there (`trustd`).
    There,
    /// All of its machines were given up.
    Lost,
}

impl ControlPlane {
    fn of<'a>(machines: impl Iterator<Item = &'a Machine> + Clone) -> Self {
        if machines.clone().all(|machine| machine.bad) {
            return Self::Lost;
        }
        let mut there = machines.filter(|machine| machine.talos.applied.is_some() && !machine.bad);
        if there.next().is_some() { Self::There } else { Self::Coming }
    }
}

/// What the machines of a cluster need to know of each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Around {
    /// The secrets are kept.
    pub(crate) secrets: bool,
    /// How its control plane stands.
    pub(crate) control: ControlPlane,
    /// Why etcd has not begun yet; empty once it has.
    pub(crate) before_etcd: String,
    /// How the hypervisors of its guests stand.
    pub(crate) hosts: Hosts,
}

impl Around {
    /// Of the run in hand.
    pub(crate) fn of(lab: &Lab) -> Self {
        let hosts = Hosts::of(lab);
        let Some((cluster, spec)) = lab.cluster() else { return Self { hosts, ..Self::default() } };
        let controllers = spec.control_plane.iter().filter_map(|node| lab.machines.get(node));
        Self {
            secrets: cluster.secrets.is_some(),
            control: ControlPlane::of(controllers.map(AsRef::as_ref)),
            before_etcd: if has_begun(lab) { String::new() } else { before_etcd(cluster) },
            hosts,
        }
    }
}

fn before_etcd(cluster: &Cluster) -> String {
    match &cluster.bootstrap {
        None => "a machine of the control plane to begin etcd on".to_owned(),
        Some((node, Order { ended: Some((Outcome::Failed { why, .. }, _)), .. })) => {
            alloc::format!("{node} to begin etcd, which it refused: {why}")
        }
        Some((node, _)) => alloc::format!("{node} to begin etcd"),
    }
}

/// True once etcd was begun, or runs.
pub(crate) fn has_begun(lab: &Lab) -> bool {
    let Some((cluster, spec)) = lab.cluster() else { return false };
    let runs = |machine: &Machine| matches!(machine.talos.sight, TalosSight::Known { etcd: true, .. });
    cluster.adopted
        || cluster.bootstrap.as_ref().is_some_and(|(_, order)| is_in_force(lab, order))
        || spec.control_plane.iter().filter_map(|node| lab.machines.get(node)).any(|m| runs(m))
}

/// True when an order about the whole cluster was done, and the cluster still has what it did. A control plane of one
/// machine that needed its config again since then had lost its disk, and with it all that etcd kept. One of several is
/// not judged so: the others may still have what they kept. An etcd that kept something refuses to begin.
pub(crate) fn is_in_force(lab: &Lab, order: &Order) -> bool {
    let controllers = lab.cluster().map(|(_, spec)| spec.control_plane.as_slice());
    let whole = controllers.and_then(|nodes| if let [only] = nodes { lab.machines.get(only) } else { None });
    let config = whole.and_then(|machine| machine.talos.push.as_ref());
    order.is_done() && config.is_none_or(|config| config.given <= order.given)
}

impl Lab {
    /// The cluster of the run in hand, where it builds one.
    #[must_use]
    pub fn cluster(&self) -> Option<(&Cluster, &TalosSpec)> {
        Some((&self.run.as_ref()?.cluster, self.scenario()?.talos.as_ref()?))
    }

    /// True once etcd of the cluster was begun, or runs.
    #[must_use]
    pub fn has_begun_etcd(&self) -> bool {
        has_begun(self)
    }

    /// The cluster that this machine shall be part of.
    #[must_use]
    pub fn cluster_of(&self, machine: &Machine) -> Option<(&Cluster, &TalosSpec)> {
        let takes_part = self.scenario()?.is_member(&machine.node);
        self.cluster().filter(|_| takes_part)
    }
}

impl Machine {
    /// Records what a look at its Talos told. The last word of a machine that was switched off says nothing about its
    /// next boot.
    pub(crate) fn hears_talos(&mut self, sight: &TalosSight, moment: Moment, room: Room) {
        let at = moment.since_start;
        if park::talos::is_to_be_reset(self) && matches!(sight, TalosSight::Maintenance { .. }) {
            return record::waits_in_talos(self, sight, moment, room);
        }
        // A machine of a cluster that was taken over was not seen to boot.
        if self.running || (self.talos.adopted && self.power != PowerState::Off) {
            match sight {
                TalosSight::Maintenance { .. } => record::step(self, at, TalosStep::Waits),
                TalosSight::Known { .. } => record::step(self, at, TalosStep::Known),
                TalosSight::Silent | TalosSight::Locked | TalosSight::Foreign => {}
            }
            self.talos.see(sight, at);
        }
    }

    /// Records what the cluster says of it.
    pub(crate) fn joins(&mut self, membership: &Membership, at: LabTime) {
        if *membership != Membership::Absent {
            record::step(self, at, TalosStep::Joined);
        }
        self.talos.join(membership, at);
    }
}
