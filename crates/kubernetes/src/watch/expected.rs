//! What a set of manifests will bring, and how much of it is there: a lab without a single pod is not done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::picture::{Counts, Link, Node, Picture, Pod, PodState};

/// What makes pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment`, `DaemonSet`, `Job`, ...
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Workload {
    /// Reads what its `Display` writes.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        let (namespace, name) = rest.split_once('/')?;
        Some(Self { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() })
    }
}

/// How many pods a workload brings.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pods {
    /// So many, ready.
    Ready(u64),
    /// So many, ended well.
    Succeeded(u64),
    /// So many that were seen to end well, and may be cleared away.
    Finished(u64),
    /// One on each node that takes it.
    EachNode { selector: BTreeMap<String, String>, anywhere: bool },
}

/// The workloads of a set of manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    workloads: BTreeMap<Workload, Pods>,
}

/// How far a workload is from what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// Which.
    pub workload: Workload,
    /// Pods that are where they should be.
    pub done: u64,
    /// Pods that should be.
    pub wanted: u64,
    /// Its pods by state.
    pub counts: Counts,
    /// The pod that keeps it waiting, and why, in a sentence that stays the same while nothing changes.
    pub why: String,
}

/// How far the cluster is from what was applied to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Pods that are where they should be.
    pub done: u64,
    /// Pods that should be.
    pub wanted: u64,
    /// Workloads that are not there yet.
    pub short: Vec<Shortfall>,
    /// Jobs whose pods all ended well.
    pub finished: Vec<Workload>,
    /// The way to the server is lost, so this is how it was.
    pub stale: bool,
}

impl Outlook {
    /// True when every workload has all its pods, and this is how it is now.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.short.is_empty() && !self.stale
    }
}

impl Expected {
    /// Adds what an object brings; one that makes no pods adds nothing. Without a namespace it is taken to be in
    /// `default`.
    pub fn add(&mut self, object: &Value) {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let at = |path: &str| object.pointer(path);
        let number = |path: &str, or: u64| at(path).and_then(Value::as_u64).unwrap_or(or);
        let pods = match kind {
            "Pod" if at("/spec/restartPolicy").and_then(Value::as_str) == Some("Never") => Pods::Succeeded(1),
            "Pod" => Pods::Ready(1),
            "Deployment" | "StatefulSet" | "ReplicaSet" => Pods::Ready(number("/spec/replicas", 1)),
            "Job" => Pods::Succeeded(number("/spec/completions", number("/spec/parallelism", 1))),
            "DaemonSet" => {
                let selector = at("/spec/template/spec/nodeSelector").and_then(Value::as_object);
                let selector = selector.into_iter().flatten();
                let selector = selector.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
                let tolerations = at("/spec/template/spec/tolerations").and_then(Value::as_array);
                let anywhere = tolerations.into_iter().flatten().any(|toleration| {
                    toleration.get("operator").and_then(Value::as_str) == Some("Exists")
                        && toleration.get("key").is_none()
                });
                Pods::EachNode { selector: selector.collect(), anywhere }
            }
            _ => return,
        };
        let word = |path: &str| at(path).and_then(Value::as_str).map(str::to_owned);
        let workload = Workload {
            namespace: word("/metadata/namespace").unwrap_or_else(|| "default".to_owned()),
            kind: kind.to_owned(),
            name: word("/metadata/name").unwrap_or_default(),
        };
        self.workloads.insert(workload, pods);
    }

    /// A workload was scaled to so many pods.
    pub fn scaled(&mut self, workload: &Workload, replicas: u64) {
        if let Some(pods @ Pods::Ready(_)) = self.workloads.get_mut(workload) {
            *pods = Pods::Ready(replicas);
        }
    }

    /// A Job was seen to end well: it stays done when its pods are cleared away.
    pub fn finish(&mut self, workload: &Workload) {
        if let Some(pods) = self.workloads.get_mut(workload)
            && let Pods::Succeeded(wanted) = *pods
        {
            *pods = Pods::Finished(wanted);
        }
    }

    /// Compares with what is seen.
    #[must_use]
    pub fn outlook(&self, picture: &Picture) -> Outlook {
        let mut outlook = Outlook { stale: picture.link() != Link::Live, ..Outlook::default() };
        let namespaces: BTreeSet<&str> = self.workloads.keys().map(|w| w.namespace.as_str()).collect();
        let seen =
            picture.counted(|pod| namespaces.contains(pod.name.namespace.as_str()).then(|| key_of(pod)));
        for (workload, pods) in &self.workloads {
            let key = (workload.namespace.as_str(), workload.kind.as_str(), workload.name.as_str());
            let counts = seen.get(&key).copied().unwrap_or_default();
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let (done, wanted) = match pods {
                Pods::Ready(wanted) => (count(counts.ready), *wanted),
                Pods::Succeeded(wanted) => (count(counts.succeeded), *wanted),
                Pods::Finished(wanted) => (*wanted, *wanted),
                Pods::EachNode { selector, anywhere } => {
                    let takes = |node: &&Node| {
                        (*anywhere || !node.tainted)
                            && selector.iter().all(|(k, v)| node.labels.get(k) == Some(v))
                    };
                    let fit = picture.nodes().filter(takes).count();
                    // Before the first node is there, nobody knows how many there will be.
                    let none_yet = picture.nodes().next().is_none();
                    (count(counts.ready), count(fit).max(u64::from(none_yet)))
                }
            };
            outlook.done += done.min(wanted);
            outlook.wanted += wanted;
            // A rollout has more pods than it should: the old ones among them are not done.
            if done < wanted || counts.crash_loop > 0 {
                let (workload, why) = (workload.clone(), why(picture, &key));
                outlook.short.push(Shortfall { workload, done, wanted, counts, why });
            } else if matches!(pods, Pods::Succeeded(_) | Pods::Finished(_)) {
                outlook.finished.push(workload.clone());
            }
        }
        outlook
    }
}

/// Namespace, kind and name of what a pod is of.
fn key_of(pod: &Pod) -> (&str, &str, &str) {
    let namespace = pod.name.namespace.as_str();
    match &pod.owner {
        Some((kind, name)) => (namespace, kind.as_str(), name.as_str()),
        None => (namespace, "Pod", pod.name.name.as_str()),
    }
}

/// The pod of a workload that is worst off.
fn why(picture: &Picture, key: &(&str, &str, &str)) -> String {
    let rank = |state: &PodState| match state {
        PodState::CrashLoop { .. } => 0,
        PodState::Failed { .. } => 1,
        PodState::Pending { .. } => 2,
        PodState::Starting { waits_for: Some(_) } => 3,
        PodState::Starting { waits_for: None } => 4,
        PodState::Ready | PodState::Succeeded | PodState::Terminating => 5,
    };
    let worst = picture.pods().filter(|pod| key_of(pod) == *key).min_by_key(|pod| rank(&pod.state));
    match worst.filter(|pod| rank(&pod.state) < 5) {
        Some(pod) => format!("{} {}", pod.name.name, pod.state.told()),
        None => "no other pod of it is there yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::{NodeState, PodName};
    use super::*;
    use serde_json::json;

    fn pod(name: &str, owner: Option<(&str, &str)>, state: PodState) -> Pod {
        Pod {
            name: PodName { namespace: "default".to_owned(), name: name.to_owned() },
            uid: name.to_owned(),
            node: None,
            state,
            owner: owner.map(|(kind, name)| (kind.to_owned(), name.to_owned())),
        }
    }

    fn seen(pods: Vec<Pod>) -> Picture {
        let mut picture = Picture::default();
        picture.replace_pods(pods, 0);
        picture.set_link("nodes", Link::Live);
        picture.set_link("pods", Link::Live);
        picture
    }

    fn expected(objects: &[Value]) -> Expected {
        let mut expected = Expected::default();
        for object in objects {
            expected.add(object);
        }
        expected
    }

    #[test]
    fn a_finished_job_counts_as_done() {
        let expected = expected(&[json!({"kind": "Job", "metadata": {"name": "once"}, "spec": {}})]);
        let owner = Some(("Job", "once"));
        let failed = pod("once-a", owner, PodState::Failed { reason: String::new() });
        let starting = expected.outlook(&seen(vec![failed.clone()]));
        assert_eq!((starting.done, starting.wanted, starting.is_done()), (0, 1, false));
        assert_eq!(starting.short[0].counts.failed, 1);
        let done = seen(vec![failed, pod("once-b", owner, PodState::Succeeded)]);
        assert!(expected.outlook(&done).is_done());
        let counts = done.counts();
        assert_eq!((counts.wanted(), counts.done(), counts.replaced), (1, 1, 1));
    }

    #[test]
    fn a_job_that_was_seen_to_end_stays_done_when_its_pods_are_cleared_away() {
        let mut expected = expected(&[json!({"kind": "Job", "metadata": {"name": "once"}, "spec": {}})]);
        let outlook = expected.outlook(&seen(vec![pod("a", Some(("Job", "once")), PodState::Succeeded)]));
        assert!(outlook.is_done());
        assert!(!expected.outlook(&seen(Vec::new())).is_done());
        expected.finish(&outlook.finished[0]);
        let outlook = expected.outlook(&seen(Vec::new()));
        assert_eq!((outlook.done, outlook.wanted, outlook.is_done()), (1, 1, true));
        assert_eq!(outlook.finished.len(), 1);
    }

    #[test]
    fn the_pod_that_is_worst_off_says_why() {
        let web = json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 4}});
        let expected = expected(&[web]);
        let owner = Some(("Deployment", "web"));
        let pending = PodState::Pending { reason: "Unschedulable: 0/3 nodes".to_owned() };
        let mut pods = vec![
            pod("a", owner, PodState::Ready),
            pod("b", owner, PodState::Starting { waits_for: None }),
            pod("c", owner, pending),
        ];
        let why = |pods: &[Pod]| expected.outlook(&seen(pods.to_vec())).short[0].why.clone();
        assert_eq!(why(&pods), "c is pending (Unschedulable: 0/3 nodes)");
        pods.push(pod("d", owner, PodState::CrashLoop { restarts: 4 }));
        assert_eq!(why(&pods), "d ends again and again");
        assert_eq!(why(&pods[..1]), "no other pod of it is there yet");
    }

    #[test]
    fn a_lab_without_a_single_pod_is_not_done() {
        let web = json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2}});
        let expected = expected(&[web]);
        let outlook = expected.outlook(&seen(Vec::new()));
        assert_eq!((outlook.done, outlook.wanted, outlook.is_done()), (0, 2, false));
        let owner = Some(("Deployment", "web"));
        let pods = vec![pod("a", owner, PodState::Ready), pod("b", owner, PodState::Ready)];
        assert!(expected.outlook(&seen(pods.clone())).is_done());
        let mut stale = seen(pods);
        stale.set_link("pods", Link::Lost { why: String::new() });
        assert!(!expected.outlook(&stale).is_done(), "what was is not what is");
    }

    #[test]
    fn a_daemon_set_is_wanted_on_each_node_that_takes_it() {
        let template = json!({"spec": {"nodeSelector": {"disk": "ssd"}}});
        let set = json!({"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"template": template}});
        let expected = expected(&[set]);
        let node = |name: &str, tainted, disk: &str| Node {
            name: name.to_owned(),
            state: NodeState::Ready,
            pressures: Vec::new(),
            version: String::new(),
            address: None,
            unschedulable: false,
            tainted,
            labels: BTreeMap::from([("disk".to_owned(), disk.to_owned())]),
        };
        let mut picture = seen(vec![pod("a", Some(("DaemonSet", "d")), PodState::Ready)]);
        assert!(expected.outlook(&picture).is_done(), "without any node one is still wanted");
        picture.replace_nodes(
            vec![
                node("a", false, "ssd"),
                node("b", true, "ssd"),
                node("c", false, "hdd"),
                node("d", false, "ssd"),
            ],
            0,
        );
        let outlook = expected.outlook(&picture);
        assert_eq!((outlook.done, outlook.wanted), (1, 2));
    }

    #[test]
    fn a_scaled_workload_is_compared_with_its_new_size() {
        let web = json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2}});
        let mut expected = expected(&[web]);
        let workload = expected.workloads.keys().next().unwrap().clone();
        expected.scaled(&workload, 0);
        assert!(expected.outlook(&seen(Vec::new())).is_done());
    }
}
