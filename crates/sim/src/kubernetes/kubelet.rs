//! What happens to a pod on its node: it is pulled, started, found ready, ends, falls, and is taken away.
//!
//! A pod does as its annotation `labinator.sim/does` says: `crash`, `fail`, `no-image`, `never-ready` or `end`.

use serde_json::{Value, json};

use super::cluster::{Cluster, Step, name_of, set, text};
use super::moment;
use super::store::Key;

/// The annotation that tells a pod what to do.
const DOES: &str = "/metadata/annotations/labinator.sim~1does";

impl Cluster {
    /// Takes note of pods that came to a node and of those that are to go.
    pub(super) fn tend_pods(&mut self) {
        let mut begin = Vec::new();
        let mut stop = Vec::new();
        for (key, pod) in self.store.all("pods", None) {
            let node = text(pod, "/spec/nodeName");
            let uid = text(pod, "/metadata/uid");
            if pod.pointer("/metadata/deletionTimestamp").is_some() {
                let stopping = self.due.get(uid).is_some_and(|(_, _, step)| *step == Step::Stop);
                if !stopping {
                    stop.push((key.clone(), uid.to_owned()));
                }
            } else if !node.is_empty()
                && !self.silent.contains(node)
                && pod.pointer("/status/containerStatuses").is_none()
                && self.store.get(&Key::new("nodes", "", node)).is_some()
            {
                begin.push((key.clone(), uid.to_owned()));
            }
        }
        for (key, uid) in stop {
            let due = self.soon(200, 900);
            self.due.insert(uid, (due, key, Step::Stop));
        }
        for (key, uid) in begin {
            let due = self.soon(200, 1500);
            self.due.insert(uid, (due, key.clone(), Step::Start));
            let waiting = json!({"waiting": {"reason": "ContainerCreating"}});
            let now = moment::written(self.now);
            self.change(&key, |pod| {
                set_containers(pod, &waiting, false);
                set(pod, &["status", "startTime"], json!(now));
            });
        }
    }

    /// What was due happens.
    pub(super) fn happen(&mut self, uid: &str, key: &Key, step: Step) {
        let Some(object) = self.store.get(key).cloned() else { return };
        if text(&object, "/metadata/uid") != uid {
            return;
        }
        match step {
            Step::Start => self.start(uid, key, &object),
            Step::Ready => self.change(key, |pod| set_ready(pod, true)),
            Step::Finish => self.change(key, |pod| {
                let failed = text(pod, DOES) == "fail";
                let (code, reason) = if failed { (1, "Error") } else { (0, "Completed") };
                set_containers(pod, &json!({"terminated": {"exitCode": code, "reason": reason}}), false);
                set(pod, &["status", "phase"], json!(if failed { "Failed" } else { "Succeeded" }));
                set_ready(pod, false);
            }),
            Step::Crash => self.crash(uid, key, &object),
            Step::Stop => drop(self.remove(key)),
            Step::Establish => self.establish(key, &object),
        }
    }

    fn start(&mut self, uid: &str, key: &Key, pod: &Value) {
        let does = text(pod, DOES).to_owned();
        if does == "no-image" {
            let image = text(pod, "/spec/containers/0/image").to_owned();
            let why = json!({"reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\"")});
            self.change(key, |pod| set_containers(pod, &json!({"waiting": why}), false));
            return;
        }
        let address = self.pod_address();
        let now = moment::written(self.now);
        self.change(key, |pod| {
            set_containers(pod, &json!({"running": {"startedAt": now}}), false);
            set(pod, &["status", "phase"], json!("Running"));
            set(pod, &["status", "podIP"], json!(address));
            set(pod, &["status", "podIPs"], json!([{"ip": address}]));
            set_ready(pod, false);
        });
        let ends = text(pod, "/spec/restartPolicy") != "Always";
        let (due, step) = match does.as_str() {
            "crash" => (self.soon(100, 600), Step::Crash),
            "never-ready" => return,
            "fail" | "end" => (self.soon(500, 3000), Step::Finish),
            _ if ends => (self.soon(500, 3000), Step::Finish),
            _ => (self.soon(100, 800), Step::Ready),
        };
        self.due.insert(uid.to_owned(), (due, key.clone(), step));
    }

    fn crash(&mut self, uid: &str, key: &Key, pod: &Value) {
        let restarts =
            pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64).unwrap_or(0) + 1;
        let back_off = json!({"reason": "CrashLoopBackOff",
            "message": format!("back-off restarting failed container in pod {}", name_of(pod))});
        self.change(key, |pod| {
            set_containers(pod, &json!({"waiting": back_off}), false);
            let containers = pod.pointer_mut("/status/containerStatuses").and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                set(container, &["restartCount"], json!(restarts));
                set(container, &["lastState"], json!({"terminated": {"exitCode": 1, "reason": "Error"}}));
            }
        });
        // The kubelet waits 10 s, twice as long each time, five minutes at most.
        let wait = 10_000_u64.saturating_mul(1 << restarts.min(6).saturating_sub(1)).min(300_000);
        self.due.insert(uid.to_owned(), (self.now + wait, key.clone(), Step::Start));
    }
}

/// Gives every container this state.
fn set_containers(pod: &mut Value, state: &Value, ready: bool) {
    let before =
        pod.pointer("/status/containerStatuses").and_then(Value::as_array).cloned().unwrap_or_default();
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let statuses: Vec<Value> = containers
        .iter()
        .enumerate()
        .map(|(index, container)| {
            let old = before.get(index);
            let kept = |name: &str, or: Value| old.and_then(|old| old.get(name)).cloned().unwrap_or(or);
            json!({
                "name": text(container, "/name"), "image": text(container, "/image"), "imageID": "",
                "ready": ready, "started": state.get("running").is_some(), "state": state,
                "restartCount": kept("restartCount", json!(0)), "lastState": kept("lastState", json!({})),
            })
        })
        .collect();
    set(pod, &["status", "containerStatuses"], Value::Array(statuses));
}

/// Sets a pod's conditions, and its containers with them.
pub(super) fn set_ready(pod: &mut Value, ready: bool) {
    let running = text(pod, "/status/phase") == "Running";
    let containers = pod.pointer_mut("/status/containerStatuses").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        set(container, &["ready"], json!(ready && running));
    }
    let word = |yes: bool| if yes { "True" } else { "False" };
    let why = if ready { "" } else { "ContainersNotReady" };
    set(
        pod,
        &["status", "conditions"],
        json!([
            {"type": "PodScheduled", "status": "True"},
            {"type": "Initialized", "status": "True"},
            {"type": "ContainersReady", "status": word(ready), "reason": why},
            {"type": "Ready", "status": word(ready), "reason": why},
        ]),
    );
}
