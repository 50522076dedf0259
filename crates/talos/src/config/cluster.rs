//! `cluster` of the first document.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Making, list};
use crate::release::Minor;
use crate::secrets::Encryption;
use crate::yaml::{Map, Value};

/// Networks of pods and services, as Talos has them unless a patch says otherwise.
pub(super) const POD_SUBNETS: [&str; 1] = ["10.244.0.0/16"];
pub(super) const SERVICE_SUBNETS: [&str; 1] = ["10.96.0.0/12"];

impl Making<'_> {
    /// In the order of the fields of Talos's own type.
    pub(super) fn cluster(&self) -> Map {
        let token = self.secrets.bootstrap_token.reveal().as_str();
        if self.in_documents() {
            let mut cluster = Map::new().with("token", token);
            if self.is_control_plane() {
                cluster.insert("etcd", Map::new().with("ca", self.pair(&self.secrets.etcd)));
            }
            return cluster;
        }
        let mut cluster = Map::new()
            .with("id", self.secrets.cluster_id.as_str())
            .with("secret", self.secrets.cluster_secret.reveal().as_str())
            .with("controlPlane", self.endpoint())
            .with("clusterName", self.input.cluster)
            .with("network", self.cluster_network())
            .with("token", token);
        if self.is_control_plane() {
            let (kind, key) = match &self.secrets.encryption {
                Encryption::Secretbox(key) => ("secretboxEncryptionSecret", key),
                // Talos's generator leaves this one out, and the API server can no longer read its secrets.
                Encryption::AesCbc(key) => ("aescbcEncryptionSecret", key),
            };
            cluster.insert(kind, key.reveal().as_str());
        }
        cluster.insert("ca", self.pair(&self.secrets.k8s));
        if self.is_control_plane() {
            self.control_plane(&mut cluster);
        }
        cluster.insert("discovery", self.discovery());
        if self.is_control_plane() {
            cluster.insert("etcd", Map::new().with("ca", self.pair(&self.secrets.etcd)));
            if self.options().schedule_on_control_planes {
                cluster.insert("allowSchedulingOnControlPlanes", true);
            }
        }
        cluster
    }

    fn endpoint(&self) -> Map {
        let mut endpoint = Map::new().with("endpoint", self.input.endpoint.url());
        if let (true, Some(port)) = (self.is_control_plane(), self.options().local_api_port) {
            endpoint.insert("localAPIServerPort", i64::from(port));
        }
        endpoint
    }

    fn cluster_network(&self) -> Map {
        let mut network = Map::new();
        if let Some(manifest) = &self.options().cni_manifest {
            network.insert("cni", Map::new().with("name", "custom").with("urls", list([manifest])));
        }
        network
            .with("dnsDomain", self.options().dns_domain.as_str())
            .with("podSubnets", list(POD_SUBNETS))
            .with("serviceSubnets", list(SERVICE_SUBNETS))
    }

    fn control_plane(&self, cluster: &mut Map) {
        cluster.insert("aggregatorCA", self.pair(&self.secrets.aggregator));
        cluster.insert("serviceAccount", Map::new().with("key", STANDARD.encode(self.service_account)));
        cluster.insert("apiServer", self.api_server());
        for (field, name) in
            [("controllerManager", "controller-manager"), ("proxy", "proxy"), ("scheduler", "scheduler")]
        {
            let image = self.image(&format!("registry.k8s.io/kube-{name}"));
            cluster.insert(field, Map::new().with("image", image));
        }
    }

    fn api_server(&self) -> Map {
        let old = self.input.contract < Minor::V1_12;
        let mut server = Map::new().with("image", self.image("registry.k8s.io/kube-apiserver"));
        let own = old.then_some(self.input.endpoint.host());
        let names: Vec<&str> =
            own.into_iter().chain(self.options().sans.iter().map(String::as_str)).collect();
        if !names.is_empty() {
            server.insert("certSANs", list(names));
        }
        if old {
            server.insert("disablePodSecurityPolicy", true);
        }
        let plugin = Map::new().with("name", "PodSecurity").with("configuration", pod_security());
        server.with("admissionControl", Value::List(vec![plugin.into()])).with("auditPolicy", audit_policy())
    }

    /// Nodes find each other by the discovery service, not by Kubernetes.
    fn discovery(&self) -> Map {
        let registries =
            Map::new().with("kubernetes", Map::new().with("disabled", true)).with("service", Map::new());
        Map::new().with("enabled", self.options().discovery).with("registries", registries)
    }
}

/// Pods keep the baseline, and are warned where they leave the restricted profile.
pub(super) fn pod_security() -> Map {
    let mut defaults = Map::new();
    for (mode, level) in [("audit", "restricted"), ("enforce", "baseline"), ("warn", "restricted")] {
        defaults.insert(mode, level);
        defaults.insert(format!("{mode}-version"), "latest");
    }
    let exemptions = Map::new()
        .with("namespaces", list(["kube-system"]))
        .with("runtimeClasses", Vec::new())
        .with("usernames", Vec::new());
    Map::new()
        .with("apiVersion", "pod-security.admission.config.k8s.io/v1alpha1")
        .with("defaults", defaults)
        .with("exemptions", exemptions)
        .with("kind", "PodSecurityConfiguration")
}

/// Who asked for what, without the contents.
pub(super) fn audit_policy() -> Map {
    let rule = Map::new().with("level", "Metadata");
    Map::new()
        .with("apiVersion", "audit.k8s.io/v1")
        .with("kind", "Policy")
        .with("rules", Value::List(vec![rule.into()]))
}
