//! `machine` of the first document.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Making, list};
use crate::release::Minor;
use crate::secrets::Issuer;
use crate::yaml::{Map, Value};

/// Nodes with this label get no traffic from load balancers outside the cluster.
pub(super) const NO_LOAD_BALANCER: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

impl Making<'_> {
    /// In the order of the fields of Talos's own type.
    pub(super) fn machine(&self) -> Map {
        let options = self.options();
        let mut machine = Map::new()
            .with("type", self.role.word())
            .with("token", self.secrets.trustd_token.reveal().as_str())
            .with("ca", self.pair(&self.secrets.os))
            .with("certSANs", list(&options.sans));
        if !self.in_documents() {
            let kubelet = Map::new()
                .with("image", self.image("ghcr.io/siderolabs/kubelet"))
                .with("defaultRuntimeSeccompProfileEnabled", true)
                .with("disableManifestsDirectory", true);
            machine.insert("kubelet", kubelet);
            if let Some(network) = self.network() {
                machine.insert("network", network);
            }
            machine.insert("install", self.install());
            if !options.sysctls.is_empty() {
                machine.insert("sysctls", sorted(&options.sysctls));
            }
            if let Some(registries) = self.registries() {
                machine.insert("registries", registries);
            }
        }
        machine.insert("features", self.features());
        if self.is_control_plane() && !self.in_documents() {
            machine.insert("nodeLabels", Map::new().with(NO_LOAD_BALANCER, ""));
        }
        machine
    }

    /// A certificate, and for a control plane its key: a worker's config that holds one is refused.
    pub(super) fn pair(&self, issuer: &Issuer) -> Map {
        let key = match self.role {
            super::Role::ControlPlane => STANDARD.encode(issuer.key.reveal().as_str()),
            super::Role::Worker => String::new(),
        };
        Map::new().with("crt", STANDARD.encode(&issuer.certificate)).with("key", key)
    }

    /// There since ever, and dropped in 1.13 when it would be empty.
    fn network(&self) -> Option<Map> {
        if self.input.contract >= Minor::V1_13 {
            return None;
        }
        let span = self.options().kube_span;
        Some(span.map_or_else(Map::new, |enabled| {
            Map::new().with("kubespan", Map::new().with("enabled", enabled))
        }))
    }

    fn install(&self) -> Map {
        let options = self.options();
        let mut install = Map::new();
        if let Some(disk) = &options.install_disk {
            install.insert("disk", disk.as_str());
        }
        if !options.extra_kernel_args.is_empty() {
            install.insert("extraKernelArgs", list(&options.extra_kernel_args));
        }
        if let Some(image) = &options.install_image {
            install.insert("image", image.as_str());
        }
        install.insert("wipe", false);
        if self.input.contract >= Minor::V1_12 {
            install.insert("grubUseUKICmdline", true);
        }
        install
    }

    /// Before 1.12; from then on in documents.
    fn registries(&self) -> Option<Map> {
        if self.input.contract >= Minor::V1_12 {
            return None;
        }
        let options = self.options();
        let mut mirrors: Map = options
            .registry_mirrors
            .iter()
            .map(|(host, endpoints)| (host.as_str(), Map::new().with("endpoints", list(endpoints))))
            .collect();
        mirrors.sort();
        let mut config = Map::new();
        for host in self.registries_with_tls() {
            let mut tls = Map::new();
            if let Some(pem) = options.registry_authorities.get(host) {
                tls.insert("ca", STANDARD.encode(pem));
            }
            if options.registry_insecure.contains(host) {
                tls.insert("insecureSkipVerify", true);
            }
            config.insert(host, Map::new().with("tls", tls));
        }
        config.sort();
        let parts = [("mirrors", mirrors), ("config", config)];
        let all: Map = parts.into_iter().filter(|(_, part)| !part.is_empty()).collect();
        (!all.is_empty()).then_some(all)
    }

    /// Registries about whose certificate something is said, by name.
    pub(super) fn registries_with_tls(&self) -> std::collections::BTreeSet<&str> {
        let options = self.options();
        let named = options.registry_authorities.keys().chain(&options.registry_insecure);
        named.map(String::as_str).collect()
    }

    fn features(&self) -> Map {
        let mut features = Map::new();
        if self.input.contract < Minor::V1_12 {
            for flag in ["rbac", "stableHostname", "apidCheckExtKeyUsage"] {
                features.insert(flag, true);
            }
        }
        features.insert("diskQuotaSupport", true);
        if !self.in_documents() {
            if let Some(port) = self.options().kube_prism_port {
                features.insert("kubePrism", Map::new().with("enabled", true).with("port", i64::from(port)));
            }
            features.insert("hostDNS", host_dns());
        }
        features
    }
}

/// Nodes resolve names for their pods.
pub(super) fn host_dns() -> Map {
    Map::new().with("enabled", true).with("forwardKubeDNSToHost", true)
}

/// A mapping in Go's order of keys.
pub(super) fn sorted(entries: &std::collections::BTreeMap<String, String>) -> Value {
    let mut map: Map = entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    map.sort();
    map.into()
}
