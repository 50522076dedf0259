//! Which node takes a pod, and why none does, in the scheduler's words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{Cluster, name_of, set, text};
use super::store::Key;

/// What a node has left.
struct Room {
    name: String,
    node: std::sync::Arc<Value>,
    /// Thousandths of a core, bytes, pods.
    left: (u64, u64, u64),
}

/// Thousandths of a core, or bytes: `250m`, `2`, `64Mi`, `1G`.
pub(super) fn quantity(text: &str, thousandths: bool) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().unwrap_or_default();
    let factor = match unit {
        "m" => return if thousandths { number } else { number / 1000 },
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => 1,
    };
    number.saturating_mul(factor).saturating_mul(if thousandths { 1000 } else { 1 })
}

/// What a pod asks for: thousandths of a core, bytes.
fn asked(pod: &Value) -> (u64, u64) {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    containers.into_iter().flatten().fold((0, 0), |(cpu, memory), container| {
        let cpu_asked = quantity(text(container, "/resources/requests/cpu"), true);
        let memory_asked = quantity(text(container, "/resources/requests/memory"), false);
        (cpu.saturating_add(cpu_asked), memory.saturating_add(memory_asked))
    })
}

/// The first taint that keeps this pod away.
pub(super) fn taint_against(node: &Value, spec: &Value) -> Option<String> {
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    let tolerations = spec.get("tolerations").and_then(Value::as_array);
    taints.into_iter().flatten().find_map(|taint| {
        let effect = text(taint, "/effect");
        let tolerated = tolerations.into_iter().flatten().any(|toleration| {
            let key = text(toleration, "/key");
            let same_effect = ["", effect].contains(&text(toleration, "/effect"));
            let exists = text(toleration, "/operator") == "Exists";
            same_effect
                && ((key.is_empty() && exists)
                    || (key == text(taint, "/key")
                        && (exists || text(toleration, "/value") == text(taint, "/value"))))
        });
        (effect != "PreferNoSchedule" && !tolerated)
            .then(|| format!("{{{}: {}}}", text(taint, "/key"), text(taint, "/value")))
    })
}

/// Whether the node has every label of the selector.
pub(super) fn selected(node: &Value, spec: &Value) -> bool {
    let selector = spec.get("nodeSelector").and_then(Value::as_object);
    selector
        .into_iter()
        .flatten()
        .all(|(name, value)| node.pointer("/metadata/labels").and_then(|l| l.get(name)) == Some(value))
}

/// Whether the kubelet of this node says that it is ready.
pub(super) fn is_ready(node: &Value) -> bool {
    text(node, "/status/conditions/0/status") == "True"
}

impl Cluster {
    /// Finds nodes for the pods that have none.
    pub(super) fn schedule(&mut self) {
        let waiting: Vec<Key> = self
            .store
            .all("pods", None)
            .filter(|(_, pod)| text(pod, "/spec/nodeName").is_empty())
            .filter(|(_, pod)| pod.pointer("/metadata/deletionTimestamp").is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if waiting.is_empty() {
            return;
        }
        let mut rooms = self.rooms();
        for key in waiting {
            let Some(pod) = self.store.get(&key).cloned() else { continue };
            match self.fitting(&pod, &mut rooms) {
                Ok(node) => self.change(&key, |pod| {
                    set(pod, &["spec", "nodeName"], json!(node));
                    set(pod, &["status", "conditions"], json!([{"type": "PodScheduled", "status": "True"}]));
                }),
                Err(why) => self.change(&key, |pod| {
                    set(
                        pod,
                        &["status", "conditions"],
                        json!([{"type": "PodScheduled", "status": "False",
                        "reason": "Unschedulable", "message": why}]),
                    );
                }),
            }
        }
    }

    fn rooms(&self) -> Vec<Room> {
        let mut rooms: Vec<Room> = self
            .store
            .all("nodes", None)
            .map(|(key, node)| {
                let at = |name: &str| text(node, &format!("/status/allocatable/{name}"));
                let left =
                    (quantity(at("cpu"), true), quantity(at("memory"), false), quantity(at("pods"), false));
                Room { name: key.name.clone(), node: std::sync::Arc::clone(node), left }
            })
            .collect();
        for (_, pod) in self.store.all("pods", None) {
            if ["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
                continue;
            }
            if let Some(room) = rooms.iter_mut().find(|room| room.name == text(pod, "/spec/nodeName")) {
                take(room, asked(pod));
            }
        }
        rooms
    }

    /// The node with most memory left among those that take the pod.
    fn fitting(&self, pod: &Value, rooms: &mut [Room]) -> Result<String, String> {
        if rooms.is_empty() {
            return Err("no nodes available to schedule pods".to_owned());
        }
        let spec = pod.get("spec").cloned().unwrap_or_default();
        let need = asked(pod);
        let mut against: BTreeMap<String, usize> = BTreeMap::new();
        let mut best: Option<&mut Room> = None;
        let all = rooms.len();
        for room in rooms {
            let no = if !is_ready(&room.node) {
                Some("node(s) had untolerated taint {node.kubernetes.io/not-ready: }".to_owned())
            } else if room.node.pointer("/spec/unschedulable") == Some(&json!(true)) {
                Some("node(s) were unschedulable".to_owned())
            } else if let Some(taint) = taint_against(&room.node, &spec) {
                Some(format!("node(s) had untolerated taint {taint}"))
            } else if !selected(&room.node, &spec) {
                Some("node(s) didn't match Pod's node affinity/selector".to_owned())
            } else if self.is_apart(pod, &room.name) {
                Some("node(s) didn't match pod anti-affinity rules".to_owned())
            } else if room.left.2 == 0 {
                Some("Too many pods".to_owned())
            } else if room.left.0 < need.0 {
                Some("Insufficient cpu".to_owned())
            } else if room.left.1 < need.1 {
                Some("Insufficient memory".to_owned())
            } else {
                None
            };
            match no {
                Some(why) => *against.entry(why).or_default() += 1,
                None if best
                    .as_ref()
                    .is_none_or(|best| (room.left.2, room.left.1) > (best.left.2, best.left.1)) =>
                {
                    best = Some(room);
                }
                None => {}
            }
        }
        if let Some(room) = best {
            take(room, need);
            return Ok(room.name.clone());
        }
        let mut reasons: Vec<String> =
            against.into_iter().map(|(why, count)| format!("{count} {why}")).collect();
        reasons.sort();
        Err(format!("0/{all} nodes are available: {}.", reasons.join(", ")))
    }

    /// Whether the pod must not be beside one that is already on this node (required anti-affinity by host).
    fn is_apart(&self, pod: &Value, node: &str) -> bool {
        let rules =
            pod.pointer("/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
        let namespace = text(pod, "/metadata/namespace");
        rules.and_then(Value::as_array).into_iter().flatten().any(|rule| {
            let labels = rule.pointer("/labelSelector/matchLabels").and_then(Value::as_object);
            let Some(labels) = labels.filter(|_| text(rule, "/topologyKey") == "kubernetes.io/hostname")
            else {
                return false;
            };
            self.store.all("pods", Some(namespace)).any(|(_, other)| {
                name_of(other) != name_of(pod)
                    && text(other, "/spec/nodeName") == node
                    && labels
                        .iter()
                        .all(|(k, v)| other.pointer("/metadata/labels").and_then(|l| l.get(k)) == Some(v))
            })
        })
    }
}

const fn take(room: &mut Room, (cpu, memory): (u64, u64)) {
    room.left.0 = room.left.0.saturating_sub(cpu);
    room.left.1 = room.left.1.saturating_sub(memory);
    room.left.2 = room.left.2.saturating_sub(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!((quantity("250m", true), quantity("2", true)), (250, 2000));
        assert_eq!((quantity("64Mi", false), quantity("1G", false)), (64 << 20, 1_000_000_000));
        assert_eq!(quantity("", true), 0);
    }
}
