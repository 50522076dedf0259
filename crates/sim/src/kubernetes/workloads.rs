//! Those who tend objects: namespaces, definitions, what makes pods, and what is left without an owner.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cluster::{Cluster, Step, controller, name_of, number, set, text};
use super::kinds::Kind;
use super::moment;
use super::schedule::{selected, taint_against};
use super::select::Selector;
use super::store::Key;

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Pods of one owner.
struct Brood {
    pods: Vec<(Key, Arc<Value>)>,
}

impl Brood {
    fn count(&self, test: impl Fn(&Value) -> bool) -> u64 {
        u64::try_from(self.pods.iter().filter(|(_, pod)| test(pod)).count()).unwrap_or_default()
    }

    fn ready(&self) -> u64 {
        self.count(|pod| {
            let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
            conditions
                .into_iter()
                .flatten()
                .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True")
        })
    }

    fn in_phase(&self, phase: &str) -> u64 {
        self.count(|pod| text(pod, "/status/phase") == phase)
    }
}

/// A short hash of a template, as the name of its replica set has it (FNV-1a).
fn hash(template: &Value) -> String {
    let hash = template
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

impl Cluster {
    pub(super) fn tend_namespaces(&mut self) {
        let going: Vec<String> = self
            .store
            .all("namespaces", None)
            .filter(|(_, namespace)| namespace.pointer("/metadata/deletionTimestamp").is_some())
            .map(|(key, _)| key.name.clone())
            .collect();
        for namespace in going {
            let inside: Vec<Key> = self
                .store
                .everything()
                .map(|(key, _)| key)
                .filter(|k| k.namespace == namespace)
                .cloned()
                .collect();
            if inside.is_empty() {
                drop(self.remove(&Key::new("namespaces", "", &namespace)));
            }
            for key in inside {
                self.end(&key);
            }
        }
    }

    pub(super) fn tend_definitions(&mut self) {
        let fresh: Vec<(Key, String)> = self
            .store
            .all(DEFINITIONS, None)
            .filter(|(_, definition)| definition.pointer("/status/conditions").is_none())
            .map(|(key, definition)| (key.clone(), text(definition, "/metadata/uid").to_owned()))
            .filter(|(_, uid)| !self.due.contains_key(uid))
            .collect();
        for (key, uid) in fresh {
            let due = self.soon(100, 900);
            self.due.insert(uid, (due, key, Step::Establish));
        }
    }

    /// A definition's kinds are served from now on.
    pub(super) fn establish(&mut self, key: &Key, definition: &Value) {
        let kinds = Kind::defined_by(definition);
        self.kinds.retain(|known| {
            !kinds.iter().any(|k| k.resource() == known.resource() && k.version == known.version)
        });
        self.kinds.extend(kinds);
        let now = moment::written(self.now);
        let names = definition.pointer("/spec/names").cloned();
        self.change(key, |definition| {
            let condition = |kind: &str, reason: &str| {
                json!({"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now})
            };
            let conditions = [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")];
            set(definition, &["status"], json!({"conditions": conditions, "acceptedNames": names}));
        });
    }

    pub(super) fn tend_workloads(&mut self) {
        for (resource, tend) in [
            ("deployments.apps", Self::tend_deployment as fn(&mut Self, &Key, &Value)),
            ("replicasets.apps", Self::tend_replicas),
            ("statefulsets.apps", Self::tend_replicas),
            ("daemonsets.apps", Self::tend_daemons),
            ("jobs.batch", Self::tend_job),
        ] {
            let all: Vec<(Key, Arc<Value>)> = self
                .store
                .all(resource, None)
                .map(|(key, object)| (key.clone(), Arc::clone(object)))
                .collect();
            for (key, object) in all {
                if object.pointer("/metadata/deletionTimestamp").is_none() {
                    tend(self, &key, &object);
                }
            }
        }
    }

    fn owned(&self, resource: &str, owner: &Value) -> Vec<(Key, Arc<Value>)> {
        let uid = text(owner, "/metadata/uid");
        self.store
            .all(resource, Some(text(owner, "/metadata/namespace")))
            .filter(|(_, object)| controller(object) == Some(uid))
            .map(|(key, object)| (key.clone(), Arc::clone(object)))
            .collect()
    }

    /// The pods of an owner that are not going away.
    fn brood(&self, owner: &Value) -> Brood {
        let mut pods = self.owned("pods", owner);
        pods.retain(|(_, pod)| pod.pointer("/metadata/deletionTimestamp").is_none());
        Brood { pods }
    }

    fn tend_deployment(&mut self, key: &Key, deployment: &Value) {
        let template = deployment.pointer("/spec/template").cloned().unwrap_or_default();
        let hash = hash(&template);
        let name = format!("{}-{hash}", key.name);
        let wanted = number(deployment, "/spec/replicas", 1);
        let current = Key::new("replicasets.apps", &key.namespace, &name);
        if self.store.get(&current).is_none() {
            let mut template = template;
            set(&mut template, &["metadata", "labels", "pod-template-hash"], json!(hash));
            let mut labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
            set(&mut labels, &["pod-template-hash"], json!(hash));
            let object = json!({
                "metadata": {"name": name, "namespace": key.namespace, "labels": labels,
                    "ownerReferences": [owner(deployment)]},
                "spec": {"replicas": wanted, "selector": {"matchLabels": labels}, "template": template},
            });
            drop(self.create("apps/v1", "ReplicaSet", object));
        }
        self.change(&current, |set_| set(set_, &["spec", "replicas"], json!(wanted)));
        let fresh =
            self.store.get(&current).map(|set| number(set, "/status/readyReplicas", 0)).unwrap_or_default();
        let sets = self.owned("replicasets.apps", deployment);
        for (old, _) in sets.iter().filter(|(old, _)| *old != current) {
            // The old ones go when the new ones can take over.
            if fresh >= wanted {
                self.change(old, |set_| set(set_, &["spec", "replicas"], json!(0)));
            }
        }
        let sum = |at: &str| sets.iter().map(|(_, set)| number(set, at, 0)).sum::<u64>();
        let (there, ready) = (sum("/status/replicas"), sum("/status/readyReplicas"));
        let updated =
            self.store.get(&current).map(|set| number(set, "/status/replicas", 0)).unwrap_or_default();
        let available = if ready >= wanted { "True" } else { "False" };
        let generation = number(deployment, "/metadata/generation", 1);
        self.change(key, |deployment| {
            set(deployment, &["status"], json!({
                "observedGeneration": generation, "replicas": there, "updatedReplicas": updated,
                "readyReplicas": ready, "availableReplicas": ready, "unavailableReplicas": wanted.saturating_sub(ready),
                "conditions": [{"type": "Available", "status": available, "reason": "MinimumReplicasAvailable"},
                    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
            }));
        });
    }

    fn tend_replicas(&mut self, key: &Key, object: &Value) {
        let wanted = number(object, "/spec/replicas", 1);
        let brood = self.brood(object);
        let alive: Vec<&(Key, Arc<Value>)> =
            brood.pods.iter().filter(|(_, pod)| text(pod, "/status/phase") != "Failed").collect();
        let there = u64::try_from(alive.len()).unwrap_or_default();
        let ordered = key.resource == "statefulsets.apps";
        for index in there..wanted {
            let name = if ordered {
                format!("{}-{index}", key.name)
            } else {
                format!("{}-{}", key.name, self.suffix(5))
            };
            self.spawn_pod(object, &name, None);
        }
        // Those without a node go first, then the youngest.
        let mut spare: Vec<&Key> = alive.iter().map(|(key, _)| key).collect();
        spare.sort_by_key(|key| {
            let pod = self.store.get(key);
            (
                pod.is_some_and(|pod| !text(pod, "/spec/nodeName").is_empty()),
                std::cmp::Reverse(number_of_pod(&key.name)),
            )
        });
        let spare: Vec<Key> = spare.into_iter().cloned().collect();
        for key in spare.iter().take(usize::try_from(there.saturating_sub(wanted)).unwrap_or_default()) {
            self.end(key);
        }
        let (there, ready) = (there.min(wanted), brood.ready().min(wanted));
        let generation = number(object, "/metadata/generation", 1);
        self.change(key, |object| {
            set(
                object,
                &["status"],
                json!({"observedGeneration": generation, "replicas": there,
                "readyReplicas": ready, "availableReplicas": ready, "currentReplicas": there}),
            );
        });
    }

    fn tend_daemons(&mut self, key: &Key, object: &Value) {
        let spec = object.pointer("/spec/template/spec").cloned().unwrap_or_default();
        let wanted: BTreeSet<String> = self
            .store
            .all("nodes", None)
            .filter(|(_, node)| taint_against(node, &spec).is_none() && selected(node, &spec))
            .map(|(key, _)| key.name.clone())
            .collect();
        let brood = self.brood(object);
        let on = |pod: &Value| text(pod, "/spec/nodeName").to_owned();
        let have: BTreeSet<String> = brood.pods.iter().map(|(_, pod)| on(pod)).collect();
        for node in wanted.difference(&have) {
            let name = format!("{}-{}", key.name, self.suffix(5));
            self.spawn_pod(object, &name, Some(node));
        }
        for (pod, _) in brood.pods.iter().filter(|(_, pod)| !wanted.contains(&on(pod))) {
            self.end(pod);
        }
        let generation = number(object, "/metadata/generation", 1);
        let (all, there, ready) = (wanted.len(), have.len(), brood.ready());
        self.change(key, |object| {
            set(
                object,
                &["status"],
                json!({"observedGeneration": generation, "desiredNumberScheduled": all,
                "currentNumberScheduled": there, "updatedNumberScheduled": there, "numberReady": ready,
                "numberAvailable": ready, "numberMisscheduled": 0}),
            );
        });
    }

    fn tend_job(&mut self, key: &Key, job: &Value) {
        let brood = self.brood(job);
        let (succeeded, failed) = (brood.in_phase("Succeeded"), brood.in_phase("Failed"));
        let active = u64::try_from(brood.pods.len()).unwrap_or_default().saturating_sub(succeeded + failed);
        let (completions, limit) =
            (number(job, "/spec/completions", 1), number(job, "/spec/backoffLimit", 6));
        let done = succeeded >= completions;
        let given_up = failed > limit;
        if !done && !given_up {
            let parallel = number(job, "/spec/parallelism", 1).min(completions.saturating_sub(succeeded));
            for _ in active..parallel {
                let name = format!("{}-{}", key.name, self.suffix(5));
                self.spawn_pod(job, &name, None);
            }
        }
        let condition = |kind: &str| json!([{"type": kind, "status": "True"}]);
        let conditions = match (done, given_up) {
            (true, _) => condition("Complete"),
            (false, true) => condition("Failed"),
            (false, false) => json!([]),
        };
        self.change(key, |job| {
            set(job, &["status", "active"], json!(active));
            set(job, &["status", "succeeded"], json!(succeeded));
            set(job, &["status", "failed"], json!(failed));
            set(job, &["status", "conditions"], conditions);
        });
    }

    fn spawn_pod(&mut self, by: &Value, name: &str, node: Option<&str>) {
        let mut pod = by.pointer("/spec/template").cloned().unwrap_or_default();
        set(&mut pod, &["metadata", "name"], json!(name));
        set(&mut pod, &["metadata", "namespace"], json!(text(by, "/metadata/namespace")));
        set(&mut pod, &["metadata", "ownerReferences"], json!([owner(by)]));
        if let Some(node) = node {
            set(&mut pod, &["spec", "nodeName"], json!(node));
        }
        drop(self.create("v1", "Pod", pod));
    }

    /// What had an owner and has none any more goes.
    pub(super) fn collect_garbage(&mut self) {
        let uids: BTreeSet<&str> =
            self.store.everything().map(|(_, object)| text(object, "/metadata/uid")).collect();
        let orphans: Vec<Key> = self
            .store
            .everything()
            .filter(|(_, object)| object.pointer("/metadata/deletionTimestamp").is_none())
            .filter(|(_, object)| controller(object).is_some_and(|uid| !uids.contains(uid)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in orphans {
            self.end(&key);
        }
    }

    /// An object is to go: at once, or when its node or its finalizers let it.
    pub(super) fn end(&mut self, key: &Key) {
        let Some(object) = self.store.get(key) else { return };
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            return;
        }
        let on_node = key.resource == "pods"
            && !text(object, "/spec/nodeName").is_empty()
            && !["Succeeded", "Failed"].contains(&text(object, "/status/phase"));
        let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
        let held = finalizers.is_some_and(|all| !all.is_empty());
        if !on_node && !held && key.resource != "namespaces" {
            drop(self.remove(key));
            return;
        }
        let now = moment::written(self.now);
        self.change(key, |object| {
            set(object, &["metadata", "deletionTimestamp"], json!(now));
            if on_node {
                set(object, &["metadata", "deletionGracePeriodSeconds"], json!(30));
            }
            if object.get("kind").is_some_and(|kind| kind == "Namespace") {
                set(object, &["status", "phase"], json!("Terminating"));
            }
        });
    }

    /// The pods a service or a workload means: those with all labels of its selector.
    pub(super) fn selector_text(object: &Value) -> String {
        let labels: Vec<String> = Selector::of_workload(object)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        labels.join(",")
    }
}

/// A reference to the controller of an object.
fn owner(by: &Value) -> Value {
    json!({"apiVersion": by.get("apiVersion"), "kind": by.get("kind"), "name": name_of(by),
        "uid": text(by, "/metadata/uid"), "controller": true, "blockOwnerDeletion": true})
}

/// The number at the end of the name of a stateful set's pod.
fn number_of_pod(name: &str) -> u64 {
    name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
