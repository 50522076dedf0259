//! What an object means: the state of a node and of a pod, by the rules `kubectl get` prints by.

use super::objects::{Condition, Container, NodeObject, PodObject, PodStatus};
use super::picture::{Node, NodeState, Pod, PodName, PodState};
use crate::trouble::shortened;

/// Restarts after which a pod between two crashes is still counted as crashing: the kubelet's back-off begins with the
/// second.
const CRASHES: u32 = 2;
/// Kinds of trouble a node reports beside Ready, each true when it is in it.
const PRESSURES: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];

impl From<NodeObject> for Node {
    fn from(object: NodeObject) -> Self {
        let status = object.status;
        let state = match find(&status.conditions, "Ready") {
            Some(ready) if ready.status == "True" => NodeState::Ready,
            Some(ready) => NodeState::NotReady { reason: told(&ready.reason, &ready.message) },
            None => NodeState::NotReady { reason: "its kubelet has not reported yet".to_owned() },
        };
        let pressed = |kind: &&&str| find(&status.conditions, kind).is_some_and(|c| c.status == "True");
        let pressures = PRESSURES.iter().filter(pressed).map(|kind| (*kind).to_owned()).collect();
        let closed = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
        Self {
            name: object.metadata.name,
            state,
            pressures,
            version: status.node_info.kubelet_version,
            address: status.addresses.into_iter().find(|a| a.kind == "InternalIP").map(|a| a.address),
            unschedulable: object.spec.unschedulable,
            tainted: object.spec.taints.iter().any(|taint| closed(&taint.effect)),
            labels: object.metadata.labels,
        }
    }
}

impl From<PodObject> for Pod {
    fn from(object: PodObject) -> Self {
        let meta = object.metadata;
        let state =
            if meta.deletion_timestamp.is_some() { PodState::Terminating } else { judged(&object.status) };
        let owner = meta.owner_references.into_iter().find(|owner| owner.controller).map(|owner| {
            // A Deployment's pods belong to a ReplicaSet named after it and a hash of its template.
            let hash = meta.labels.get("pod-template-hash");
            let stem = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
            match (owner.kind.as_str(), stem) {
                ("ReplicaSet", Some(stem)) => ("Deployment".to_owned(), stem.to_owned()),
                _ => (owner.kind, owner.name),
            }
        });
        Self {
            name: PodName { namespace: meta.namespace, name: meta.name },
            uid: meta.uid,
            node: Some(object.spec.node_name).filter(|node| !node.is_empty()),
            state,
            owner,
        }
    }
}

fn judged(status: &PodStatus) -> PodState {
    match status.phase.as_str() {
        "Succeeded" => return PodState::Succeeded,
        "Failed" => return PodState::Failed { reason: failure(status) },
        _ => {}
    }
    let containers = || status.init_container_statuses.iter().chain(&status.container_statuses);
    if containers().any(crashes) {
        let restarts = containers().map(|c| c.restart_count).max().unwrap_or_default();
        return PodState::CrashLoop { restarts };
    }
    if find(&status.conditions, "Ready").is_some_and(|ready| ready.status == "True") {
        return PodState::Ready;
    }
    match find(&status.conditions, "PodScheduled") {
        Some(scheduled) if scheduled.status == "False" => {
            PodState::Pending { reason: told(&scheduled.reason, &scheduled.message) }
        }
        Some(_) | None => PodState::Starting { waits_for: waits_for(status) },
    }
}

/// Between two crashes it runs for a moment, or waits without saying for what.
fn crashes(container: &Container) -> bool {
    if container.state.waiting.as_ref().is_some_and(|why| why.reason == "CrashLoopBackOff") {
        return true;
    }
    let fell = |why: &super::objects::Why| why.exit_code != 0;
    !container.ready
        && container.restart_count >= CRASHES
        && [&container.state, &container.last_state].iter().any(|s| s.terminated.as_ref().is_some_and(fell))
}

fn waits_for(status: &PodStatus) -> Option<String> {
    let waiting = |c: &Container| {
        let why = c.state.waiting.as_ref()?;
        Some(told(&why.reason, &why.message)).filter(|text| !text.is_empty())
    };
    let of = |all: &[Container]| all.iter().find_map(waiting);
    of(&status.init_container_statuses).or_else(|| of(&status.container_statuses)).or_else(|| {
        let unready = find(&status.conditions, "ContainersReady").filter(|c| c.status == "False")?;
        Some(told(&unready.reason, &unready.message)).filter(|text| !text.is_empty())
    })
}

fn failure(status: &PodStatus) -> String {
    if !status.reason.is_empty() {
        return shortened(&status.reason);
    }
    let ended = |c: &Container| {
        let why = c.state.terminated.as_ref().filter(|why| why.exit_code != 0)?;
        let reason = if why.reason.is_empty() { "Error" } else { &why.reason };
        Some(format!("{}, exit code {}", shortened(reason), why.exit_code))
    };
    let all = status.init_container_statuses.iter().chain(&status.container_statuses);
    all.filter_map(ended).next().unwrap_or_else(|| "the server gives no reason".to_owned())
}

fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// One word and its sentence.
fn told(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", _) => shortened(message),
        (_, "") => shortened(reason),
        _ => shortened(&format!("{reason}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(json: &str) -> Pod {
        Pod::from(serde_json::from_str::<PodObject>(json).unwrap())
    }

    #[test]
    fn each_state_is_read_from_what_a_server_sends() {
        let ready = r#"{"type":"Ready","status":"True"}"#;
        for (status, state) in [
            (format!(r#""phase":"Running","conditions":[{ready}]"#), PodState::Ready),
            (r#""phase":"Succeeded","conditions":[{"type":"Ready","status":"False"}]"#.to_owned(), PodState::Succeeded),
            (r#""phase":"Failed","reason":"Evicted""#.to_owned(), PodState::Failed { reason: "Evicted".to_owned() }),
            (
                r#""phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":2,"reason":"Error"}}}]"#
                    .to_owned(),
                PodState::Failed { reason: "Error, exit code 2".to_owned() },
            ),
            (
                r#""phase":"Running","containerStatuses":[{"restartCount":7,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]"#
                    .to_owned(),
                PodState::CrashLoop { restarts: 7 },
            ),
            (
                r#""phase":"Running","containerStatuses":[{"restartCount":3,"ready":false,"state":{"running":{}},
                    "lastState":{"terminated":{"exitCode":1}}}]"#
                    .to_owned(),
                PodState::CrashLoop { restarts: 3 },
            ),
            (
                r#""phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",
                    "message":"0/3 nodes are available: 3 Insufficient cpu."}]"#
                    .to_owned(),
                PodState::Pending {
                    reason: "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.".to_owned(),
                },
            ),
            (
                r#""phase":"Pending","initContainerStatuses":null,
                    "containerStatuses":[{"state":{"waiting":{"reason":"ImagePullBackOff","message":"no"}}}]"#
                    .to_owned(),
                PodState::Starting { waits_for: Some("ImagePullBackOff: no".to_owned()) },
            ),
            (String::from(r#""phase":"Pending""#), PodState::Starting { waits_for: None }),
        ] {
            let text = format!(r#"{{"metadata":{{"name":"a","namespace":"b"}},"status":{{{status}}}}}"#);
            assert_eq!(pod(&text).state, state, "{text}");
            let text = text.replacen("\"name\"", "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",\"name\"", 1);
            assert_eq!(pod(&text).state, PodState::Terminating);
        }
    }

    #[test]
    fn a_pod_that_restarted_once_and_is_ready_does_not_crash() {
        let text = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],
            "containerStatuses":[{"ready":true,"restartCount":9,"lastState":{"terminated":{"exitCode":1}}}]}}"#;
        assert_eq!(pod(text).state, PodState::Ready);
    }

    #[test]
    fn a_pod_of_a_replica_set_belongs_to_its_deployment() {
        let text = r#"{"metadata":{"labels":{"pod-template-hash":"abc"},"ownerReferences":
            [{"kind":"ReplicaSet","name":"web-abc","controller":true}]}}"#;
        assert_eq!(pod(text).owner, Some(("Deployment".to_owned(), "web".to_owned())));
        let text = text.replace("web-abc", "web-other");
        assert_eq!(pod(&text).owner, Some(("ReplicaSet".to_owned(), "web-other".to_owned())));
    }

    #[test]
    fn a_node_says_why_it_is_not_ready() {
        let text = r#"{"metadata":{"name":"n"},"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]},"status":{
            "conditions":[{"type":"DiskPressure","status":"True"},{"type":"Ready","status":"Unknown",
            "reason":"NodeStatusUnknown","message":"Kubelet stopped posting node status."}],
            "addresses":[{"type":"Hostname","address":"n"},{"type":"InternalIP","address":"10.0.0.1"}],
            "nodeInfo":{"kubeletVersion":"v1.33.2"}}}"#;
        let node = Node::from(serde_json::from_str::<NodeObject>(text).unwrap());
        let reason = "NodeStatusUnknown: Kubelet stopped posting node status.".to_owned();
        assert_eq!(node.state, NodeState::NotReady { reason });
        assert_eq!(node.pressures, ["DiskPressure"]);
        assert_eq!((node.address.as_deref(), node.version.as_str()), (Some("10.0.0.1"), "v1.33.2"));
        assert!(node.tainted && !node.unschedulable);
        let new = Node::from(NodeObject::default());
        assert!(matches!(new.state, NodeState::NotReady { .. }));
    }
}
