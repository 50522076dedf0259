//! Each mistake by an example that has it, beside a config that has none.

use super::*;

const CONTROL_PLANE: &str = "\
version: v1alpha1
debug: false
persist: true
machine:
    type: controlplane
    token: abcdef.0123456789abcdef
    ca: {crt: Q0E=, key: S0VZ}
    certSANs: []
    kubelet: {image: 'ghcr.io/siderolabs/kubelet:v1.34.1'}
    install: {disk: /dev/sda, wipe: false}
    features: {hostDNS: {enabled: true, forwardKubeDNSToHost: true}}
cluster:
    id: aWQ=
    secret: c2VjcmV0
    controlPlane: {endpoint: 'https://lab.local:6443'}
    network: {dnsDomain: cluster.local, podSubnets: [10.244.0.0/16], serviceSubnets: [10.96.0.0/12]}
    ca: {crt: Q0E=, key: S0VZ}
    apiServer: {image: 'registry.k8s.io/kube-apiserver:v1.34.1'}
    discovery: {enabled: true, registries: {service: {}}}
    etcd: {ca: {crt: Q0E=, key: S0VZ}}
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: stable
---
apiVersion: v1alpha1
kind: KmsgLogConfig
name: labinator
url: tcp://192.168.122.3:5044/
---
apiVersion: v1alpha1
kind: EventSinkConfig
endpoint: 192.168.122.3:5045
";

const WORKER: &str = "\
version: v1alpha1
machine:
    type: worker
    token: abcdef.0123456789abcdef
    ca: {crt: Q0E=, key: ''}
    install: {diskSelector: {size: '>= 10GB'}}
cluster:
    id: aWQ=
    secret: c2VjcmV0
    controlPlane: {endpoint: 'https://lab.local:6443'}
    ca: {crt: Q0E=, key: ''}
";

const METAL: Asked = Asked { mode: Mode::Metal, release: Some(Minor::V1_12) };

/// What is found in a config after a patch: the code and the field of each mistake.
fn found(base: &str, patch: &str, asked: Asked) -> Vec<String> {
    let config = load(base, None).into_result().unwrap();
    let patch = crate::patch::Patch::parse(patch, None).unwrap();
    let text = crate::patch::apply(&config, &[patch], None).unwrap().to_yaml();
    check(&text, asked)
        .iter()
        .map(|m| {
            assert!(!m.advice().is_empty() && !m.to_string().is_empty());
            format!("{} {}", m.code(), m.path)
        })
        .collect()
}

fn of_control_plane(patch: &str) -> Vec<String> {
    found(CONTROL_PLANE, patch, METAL)
}

fn of_worker(patch: &str) -> Vec<String> {
    found(WORKER, patch, METAL)
}

#[test]
fn a_config_without_mistakes_has_none() {
    for release in [None, Some(Minor::V1_12), Some(Minor::V1_13)] {
        for mode in [Mode::Metal, Mode::Cloud, Mode::Container] {
            let asked = Asked { mode, release };
            assert_eq!(check(CONTROL_PLANE, asked), [], "{asked:?}");
            assert_eq!(check(WORKER, asked), [], "{asked:?}");
        }
    }
}

#[test]
fn every_mistake_is_found_at_once_with_its_line() {
    let text = "\
machine:
  type: worker
  ca:
    crt: Q0E=
    key: S0VZ
  install:
    disc: /dev/sda
  network:
    hostname: a
cluster:
  controlPlane:
    endpoint: http://lab.local
---
apiVersion: v1alpha1
kind: HostnameConfig
hostname: b
auto: stable
";
    let lines: Vec<String> = check(text, METAL).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "line 5, v1alpha1, machine.ca.key: machine.ca.key must not be here: this is a worker, and whoever has the key of an authority is the cluster",
            "line 6, v1alpha1, machine.install.disk: machine.install.disk is missing: neither `disk` nor `diskSelector` says where to install",
            "line 7, v1alpha1, machine.install.disc: Talos has no key `disc` here",
            "line 12, v1alpha1, cluster.controlPlane.endpoint: `http://lab.local` is not a URL such as `https://cluster.local:6443`",
            "line 14, HostnameConfig: this cannot stand beside machine.network.hostname: both say the same, and Talos takes one of them",
            "line 17, HostnameConfig, auto: this cannot stand beside `hostname`: beside a name it must be `off`",
        ]
    );
}

#[test]
fn documents_and_keys_belong_to_releases() {
    let old = Asked { mode: Mode::Metal, release: Some(Minor::V1_11) };
    assert_eq!(found(CONTROL_PLANE, "persist: true", old), ["kind-too-new kind"]);
    let uki = "machine: {install: {grubUseUKICmdline: true}}";
    assert_eq!(found(WORKER, uki, old), ["key-too-new machine.install.grubUseUKICmdline"]);
    assert_eq!(found(WORKER, uki, METAL), [] as [&str; 0]);
    let code = |text: &str| check(text, METAL).iter().map(Mistake::code).collect::<Vec<_>>();
    assert_eq!(code("apiVersion: v1alpha1\nkind: HostnamConfig\n"), ["kind-unknown"]);
    assert_eq!(code("apiVersion: v2\nkind: HostnameConfig\nauto: stable\n"), ["api-version"]);
    assert_eq!(code("name: x\n"), ["kind-missing"]);
    assert_eq!(code("- a\n"), ["document-not-a-mapping"]);
    assert_eq!(code("# nothing\n"), ["config-empty"]);
    assert_eq!(code("a: b: c\n"), ["yaml-broken"]);
    let twice = format!("{WORKER}---\n{WORKER}");
    assert_eq!(code(&twice), ["document-twice"]);
    assert_eq!(code(&WORKER.replace("type: worker", "type: worker\n    certSANs: a")), ["type"]);
    assert_eq!(
        code(&WORKER.replace("type: worker", "type: worker\n    time: {$patch: delete}")),
        ["patch-in-config"]
    );
    assert_eq!(
        code(&WORKER.replace("version: v1alpha1", "version: v1alpha1\npersist: false")),
        ["forbidden"]
    );
}

#[test]
fn a_worker_carries_no_key_of_an_authority() {
    assert_eq!(of_worker("cluster: {ca: {key: S0VZ}}"), ["forbidden cluster.ca.key"]);
    assert_eq!(of_worker("cluster: {serviceAccount: {key: S0VZ}}"), ["forbidden cluster.serviceAccount.key"]);
    assert_eq!(of_worker("cluster: {etcd: {ca: {crt: Q0E=}}}"), ["forbidden cluster.etcd"]);
    assert_eq!(of_worker("machine: {ca: {$patch: delete}}"), ["missing machine.ca.crt"]);
    assert_eq!(of_control_plane("machine: {ca: {key: {$patch: delete}}}"), ["missing machine.ca.key"]);
    assert_eq!(
        of_worker("machine: {features: {kubernetesTalosAPIAccess: {enabled: true}}}"),
        ["forbidden machine.features.kubernetesTalosAPIAccess.enabled"]
    );
    assert_eq!(of_worker("machine: {type: wroker}"), ["value machine.type", "missing machine.ca.crt"][..1]);
}

#[test]
fn metal_needs_to_know_where_to_install() {
    let gone = "machine: {install: {$patch: delete}}";
    assert_eq!(of_worker(gone), ["missing machine.install"]);
    let asked = |mode, release| Asked { mode, release: Some(release) };
    assert_eq!(found(WORKER, gone, asked(Mode::Cloud, Minor::V1_12)), [] as [&str; 0]);
    assert_eq!(found(WORKER, gone, asked(Mode::Metal, Minor::V1_14)), [] as [&str; 0]);
    assert_eq!(
        of_worker("machine: {install: {diskSelector: {$patch: delete}, wipe: true}}"),
        ["missing machine.install.disk"]
    );
    assert_eq!(
        of_worker("machine: {install: {extraKernelArgs: [a=b], grubUseUKICmdline: true}}"),
        ["conflict machine.install.extraKernelArgs"]
    );
}

#[test]
fn kubernetes_must_be_one_that_this_talos_runs() {
    let image = |tag: &str| of_worker(&format!("machine: {{kubelet: {{image: 'r:5000/kubelet{tag}'}}}}"));
    for good in [":v1.30.0", ":v1.35.9", "", "@sha256:00", ":v1.33.1@sha256:00"] {
        assert_eq!(image(good), [] as [&str; 0], "{good}");
    }
    for bad in [":v1.29.9", ":v1.36.0", ":latest"] {
        assert_eq!(image(bad), ["kubernetes-version machine.kubelet.image"], "{bad}");
    }
    assert_eq!(
        of_control_plane("cluster: {apiServer: {image: 'a:v1.2.3'}}"),
        ["kubernetes-version cluster.apiServer.image"]
    );
}

#[test]
fn documents_do_not_stand_beside_their_old_form() {
    let beside = |fields: &str, document: &str| {
        of_worker(&format!("{fields}\n---\napiVersion: v1alpha1\n{document}\n"))
    };
    assert_eq!(
        beside("machine: {features: {stableHostname: true}}", "kind: HostnameConfig\nauto: stable"),
        ["conflict "]
    );
    assert_eq!(
        beside("machine: {features: {stableHostname: false}}", "kind: HostnameConfig\nauto: stable"),
        [] as [&str; 0]
    );
    let resolver = "kind: ResolverConfig\nnameservers: [{address: 1.1.1.1}]";
    assert_eq!(beside("machine: {network: {nameservers: [8.8.8.8]}}", resolver), ["conflict nameservers"]);
    assert_eq!(beside("machine: {network: {searchDomains: [a.b]}}", resolver), [] as [&str; 0]);
    assert_eq!(
        beside("machine: {time: {servers: [a.b]}}", "kind: TimeSyncConfig\nntp: {servers: [c.d]}"),
        ["conflict "]
    );
    assert_eq!(
        beside(
            "machine: {systemDiskEncryption: {state: {provider: luks2}}}",
            "kind: VolumeConfig\nname: STATE\nencryption: {provider: luks2}"
        ),
        ["conflict encryption"]
    );
}

#[test]
fn names_of_machines_have_a_length() {
    let name = |name: &str| of_worker(&format!("machine: {{network: {{hostname: '{name}'}}}}"));
    assert_eq!(name(&"a".repeat(63)), [] as [&str; 0]);
    assert_eq!(name(&"a".repeat(64)), ["value machine.network.hostname"]);
    assert_eq!(name(&format!("a.{}", "b".repeat(252))), ["value machine.network.hostname"]);
    let document =
        |fields: &str| of_worker(&format!("apiVersion: v1alpha1\nkind: HostnameConfig\n{fields}\n"));
    assert_eq!(document("hostname: a\nauto: off"), [] as [&str; 0]);
    assert_eq!(document("auto: sometimes"), ["value auto"]);
    assert_eq!(document("hostname: '.a'\nauto: off"), ["value hostname"]);
    let nothing = format!("{WORKER}---\napiVersion: v1alpha1\nkind: HostnameConfig\n");
    assert_eq!(check(&nothing, METAL)[0].code(), "missing");
}

#[test]
fn interfaces_are_found_addressed_and_bound_once() {
    let one = |fields: &str| of_worker(&format!("machine: {{network: {{interfaces: [{{{fields}}}]}}}}"));
    let at = "machine.network.interfaces[0]";
    assert_eq!(
        one("interface: a, addresses: [10.0.0.1/24, 'fd00::1'], routes: [{gateway: 10.0.0.254}]"),
        [] as [&str; 0]
    );
    assert_eq!(one("dhcp: true"), [format!("missing {at}")]);
    assert_eq!(one("interface: a, deviceSelector: {busPath: 0*}"), [format!("conflict {at}.deviceSelector")]);
    assert_eq!(one("deviceSelector: {busPath: ''}"), [format!("missing {at}.deviceSelector")]);
    assert_eq!(one("interface: a, addresses: [10.0.0.1/33]"), [format!("value {at}.addresses[0]")]);
    assert_eq!(
        one("interface: a, addresses: [10.0.0.1/8], cidr: 10.0.0.1/8"),
        [format!("conflict {at}.cidr")]
    );
    assert_eq!(one("interface: a, routes: [{metric: 5}]"), [format!("missing {at}.routes[0]")]);
    assert_eq!(
        one("interface: a, routes: [{network: 10.0.0.0, gateway: x}]"),
        [format!("value {at}.routes[0].network"), format!("value {at}.routes[0].gateway")]
    );
    assert_eq!(one("interface: a, vip: {ip: 10.0.0.5}"), [format!("forbidden {at}.vip")]);
    assert_eq!(
        one("interface: a, vlans: [{vlanId: 1, vip: {ip: 10.0.0.5}}]"),
        [format!("forbidden {at}.vlans[0].vip")]
    );
    let vip = "machine: {network: {interfaces: [{interface: a, vip: {ip: 10.0.0.5}}]}}";
    assert_eq!(of_control_plane(vip), [] as [&str; 0]);
    assert_eq!(
        one("interface: a, bond: {mode: x}, bridge: {interfaces: [b]}"),
        [format!("conflict {at}.bond")]
    );
    let two = of_worker(
        "machine: {network: {interfaces: [{interface: b0, bond: {mode: active-backup, interfaces: [e0, e1]}}, {interface: e0, dhcp: true}, {interface: b1, bridge: {interfaces: [e1]}}]}}",
    );
    assert_eq!(
        two,
        [
            "conflict machine.network.interfaces[1]",
            "value machine.network.interfaces[2].bridge.interfaces[0]"
        ]
    );
}

#[test]
fn what_the_cluster_says_of_itself_must_hold() {
    let cases = [
        ("{controlPlane: {endpoint: 'http://x'}}", "value cluster.controlPlane.endpoint"),
        ("{network: {dnsDomain: 'a..b'}}", "value cluster.network.dnsDomain"),
        ("{network: {podSubnets: [10.0.0.1]}}", "value cluster.network.podSubnets[0]"),
        ("{network: {cni: {name: cilium}}}", "value cluster.network.cni.name"),
        ("{network: {cni: {name: none, urls: ['https://a/b']}}}", "forbidden cluster.network.cni.urls"),
        ("{network: {cni: {name: custom, urls: [x]}}}", "value cluster.network.cni.urls[0]"),
        (
            "{network: {cni: {name: none, flannel: {extraArgs: [a]}}}}",
            "forbidden cluster.network.cni.flannel",
        ),
        ("{etcd: {ca: {$patch: delete}, subnet: 10.0.0.0/8}}", "missing cluster.etcd.ca"),
        ("{id: {$patch: delete}}", "missing cluster.id"),
        (
            "{discovery: {registries: {service: {endpoint: 'https://a/b'}}}}",
            "value cluster.discovery.registries.service.endpoint",
        ),
        ("{inlineManifests: [{name: a}, {name: a}]}", "value cluster.inlineManifests[1].name"),
        (
            "{externalCloudProvider: {manifests: ['https://a/b']}}",
            "forbidden cluster.externalCloudProvider.manifests",
        ),
    ];
    for (patch, expected) in cases {
        assert_eq!(of_control_plane(&format!("cluster: {patch}")), [expected], "{patch}");
    }
    let gone = "cluster: {controlPlane: {$patch: delete}}";
    assert_eq!(of_worker(gone), ["missing cluster.controlPlane.endpoint"]);
}

#[test]
fn logs_and_events_have_somewhere_to_go() {
    let log =
        |destination: &str| of_worker(&format!("machine: {{logging: {{destinations: [{destination}]}}}}"));
    let at = "machine.logging.destinations[0]";
    assert_eq!(log("{endpoint: 'udp://127.0.0.1:1', format: json_lines}"), [] as [&str; 0]);
    assert_eq!(
        log("{endpoint: 'http://a:1', format: text}"),
        [format!("value {at}.endpoint"), format!("value {at}.format")]
    );
    let document = |fields: &str| of_worker(&format!("apiVersion: v1alpha1\n{fields}\n"));
    assert_eq!(document("kind: KmsgLogConfig\nname: a\nurl: tcp://a"), ["value url"]);
    assert_eq!(document("kind: KmsgLogConfig\nname: a\nurl: tcp://a:1/b"), ["value url"]);
    assert_eq!(document("kind: KmsgLogConfig\nurl: tcp://a:1"), ["missing name"]);
    for (endpoint, good) in [("a:1", true), ("[fd00::1]:1", true), ("a", false), ("fd00::1:1", false)] {
        let found = document(&format!("kind: EventSinkConfig\nendpoint: '{endpoint}'"));
        assert_eq!(found.is_empty(), good, "{endpoint}: {found:?}");
    }
    assert_eq!(
        of_worker("machine: {features: {hostDNS: {forwardKubeDNSToHost: true}}}"),
        ["missing machine.features.hostDNS.enabled"]
    );
}
