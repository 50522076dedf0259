//! Objects as the rows that `kubectl get` prints.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::moment;

/// Columns of a kind: name, and whether only `-o wide` shows it.
fn columns(kind: &Kind) -> &'static [(&'static str, bool)] {
    match kind.kind.as_str() {
        "Pod" => &[
            ("Name", false),
            ("Ready", false),
            ("Status", false),
            ("Restarts", false),
            ("Age", false),
            ("IP", true),
            ("Node", true),
        ],
        "Node" => &[
            ("Name", false),
            ("Status", false),
            ("Roles", false),
            ("Age", false),
            ("Version", false),
            ("Internal-IP", true),
        ],
        "Deployment" => {
            &[("Name", false), ("Ready", false), ("Up-to-date", false), ("Available", false), ("Age", false)]
        }
        "DaemonSet" | "ReplicaSet" | "StatefulSet" => {
            &[("Name", false), ("Desired", false), ("Current", false), ("Ready", false), ("Age", false)]
        }
        "Job" => &[("Name", false), ("Status", false), ("Completions", false), ("Age", false)],
        "Namespace" => &[("Name", false), ("Status", false), ("Age", false)],
        _ => &[("Name", false), ("Age", false)],
    }
}

fn cells(kind: &Kind, object: &Value, now: u64) -> Vec<Value> {
    let word = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let number = |at: &str| object.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let name = json!(word("/metadata/name"));
    let born = moment::read(word("/metadata/creationTimestamp")).unwrap_or(now);
    let age = json!(moment::age(now.saturating_sub(born)));
    match kind.kind.as_str() {
        "Pod" => {
            let containers = object.pointer("/status/containerStatuses").and_then(Value::as_array);
            let containers = containers.map(Vec::as_slice).unwrap_or_default();
            let ready = containers.iter().filter(|c| c.get("ready") == Some(&json!(true))).count();
            let all = object.pointer("/spec/containers").and_then(Value::as_array).map_or(0, Vec::len);
            let restarts: u64 =
                containers.iter().filter_map(|c| c.get("restartCount").and_then(Value::as_u64)).sum();
            let ready = json!(format!("{ready}/{all}"));
            vec![
                name,
                ready,
                json!(status(object, containers)),
                json!(restarts),
                age,
                json!(word("/status/podIP")),
                json!(word("/spec/nodeName")),
            ]
        }
        "Node" => {
            let ready = condition(object, "Ready") == Some("True");
            let state = if ready { "Ready" } else { "NotReady" };
            let control = object.pointer("/metadata/labels/node-role.kubernetes.io~1control-plane").is_some();
            let roles = if control { "control-plane" } else { "<none>" };
            let address = object.pointer("/status/addresses/0/address").cloned().unwrap_or_default();
            vec![
                name,
                json!(state),
                json!(roles),
                age,
                json!(word("/status/nodeInfo/kubeletVersion")),
                address,
            ]
        }
        "Deployment" => {
            let ready = format!("{}/{}", number("/status/readyReplicas"), number("/spec/replicas"));
            let (fresh, there) = (number("/status/updatedReplicas"), number("/status/availableReplicas"));
            vec![name, json!(ready), json!(fresh), json!(there), age]
        }
        "DaemonSet" => {
            let at = |name: &str| json!(number(&format!("/status/{name}")));
            vec![name, at("desiredNumberScheduled"), at("currentNumberScheduled"), at("numberReady"), age]
        }
        "ReplicaSet" | "StatefulSet" => {
            let at = |path: &str| json!(number(path));
            vec![name, at("/spec/replicas"), at("/status/replicas"), at("/status/readyReplicas"), age]
        }
        "Job" => {
            let state = if condition(object, "Complete") == Some("True") { "Complete" } else { "Running" };
            let wanted = object.pointer("/spec/completions").and_then(Value::as_u64).unwrap_or(1);
            vec![name, json!(state), json!(format!("{}/{wanted}", number("/status/succeeded"))), age]
        }
        "Namespace" => vec![name, json!(word("/status/phase")), age],
        _ => vec![name, age],
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|c| c.get("type").is_some_and(|t| t == kind))?.get("status")?.as_str()
}

/// The word in the column STATUS of a pod.
fn status(pod: &Value, containers: &[Value]) -> String {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return "Terminating".to_owned();
    }
    let waiting = containers.iter().find_map(|c| c.pointer("/state/waiting/reason").and_then(Value::as_str));
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Unknown");
    match (waiting, phase) {
        (Some(reason), _) => reason,
        (None, "Succeeded") => "Completed",
        (None, "Failed") => "Error",
        (None, phase) => phase,
    }
    .to_owned()
}

/// The kind `Table` of `meta/v1`.
pub(super) fn table(kind: &Kind, objects: &[Arc<Value>], (meta, now): (Value, u64)) -> Value {
    let columns: Vec<Value> = columns(kind)
        .iter()
        .map(|(name, wide)| {
            let form = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": form, "description": "", "priority": u8::from(*wide)})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let part = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object.get("metadata")});
            json!({"cells": cells(kind, object, now), "object": part})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns,
        "rows": rows})
}
