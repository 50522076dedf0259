//! As much of a machine config as a simulated node reads, and the refusals a genuine one has for it.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use talos::yaml::{self, Value};

use super::line::Receivers;

/// A config that a node took.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) control_plane: bool,
    /// Certificate of the machine API's authority, PEM.
    pub(super) ca: String,
    /// Its key; control planes have one.
    pub(super) ca_key: String,
    /// What a node shows to trustd.
    pub(super) token: String,
    pub(super) cluster: String,
    pub(super) cluster_name: String,
    pub(super) endpoint: String,
    pub(super) hostname: Option<String>,
    /// Certificate of Kubernetes's authority, PEM.
    pub(super) kubernetes_ca: String,
    /// Its key; control planes have one.
    pub(super) kubernetes_ca_key: String,
    /// Release of Kubernetes that the kubelet's image names, as `v1.35.4`.
    pub(super) kubernetes: String,
    /// Whether nodes are to find each other.
    pub(super) discovery: bool,
    /// Where it is installed; empty where a selector says.
    pub(super) disk: String,
    pub(super) sink: Option<SocketAddr>,
    pub(super) kernel_log: Option<SocketAddr>,
}

/// Why a config is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bad {
    /// It cannot be read.
    Parse(String),
    /// It can be read and says something that cannot be.
    Valid(String),
}

const ROOT: [&str; 5] = ["version", "debug", "persist", "machine", "cluster"];
const MACHINE: [&str; 25] = [
    "type",
    "token",
    "ca",
    "acceptedCAs",
    "certSANs",
    "controlPlane",
    "kubelet",
    "pods",
    "network",
    "disks",
    "install",
    "files",
    "env",
    "time",
    "sysctls",
    "sysfs",
    "registries",
    "systemDiskEncryption",
    "features",
    "udev",
    "logging",
    "kernel",
    "seccompProfiles",
    "nodeLabels",
    "nodeTaints",
];

/// Where documents say that events and kernel lines are pushed to.
pub(super) fn receivers(text: &str) -> Receivers {
    let mut told = Receivers::default();
    for document in yaml::parse(text).unwrap_or_default() {
        let value = &document.value;
        match word(value, &["kind"]).as_str() {
            "EventSinkConfig" => told.sink = word(value, &["endpoint"]).parse().ok(),
            "KmsgLogConfig" => told.kernel_log = kernel_log(value),
            _ => {}
        }
    }
    told
}

fn kernel_log(document: &Value) -> Option<SocketAddr> {
    word(document, &["url"]).trim_start_matches("tcp://").trim_end_matches('/').parse().ok()
}

/// Reads a config as Talos does: unknown keys are refused, and so is what cannot work on metal.
pub(super) fn read(text: &[u8], installed: bool) -> Result<Option<Config>, Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Parse("yaml: invalid UTF-8".to_owned()))?;
    let documents = yaml::parse(text).map_err(|why| Bad::Parse(format!("yaml: {why}")))?;
    let mut machine = None;
    let Receivers { sink, kernel_log } = receivers(text);
    let (mut hostname, mut discovery) = (None, false);
    for document in &documents {
        let value = &document.value;
        match word(value, &["kind"]).as_str() {
            "" => machine = Some(value),
            "DiscoveryServiceConfig" => discovery = true,
            "HostnameConfig" => hostname = Some(word(value, &["hostname"])).filter(|name| !name.is_empty()),
            _ => {}
        }
    }
    let Some(machine) = machine else { return Ok(None) };
    known_keys(machine, &[], &ROOT)?;
    known_keys(machine, &["machine"], &MACHINE)?;
    let old = word(machine, &["machine", "network", "hostname"]);
    let config = Config {
        control_plane: word(machine, &["machine", "type"]) == "controlplane",
        ca: decoded(&word(machine, &["machine", "ca", "crt"])),
        ca_key: decoded(&word(machine, &["machine", "ca", "key"])),
        token: word(machine, &["machine", "token"]),
        kubernetes_ca: decoded(&word(machine, &["cluster", "ca", "crt"])),
        kubernetes_ca_key: decoded(&word(machine, &["cluster", "ca", "key"])),
        kubernetes: tag(&word(machine, &["machine", "kubelet", "image"])),
        discovery: discovery || word(machine, &["cluster", "discovery", "enabled"]) == "true",
        disk: word(machine, &["machine", "install", "disk"]),
        cluster: word(machine, &["cluster", "id"]),
        cluster_name: word(machine, &["cluster", "clusterName"]),
        endpoint: word(machine, &["cluster", "controlPlane", "endpoint"]),
        hostname: hostname.or_else(|| Some(old).filter(|name| !name.is_empty())),
        sink,
        kernel_log,
    };
    validate(machine, &config, installed)?;
    Ok(Some(config))
}

/// `types/v1alpha1/v1alpha1_validation.go`, as far as a lab can get it wrong.
fn validate(machine: &Value, config: &Config, installed: bool) -> Result<(), Bad> {
    let mut wrong: Vec<&str> = Vec::new();
    match word(machine, &["machine", "type"]).as_str() {
        "controlplane" if config.ca_key.is_empty() => {
            wrong.push("machine.ca.key: the issuing CA key is required on control plane nodes");
        }
        "worker" if !config.ca_key.is_empty() => {
            wrong.push("issuing Talos API CA key is not allowed on non-controlplane nodes");
        }
        "controlplane" | "worker" => {}
        _ => wrong.push("unknown machine type"),
    }
    let disk = word(machine, &["machine", "install", "disk"]);
    let selector = machine.at(["machine", "install", "diskSelector"]).is_some();
    match machine.at(["machine", "install"]) {
        None if !installed => wrong.push("install instructions are required in \"metal\" mode"),
        Some(_) if !installed && disk.is_empty() && !selector => {
            wrong.push("either install disk or diskSelector should be defined");
        }
        _ => {}
    }
    if config.endpoint.is_empty() {
        wrong.push("invalid cluster endpoint: cluster.controlPlane.endpoint is required");
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let errors = if wrong.len() == 1 { "error" } else { "errors" };
    let bullets: Vec<String> = wrong.iter().map(|one| format!("\t* {one}\n")).collect();
    Err(Bad::Valid(format!("{} {errors} occurred:\n{}\n", wrong.len(), bullets.concat())))
}

fn known_keys(machine: &Value, path: &[&str], known: &[&str]) -> Result<(), Bad> {
    let Some(Value::Map(map)) = machine.at(path.iter().copied()) else { return Ok(()) };
    let Some(unknown) = map.keys().find(|key| !known.contains(key)) else { return Ok(()) };
    let mut tree = String::from("unknown keys found during decoding:\n");
    for (depth, key) in path.iter().chain([&unknown]).enumerate() {
        tree.push_str(&"    ".repeat(depth));
        tree.push_str(key);
        tree.push_str(":\n");
    }
    Err(Bad::Parse(tree))
}

fn word(value: &Value, path: &[&str]) -> String {
    value.at(path.iter().copied()).and_then(Value::text).map(|text| text.into_owned()).unwrap_or_default()
}

/// The tag of an image: what follows the last `:`, up to a digest.
fn tag(image: &str) -> String {
    let named = image.split('@').next().unwrap_or_default();
    named.rsplit_once(':').map(|(_, tag)| tag.to_owned()).unwrap_or_default()
}

fn decoded(base64: &str) -> String {
    STANDARD.decode(base64.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}
