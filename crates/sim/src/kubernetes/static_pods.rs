//! The pods that the kubelet of a control plane runs from its own disk, as it shows them to the API server.

use serde_json::json;

use super::serve::Server;

/// What they run.
const PROGRAMS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

impl Server {
    /// The kubelet of a control plane shows its static pods; those that are known already stay.
    pub fn shows_static_pods(&self, node: &str) {
        self.touch(|cluster| {
            let version = cluster.version.clone();
            for program in PROGRAMS {
                let pod = json!({"apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": format!("{program}-{node}"), "namespace": "kube-system",
                        "labels": {"k8s-app": program, "tier": "control-plane"}},
                    "spec": {"nodeName": node, "containers": [
                        {"name": program, "image": format!("registry.k8s.io/{program}:{version}")}]}});
                // One that is there is refused.
                drop(cluster.create_whole(&pod));
            }
        });
    }
}
