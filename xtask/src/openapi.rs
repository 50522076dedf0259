//! Keeps the written contract equal to the code: `docs/openapi.json` and `docs/lab.schema.json`.

use std::path::Path;
use std::process::ExitCode;

use crate::finding::{Finding, judge};
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, exit_code, printed};

/// The verb that prints it, and the page it is kept in.
const PAGES: [(&str, &str); 2] = [("openapi", "docs/openapi.json"), ("schema", "docs/lab.schema.json")];

/// `cargo xtask openapi [--check]`.
///
/// # Errors
/// An argument is not understood, the binary does not build, or a page cannot be written.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--check"] => {
            let tally = check(workspace)?;
            println!("{}", tally.closing_line());
            Ok(exit_code(tally.failed == 0))
        }
        [] => {
            for (page, text) in current(workspace)? {
                write(&workspace.root.join(page), &text)?;
                println!("wrote {page}");
            }
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("openapi takes --check or nothing".into()),
    }
}

/// One test per page.
///
/// # Errors
/// The binary does not build, or a verb failed.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    let mut findings = Vec::new();
    for (page, text) in current(workspace)? {
        let kept = std::fs::read_to_string(workspace.root.join(page)).unwrap_or_default();
        if let Some(line) = first_difference(&kept, &text) {
            findings.push(Finding::new(page, line, "differs from the code", "run `cargo xtask openapi`"));
        }
    }
    Ok(judge(PAGES.len(), &findings))
}

fn current(workspace: &Workspace) -> Outcome<Vec<(&'static str, String)>> {
    let labinator = workspace.build_labinator(false)?;
    let mut pages = Vec::new();
    for (verb, page) in PAGES {
        let text = printed(workspace.command(&labinator).arg(verb))?;
        serde_json::from_str::<serde_json::Value>(&text)
            .map_err(|trouble| format!("`labinator {verb}` does not print JSON: {trouble}"))?;
        pages.push((page, format!("{}\n", text.trim_end())));
    }
    Ok(pages)
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, text)?)
}

/// The first line, counted from one, where two texts differ.
fn first_difference(kept: &str, text: &str) -> Option<usize> {
    if kept == text {
        return None;
    }
    let same = kept.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("", "a\n"), Some(1));
        assert_eq!(first_difference("a\nb", "a\nb\n"), Some(3), "a lost last newline is a difference");
    }
}
