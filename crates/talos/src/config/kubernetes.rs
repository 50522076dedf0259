//! Kubernetes in documents of its own: contract 1.14.

use super::cluster::{POD_SUBNETS, SERVICE_SUBNETS, audit_policy, pod_security};
use super::documents::document;
use super::machine::NO_LOAD_BALANCER;
use super::{Making, Role, list};
use crate::secrets::{Encryption, Issuer};
use crate::yaml::{Map, Value};

/// Marks a control plane, as label and as taint.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

impl Making<'_> {
    pub(super) fn of_kubernetes(&self, all: &mut Vec<Map>) {
        self.of_every_node(all);
        if self.is_control_plane() {
            self.of_control_planes(all);
        }
    }

    fn of_every_node(&self, all: &mut Vec<Map>) {
        let options = self.options();
        let cluster = document("KubeClusterConfig").with("clusterName", self.input.cluster);
        all.push(cluster.with("endpoint", self.input.endpoint.url()));
        let mut node = document("KubeNodeConfig").with("nodeIP", Map::new());
        if self.is_control_plane() {
            node.insert("labels", Map::new().with(CONTROL_PLANE, "").with(NO_LOAD_BALANCER, ""));
            if !options.schedule_on_control_planes {
                node.insert("taints", Map::new().with(CONTROL_PLANE, "NoSchedule"));
            }
        }
        all.push(node);
        all.push(
            document("KubeletConfig")
                .with("image", self.image("ghcr.io/siderolabs/kubelet"))
                .with("config", Map::new())
                .with("defaultRuntimeSeccompProfileEnabled", true),
        );
        all.push(
            document("KubeNetworkConfig")
                .with("dnsDomain", options.dns_domain.as_str())
                .with("podSubnets", list(POD_SUBNETS))
                .with("serviceSubnets", list(SERVICE_SUBNETS)),
        );
        let authority = document("KubeAPIServerCAConfig");
        all.push(match self.role {
            Role::ControlPlane => authority.with("issuingCA", pem_pair(&self.secrets.k8s)),
            Role::Worker => authority.with("acceptedCAs", list([&self.secrets.k8s.certificate])),
        });
        if let Some(port) = options.kube_prism_port {
            all.push(document("KubePrismConfig").with("port", i64::from(port)));
        }
    }

    fn of_control_planes(&self, all: &mut Vec<Map>) {
        all.push(document("KubeAggregatorCAConfig").with("issuingCA", pem_pair(&self.secrets.aggregator)));
        let admission = document("KubeAdmissionControlConfig").with("name", "PodSecurity");
        all.push(admission.with("configuration", pod_security()));
        all.push(document("KubeAuditPolicyConfig").with("configuration", audit_policy()));
        all.push(document("KubeAuthenticationConfig").with("configuration", authentication()));
        for (name, kind) in [("node", "Node"), ("rbac", "RBAC")] {
            all.push(document("KubeAuthorizerConfig").with("name", name).with("type", kind));
        }
        all.push(document("KubeEtcdEncryptionConfig").with("config", self.encryption()));
        let issuer =
            Map::new().with("privateKey", self.service_account).with("issuerURL", self.input.endpoint.url());
        all.push(document("KubeServiceAccountConfig").with("issuer", issuer));
        all.push(self.api_server_document());
        let part = |kind, name| document(kind).with("image", self.image(name));
        all.push(part("KubeControllerManagerConfig", "registry.k8s.io/kube-controller-manager"));
        let scheduler = part("KubeSchedulerConfig", "registry.k8s.io/kube-scheduler");
        all.push(scheduler.with("config", Map::new()));
        let proxy = part("KubeProxyConfig", "registry.k8s.io/kube-proxy");
        all.push(proxy.with("config", Map::new()));
        let manifest = self.options().cni_manifest.as_ref();
        if manifest.is_none() {
            let flannel = document("KubeFlannelCNIConfig").with("backendType", "vxlan");
            all.push(flannel.with("backendPort", 4789));
        }
        all.push(document("KubeCoreDNSConfig").with("enabled", true));
        if let Some(url) = manifest {
            let external = document("KubeExternalManifestConfig").with("name", "custom-cni");
            all.push(external.with("url", url.as_str()));
        }
    }

    fn api_server_document(&self) -> Map {
        let options = self.options();
        let mut server =
            document("KubeAPIServerConfig").with("image", self.image("registry.k8s.io/kube-apiserver"));
        if let Some(port) = options.local_api_port {
            server.insert("apiPort", i64::from(port));
        }
        if !options.sans.is_empty() {
            server.insert("certExtraSANs", list(&options.sans));
        }
        server
    }

    /// Kubernetes's own `EncryptionConfiguration`, as far as Talos lets it be said; keys in the order of Go's maps.
    fn encryption(&self) -> Map {
        let (provider, name, key) = match &self.secrets.encryption {
            Encryption::Secretbox(key) => ("secretbox", "key2", key),
            Encryption::AesCbc(key) => ("aescbc", "key1", key),
        };
        let key = Map::new().with("name", name).with("secret", key.reveal().as_str());
        let keys = Map::new().with("keys", Value::List(vec![key.into()]));
        let providers = Value::List(vec![Map::new().with(provider, keys).into()]);
        let resource = Map::new().with("providers", providers).with("resources", list(["secrets"]));
        Map::new().with("resources", Value::List(vec![resource.into()]))
    }
}

/// Anybody may ask whether the API server lives.
fn authentication() -> Map {
    let paths = ["/livez", "/readyz", "/healthz"].map(|path| Map::new().with("path", path).into());
    let anonymous = Map::new().with("conditions", Value::List(paths.into())).with("enabled", true);
    Map::new().with("anonymous", anonymous).with("jwt", Vec::new())
}

fn pem_pair(issuer: &Issuer) -> Map {
    Map::new().with("cert", issuer.certificate.as_str()).with("key", issuer.key.reveal().as_str())
}
