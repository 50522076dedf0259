//! Documents: fields that they must have, and the fields of `machine` and `cluster` that say the same.

use super::{Asked, Found, Machine, is_host_and_port, is_set, machine, text_of, url_parts};
use crate::load::{Config, Document};
use crate::mistake::Fault;
use crate::yaml::{Path, Value};

/// A document, and what of it excludes which field of the old form.
///
/// `StaticHostConfig`, `LinkConfig` and `RegistryMirrorConfig` are not here: they stand beside their old form.
const TWINS: &[(&str, &str, &str)] = &[
    ("HostnameConfig", "", "machine.network.hostname"),
    ("HostnameConfig", "", "machine.features.stableHostname"),
    ("ResolverConfig", "nameservers", "machine.network.nameservers"),
    ("ResolverConfig", "searchDomains", "machine.network.searchDomains"),
    ("ResolverConfig", "searchDomains", "machine.network.disableSearchDomain"),
    ("ResolverConfig", "hostDNS", "machine.features.hostDNS"),
    ("TimeSyncConfig", "", "machine.time"),
    ("KubeSpanConfig", "", "machine.network.kubespan"),
    ("ImageCacheConfig", "", "machine.features.imageCache"),
    ("CRIBaseRuntimeSpecConfig", "", "machine.baseRuntimeSpecOverrides"),
    ("DiscoveryServiceConfig", "", "cluster.discovery"),
    ("DiscoveryIdentityConfig", "", "cluster.id"),
    ("DiscoveryIdentityConfig", "", "cluster.secret"),
    ("UnattendedInstallConfig", "", "machine.install"),
];

pub(super) fn check(config: &Config, asked: Asked, found: &mut Found) {
    if let Some(document) = config.v1alpha1() {
        let machine = Machine::of(document);
        for (kind, part, field) in TWINS {
            for twin in config.of_kind(kind) {
                let speaks = part.is_empty() || is_set(twin.value.get(part));
                // A stable name that is switched off, as a disabled feature, says nothing.
                let silent = machine.at(field).and_then(Value::as_bool) == Some(false);
                if speaks && !silent && is_set(machine.at(field)) {
                    found.add(
                        twin,
                        part,
                        Fault::Conflict {
                            other: field,
                            reason: "both say the same, and Talos takes one of them",
                        },
                    );
                }
            }
        }
        disks(&machine, config, found);
    }
    for document in &config.documents {
        if document.kind.named && document.id.name.is_empty() {
            found.missing(document, "name", "documents of this kind are told apart by it");
        }
        match document.kind.name {
            "HostnameConfig" => hostname(document, found),
            "KmsgLogConfig" => kernel_log(document, found),
            "EventSinkConfig" => {
                let endpoint = document.value.get("endpoint").and_then(Value::text).unwrap_or_default();
                if !is_host_and_port(&endpoint) {
                    let path = Path::root().key("endpoint");
                    found.value(document, path, &endpoint, "an address and port such as `10.0.0.1:5045`");
                }
            }
            _ => {}
        }
    }
    if asked.mode == super::Mode::Container && config.of_kind("UnattendedInstallConfig").next().is_some() {
        found.whole(Fault::Forbidden {
            what: "UnattendedInstallConfig",
            reason: "a container has no disk to install to",
        });
    }
}

/// A system disk whose encryption is said twice.
fn disks(machine: &Machine<'_>, config: &Config, found: &mut Found) {
    for (name, field) in [
        ("EPHEMERAL", "machine.systemDiskEncryption.ephemeral"),
        ("STATE", "machine.systemDiskEncryption.state"),
    ] {
        let twin = config.of_kind("VolumeConfig").find(|d| d.id.name == name);
        if let Some(twin) = twin.filter(|t| is_set(t.value.get("encryption")) && is_set(machine.at(field))) {
            let reason = "both encrypt the same volume";
            found.add(twin, "encryption", Fault::Conflict { other: field, reason });
        }
    }
}

fn hostname(document: &Document, found: &mut Found) {
    let name = text_of(&Value::Map(document.value.clone()), "hostname");
    let auto = document.value.get("auto").and_then(Value::text).map(std::borrow::Cow::into_owned);
    if name.is_none() && auto.is_none() {
        found.missing(document, "hostname", "neither `hostname` nor `auto` says how the machine is called");
    }
    if let Some(auto) = auto.as_ref().filter(|a| !matches!(a.as_str(), "off" | "stable")) {
        found.value(document, Path::root().key("auto"), auto, "`off` or `stable`");
    }
    if let Some(name) = name {
        if auto.as_deref() == Some("stable") {
            found.add(
                document,
                "auto",
                Fault::Conflict { other: "`hostname`", reason: "beside a name it must be `off`" },
            );
        }
        machine::host_name(document, &Path::root().key("hostname"), &name, found);
    }
}

fn kernel_log(document: &Document, found: &mut Found) {
    let url = document.value.get("url").and_then(Value::text).unwrap_or_default();
    if !matches!(url_parts(&url), Some(("tcp" | "udp", _, Some(_), "" | "/"))) {
        let expected = "a URL with a port and no path, such as `tcp://10.0.0.1:5044`, or `udp://`";
        found.value(document, Path::root().key("url"), &url, expected);
    }
}
