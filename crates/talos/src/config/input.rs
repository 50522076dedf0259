//! What a config is made for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::pki::Name;
use crate::release::{Minor, Version, VersionError};

/// The address of the Kubernetes API: `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    host: String,
}

impl Endpoint {
    /// The URL as it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl core::str::FromStr for Endpoint {
    type Err = InputError;

    fn from_str(url: &str) -> Result<Self, InputError> {
        let bad = || InputError::Endpoint(url.to_owned());
        let rest = url.strip_prefix("https://").ok_or_else(bad)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(bad)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
                (host, port)
            }
            None => rest.find(':').map_or((rest, ""), |at| rest.split_at_checked(at).unwrap_or((rest, ""))),
        };
        let port = port.strip_prefix(':').ok_or_else(bad)?;
        let plain = port.bytes().all(|b| b.is_ascii_digit());
        if !plain || port.parse::<u16>().is_ok_and(|port| port == 0) || port.parse::<u16>().is_err() {
            return Err(bad());
        }
        if host.parse::<IpAddr>().is_err() && (host.starts_with('*') || host.parse::<Name>().is_err()) {
            return Err(bad());
        }
        Ok(Self { url: url.to_owned(), host: host.to_owned() })
    }
}

/// What is asked of a config beside its cluster. `Default` is what Talos's generator does unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// More names and addresses for the certificates of the machine API and the Kubernetes API.
    pub sans: Vec<String>,
    /// Pods of everybody run on control planes too.
    pub schedule_on_control_planes: bool,
    /// The domain of the cluster's own DNS.
    pub dns_domain: String,
    /// The disk to install to.
    pub install_disk: Option<String>,
    /// The image that installs.
    pub install_image: Option<String>,
    /// Kernel arguments of the installed system.
    pub extra_kernel_args: Vec<String>,
    /// The port on which each control plane's own API server listens.
    pub local_api_port: Option<u16>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// The manifest of a network that replaces flannel.
    pub cni_manifest: Option<String>,
    /// By registry, where its images are pulled from instead, in order.
    pub registry_mirrors: BTreeMap<String, Vec<String>>,
    /// By registry, the PEM of the authority of its certificate.
    pub registry_authorities: BTreeMap<String, String>,
    /// Registries whose certificate is not checked.
    pub registry_insecure: BTreeSet<String>,
    /// Nodes find each other by the discovery service.
    pub discovery: bool,
    /// The port of the API server's load balancer on each node; none without one.
    pub kube_prism_port: Option<u16>,
    /// Whether nodes talk over `KubeSpan`; nothing is said about it when absent.
    pub kube_span: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sans: Vec::new(),
            schedule_on_control_planes: false,
            dns_domain: "cluster.local".to_owned(),
            install_disk: None,
            install_image: None,
            extra_kernel_args: Vec::new(),
            local_api_port: None,
            sysctls: BTreeMap::new(),
            cni_manifest: None,
            registry_mirrors: BTreeMap::new(),
            registry_authorities: BTreeMap::new(),
            registry_insecure: BTreeSet::new(),
            discovery: true,
            kube_prism_port: Some(7445),
            kube_span: None,
        }
    }
}

/// The cluster that a config is for.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// Its name.
    pub cluster: &'a str,
    /// Where its API is.
    pub endpoint: &'a Endpoint,
    /// The oldest Talos that will read the config: an older one refuses documents it does not know.
    pub contract: Minor,
    /// The Kubernetes to run.
    pub kubernetes: &'a Version,
    /// Everything else.
    pub options: &'a Options,
}

/// Why a config that could be written would not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The endpoint is no URL of the needed form.
    #[error("`{0}` is no endpoint such as https://10.0.0.10:6443")]
    Endpoint(String),
    /// A name that Kubernetes would not take for a context.
    #[error("`{0}` cannot be the name of a cluster")]
    Cluster(String),
    /// Kubernetes that this Talos does not run.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A name for certificates that is none.
    #[error("`{0}` is neither an IP address nor a DNS name")]
    San(String),
    /// Kernel arguments where Talos refuses or ignores them.
    #[error("extra kernel arguments cannot stand in a config for Talos {0}")]
    KernelArgs(Minor),
    /// Not a URL that starts with `http://` or `https://`.
    #[error("`{0}` is no URL")]
    Url(String),
    /// A control plane of 1.14 would read an old cluster's key wrongly.
    #[error("the cluster's secrets are encrypted with AES-CBC, which a config for Talos 1.14 cannot say")]
    AesCbc,
}

impl InputError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "bad_endpoint",
            Self::Cluster(_) => "bad_cluster_name",
            Self::Version(error) => error.code(),
            Self::San(_) => "bad_name",
            Self::KernelArgs(_) => "kernel_args_not_allowed",
            Self::Url(_) => "bad_url",
            Self::AesCbc => "aescbc_not_allowed",
        }
    }

    /// What the person who reads it can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "write https://, a name or address, and the port, which is 6443 as a rule",
            Self::Cluster(_) => "use letters, digits, `-`, `_` and `.`, 63 at most",
            Self::Version(error) => error.advice(),
            Self::San(_) => "write an address such as 10.0.0.7 or a name such as api.lab.example",
            Self::KernelArgs(_) => {
                "put them into a schematic (`labinator talos schematic --kernel-arg ..`) and install its image"
            }
            Self::Url(_) => "write the whole URL, from https:// on",
            Self::AesCbc => "make configs for 1.13: 1.14 reads them too",
        }
    }
}

impl Input<'_> {
    /// Whether a node would take the config. Making it does not ask: an existing config may be wrong and still be
    /// the one to compare with.
    ///
    /// # Errors
    /// The first thing that a node would refuse or ignore.
    pub fn check(&self, secrets: &crate::secrets::Secrets) -> Result<(), InputError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if !(1..=63).contains(&self.cluster.len()) || !self.cluster.bytes().all(fits) {
            return Err(InputError::Cluster(self.cluster.to_owned()));
        }
        self.contract.check_kubernetes(self.kubernetes)?;
        let options = self.options;
        if let Some(bad) = options.sans.iter().find(|san| san.parse::<Name>().is_err()) {
            return Err(InputError::San(bad.clone()));
        }
        if !options.extra_kernel_args.is_empty() && self.contract >= Minor::V1_12 {
            return Err(InputError::KernelArgs(self.contract));
        }
        let mut urls = options.cni_manifest.iter().chain(options.registry_mirrors.values().flatten());
        let is_url = |url: &&String| url.starts_with("https://") || url.starts_with("http://");
        if let Some(bad) = urls.find(|url| !is_url(url)) {
            return Err(InputError::Url(bad.clone()));
        }
        if self.contract >= Minor::V1_14 && secrets.has_old_encryption() {
            return Err(InputError::AesCbc);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_with_host_and_port() {
        let host = |url: &str| url.parse::<Endpoint>().map(|e| e.host().to_owned());
        assert_eq!(host("https://base:6443").unwrap(), "base");
        assert_eq!(host("https://10.0.0.1:6443/").unwrap(), "10.0.0.1");
        assert_eq!(host("https://[fd00::1]:443").unwrap(), "fd00::1");
        for bad in [
            "base",
            "http://base:6443",
            "https://base",
            "https://base:",
            "https://base:0",
            "https://base:65536",
            "https://base:+1",
            "https://:6443",
            "https://base:6443/path",
            "https://a b:6443",
            "https://*.lab:6443",
            "https://fd00::1:443",
            "https://[fd00::1:443",
        ] {
            assert_eq!(host(bad), Err(InputError::Endpoint(bad.to_owned())));
        }
    }
}
