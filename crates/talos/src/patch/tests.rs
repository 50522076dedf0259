//! Patches by example; the rules are Talos's, the cases our own.

use super::*;
use crate::load::load;

const BASE: &str = "\
version: v1alpha1
machine:
  type: worker
  certSANs: [a]
  network:
    interfaces:
      - interface: eth0
        dhcp: true
        vlans:
          - vlanId: 5
            addresses: [10.5.0.2/24]
      - deviceSelector: {busPath: 0*, driver: virtio}
        mtu: 1500
  sysctls:
    b: '1'
  kubelet:
    extraArgs: {v: '2', node-ip: 10.0.0.1}
    extraConfig: {a: {list: [1], text: x}}
cluster:
  network:
    podSubnets: [10.244.0.0/16]
  apiServer:
    admissionControl:
      - name: PodSecurity
        configuration: {defaults: {enforce: baseline}}
";

fn config(text: &str) -> Config {
    load(text, None).into_result().unwrap()
}

fn patched(base: &str, patch: &str) -> Result<Config, PatchError> {
    apply(&config(base), &[Patch::parse(patch, None)?], None)
}

/// The value at keys of the first document.
fn at(config: &Config, keys: &str) -> Value {
    config.documents[0].at(keys.split('.')).cloned().unwrap_or_default()
}

fn flow(text: &str) -> Value {
    yaml::parse_one(text).unwrap().value
}

#[test]
fn mappings_merge_lists_grow_and_scalars_win() {
    let got = patched(
        BASE,
        "machine: {certSANs: [b, a], sysctls: {a: 1}, kubelet: {extraConfig: {a: {list: [2]}}}}",
    )
    .unwrap();
    assert_eq!(at(&got, "machine.certSANs"), flow("[a, b, a]"));
    assert_eq!(at(&got, "machine.kubelet.extraConfig"), flow("{a: {list: [1, 2], text: x}}"));
    assert_eq!(at(&got, "machine.type"), flow("worker"));
    // A number that was typed for text is written as text, and Go's maps are sorted.
    assert!(got.to_yaml().contains("sysctls:\n        a: \"1\"\n        b: \"1\"\n"), "{}", got.to_yaml());
}

#[test]
fn a_url_keeps_the_parts_that_a_patch_leaves_out() {
    let base = "cluster: {controlPlane: {endpoint: 'https://10.0.0.1:6443/a'}}\n";
    for (patch, merged) in [
        ("https://10.0.0.2:6443", "https://10.0.0.2:6443/a"),
        ("http://x/b?c#d", "http://x/b?c#d"),
        ("", "https://10.0.0.1:6443/a"),
    ] {
        let got = patched(base, &format!("cluster: {{controlPlane: {{endpoint: '{patch}'}}}}")).unwrap();
        assert_eq!(at(&got, "cluster.controlPlane.endpoint"), Value::from(merged));
    }
}

#[test]
fn items_of_some_lists_are_found_by_a_key() {
    let got = patched(
        BASE,
        "machine:
  network:
    interfaces:
      - interface: eth0
        mtu: 9000
        vlans: [{vlanId: 5, mtu: 1400}, {vlanId: 6}]
      - deviceSelector: {driver: virtio, busPath: 0*}
        dhcp: false
      - deviceSelector: {driver: e1000}
cluster:
  apiServer:
    admissionControl: [{name: PodSecurity, configuration: {defaults: {audit: restricted}}}]
",
    )
    .unwrap();
    assert_eq!(
        at(&got, "machine.network.interfaces"),
        flow(
            "[{interface: eth0, dhcp: true, vlans: [{vlanId: 5, addresses: [10.5.0.2/24], mtu: 1400}, {vlanId: 6}], mtu: 9000},
              {deviceSelector: {busPath: 0*, driver: virtio}, mtu: 1500, dhcp: false}, {deviceSelector: {driver: e1000}}]"
        )
    );
    assert_eq!(
        at(&got, "cluster.apiServer.admissionControl"),
        flow("[{name: PodSecurity, configuration: {defaults: {enforce: baseline, audit: restricted}}}]")
    );
}

#[test]
fn some_lists_are_replaced() {
    let got = patched(BASE, "cluster: {network: {podSubnets: [10.1.0.0/16]}}").unwrap();
    assert_eq!(at(&got, "cluster.network.podSubnets"), flow("[10.1.0.0/16]"));
}

#[test]
fn a_zero_counts_only_where_go_can_tell_it_from_nothing() {
    let base =
        "machine: {type: worker, network: {hostname: n, interfaces: [{interface: e, mtu: 9, dhcp: true}]}}
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: stable
";
    let got = patched(
        base,
        "machine: {type: '', network: {hostname: '', interfaces: [{interface: e, mtu: 0, dhcp: false}]}}
---
apiVersion: v1alpha1
kind: HostnameConfig
hostname: x
auto: off
",
    )
    .unwrap();
    assert_eq!(
        at(&got, "machine"),
        flow("{type: worker, network: {hostname: n, interfaces: [{interface: e, mtu: 9, dhcp: false}]}}")
    );
    assert_eq!(got.documents[1].value.get("auto"), Some(&Value::from("off")));
}

#[test]
fn documents_that_are_new_come_last() {
    let got = patched(
        BASE,
        "apiVersion: v1alpha1
kind: KmsgLogConfig
name: a
url: tcp://10.0.0.1:1/
---
apiVersion: v1alpha1
kind: KmsgLogConfig
name: b
url: tcp://10.0.0.1:2/
---
apiVersion: v1alpha1
kind: KmsgLogConfig
name: a
url: tcp://10.0.0.1:3/
",
    )
    .unwrap();
    let ids: Vec<_> = got.documents.iter().map(|d| d.id.to_string()).collect();
    assert_eq!(ids, ["v1alpha1", "KmsgLogConfig a", "KmsgLogConfig b"]);
    assert_eq!(got.documents[1].value.get("url"), Some(&Value::from("tcp://10.0.0.1:3/")));
}

#[test]
fn documents_fields_and_items_are_deleted() {
    let base = format!("{BASE}---\napiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n");
    let got = patched(
        &base,
        "apiVersion: v1alpha1
kind: HostnameConfig
$patch: delete
---
machine:
  certSANs: {$patch: delete}
  kubelet: {extraArgs: {v: {$patch: delete}}}
  network:
    interfaces:
      - interface: eth0
        $patch: delete
      - interface: eth0
        dummy: true
",
    )
    .unwrap();
    assert_eq!(got.documents.len(), 1);
    assert_eq!(at(&got, "machine.certSANs"), Value::Null);
    assert_eq!(at(&got, "machine.kubelet.extraArgs"), flow("{node-ip: 10.0.0.1}"));
    assert_eq!(
        at(&got, "machine.network.interfaces"),
        flow("[{deviceSelector: {busPath: 0*, driver: virtio}, mtu: 1500}, {interface: eth0, dummy: true}]")
    );
}

#[test]
fn deleting_what_is_not_there_is_a_mistake_except_for_documents() {
    let code = |patch: &str| patched(BASE, patch).unwrap_err().code();
    assert_eq!(code("machine: {time: {servers: {$patch: delete}}}"), "patch-nothing-to-delete");
    assert_eq!(
        code("machine: {network: {interfaces: [{interface: eth9, $patch: delete}]}}"),
        "patch-nothing-to-delete"
    );
    assert_eq!(
        code("machine: {network: {interfaces: [{interface: eth0, vlans: {$patch: delete}}]}}"),
        "patch-delete-inside-item"
    );
    assert_eq!(code("machine: {network: {interfaces: [{$patch: delete}]}}"), "patch-item-without-key");
    assert_eq!(code("version: v1alpha1\n$patch: delete\n"), "patch-delete-root");
    assert_eq!(code("kind: HostnameConfig\n$patch: delete\n"), "patch-delete-without-kind");
    assert_eq!(code("machine: {$patch: replace}"), "patch-directive");
    let gone = patched(BASE, "apiVersion: v1alpha1\nkind: HostnameConfig\n$patch: delete\n").unwrap();
    assert_eq!(gone, config(BASE));
    let error = patched(
        BASE,
        "machine:\n  network:\n    interfaces:\n      - interface: eth9\n        $patch: delete\n",
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "line 5, column 9: v1alpha1 has nothing to delete at machine.network.interfaces[0] with `interface: eth9`"
    );
}

#[test]
fn free_form_keeps_its_types() {
    let error = patched(BASE, "machine: {kubelet: {extraConfig: {a: {list: text}}}}").unwrap_err();
    assert_eq!(error.code(), "patch-mismatch");
    assert_eq!(
        error.to_string(),
        "v1alpha1, machine.kubelet.extraConfig.a.list: text cannot be merged into a list"
    );
}

#[test]
fn unknown_words_of_a_patch_are_named_with_their_line() {
    let Err(PatchError::Mistakes(mistakes)) = Patch::parse("machine:\n  hostname: x\n  netwrok: {}\n", None)
    else {
        panic!("not refused")
    };
    let lines: Vec<_> = mistakes.iter().map(|m| (m.code(), m.place.line, m.advice())).collect();
    assert_eq!(lines[0].0, "key-unknown");
    assert_eq!(lines[1], ("key-unknown", 3, "is `network` meant?".to_owned()));
    let old = Patch::parse("apiVersion: v1alpha1\nkind: HostnameConfig\nauto: off\n", Some(Minor::V1_11));
    assert_eq!(old.unwrap_err().code(), "kind-too-new");
    assert_eq!(Patch::parse("# nothing\n", None).unwrap_err(), PatchError::Empty);
}

#[test]
fn json_patches_do_what_the_standard_says() {
    let got = patched(
        BASE,
        r#"[{"op": "test", "path": "/machine/type", "value": "worker"},
            {"op": "add", "path": "/machine/certSANs/0", "value": "z"},
            {"op": "add", "path": "/machine/certSANs/-", "value": "y"},
            {"op": "replace", "path": "/machine/network/interfaces/0/dhcp", "value": false},
            {"op": "add", "path": "/machine/nodeLabels", "value": {"a/b": "c"}},
            {"op": "copy", "from": "/machine/nodeLabels/a~1b", "path": "/machine/nodeLabels/d"},
            {"op": "move", "from": "/machine/sysctls", "path": "/machine/sysfs"},
            {"op": "remove", "path": "/cluster/apiServer"}]"#,
    )
    .unwrap();
    assert_eq!(at(&got, "machine.certSANs"), flow("[z, a, y]"));
    assert_eq!(at(&got, "machine.nodeLabels"), flow("{a/b: c, d: c}"));
    assert_eq!(at(&got, "machine.sysfs"), flow("{b: '1'}"));
    assert_eq!(at(&got, "machine.sysctls"), Value::Null);
    assert_eq!(at(&got, "cluster.apiServer"), Value::Null);
}

#[test]
fn a_json_patch_that_does_not_fit_says_which_operation() {
    let why = |patch: &str| patched(BASE, patch).unwrap_err();
    let failed = why(
        "- op: add\n  path: /machine/certSANs/-\n  value: b\n- op: test\n  path: /machine/type\n  value: init\n",
    );
    assert_eq!(
        failed.to_string(),
        "line 4, column 3: the test of `/machine/type` failed: something else is there"
    );
    for patch in [
        "[{op: remove, path: /machine/none}]",
        "[{op: add, path: /machine/certSANs/7, value: x}]",
        "[{op: add, path: /machine/certSANs/01, value: x}]",
        "[{op: move, from: /machine, path: /machine/network}]",
        "[{op: merge, path: /machine}]",
        "[{op: add, path: machine, value: x}]",
        "[{op: add, path: /machine}]",
        "[text]",
    ] {
        assert_eq!(why(patch).code(), "patch-json", "{patch}");
    }
    // What comes out must still be a config.
    assert_eq!(why("[{op: add, path: /machine/unknown, value: 1}]").code(), "key-unknown");
    let two = format!("{BASE}---\napiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n");
    let many = patched(&two, "[{op: remove, path: /machine/certSANs}]").unwrap_err();
    assert_eq!(many, PatchError::JsonOnManyDocuments { documents: 2 });
}

#[test]
fn a_patch_is_a_file_unless_it_can_only_be_a_patch() {
    assert_eq!(Source::of("@x y.yaml"), Source::File("x y.yaml".into()));
    assert_eq!(Source::of("patch.yaml"), Source::File("patch.yaml".into()));
    for inline in ["machine: {}", "[]", "{machine: {}}", "machine:\n"] {
        assert_eq!(Source::of(inline), Source::Inline(inline.to_owned()));
    }
    assert_eq!(Source::of("@/nowhere/at/all").read().unwrap_err().code(), "patch-file");
}
