//! Documents beside the first, in the order of Talos's own generator.

use super::Making;
use super::machine::{host_dns, sorted};
use crate::release::Minor;
use crate::yaml::{Map, Value};

/// A document of a kind.
pub(super) fn document(kind: &str) -> Map {
    Map::new().with("apiVersion", "v1alpha1").with("kind", kind)
}

impl Making<'_> {
    pub(super) fn documents(&self) -> Vec<Map> {
        let mut all = Vec::new();
        if self.in_documents() {
            self.of_the_machine(&mut all);
        }
        if self.input.contract >= Minor::V1_12 {
            self.registry_documents(&mut all);
            all.push(document("HostnameConfig").with("auto", "stable"));
        }
        if let (true, Some(enabled)) = (self.input.contract >= Minor::V1_13, self.options().kube_span) {
            all.push(document("KubeSpanConfig").with("enabled", enabled));
        }
        if self.in_documents() {
            self.of_kubernetes(&mut all);
        }
        all
    }

    /// What stood in `machine` and `cluster.discovery` before 1.14, and what 1.14 adds.
    fn of_the_machine(&self, all: &mut Vec<Map>) {
        let options = self.options();
        if options.discovery {
            let service = document("DiscoveryServiceConfig").with("name", "default");
            all.push(service.with("endpoint", "https://discovery.talos.dev/"));
        }
        all.push(
            document("DiscoveryIdentityConfig")
                .with("clusterID", self.secrets.cluster_id.as_str())
                .with("clusterSecret", self.secrets.cluster_secret.reveal().as_str()),
        );
        if let Some(disk) = &options.install_disk {
            let image = options.install_image.as_ref();
            let installer = image.map_or_else(Map::new, |image| Map::new().with("image", image.as_str()));
            let selector = Map::new().with("match", format!("disk.dev_path == {}", quoted(disk)));
            let provisioning = Map::new().with("diskSelector", selector).with("wipe", false);
            let install = document("UnattendedInstallConfig").with("installer", installer);
            all.push(install.with("provisioning", provisioning));
        }
        all.push(document("ResolverConfig").with("hostDNS", host_dns()));
        if !options.sysctls.is_empty() {
            all.push(document("SysctlConfig").with("params", sorted(&options.sysctls)));
        }
        let volume = document("VolumeConfig").with("name", "EPHEMERAL");
        all.push(volume.with("mount", Map::new().with("secure", true)));
        all.push(document("FilesystemTrimConfig").with("interval", "168h0m0s"));
        all.push(document("SecurityProfileConfig").with("workloadIsolation", true));
    }

    fn registry_documents(&self, all: &mut Vec<Map>) {
        let options = self.options();
        for (host, endpoints) in &options.registry_mirrors {
            let endpoints = endpoints.iter().map(|url| Map::new().with("url", url.as_str()).into());
            let mirror = document("RegistryMirrorConfig").with("name", host.as_str());
            all.push(mirror.with("endpoints", Value::List(endpoints.collect())));
        }
        for host in self.registries_with_tls() {
            let mut tls = document("RegistryTLSConfig").with("name", host);
            if let Some(pem) = options.registry_authorities.get(host) {
                tls.insert("ca", pem.as_str());
            }
            if options.registry_insecure.contains(host) {
                tls.insert("insecureSkipVerify", true);
            }
            all.push(tls);
        }
    }
}

/// A text constant of the Common Expression Language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
