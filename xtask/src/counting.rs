//! Reads how many tests passed out of what test runners print.

use std::process::Command;

use crate::stage::Tally;
use crate::workspace::{Outcome, watched};

/// Runs a Rust test command, adding up its `test result:` lines.
///
/// # Errors
/// The command could not be started.
pub(crate) fn run_rust_tests(command: &mut Command) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let good = watched(command, |line| read_rust_line(line, &mut tally))?;
    if !good && tally.failed == 0 {
        tally.fail("the tests do not build, or a test binary died: see above");
    }
    Ok(tally)
}

/// Runs a Playwright or Vitest command, reading its closing counts.
///
/// # Errors
/// The command could not be started.
pub(crate) fn run_page_tests(command: &mut Command) -> Outcome<Tally> {
    let mut tally = Tally::default();
    let good = watched(command, |line| read_page_line(line, &mut tally))?;
    if !good && tally.failed == 0 {
        tally.fail("the page tests did not finish: see above");
    }
    Ok(tally)
}

fn read_rust_line(line: &str, tally: &mut Tally) {
    if let Some(counts) = line.strip_prefix("test result: ") {
        tally.passed += number_before(counts, "passed");
        tally.failed += number_before(counts, "failed");
    } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
        tally.failures.push(name.to_owned());
    } else if let Some(why) = line.strip_prefix("SKIPPED ") {
        tally.skipped.push(why.to_owned());
    }
}

/// `  3 passed (7.1s)` from Playwright; `      Tests  1 failed | 12 passed (13)` from Vitest.
fn read_page_line(line: &str, tally: &mut Tally) {
    let plain = without_colour(line);
    let trimmed = plain.trim_start();
    let vitest = trimmed.strip_prefix("Tests ");
    let playwright = Some(trimmed)
        .filter(|text| plain.starts_with("  ") && text.starts_with(|first: char| first.is_ascii_digit()));
    let Some(counts) = vitest.or(playwright) else { return };
    tally.passed += number_before(counts, "passed");
    tally.failed += number_before(counts, "failed");
    let skipped = number_before(counts, "skipped");
    tally.skipped.extend((0..skipped).map(|_| "a page test skipped itself".to_owned()));
}

/// The number that stands before this word, or zero.
fn number_before(text: &str, word: &str) -> usize {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words
        .windows(2)
        .find_map(|pair| match pair {
            [count, name] if *name == word => count.parse().ok(),
            _ => None,
        })
        .unwrap_or(0)
}

/// The line without ANSI colour sequences (ECMA-48 section 5.4, those ending in `m`).
fn without_colour(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, tail)| tail);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_result_lines_add_up_and_failures_keep_their_names() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test names::a_mac_is_read ... ok",
            "test names::a_bad_mac_is_refused ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "SKIPPED a jump of the wall clock: it cannot be set here",
            "test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        ] {
            read_rust_line(line, &mut tally);
        }
        assert_eq!((tally.passed, tally.failed), (12, 1));
        assert_eq!(tally.failures, ["names::a_bad_mac_is_refused"]);
        assert_eq!(tally.skipped, ["a jump of the wall clock: it cannot be set here"]);
    }

    #[test]
    fn playwright_and_vitest_closing_lines_are_read() {
        let mut tally = Tally::default();
        for line in [
            "  1 failed",
            "  2 skipped",
            "  3 passed (7.1s)",
            "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m12 passed\u{1b}[39m\u{1b}[22m (12)",
            "Running 6 tests using 1 worker",
        ] {
            read_page_line(line, &mut tally);
        }
        assert_eq!((tally.passed, tally.failed, tally.skipped.len()), (15, 1, 2));
    }

    #[test]
    fn a_command_that_dies_before_any_test_counts_as_one_failure() {
        let tally = run_rust_tests(Command::new("sh").args(["-c", "exit 101"])).unwrap();
        assert_eq!((tally.passed, tally.failed), (0, 1));
    }
}
