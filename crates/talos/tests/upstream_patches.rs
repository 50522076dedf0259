//! Our loader and patches against Talos's own test data: `LABINATOR_TALOS_DATA` names a checkout of siderolabs/talos.
//!
//! The data is not ours to keep, so without it nothing is compared, and the test says so.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may stop")]

use std::path::{Path, PathBuf};

use talos::load::{Config, load};
use talos::patch::{Patch, apply};
use talos::release::Minor;
use talos::validate::{Asked, Mode, check};
use talos::yaml::{Map, Value, parse};

fn folder() -> Option<PathBuf> {
    let folder =
        std::env::var_os("LABINATOR_TALOS_DATA").map(|root| Path::new(&root).join("pkg/machinery/config"));
    if folder.is_none() {
        eprintln!(
            "LEFT OUT: nothing is compared with Talos, LABINATOR_TALOS_DATA names no checkout of siderolabs/talos"
        );
    }
    folder
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn config(path: &Path) -> Config {
    load(&text(path), None).into_result().unwrap_or_else(|m| panic!("{}: {m:#?}", path.display()))
}

/// Without what Talos writes for fields that nobody set.
fn set_only(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::List(items) if items.is_empty() => None,
        Value::Map(map) => {
            let map: Map = map.into_iter().filter_map(|(k, v)| Some((k, set_only(v)?))).collect();
            if map.is_empty() { None } else { Some(Value::Map(map)) }
        }
        Value::List(items) => Some(Value::List(items.into_iter().filter_map(set_only).collect())),
        other => Some(other),
    }
}

fn same(name: &str, got: &Config, expected: &str) {
    let got = got.to_yaml();
    let plain = |text: &str| -> Vec<_> {
        parse(text).unwrap().into_iter().filter_map(|d| set_only(d.value)).collect()
    };
    if got == expected {
        eprintln!("{name}: the same bytes");
    }
    assert_eq!(plain(&got), plain(expected), "{name}\n--- got\n{got}\n--- expected\n{expected}");
}

#[test]
fn strategic_merges_are_talos_s() {
    let Some(folder) = folder() else { return };
    for number in 1..=6 {
        let case = folder.join(format!("types/v1alpha1/testdata/strategic/{number:03}"));
        let patch = Patch::parse(&text(&case.join("right.yaml")), None).unwrap();
        let got = apply(&config(&case.join("left.yaml")), &[patch], None).unwrap();
        let expected = config(&case.join("expected.yaml")).to_yaml();
        same(&format!("strategic/{number:03}"), &got, &expected);
    }
}

#[test]
fn patch_lists_are_talos_s() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("configpatcher/testdata");
    for (name, base, patches, expected) in [
        (
            "apply",
            "config",
            &["strategic1", "jsonpatch1", "jsonpatch2", "strategic2", "strategic3"][..],
            "expected",
        ),
        ("apply", "config", &["strategic4"], "expected_manifests"),
        ("auditpolicy", "config", &["patch1"], "expected"),
        ("multidoc", "config", &["strategic1", "strategic2", "strategic3"], "expected"),
        ("patchdelete", "config", &["strategic1"], "expected"),
        (
            "patchdelete",
            "controlplane_orig",
            &["strategic2", "strategic3", "strategic4"],
            "controlplane_expected",
        ),
        ("patchlink", "base", &["patch"], "expected"),
        ("patchmixed", "base", &["patch"], "expected"),
    ] {
        let file = |name_of: &str| folder.join(name).join(format!("{name_of}.yaml"));
        let patches: Vec<_> = patches.iter().map(|p| Patch::parse(&text(&file(p)), None).unwrap()).collect();
        let got = apply(&config(&file(base)), &patches, None).unwrap();
        same(&format!("{name}/{expected}"), &got, &text(&file(expected)));
    }
    let many = folder.join("multidoc");
    let json = Patch::parse(&text(&many.join("jsonpatch.yaml")), None).unwrap();
    let refused = apply(&config(&many.join("config.yaml")), &[json], None).unwrap_err();
    assert_eq!(refused.code(), "patch-json-on-many-documents");
    let missing = folder.join("patchdeletemissing");
    let patch = Patch::parse(&text(&missing.join("strategic1.yaml")), None).unwrap();
    let refused = apply(&config(&missing.join("config.yaml")), &[patch], None).unwrap_err();
    assert_eq!(refused.code(), "patch-nothing-to-delete");
    for json in ["patch.json", "patch.yaml"] {
        assert!(matches!(Patch::parse(&text(&folder.join(json)), None), Ok(Patch::Json(_))));
    }
}

#[test]
fn every_document_of_talos_s_test_data_is_known() {
    let Some(folder) = folder() else { return };
    let mut count = 0;
    let mut found = Vec::new();
    for kind in std::fs::read_dir(folder.join("types")).unwrap() {
        let data = kind.unwrap().path().join("testdata");
        for entry in std::fs::read_dir(&data).into_iter().flatten() {
            let path = entry.unwrap().path();
            // Those of `meta` are parts of documents.
            if path.extension().is_some_and(|e| e == "yaml") && !data.ends_with("meta/testdata") {
                count += 1;
                let loaded = load(&text(&path), None);
                found.extend(loaded.mistakes.iter().map(|m| format!("{}: {m}", path.display())));
                if loaded.mistakes.is_empty() && loaded.config.to_yaml() != text(&path) {
                    eprintln!("{}: other bytes", path.display());
                }
            }
        }
    }
    eprintln!("{count} files");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn configs_that_talos_generates_are_valid_and_written_with_the_same_bytes() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("types/v1alpha1/testdata/stability");
    for release in Minor::ALL {
        for name in ["base-controlplane", "base-worker", "overrides-controlplane", "overrides-worker"] {
            let path = folder.join(format!("v{release}/{name}.yaml"));
            let text = text(&path);
            assert_eq!(config(&path).to_yaml(), text, "{}", path.display());
            // They run Kubernetes 1.28, and without overrides name no disk.
            let codes: Vec<_> = check(&text, Asked { mode: Mode::Metal, release: Some(release) })
                .into_iter()
                .filter(|m| m.code() != "kubernetes-version")
                .map(|m| m.to_string())
                .collect();
            let no_disk = name.starts_with("base") && release < Minor::V1_14;
            // What its test asks for has kernel arguments beside a command line that comes with the image.
            let two_lines = name.starts_with("overrides") && [Minor::V1_12, Minor::V1_13].contains(&release);
            let expected = usize::from(no_disk || two_lines);
            assert_eq!(codes.len(), expected, "{}: {codes:#?}", path.display());
        }
    }
}
