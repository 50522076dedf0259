//! The kinds of object the server knows: those built in, and those that custom resource definitions add.

use serde_json::{Value, json};

/// A kind of object and where it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what discovery says of a kind, each for itself")]
pub(super) struct Kind {
    /// API group; empty for the core.
    pub(super) group: String,
    /// Version, as `v1`.
    pub(super) version: String,
    /// `Pod`.
    pub(super) kind: String,
    /// `pods`.
    pub(super) plural: String,
    /// `po`.
    pub(super) short: Vec<String>,
    /// Whether its objects lie in namespaces.
    pub(super) namespaced: bool,
    /// Whether `kubectl get all` shows it.
    pub(super) shown: bool,
    /// Whether it has the subresource `scale`.
    pub(super) scales: bool,
    /// Defined by a custom resource definition: patches of lists by key do not exist for it.
    pub(super) custom: bool,
}

/// Group, version, kind, plural, short names, and letters: `n` namespaced, `a` in `get all`, `s` scales.
const BUILT_IN: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("", "v1", "ConfigMap", "configmaps", "cm", "n"),
    ("", "v1", "Endpoints", "endpoints", "ep", "n"),
    ("", "v1", "Event", "events", "ev", "n"),
    ("", "v1", "LimitRange", "limitranges", "limits", "n"),
    ("", "v1", "Namespace", "namespaces", "ns", ""),
    ("", "v1", "Node", "nodes", "no", ""),
    ("", "v1", "PersistentVolume", "persistentvolumes", "pv", ""),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "n"),
    ("", "v1", "Pod", "pods", "po", "na"),
    ("", "v1", "ResourceQuota", "resourcequotas", "quota", "n"),
    ("", "v1", "Secret", "secrets", "", "n"),
    ("", "v1", "Service", "services", "svc", "na"),
    ("", "v1", "ServiceAccount", "serviceaccounts", "sa", "n"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "",
        "",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "",
        "",
    ),
    (
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "",
        "",
    ),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd,crds", ""),
    ("apps", "v1", "DaemonSet", "daemonsets", "ds", "na"),
    ("apps", "v1", "Deployment", "deployments", "deploy", "nas"),
    ("apps", "v1", "ReplicaSet", "replicasets", "rs", "nas"),
    ("apps", "v1", "StatefulSet", "statefulsets", "sts", "nas"),
    ("batch", "v1", "CronJob", "cronjobs", "cj", "na"),
    ("batch", "v1", "Job", "jobs", "", "na"),
    ("coordination.k8s.io", "v1", "Lease", "leases", "", "n"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "", "n"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", "ing", "n"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", "netpol", "n"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", "pdb", "n"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "", ""),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", "", ""),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", "", "n"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "", "n"),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", "pc", ""),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", "sc", ""),
];

/// What every server has.
pub(super) fn built_in() -> Vec<Kind> {
    BUILT_IN
        .iter()
        .map(|&(group, version, kind, plural, short, letters)| Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            short: short.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            namespaced: letters.contains('n'),
            shown: letters.contains('a'),
            scales: letters.contains('s'),
            custom: false,
        })
        .collect()
}

impl Kind {
    /// The kinds a definition adds: one for each version that is served.
    pub(super) fn defined_by(definition: &Value) -> Vec<Self> {
        let word = |at: &str| definition.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let words = |at: &str| -> Vec<String> {
            let all = definition.pointer(at).and_then(Value::as_array);
            all.into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
        versions
            .into_iter()
            .flatten()
            .filter(|version| version.get("served").and_then(Value::as_bool) == Some(true))
            .filter_map(|version| {
                Some(Self {
                    group: word("/spec/group"),
                    version: version.get("name")?.as_str()?.to_owned(),
                    kind: word("/spec/names/kind"),
                    plural: word("/spec/names/plural"),
                    short: words("/spec/names/shortNames"),
                    namespaced: word("/spec/scope") == "Namespaced",
                    shown: words("/spec/names/categories").iter().any(|category| category == "all"),
                    scales: version.pointer("/subresources/scale").is_some(),
                    custom: true,
                })
            })
            .collect()
    }

    /// What stands in `apiVersion`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Names it in the store and in sentences: `deployments.apps`.
    pub(super) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Its entries in the list of a group version: itself and its subresources.
    pub(super) fn entries(&self) -> Vec<Value> {
        let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        let categories: &[&str] = if self.shown { &["all"] } else { &[] };
        let mut entries = vec![json!({
            "name": self.plural,
            "singularName": self.kind.to_lowercase(),
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": verbs,
            "shortNames": self.short,
            "categories": categories,
        })];
        entries.push(json!({
            "name": format!("{}/status", self.plural), "singularName": "", "namespaced": self.namespaced,
            "kind": self.kind, "verbs": ["get", "patch", "update"],
        }));
        if self.scales {
            entries.push(json!({
                "name": format!("{}/scale", self.plural), "singularName": "", "namespaced": self.namespaced,
                "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"],
            }));
        }
        entries
    }
}
