//! `talos patch` and `talos validate` of the built program.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const WORKER: &str = "\
version: v1alpha1
machine:
    type: worker
    token: abcdef.0123456789abcdef
    ca:
        crt: Q0E=
        key: \"\"
    install:
        disk: /dev/sda
cluster:
    id: aWQ=
    secret: c2VjcmV0
    controlPlane:
        endpoint: https://lab.local:6443
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: stable
";

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn talos(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_labinator"))
        .arg("talos")
        .args(arguments)
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn patches_from_files_and_inline_are_applied_in_order() {
    let folder = Folder::new("talos-patch");
    folder.write("worker.yaml", WORKER);
    folder.write("name.yaml", "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: w1\nauto: off\n");
    folder.write("disk.yaml", "machine:\n  install:\n    disk: /dev/sdb\n");
    let line = [
        "patch",
        "worker.yaml",
        "--patch",
        "@name.yaml",
        "-p",
        "disk.yaml",
        "-p",
        "machine: {install: {disk: /dev/sdc}}",
    ];
    let (code, out, err) = talos(&folder.0, &line);
    assert_eq!((code, err.as_str()), (0, ""));
    let expected =
        WORKER.replace("/dev/sda", "/dev/sdc").replace("auto: stable", "auto: \"off\"\nhostname: w1");
    assert_eq!(out, expected);

    let (code, out, _) = talos(&folder.0, &[&line[..], &["--output", "worker.yaml"]].concat());
    assert_eq!((code, out.as_str()), (0, ""));
    let path = folder.0.join("worker.yaml");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 3);
}

#[test]
fn a_patch_that_cannot_be_applied_changes_nothing_and_says_why() {
    let folder = Folder::new("talos-patch-refused");
    let path = folder.write("worker.yaml", WORKER);
    let line = |patch: &'static str| ["patch", "worker.yaml", "-o", "worker.yaml", "-p", patch];
    for (patch, said) in [
        ("machine:\n  netwrok: {}\n", "line 2, v1alpha1, machine.netwrok: Talos has no key `netwrok` here"),
        ("[{op: remove, path: /machine/token}]", "a config of one document, this one has 2"),
        ("@none.yaml", "none.yaml: No such file"),
        (
            "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: {$patch: replace}\n",
            "only `$patch: delete` is known",
        ),
    ] {
        let (code, out, err) = talos(&folder.0, &line(patch));
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(said), "{err}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), WORKER);
    }
    assert_eq!(talos(&folder.0, &["patch", "worker.yaml"]).0, 2);
}

#[test]
fn validate_prints_every_mistake_for_people_and_programs() {
    let folder = Folder::new("talos-validate");
    folder.write("good.yaml", WORKER);
    let (code, out, err) = talos(&folder.0, &["validate", "good.yaml", "--talos-version", "v1.12.4"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "good.yaml is valid\n", ""));

    let bad = WORKER.replace("key: \"\"", "key: S0VZ").replace("disk: ", "disc: ");
    folder.write("bad.yaml", &bad);
    let line = ["validate", "bad.yaml", "--mode", "cloud", "--talos-version", "1.11"];
    let (code, out, err) = talos(&folder.0, &line);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err.matches("help: ").count(), 3, "{err}");
    assert!(err.starts_with("bad.yaml: line 7, v1alpha1, machine.ca.key: "), "{err}");

    let (code, out, err) = talos(&folder.0, &[&line[..], &["--json"]].concat());
    assert_eq!((code, err.as_str()), (1, ""));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["valid"], false);
    let codes: Vec<_> =
        report["mistakes"].as_array().unwrap().iter().map(|m| m["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["forbidden", "key-unknown", "kind-too-new"]);
    assert_eq!(report["mistakes"][1]["line"], 9);
    assert_eq!(report["mistakes"][1]["advice"], "is `disk` meant?");
    assert_eq!(talos(&folder.0, &["validate", "good.yaml", "--talos-version", "1.3"]).0, 2);
    assert_eq!(talos(&folder.0, &["validate", "none.yaml"]).0, 1);
}
