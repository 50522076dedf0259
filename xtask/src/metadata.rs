//! The parts of `cargo metadata` that the checks read.

use serde_json::Value;

use crate::workspace::{Outcome, Workspace, printed};

/// A crate, ours or a stranger's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// As published.
    pub(crate) name: String,
    /// As published.
    pub(crate) version: String,
    /// Where it was taken from; `None` for a crate of this tree.
    pub(crate) source: Option<String>,
    /// SPDX expression.
    pub(crate) license: Option<String>,
    /// Absolute path of its `Cargo.toml`.
    pub(crate) manifest: String,
    /// What it depends on, of every kind.
    pub(crate) dependencies: Vec<Dependency>,
    /// Names of its integration tests.
    pub(crate) tests: Vec<String>,
}

/// One line of a dependency table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The real name, also where the manifest renames it.
    pub(crate) name: String,
    /// Only tests, examples and benches see it.
    pub(crate) dev: bool,
    /// It points into this tree.
    pub(crate) ours: bool,
}

/// The crates of this tree.
///
/// # Errors
/// Cargo cannot read a manifest; it has said which.
pub(crate) fn members(workspace: &Workspace) -> Outcome<Vec<Package>> {
    let text = printed(&mut workspace.cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    packages(&text)
}

/// Every crate that a Linux build of this tree, or its loader, may contain.
///
/// # Errors
/// Cargo cannot resolve or fetch one of them.
pub(crate) fn everything(workspace: &Workspace) -> Outcome<Vec<Package>> {
    let all = |manifest: &str, platform: &str| {
        let arguments =
            ["metadata", "--format-version", "1", "--filter-platform", platform, "--manifest-path"];
        packages(&printed(workspace.cargo(&arguments).arg(manifest))?)
    };
    let mut packages = all("Cargo.toml", "x86_64-unknown-linux-gnu")?;
    for of_loader in all(crate::loader::MANIFEST, crate::loader::TARGET)? {
        if packages.iter().all(|known| (&known.name, &known.version) != (&of_loader.name, &of_loader.version))
        {
            packages.push(of_loader);
        }
    }
    Ok(packages)
}

/// Reads the JSON text (format version 1).
///
/// # Errors
/// It is not JSON, or has no list of packages.
pub(crate) fn packages(text: &str) -> Outcome<Vec<Package>> {
    let root: Value = serde_json::from_str(text)?;
    let list = root.get("packages").and_then(Value::as_array).ok_or("cargo metadata lists no packages")?;
    Ok(list.iter().map(package).collect())
}

fn package(value: &Value) -> Package {
    let list = |key: &str| value.get(key).and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let is_test = |target: &&Value| {
        target.get("kind").and_then(Value::as_array).is_some_and(|kinds| kinds.contains(&Value::from("test")))
    };
    Package {
        name: text_of(value, "name").unwrap_or_default(),
        version: text_of(value, "version").unwrap_or_default(),
        source: text_of(value, "source"),
        license: text_of(value, "license"),
        manifest: text_of(value, "manifest_path").unwrap_or_default(),
        dependencies: list("dependencies").iter().map(dependency).collect(),
        tests: list("targets").iter().filter(is_test).filter_map(|target| text_of(target, "name")).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency {
        name: text_of(value, "name").unwrap_or_default(),
        dev: text_of(value, "kind").is_some_and(|kind| kind == "dev"),
        ours: value.get("path").is_some_and(Value::is_string),
    }
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_with_its_kinds_of_dependency_and_its_tests() {
        let text = r#"{"packages": [{
            "name": "wire", "version": "0.1.0", "source": null, "license": "MIT OR Apache-2.0",
            "manifest_path": "/x/crates/wire/Cargo.toml",
            "dependencies": [
                {"name": "model", "kind": null, "path": "/x/crates/model"},
                {"name": "proptest", "kind": "dev"}],
            "targets": [
                {"name": "wire", "kind": ["lib"]},
                {"name": "captures", "kind": ["test"]}]}]}"#;
        let list = packages(text).unwrap();
        let wire = list.first().unwrap();
        assert_eq!(wire.source, None);
        assert_eq!(wire.tests, ["captures"]);
        assert_eq!(
            wire.dependencies,
            [
                Dependency { name: "model".to_owned(), dev: false, ours: true },
                Dependency { name: "proptest".to_owned(), dev: true, ours: false },
            ]
        );
    }

    #[test]
    fn text_without_packages_is_an_error() {
        assert!(packages("{}").is_err());
        assert!(packages("not json").is_err());
    }
}
