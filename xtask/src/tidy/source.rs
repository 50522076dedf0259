//! Rules for Rust files: how long they may be, and the sentence each opens with.

use super::Page;
use crate::finding::Finding;

/// No file is longer.
const HARD_LIMIT: usize = 600;
/// Nine files of ten are not longer.
const NINE_OF_TEN: usize = 400;

/// Length and first sentence of one file.
pub(super) fn judge_file(page: &Page) -> Vec<Finding> {
    if !is_rust(&page.path) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = first_sentence(page).into_iter().collect();
    let lines = production_lines(&page.text);
    if is_production(&page.path) && lines > HARD_LIMIT {
        let what = format!("{lines} production lines, more than {HARD_LIMIT}");
        findings.push(Finding::new(&page.path, HARD_LIMIT + 1, what, "split it along what it knows"));
    }
    findings
}

/// The ninth of ten files, by length.
pub(super) fn judge_spread(pages: &[Page]) -> Option<Finding> {
    let mut sizes: Vec<(usize, &str)> = pages
        .iter()
        .filter(|page| is_rust(&page.path) && is_production(&page.path))
        .map(|page| (production_lines(&page.text), page.path.as_str()))
        .collect();
    sizes.sort_unstable();
    let (lines, path) = *sizes.get((sizes.len() * 9).div_ceil(10).checked_sub(1)?)?;
    (lines > NINE_OF_TEN).then(|| {
        let what = format!("{lines} production lines here, and one file in ten is at least as long");
        let advice = format!("split the longest until nine of ten have at most {NINE_OF_TEN}");
        Finding::new(path, NINE_OF_TEN + 1, what, advice)
    })
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

/// Code that runs in the product or the tools: not integration tests, not a `tests` module.
fn is_production(path: &str) -> bool {
    let mut parts = path.split('/');
    let test_file = path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
    !test_file && !parts.any(|part| matches!(part, "tests" | "benches" | "examples" | "fuzz"))
}

/// Lines up to the first test module written in the file.
///
/// A lone `#[cfg(test)] mod tests;` or a test-only import near the top ends nothing.
fn production_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let opens_tests = |index: usize| {
        let mut after =
            lines.iter().skip(index + 1).map(|line| line.trim()).skip_while(|line| line.starts_with('#'));
        after.next().is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    };
    lines
        .iter()
        .enumerate()
        .position(|(index, line)| line.trim() == "#[cfg(test)]" && opens_tests(index))
        .unwrap_or(lines.len())
}

/// The first line that is not an inner attribute must be a `//!` sentence.
fn first_sentence(page: &Page) -> Option<Finding> {
    let mut inside_attribute = false;
    let mut paragraph = String::new();
    let mut place = 1;
    for (index, line) in page.text.lines().enumerate() {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("//!") {
            if words.trim().is_empty() {
                break;
            }
            place = index + 1;
            paragraph = words.trim().to_owned();
        } else if !paragraph.is_empty() {
            break;
        } else if inside_attribute || line.starts_with("#![") {
            inside_attribute = !line.ends_with(']');
        } else if !line.is_empty() {
            place = index + 1;
            break;
        }
    }
    if paragraph.is_empty() {
        let advice = "open the file with one `//!` sentence that says what it knows";
        return Some(Finding::new(&page.path, place, "no first sentence", advice));
    }
    let ended = paragraph.ends_with(['.', '?', '!', ':']);
    (!ended).then(|| {
        Finding::new(&page.path, place, "the first paragraph is not a sentence", "end it with a full stop")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Page {
        Page { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn counting_stops_at_the_test_module_and_not_at_a_declaration() {
        assert_eq!(production_lines("//! A.\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(production_lines("//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n"), 4);
        assert_eq!(production_lines("//! A.\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n}\n"), 1);
    }

    #[test]
    fn a_file_opens_with_a_sentence_also_after_inner_attributes() {
        for text in [
            "//! Nouns.\n",
            "#![no_std]\n//! Nouns.\n",
            "#![expect(\n    clippy::x,\n    reason = \"y\"\n)]\n\n//! Nouns that\n//! go on.\n//!\n//! More\n",
        ] {
            assert_eq!(first_sentence(&page("a.rs", text)), None, "{text}");
        }
        assert_eq!(first_sentence(&page("a.rs", "// Nouns.\nfn a() {}\n")).unwrap().line, 1);
        assert!(first_sentence(&page("a.rs", "//! Nouns\nuse std::fmt;\n")).is_some());
        assert!(first_sentence(&page("a.rs", "")).is_some());
    }

    #[test]
    fn the_hard_limit_is_for_production_code() {
        let long = format!("//! Long.\n{}", "fn a() {}\n".repeat(HARD_LIMIT));
        assert_eq!(judge_file(&page("crates/wire/src/a.rs", &long)).len(), 1);
        assert_eq!(judge_file(&page("crates/wire/tests/a.rs", &long)).len(), 0);
        assert_eq!(judge_file(&page("crates/wire/src/a/tests.rs", &long)).len(), 0);
    }

    #[test]
    fn one_long_file_in_ten_is_allowed_and_two_are_not() {
        let long = format!("//! Long.\n{}", "\n".repeat(NINE_OF_TEN));
        let mut pages: Vec<Page> = (0..9).map(|n| page(&format!("src/{n}.rs"), "//! Short.\n")).collect();
        pages.push(page("src/x.rs", &long));
        assert_eq!(judge_spread(&pages), None);
        pages.push(page("src/y.rs", &long));
        assert!(judge_spread(&pages).is_some());
        assert_eq!(judge_spread(&[]), None);
    }
}
