//! The page: built into `ui/dist`, which is committed so that `cargo build` needs no Node.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use crate::counting;
use crate::finding::{Finding, judge};
use crate::node::{self, Node};
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, exit_code, succeeds};

/// `cargo xtask ui [--check]`.
///
/// # Errors
/// An argument is not understood, there is no Node, or the page does not build.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--check"] => {
            let tally = check(workspace)?;
            println!("{}", tally.closing_line());
            Ok(exit_code(tally.failed == 0))
        }
        [] => {
            let tools = node::find(workspace)?;
            tools.install(workspace)?;
            build(workspace, &tools, &workspace.root.join("ui/dist"))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("ui takes --check or nothing".into()),
    }
}

/// Types, unit tests, and whether the committed build is the one that the source gives.
///
/// # Errors
/// The packages cannot be installed, or the page does not build.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    let scripts = node::scripts(workspace)?;
    if scripts.is_empty() {
        return Ok(Tally::skip("there is no page in ui/"));
    }
    let tools = match node::find(workspace) {
        Ok(tools) => tools,
        Err(why) => return Ok(Tally::skip(why.to_string())),
    };
    tools.install(workspace)?;
    let mut tally = Tally::default();
    if scripts.contains("check") {
        let good = succeeds(&mut tools.npm(workspace, &["run", "check"]))?;
        tally.add(Tally::one(good, "the page has type errors: see above"));
    }
    if scripts.contains("unit") {
        tally.add(counting::run_page_tests(&mut tools.npm(workspace, &["run", "unit"]))?);
    }
    let fresh = workspace.target.join("ui-dist");
    build(workspace, &tools, &fresh)?;
    let findings = differences(&contents(&workspace.root.join("ui/dist")), &contents(&fresh));
    tally.add(judge(1, &findings));
    Ok(tally)
}

fn build(workspace: &Workspace, tools: &Node, out: &Path) -> Outcome<()> {
    let folder = out.to_string_lossy();
    let arguments = ["run", "build", "--", "--outDir", folder.as_ref(), "--emptyOutDir"];
    if succeeds(&mut tools.npm(workspace, &arguments))? {
        Ok(())
    } else {
        Err("the page does not build".into())
    }
}

/// Every file below a folder, by its path from there.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push((entry.path(), format!("{path}/")));
            } else if let Ok(bytes) = std::fs::read(entry.path()) {
                files.insert(path, bytes);
            }
        }
    }
    files
}

fn differences(kept: &BTreeMap<String, Vec<u8>>, fresh: &BTreeMap<String, Vec<u8>>) -> Vec<Finding> {
    let names = kept.keys().chain(fresh.keys().filter(|name| !kept.contains_key(*name)));
    names
        .filter_map(|name| {
            let what = match (kept.get(name), fresh.get(name)) {
                (Some(a), Some(b)) if a == b => return None,
                (Some(_), Some(_)) => "differs from what the source builds",
                (Some(_), None) => "is no longer built",
                _ => "is built but not committed",
            };
            Some(Finding::new(format!("ui/dist/{name}"), 1, what, "run `cargo xtask ui` and commit ui/dist"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_build_is_compared_file_by_file() {
        let kept = folder(&[("index.html", "a"), ("old.js", "x"), ("same.css", "s")]);
        let fresh = folder(&[("index.html", "b"), ("new.js", "x"), ("same.css", "s")]);
        let whats: Vec<String> =
            differences(&kept, &fresh).into_iter().map(|f| format!("{} {}", f.file, f.what)).collect();
        assert_eq!(
            whats,
            [
                "ui/dist/index.html differs from what the source builds",
                "ui/dist/old.js is no longer built",
                "ui/dist/new.js is built but not committed",
            ]
        );
        assert!(differences(&kept, &kept).is_empty());
    }
}
