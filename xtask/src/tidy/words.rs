//! Words that must not stay: leftovers in the text, and names that say nothing.

use super::Page;
use crate::finding::Finding;

/// What is looked for; written in halves so that this file does not find itself.
const LEFTOVERS: [(&str, Case); 10] = [
    (concat!("to", "do!"), Case::Exact),
    (concat!("unimple", "mented!"), Case::Exact),
    (concat!("db", "g!"), Case::Exact),
    (concat!("TO", "DO"), Case::Exact),
    (concat!("FIX", "ME"), Case::Exact),
    (concat!("XX", "X"), Case::Exact),
    (concat!("HA", "CK"), Case::Exact),
    (concat!("for ", "now"), Case::Any),
    (concat!("in a real ", "system"), Case::Any),
    (concat!("place", "holder"), Case::Any),
];

/// Parts of a file name that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["manager", "handler", "helper", "util", "common", "misc"];

/// Files whose subject is these very words.
const ABOUT_WORDS: [&str; 2] = ["STYLE.md", "CONTRIBUTING.md"];

/// What people write and read.
const WRITTEN: [&str; 11] =
    [".rs", ".toml", ".md", ".sh", ".ts", ".svelte", ".js", ".css", ".yaml", ".story", ".ci/run"];

/// How letters are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Exact,
    Any,
}

/// Every leftover word in a page.
pub(super) fn leftovers(page: &Page) -> Vec<Finding> {
    let read =
        WRITTEN.iter().any(|end| page.path.ends_with(end)) && !ABOUT_WORDS.contains(&page.path.as_str());
    if !read {
        return Vec::new();
    }
    // The attribute of an input field and its CSS pseudo-element have a name we cannot choose.
    let markup = [".svelte", ".css", ".ts", ".js"].iter().any(|end| page.path.ends_with(end));
    let mut findings = Vec::new();
    for (index, line) in page.text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (word, case) in LEFTOVERS {
            let hit = match case {
                Case::Exact => stands_in(line, word),
                Case::Any => stands_in(&lower, word),
            };
            if hit && !(markup && word == concat!("place", "holder")) {
                let what = format!("`{word}` was left behind");
                let advice = "finish it, or write down what is missing where users look for it";
                findings.push(Finding::new(&page.path, index + 1, what, advice));
            }
        }
    }
    findings
}

/// A file or folder name with a part that says nothing.
pub(super) fn bad_name(path: &str) -> Option<Finding> {
    let parts = path.split(['/', '_', '-', '.']).map(str::to_lowercase);
    let bad = parts
        .into_iter()
        .find(|part| EMPTY_NAMES.iter().any(|name| part == name || part.strip_suffix('s') == Some(name)))?;
    let what = format!("`{bad}` in a file name says nothing");
    Some(Finding::new(path, 1, what, "name it after what it knows"))
}

/// The word with no letter, digit or underscore on either side.
fn stands_in(line: &str, word: &str) -> bool {
    let joined = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let open_end = word.ends_with('!');
        !before.is_some_and(joined) && (open_end || !after.is_some_and(joined))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let page = Page { path: path.to_owned(), text: text.to_owned() };
        leftovers(&page).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn leftovers_are_found_with_their_line() {
        let text =
            format!("fn a() {{\n    {}(\"later\");\n}} // good enough {}\n", LEFTOVERS[0].0, LEFTOVERS[7].0);
        assert_eq!(lines("crates/x/src/a.rs", &text), [2, 3]);
    }

    #[test]
    fn a_word_inside_another_word_is_not_a_leftover() {
        assert_eq!(lines("a.sh", "mktemp /tmp/lab.XXXXXX\n"), [0; 0]);
        assert_eq!(lines("a.rs", "before nowhere, for nowadays; mastodon!()\n"), [0; 0]);
    }

    #[test]
    fn the_attribute_of_an_input_field_is_allowed() {
        let word = LEFTOVERS[9].0;
        assert_eq!(lines("ui/src/Search.svelte", &format!("<input {word}=\"node\">\n")), [0; 0]);
        assert_eq!(lines("crates/x/src/a.rs", &format!("// {word}\n")), [1]);
    }

    #[test]
    fn pages_about_the_words_may_name_them_and_data_is_not_read() {
        let text = format!("{}\n", LEFTOVERS[4].0);
        assert_eq!(lines("STYLE.md", &text), [0; 0]);
        assert_eq!(lines("tests/data.bin", &text), [0; 0]);
    }

    #[test]
    fn empty_names_are_found_in_any_part_of_a_path() {
        assert!(bad_name("crates/wire/src/dhcp_utils.rs").is_some());
        assert!(bad_name("crates/netboot/tests/common/mod.rs").is_some());
        assert!(bad_name("crates/wire/src/utility_power.rs").is_none());
        assert!(bad_name("crates/wire/src/lease.rs").is_none());
    }
}
