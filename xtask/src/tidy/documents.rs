//! Rules for the pages at the root: they exist, stay short, and show the two commands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Page;
use crate::finding::Finding;

/// How many tests [`judge_all`] stands for.
pub(super) const RULES: usize = PAGES.len() + 3;

/// The map is read in one sitting.
const MAP_LIMIT: usize = 200;

/// The two commands of the house.
const COMMANDS: [&str; 2] = ["cargo xtask demo", "cargo xtask test"];

/// Pages that a reader looks for.
const PAGES: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "STYLE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

/// All rules about documents.
pub(super) fn judge_all(root: &Path, pages: &[Page]) -> Vec<Finding> {
    let script = root.join(".ci/run");
    let mode = std::fs::metadata(&script).map_or(0, |data| data.permissions().mode());
    let script = std::fs::read_to_string(&script).unwrap_or_default();
    let mut findings = missing_pages(pages);
    findings.extend([long_map(pages), silent_readme(pages), bad_script(&script, mode)].into_iter().flatten());
    findings
}

fn missing_pages(pages: &[Page]) -> Vec<Finding> {
    let absent = PAGES.iter().filter(|name| !pages.iter().any(|page| page.path == **name));
    absent
        .map(|name| Finding::new(*name, 1, "there is no such page", "write it: readers look for it"))
        .collect()
}

fn long_map(pages: &[Page]) -> Option<Finding> {
    let map = pages.iter().find(|page| page.path == "ARCHITECTURE.md")?;
    let lines = map.text.lines().count();
    (lines >= MAP_LIMIT).then(|| {
        let what = format!("{lines} lines, {MAP_LIMIT} or more");
        Finding::new(&map.path, MAP_LIMIT, what, "move detail to the top of the file it is about")
    })
}

fn silent_readme(pages: &[Page]) -> Option<Finding> {
    let text = pages.iter().find(|page| page.path == "README.md").map_or("", |page| page.text.as_str());
    let command = COMMANDS.iter().find(|command| !text.contains(**command))?;
    let what = format!("`{command}` is not shown");
    Some(Finding::new("README.md", 1, what, "show both commands near the top"))
}

fn bad_script(text: &str, mode: u32) -> Option<Finding> {
    let advice = "make it a bash script that calls `cargo xtask test`, with chmod +x";
    if mode & 0o111 == 0 {
        return Some(Finding::new(".ci/run", 1, "is missing or not executable", advice));
    }
    let calls = text.lines().any(|line| line.trim_start().trim_start_matches("exec ") == "cargo xtask test");
    (!calls).then(|| Finding::new(".ci/run", 1, "does not call the test run", advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Page {
        Page { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_map_of_two_hundred_lines_is_too_long() {
        assert!(long_map(&[page("ARCHITECTURE.md", &"x\n".repeat(199))]).is_none());
        assert!(long_map(&[page("ARCHITECTURE.md", &"x\n".repeat(200))]).is_some());
    }

    #[test]
    fn the_readme_shows_both_commands() {
        assert!(silent_readme(&[page("README.md", "cargo xtask demo\ncargo xtask test\n")]).is_none());
        let finding = silent_readme(&[page("README.md", "cargo xtask demo\n")]).unwrap();
        assert_eq!(finding.what, "`cargo xtask test` is not shown");
        assert!(silent_readme(&[]).is_some());
    }

    #[test]
    fn the_script_is_executable_and_calls_the_test_run() {
        let text = "#!/usr/bin/env bash\nset -eu\nexec cargo xtask test\n";
        assert!(bad_script(text, 0o755).is_none());
        assert!(bad_script(text, 0o644).is_some());
        assert!(bad_script("#!/bin/sh\ncargo test\n", 0o755).is_some());
    }

    #[test]
    fn each_missing_page_is_named() {
        let pages: Vec<Page> = PAGES.iter().skip(1).map(|name| page(name, "")).collect();
        let files: Vec<String> = missing_pages(&pages).into_iter().map(|finding| finding.file).collect();
        assert_eq!(files, ["README.md"]);
    }
}
