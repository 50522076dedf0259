//! Our generator against upstream's own record of its generator, byte for byte. The record holds keys and is not
//! ours to keep: `LABINATOR_TALOS_DATA` names a checkout of siderolabs/talos, and without it this is left out.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "a test that is left out says so")]

use std::path::{Path, PathBuf};

use talos::config::{Input, Options, Role, documents};
use talos::release::Minor;
use talos::secrets::{Secrets, SecretsError};
use talos::yaml::{Map, Value, emit_all, parse_one};

fn data() -> Option<PathBuf> {
    let dir = std::env::var_os("LABINATOR_TALOS_DATA").map(PathBuf::from);
    if dir.is_none() {
        println!("LEFT OUT: LABINATOR_TALOS_DATA names no checkout of siderolabs/talos");
    }
    dir
}

fn stability(root: &Path) -> PathBuf {
    root.join("pkg/machinery/config/types/v1alpha1/testdata/stability")
}

/// As upstream's test asks for them.
fn overrides() -> Options {
    Options {
        sans: vec!["foo".to_owned(), "bar".to_owned()],
        schedule_on_control_planes: true,
        dns_domain: "example.com".to_owned(),
        install_disk: Some("/dev/vda".to_owned()),
        extra_kernel_args: vec!["foo=bar".to_owned(), "bar=baz".to_owned()],
        local_api_port: Some(5443),
        sysctls: [("foo".to_owned(), "bar".to_owned())].into(),
        cni_manifest: Some("https://example.com/cni.yaml".to_owned()),
        registry_mirrors: [("ghcr.io".to_owned(), vec!["https://ghcr.io.my-mirror.com".to_owned()])].into(),
        ..Options::default()
    }
}

/// Puts a value behind a key, where Talos's types have it.
fn insert_after(map: &mut Map, after: &str, key: &str, value: &Value) {
    let old = std::mem::take(map);
    for (k, v) in old {
        let here = k == after;
        map.insert(k, v);
        if here {
            map.insert(key, value.clone());
        }
    }
}

/// Upstream's test applies one patch to what it generated.
fn patch(all: &mut [Value], dir: &Path, contract: Minor) {
    let file = if contract >= Minor::V1_14 { "patch.yaml" } else { "patch-pre14.yaml" };
    let patch = parse_one(&std::fs::read_to_string(dir.join(file)).unwrap()).unwrap().value;
    if contract >= Minor::V1_14 {
        let kind = Some("KubeletConfig");
        let document = all.iter_mut().find(|d| d.at(["kind"]).and_then(Value::as_str) == kind).unwrap();
        let dns = patch.at(["clusterDNS"]).unwrap();
        insert_after(document.as_map_mut().unwrap(), "config", "clusterDNS", dns);
        return;
    }
    let mounts = patch.at(["machine", "kubelet", "extraMounts"]).unwrap();
    let mount = mounts.as_list().unwrap().first().unwrap();
    // Talos writes its own order of fields.
    let mount: Map = ["destination", "type", "source", "options"]
        .into_iter()
        .map(|key| (key, mount.at([key]).unwrap().clone()))
        .collect();
    let machine = all.first_mut().unwrap().as_map_mut().unwrap().get_mut("machine").unwrap();
    let kubelet = machine.as_map_mut().unwrap().entry_map("kubelet").unwrap();
    insert_after(kubelet, "image", "extraMounts", &Value::List(vec![mount.into()]));
}

#[test]
fn configs_equal_those_of_talos_byte_for_byte() {
    let Some(root) = data() else { return };
    let dir = stability(&root);
    let secrets = Secrets::from_yaml(&std::fs::read_to_string(dir.join("secrets.yaml")).unwrap()).unwrap();
    let (endpoint, kubernetes) = ("https://base:6443".parse().unwrap(), "1.28.0".parse().unwrap());
    let contracts = Minor::ALL.into_iter().map(|minor| (minor, format!("v{minor}")));
    let mut compared = 0;
    // 1.15 writes what 1.14 does.
    for (contract, folder) in contracts.chain([(Minor::V1_14, "v1.15".to_owned())]) {
        for (flavor, options) in [("base", Options::default()), ("overrides", overrides())] {
            for role in [Role::ControlPlane, Role::Worker] {
                let input = Input {
                    cluster: "base",
                    endpoint: &endpoint,
                    contract,
                    kubernetes: &kubernetes,
                    options: &options,
                };
                let mut all = documents(&input, &secrets, role).unwrap();
                if flavor == "overrides" {
                    patch(&mut all, &dir, contract);
                }
                let file = dir.join(&folder).join(format!("{flavor}-{}.yaml", role.word()));
                let theirs = std::fs::read_to_string(&file).unwrap();
                let ours = emit_all(&all);
                let differ = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
                assert!(ours == theirs, "{}: first difference {differ:?}", file.display());
                compared += 1;
            }
        }
    }
    println!("{compared} configs equal");
}

#[test]
fn secrets_of_talos_are_read_and_written_again_the_same() {
    let Some(root) = data() else { return };
    let testdata = root.join("pkg/machinery/config/generate/secrets/testdata");
    for file in [stability(&root).join("secrets.yaml"), testdata.join("secrets.yaml")] {
        let text = std::fs::read_to_string(&file).unwrap();
        let plain: String =
            text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        let secrets = Secrets::from_yaml(&text).unwrap();
        assert!(secrets.to_yaml().unwrap().as_str() == plain, "{}", file.display());
    }
    let broken = std::fs::read_to_string(testdata.join("invalid-secrets.yaml")).unwrap();
    let SecretsError::Wrong(wrong) = Secrets::from_yaml(&broken).unwrap_err() else {
        unreachable!("it is YAML")
    };
    let fields: Vec<&str> = wrong.iter().map(|w| w.field.as_str()).collect();
    for field in
        ["cluster.secret", "trustdinfo.token", "certs.etcd.key", "certs.k8saggregator.crt", "certs.os.crt"]
    {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
}
