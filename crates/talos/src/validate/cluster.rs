//! The cluster: where it is reached, what it runs, what finds its members.

use super::{Asked, Found, Machine, Role, is_prefix, is_set, text_of, url_parts};
use crate::load::Config;
use crate::release::Minor;

use crate::yaml::{Path, Value};

pub(super) fn check(machine: &Machine<'_>, config: &Config, asked: Asked, found: &mut Found) {
    let document = machine.document;
    if machine.at("cluster").is_none() {
        let of_documents = config.of_kind("KubeClusterConfig").next().is_some();
        if !of_documents {
            found.missing(document, "cluster", "a node must know its cluster");
        }
        return;
    }
    endpoint(machine, config, asked, found);
    if let Some(domain) = machine.text("cluster.network.dnsDomain") {
        let part = |p: &str| {
            (1..=63).contains(&p.len())
                && !p.starts_with('-')
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let trimmed = domain.strip_suffix('.').unwrap_or(&domain);
        if trimmed.len() > 253 || !trimmed.split('.').all(part) {
            found.value(document, Path::of_keys(["cluster", "network", "dnsDomain"]), &domain, "a DNS name");
        }
    }
    for key in ["podSubnets", "serviceSubnets"] {
        for (at, subnet) in machine.list(&format!("cluster.network.{key}")).iter().enumerate() {
            let text = subnet.text().unwrap_or_default();
            if !is_prefix(&text) {
                let path = Path::of_keys(["cluster", "network", key]).index(at);
                found.value(document, path, &text, "a network such as `10.244.0.0/16`");
            }
        }
    }
    if machine.role == Role::ControlPlane {
        cni(machine, found);
        if machine.at("cluster.etcd").is_some() && !is_set(machine.at("cluster.etcd.ca")) {
            found.missing(document, "cluster.etcd.ca", "members of etcd know each other by it");
        }
    }
    discovery(machine, found);
    inline_manifests(machine, found);
    if is_set(machine.at("cluster.externalCloudProvider.manifests"))
        && !machine.is_true("cluster.externalCloudProvider.enabled")
    {
        found.forbidden(document, "cluster.externalCloudProvider.manifests", "the provider is not enabled");
    }
}

fn endpoint(machine: &Machine<'_>, config: &Config, asked: Asked, found: &mut Found) {
    let document = machine.document;
    let path = Path::of_keys(["cluster", "controlPlane", "endpoint"]);
    match machine.text("cluster.controlPlane.endpoint") {
        Some(endpoint) => {
            if !matches!(url_parts(&endpoint), Some(("https", ..))) {
                found.value(document, path, &endpoint, "a URL such as `https://cluster.local:6443`");
            }
        }
        None => {
            let elsewhere = config.of_kind("KubeClusterConfig").next().is_some();
            if !elsewhere && asked.release.is_none_or(|r| r < Minor::V1_14) {
                found.missing(document, "cluster.controlPlane.endpoint", "members find the cluster by it");
            }
        }
    }
}

fn cni(machine: &Machine<'_>, found: &mut Found) {
    let document = machine.document;
    let Some(cni) = machine.at("cluster.network.cni") else { return };
    let path = Path::of_keys(["cluster", "network", "cni"]);
    let name = text_of(cni, "name").unwrap_or_default();
    let urls = machine.list("cluster.network.cni.urls");
    if !matches!(name.as_str(), "" | "flannel" | "custom" | "none") {
        found.value(document, path.key("name"), &name, "`flannel`, `custom` or `none`");
    }
    if matches!(name.as_str(), "flannel" | "none") && !urls.is_empty() {
        found.forbidden(document, "cluster.network.cni.urls", "they belong to `name: custom`");
    }
    if matches!(name.as_str(), "custom" | "none") && is_set(machine.at("cluster.network.cni.flannel")) {
        found.forbidden(document, "cluster.network.cni.flannel", "it belongs to `name: flannel`");
    }
    for (at, url) in urls.iter().enumerate() {
        let url = url.text().unwrap_or_default();
        if url_parts(&url).is_none() {
            found.value(
                document,
                path.key("urls").index(at),
                &url,
                "a URL such as `https://example.com/cni.yaml`",
            );
        }
    }
}

fn discovery(machine: &Machine<'_>, found: &mut Found) {
    let document = machine.document;
    let service_off = machine.is_true("cluster.discovery.registries.service.disabled");
    if !machine.is_true("cluster.discovery.enabled") || service_off {
        return;
    }
    if let Some(endpoint) = machine.text("cluster.discovery.registries.service.endpoint")
        && !url_parts(&endpoint).is_some_and(|(_, _, _, path)| matches!(path, "" | "/"))
    {
        let path = Path::of_keys(["cluster", "discovery", "registries", "service", "endpoint"]);
        found.value(document, path, &endpoint, "a URL without a path, as `https://discovery.talos.dev/`");
    }
    for field in ["cluster.id", "cluster.secret"] {
        if machine.text(field).is_none() {
            found.missing(document, field, "the discovery service knows members by it");
        }
    }
}

fn inline_manifests(machine: &Machine<'_>, found: &mut Found) {
    let mut names: Vec<String> = Vec::new();
    for (at, manifest) in machine.list("cluster.inlineManifests").iter().enumerate() {
        let path = Path::of_keys(["cluster", "inlineManifests"]).index(at).key("name");
        let name = manifest.as_map().and_then(|m| m.get("name")).and_then(Value::text).unwrap_or_default();
        if name.trim().is_empty() || names.iter().any(|n| *n == name) {
            found.value(machine.document, path, &name, "a name that no other manifest has");
        }
        names.push(name.into_owned());
    }
}
