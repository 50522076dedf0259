//! The cluster without its sockets: objects, kinds, time as an argument, and what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::{Kind, built_in};
use super::manner::Manners;
use super::moment;
use super::store::{Key, Store};
use crate::dice::Dice;

/// What happens to an object at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A pod's containers start.
    Start,
    /// They answer their probes.
    Ready,
    /// They end by themselves.
    Finish,
    /// They fall.
    Crash,
    /// A pod that is going away has stopped.
    Stop,
    /// A definition's kinds are served.
    Establish,
}

/// A machine that joins the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name of the node.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Whether it carries the control plane, and so a taint.
    pub control_plane: bool,
    /// Cores.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The kubelet's version, as `v1.33.2`.
    pub version: String,
}

/// The objects of a cluster and those who tend them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) store: Store,
    pub(super) kinds: Vec<Kind>,
    pub(super) manners: Manners,
    /// What `/version` says.
    pub(super) version: String,
    pub(super) dice: Dice,
    /// Milliseconds since 1970.
    pub(super) now: u64,
    /// What is due, by the uid of its object.
    pub(super) due: BTreeMap<String, (u64, Key, Step)>,
    /// Nodes whose kubelet says nothing.
    pub(super) silent: BTreeSet<String>,
    /// Addresses given to pods so far.
    pub(super) addresses: u32,
}

/// The text at a path of an object; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a path of an object.
pub(super) fn number(object: &Value, at: &str, otherwise: u64) -> u64 {
    object.pointer(at).and_then(Value::as_u64).unwrap_or(otherwise)
}

/// Name of an object.
pub(super) fn name_of(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// The uid of the controller an object belongs to.
pub(super) fn controller(object: &Value) -> Option<&str> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    owners.iter().find(|owner| owner.get("controller") == Some(&json!(true)))?.get("uid")?.as_str()
}

/// Sets a field, with the objects around it.
pub(super) fn set(object: &mut Value, path: &[&str], value: Value) {
    let mut at = object;
    for step in path {
        if !at.is_object() {
            *at = json!({});
        }
        let Some(fields) = at.as_object_mut() else { return };
        at = fields.entry((*step).to_owned()).or_insert(Value::Null);
    }
    *at = value;
}

impl Cluster {
    /// An empty cluster with the namespaces every cluster has.
    pub(super) fn new(seed: u64, version: &str, (now, kept): (u64, usize)) -> Self {
        let mut cluster = Self {
            store: Store::new(kept),
            kinds: built_in(),
            manners: Manners::default(),
            version: version.to_owned(),
            dice: Dice::new(seed),
            now,
            due: BTreeMap::new(),
            silent: BTreeSet::new(),
            addresses: 0,
        };
        for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            cluster.create("v1", "Namespace", json!({"metadata": {"name": namespace}}));
        }
        let service = json!({"metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.1", "type": "ClusterIP",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]}});
        cluster.create("v1", "Service", service);
        cluster
    }

    /// A kind by its `apiVersion` and name.
    pub(super) fn kind(&self, api_version: &str, kind: &str) -> Option<Kind> {
        self.kinds.iter().find(|known| known.kind == kind && known.api_version() == api_version).cloned()
    }

    /// Puts an object of our own in, whole.
    pub(super) fn create(&mut self, api_version: &str, kind: &str, mut object: Value) -> Option<Arc<Value>> {
        let kind = self.kind(api_version, kind)?;
        self.born(&kind, &mut object);
        let key = Key::new(&kind.resource(), text(&object, "/metadata/namespace"), name_of(&object));
        Some(self.store.put(key, object))
    }

    /// Fills in what the server gives a new object.
    pub(super) fn born(&mut self, kind: &Kind, object: &mut Value) {
        set(object, &["apiVersion"], json!(kind.api_version()));
        set(object, &["kind"], json!(kind.kind));
        let uid = self.uid();
        set(object, &["metadata", "uid"], json!(uid));
        set(object, &["metadata", "creationTimestamp"], json!(moment::written(self.now)));
        set(object, &["metadata", "generation"], json!(1));
        defaults(kind, object);
    }

    fn uid(&mut self) -> String {
        let (a, b) = (self.dice.next(), self.dice.next());
        let (high, low) = (a >> 32, a & 0xffff_ffff);
        format!(
            "{high:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            low >> 16,
            low & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// Letters for the end of a name, without those that make words.
    pub(super) fn suffix(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let last = u64::try_from(LETTERS.len() - 1).unwrap_or_default();
        (0..length)
            .filter_map(|_| usize::try_from(self.dice.between(0, last)).ok())
            .filter_map(|index| LETTERS.get(index).map(|byte| char::from(*byte)))
            .collect()
    }

    /// The next address of a pod.
    pub(super) fn pod_address(&mut self) -> String {
        self.addresses += 1;
        format!("10.244.{}.{}", self.addresses / 250 % 250, self.addresses % 250 + 1)
    }

    /// A time that is at least so many milliseconds away and about so many at most. Times are twentieths of a second, so
    /// that what happens to hundreds of pods is looked after at once.
    pub(super) const fn soon(&mut self, least: u64, most: u64) -> u64 {
        (self.now + self.dice.between(least, most)).next_multiple_of(50)
    }

    /// Writes an object back after it was changed in place.
    pub(super) fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) {
        let Some(object) = self.store.get(key) else { return };
        let mut object = Value::clone(object);
        change(&mut object);
        self.store.put(key.clone(), object);
    }

    /// Takes an object out for good.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let last = self.store.remove(key)?;
        self.due.remove(text(&last, "/metadata/uid"));
        if key.resource == "customresourcedefinitions.apiextensions.k8s.io" {
            let gone = Kind::defined_by(&last);
            let resources: Vec<String> = gone.iter().map(Kind::resource).collect();
            self.kinds.retain(|kind| !gone.contains(kind));
            let left: Vec<Key> = self
                .store
                .everything()
                .map(|(key, _)| key)
                .filter(|k| resources.contains(&k.resource))
                .cloned()
                .collect();
            for key in left {
                self.store.remove(&key);
            }
        }
        Some(last)
    }

    /// When something happens by itself next.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.values().filter(|(_, key, _)| !self.is_held(key)).map(|(due, ..)| *due).min()
    }

    /// A pod of a node that is silent: nobody there does anything about it.
    fn is_held(&self, key: &Key) -> bool {
        let node = self.store.get(key).map(|pod| text(pod, "/spec/nodeName")).unwrap_or_default();
        !node.is_empty() && self.silent.contains(node)
    }

    /// Time passes.
    pub(super) fn advance(&mut self, now: u64) {
        loop {
            self.tend();
            match self.next_due() {
                Some(due) if due <= now => self.now = self.now.max(due),
                Some(_) | None => break,
            }
            let ripe: Vec<String> = self
                .due
                .iter()
                .filter(|(_, (due, key, _))| *due <= self.now && !self.is_held(key))
                .map(|(uid, _)| uid.clone())
                .collect();
            for uid in ripe {
                if let Some((_, key, step)) = self.due.remove(&uid) {
                    self.happen(&uid, &key, step);
                }
            }
        }
        self.now = self.now.max(now);
    }

    /// Everybody who tends objects looks at them until nobody finds anything to do.
    pub(super) fn tend(&mut self) {
        for _ in 0..64 {
            let before = self.store.version();
            self.tend_namespaces();
            self.tend_definitions();
            self.tend_workloads();
            self.collect_garbage();
            self.schedule();
            self.tend_pods();
            if self.store.version() == before {
                break;
            }
        }
    }

    /// A machine joins, or speaks again.
    pub(super) fn join(&mut self, member: &Member) {
        self.silent.remove(&member.name);
        let key = Key::new("nodes", "", &member.name);
        if self.store.get(&key).is_none() {
            let mut labels = json!({"kubernetes.io/hostname": member.name, "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64"});
            let mut taints = json!([]);
            if member.control_plane {
                set(&mut labels, &["node-role.kubernetes.io/control-plane"], json!(""));
                taints = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
            }
            let node =
                json!({"metadata": {"name": member.name, "labels": labels}, "spec": {"taints": taints}});
            drop(self.create("v1", "Node", node));
        }
        let now = moment::written(self.now);
        let room = json!({"cpu": member.cores.to_string(), "memory": format!("{}Mi", member.memory_mib), "pods": "110"});
        self.change(&key, |node| {
            set(node, &["status"], json!({
                "capacity": room, "allocatable": room,
                "addresses": [{"type": "InternalIP", "address": member.address},
                    {"type": "Hostname", "address": member.name}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
                    "message": "kubelet is posting ready status", "lastHeartbeatTime": now,
                    "lastTransitionTime": now}],
                "nodeInfo": {"kubeletVersion": member.version, "osImage": "simulated", "architecture": "amd64",
                    "operatingSystem": "linux", "kernelVersion": "", "machineID": "", "systemUUID": "",
                    "bootID": "", "containerRuntimeVersion": "containerd://2.0.0", "kubeProxyVersion": ""},
            }));
        });
        self.set_pods_of(&member.name, true);
        self.tend();
    }

    /// A machine says nothing any more.
    pub(super) fn lose(&mut self, name: &str) {
        self.silent.insert(name.to_owned());
        let now = moment::written(self.now);
        self.change(&Key::new("nodes", "", name), |node| {
            set(
                node,
                &["status", "conditions"],
                json!([{"type": "Ready", "status": "Unknown",
                "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": now}]),
            );
        });
        self.set_pods_of(name, false);
        self.tend();
    }

    fn set_pods_of(&mut self, node: &str, ready: bool) {
        let pods: Vec<Key> = self
            .store
            .all("pods", None)
            .filter(|(_, pod)| text(pod, "/spec/nodeName") == node && text(pod, "/status/phase") == "Running")
            // One that was never ready does not become so.
            .filter(|(_, pod)| pod.pointer("/status/containerStatuses/0/ready") == Some(&json!(true)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in pods {
            self.change(&key, |pod| super::kubelet::set_ready(pod, ready));
        }
    }
}

/// What a server fills in where a manifest says nothing.
fn defaults(kind: &Kind, object: &mut Value) {
    match kind.kind.as_str() {
        "Namespace" => {
            set(object, &["spec", "finalizers"], json!(["kubernetes"]));
            set(object, &["status"], json!({"phase": "Active"}));
        }
        "Pod" => {
            set(object, &["status", "phase"], json!("Pending"));
            if object.pointer("/spec/restartPolicy").is_none() {
                set(object, &["spec", "restartPolicy"], json!("Always"));
            }
        }
        "Deployment" | "ReplicaSet" | "StatefulSet" if object.pointer("/spec/replicas").is_none() => {
            set(object, &["spec", "replicas"], json!(1));
        }
        "Job" => {
            for field in ["parallelism", "completions"] {
                if object.pointer(&format!("/spec/{field}")).is_none() {
                    set(object, &["spec", field], json!(1));
                }
            }
        }
        _ => {}
    }
}
