//! What a compiler does not look at: sizes, first sentences, leftovers, names, documents.

mod documents;
mod source;
mod words;

use std::path::Path;
use std::process::ExitCode;

use crate::finding::{Finding, judge};
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, exit_code};

/// Folders that hold what is built, fetched or recorded, not written.
const NOT_OURS: [&str; 8] =
    [".git", "target", "node_modules", "dist", "fixtures", "captures", "corpus", "test-results"];

/// A file of the tree that people wrote.
pub(crate) struct Page {
    /// From the root of the tree, with `/`.
    pub(crate) path: String,
    /// Its whole text.
    pub(crate) text: String,
}

/// `cargo xtask tidy`.
///
/// # Errors
/// An argument was given, or the tree cannot be read.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if let Some(word) = arguments.first() {
        return Err(format!("tidy takes no arguments, not `{word}`").into());
    }
    let tally = check(workspace)?;
    println!("{}", tally.closing_line());
    Ok(exit_code(tally.failed == 0))
}

/// One test per file, plus one per rule about documents.
///
/// # Errors
/// The tree cannot be read.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    let mut pages = Vec::new();
    collect(&workspace.root, "", &mut pages)?;
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    let mut findings: Vec<Finding> = Vec::new();
    for page in &pages {
        findings.extend(words::bad_name(&page.path));
        findings.extend(words::leftovers(page));
        findings.extend(source::judge_file(page));
    }
    findings.extend(source::judge_spread(&pages));
    findings.extend(documents::judge_all(&workspace.root, &pages));
    Ok(judge(pages.len() + documents::RULES, &findings))
}

/// Every text file below a folder; a file that is not UTF-8 is not ours to judge.
fn collect(dir: &Path, prefix: &str, pages: &mut Vec<Page>) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            collect(&entry.path(), &path, pages)?;
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(entry.path())
            && !is_generated(&name, &text)
        {
            pages.push(Page { path, text });
        }
    }
    Ok(())
}

fn is_generated(name: &str, text: &str) -> bool {
    let locked = matches!(name, "Cargo.lock" | "package-lock.json" | "openapi.json" | "lab.schema.json");
    locked || text.lines().take(3).any(|line| line.contains("@generated"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_and_files_that_say_so_are_generated() {
        assert!(is_generated("Cargo.lock", ""));
        assert!(is_generated("api.d.ts", "// @generated from docs/openapi.json\n"));
        assert!(!is_generated("names.rs", "//! Names.\n"));
    }
}
