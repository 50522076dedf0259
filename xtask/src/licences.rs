//! Bans, licences and sources of every crate in the build, against the lists in `deny.toml`.

mod expression;
mod policy;

use std::process::ExitCode;

use policy::Policy;

use crate::finding::{Finding, judge};
use crate::metadata::{self, Package};
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, exit_code};

/// The page with the lists; cargo-deny reads the same one.
const POLICY: &str = "deny.toml";

/// `cargo xtask licences`.
///
/// # Errors
/// An argument was given, or `deny.toml` or the crates cannot be read.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if let Some(word) = arguments.first() {
        return Err(format!("licences takes no arguments, not `{word}`").into());
    }
    let tally = check(workspace)?;
    for why in &tally.skipped {
        println!("SKIPPED {why}");
    }
    println!("{}", tally.closing_line());
    Ok(exit_code(tally.failed == 0))
}

/// One test per crate in the build.
///
/// # Errors
/// `deny.toml` is missing or says something this reader does not know, or cargo fails.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    let text = std::fs::read_to_string(workspace.root.join(POLICY))
        .map_err(|trouble| format!("{POLICY}: {trouble}"))?;
    let policy = policy::parse(&text).map_err(|(line, what)| format!("{POLICY}:{line}: {what}"))?;
    let packages = metadata::everything(workspace)?;
    let findings: Vec<Finding> =
        packages.iter().filter_map(|package| judge_package(&policy, package)).collect();
    let mut tally = judge(packages.len(), &findings);
    tally.skipped.push(
        "security advisories: the advisory database needs the network; run `cargo deny check advisories`"
            .to_owned(),
    );
    Ok(tally)
}

/// The first thing that is wrong with a crate.
fn judge_package(policy: &Policy, package: &Package) -> Option<Finding> {
    let found = |what: String, advice: &str| {
        Some(Finding::new("Cargo.lock", 1, format!("{} {}: {what}", package.name, package.version), advice))
    };
    if let Some(reason) = policy.banned(&package.name) {
        return found(format!("is banned: {reason}"), "find out who wants it with `cargo tree --invert`");
    }
    if let Some(source) = &package.source
        && !policy.allows_source(source)
    {
        return found(format!("comes from {source}"), "take it from a source that deny.toml allows");
    }
    let Some(license) = &package.license else {
        return found("states no licence".to_owned(), "choose another crate");
    };
    match expression::satisfied(license, &|name| policy.allows_licence(&package.name, name)) {
        Ok(true) => None,
        Ok(false) => {
            found(format!("`{license}` is not allowed"), "allow it in deny.toml with a reason, or do without")
        }
        Err(trouble) => {
            found(format!("licence `{license}`: {trouble}"), "read the crate's own licence files")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[licenses]\nallow = [\n  \"MIT\",\n]\n[bans]\ndeny = [\n  { crate = \"aws-lc-rs\", reason = \"a second provider\" },\n]\n[sources]\nallow-registry = [\n  \"https://github.com/rust-lang/crates.io-index\",\n]\n";

    fn verdict(name: &str, license: Option<&str>, source: Option<&str>) -> Option<String> {
        let package = Package {
            name: name.to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
            ..Package::default()
        };
        judge_package(&policy::parse(TEXT).unwrap(), &package).map(|finding| finding.what)
    }

    #[test]
    fn a_crate_is_judged_by_ban_then_source_then_licence() {
        let index = Some("registry+https://github.com/rust-lang/crates.io-index");
        assert_eq!(verdict("serde", Some("MIT OR Apache-2.0"), index), None);
        assert_eq!(verdict("wire", Some("MIT"), None), None);
        assert!(verdict("aws-lc-rs", Some("MIT"), index).unwrap().contains("a second provider"));
        assert!(verdict("x", Some("MIT"), Some("git+https://example.org/x")).unwrap().contains("comes from"));
        assert!(verdict("x", Some("GPL-3.0-only"), index).unwrap().contains("not allowed"));
        assert!(verdict("x", None, index).unwrap().contains("states no licence"));
        assert!(verdict("x", Some("MIT AND ("), index).is_some());
    }
}
