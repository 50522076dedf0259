//! The machine: what it is, whose certificates it trusts, how it installs itself, which versions it runs.

use super::{Asked, Found, Machine, Mode, Role, is_set, text_of, url_parts};
use crate::load::Config;
use crate::mistake::Fault;
use crate::release::Minor;
use crate::yaml::{Path, Value};

pub(super) fn check(machine: &Machine<'_>, config: &Config, asked: Asked, found: &mut Found) {
    let document = machine.document;
    if !is_set(document.value.get("machine")) {
        found.missing(document, "machine", "a node takes nothing without it");
        return;
    }
    if document.value.get("persist").and_then(Value::as_bool) == Some(false) {
        found.forbidden(document, "persist", "Talos always keeps its config; only `true` is taken");
    }
    if machine.role == Role::Unknown {
        let typed = machine.text("machine.type").unwrap_or_default();
        let path = Path::of_keys(["machine", "type"]);
        found.value(document, path, &typed, "`controlplane` or `worker`");
    }
    authorities(machine, config, found);
    install(machine, config, asked, found);
    features(machine, config, found);
    logging(machine, found);
    if let Some(name) = machine.text("machine.network.hostname") {
        host_name(document, &Path::of_keys(["machine", "network", "hostname"]), &name, found);
    }
    for (field, checked) in [
        ("machine.kubelet.image", true),
        ("cluster.apiServer.image", machine.role == Role::ControlPlane),
        ("cluster.controllerManager.image", machine.role == Role::ControlPlane),
        ("cluster.scheduler.image", machine.role == Role::ControlPlane),
    ] {
        if let (Some(image), Some(release), true) = (machine.text(field), asked.release, checked) {
            kubernetes_image(machine, field, &image, release, found);
        }
    }
}

/// Who may hold the keys of which authority.
fn authorities(machine: &Machine<'_>, config: &Config, found: &mut Found) {
    let document = machine.document;
    let has_key = |field: &str| machine.text(&format!("{field}.key")).is_some();
    match machine.role {
        Role::ControlPlane => {
            if !is_set(machine.at("machine.ca.crt")) {
                found.missing(document, "machine.ca.crt", "a control plane signs with Talos's authority");
            }
            if !has_key("machine.ca") {
                found.missing(document, "machine.ca.key", "a control plane signs with Talos's authority");
            }
        }
        Role::Worker => {
            for (field, what) in [
                ("machine.ca", "machine.ca.key"),
                ("cluster.ca", "cluster.ca.key"),
                ("cluster.aggregatorCA", "cluster.aggregatorCA.key"),
                ("cluster.serviceAccount", "cluster.serviceAccount.key"),
            ] {
                if has_key(field) {
                    found.forbidden(
                        document,
                        what,
                        "this is a worker, and whoever has the key of an authority is the cluster",
                    );
                }
            }
            if !is_set(machine.at("machine.ca.crt")) && !is_set(machine.at("machine.acceptedCAs")) {
                found.missing(document, "machine.ca.crt", "a worker must know whom it trusts");
            }
            if is_set(machine.at("cluster.etcd")) {
                found.forbidden(document, "cluster.etcd", "etcd runs on control planes only");
            }
            for document in config.of_kind("KubeAPIServerCAConfig") {
                if is_set(document.value.get("issuingCA")) {
                    found.forbidden(
                        document,
                        "issuingCA",
                        "this is a worker, and whoever has the key of an authority is the cluster",
                    );
                }
            }
            if machine.is_true("machine.features.kubernetesTalosAPIAccess.enabled") {
                found.forbidden(
                    document,
                    "machine.features.kubernetesTalosAPIAccess.enabled",
                    "only control planes give pods access to Talos's API",
                );
            }
        }
        Role::Unknown => {}
    }
}

fn install(machine: &Machine<'_>, config: &Config, asked: Asked, found: &mut Found) {
    let document = machine.document;
    if asked.mode != Mode::Metal {
        return;
    }
    if machine.at("machine.install").is_none() {
        let unattended = config.of_kind("UnattendedInstallConfig").next().is_some();
        if asked.release.is_none_or(|r| r < Minor::V1_14) && !unattended {
            found.missing(
                document,
                "machine.install",
                "a machine of metal needs to know where to install itself",
            );
        }
        return;
    }
    if machine.text("machine.install.disk").is_none() && !is_set(machine.at("machine.install.diskSelector")) {
        found.missing(
            document,
            "machine.install.disk",
            "neither `disk` nor `diskSelector` says where to install",
        );
    }
    if is_set(machine.at("machine.install.extraKernelArgs"))
        && machine.is_true("machine.install.grubUseUKICmdline")
    {
        found.add(
            document,
            "machine.install.extraKernelArgs",
            Fault::Conflict {
                other: "machine.install.grubUseUKICmdline: true",
                reason: "the command line then comes with the image; for kernel logs write a KmsgLogConfig document",
            },
        );
    }
}

fn features(machine: &Machine<'_>, config: &Config, found: &mut Found) {
    let document = machine.document;
    let host_dns = "machine.features.hostDNS";
    if machine.is_true(&format!("{host_dns}.forwardKubeDNSToHost"))
        && !machine.is_true(&format!("{host_dns}.enabled"))
    {
        found.missing(
            document,
            "machine.features.hostDNS.enabled",
            "`forwardKubeDNSToHost` needs it to be `true`",
        );
    }
    for document in config.of_kind("ResolverConfig") {
        let on = |key: &str| document.at(["hostDNS", key]).and_then(Value::as_bool) == Some(true);
        if (on("forwardKubeDNSToHost") || on("resolveMemberNames")) && !on("enabled") {
            found.missing(document, "hostDNS.enabled", "what else stands there needs it to be `true`");
        }
    }
}

fn logging(machine: &Machine<'_>, found: &mut Found) {
    let document = machine.document;
    for (at, destination) in machine.list("machine.logging.destinations").iter().enumerate() {
        let path = Path::of_keys(["machine", "logging", "destinations"]).index(at);
        let endpoint = text_of(destination, "endpoint").unwrap_or_default();
        if !matches!(url_parts(&endpoint), Some(("tcp" | "udp", ..))) {
            found.value(
                document,
                path.key("endpoint"),
                &endpoint,
                "a URL such as `tcp://10.0.0.1:5044`, or `udp://`",
            );
        }
        let format = text_of(destination, "format").unwrap_or_default();
        if format != "json_lines" {
            found.value(document, path.key("format"), &format, "`json_lines`, the only format there is");
        }
    }
}

/// At most 253 characters, the first part 1 to 63.
pub(super) fn host_name(document: &crate::load::Document, path: &Path, name: &str, found: &mut Found) {
    let first = name.split('.').next().unwrap_or_default();
    if name.len() > 253 || first.is_empty() || first.len() > 63 {
        found.value(
            document,
            path.clone(),
            name,
            "a host name of at most 253 characters, its first part 1 to 63",
        );
    }
}

fn kubernetes_image(machine: &Machine<'_>, field: &str, image: &str, release: Minor, found: &mut Found) {
    let (least, most) = release.kubernetes_range();
    // Behind the last `/` the port of a registry cannot be mistaken for a tag; one with a digest may have no tag.
    let name = image.split('@').next().unwrap_or_default();
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let Some((_, tag)) = name.split_once(':') else { return };
    let version = tag.strip_prefix('v').unwrap_or(tag);
    let minor = version.strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if !minor.is_some_and(|minor| (least..=most).contains(&minor)) {
        found.add(machine.document, field, Fault::Kubernetes { found: tag.to_owned(), release, least, most });
    }
}
