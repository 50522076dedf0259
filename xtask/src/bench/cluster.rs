//! `cargo xtask bench cluster`: what a cluster of 27 machines costs its controller.

use std::collections::BTreeMap;

use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace, printed};

/// A row: the word under which the test prints it, what it is, its unit, and what it may be at most.
type Measured = (&'static str, &'static str, &'static str, Option<f64>);

const MEASURED: &[Measured] = &[
    ("start_ms", "cold to Ready, 27 machines, simulation included: processor time", "ms", Some(2000.0)),
    ("memory_kib", "the same: resident memory, simulation included", "KiB", Some(98_304.0)),
    (
        "streams_kib",
        "27 machines Ready, every stream open (27 of events, 2 watches, 54 feeds, 3 readers), simulation included: resident memory",
        "KiB",
        Some(98_304.0),
    ),
    ("push_ms", "one config minted and pushed: processor time of the controller", "ms", Some(5.0)),
    ("pushes_ms", "24 pushes at once", "ms", None),
    ("slowest_ms", "the slowest of them alone", "ms", None),
];
/// Twenty-four pushes may take so many times the slowest of them.
const BOUND: f64 = 1.1;

/// Builds the test `cluster_cost` and reads what it prints.
///
/// # Errors
/// It does not build or run, or an argument was given.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("cluster takes no arguments, not `{word}`").into());
    }
    let mut samples = told_by(workspace, "cluster_cost", "costs")?;
    // A process of its own: what another one gave back may still be resident.
    samples.extend(told_by(workspace, "cluster_cost", "streams")?);
    let mut report = Report::default();
    for &(word, what, unit, limit) in MEASURED {
        let samples = samples.remove(word).ok_or_else(|| format!("the test printed no {word}"))?;
        let mut row = Row::new(what, unit, samples);
        if let Some(limit) = limit {
            let line = format!("limit: {what}");
            report.push(Row::new(line.clone(), unit, vec![limit]));
            row = row.at_most(1.0, line);
        }
        if word == "pushes_ms" {
            row = row.at_most(BOUND, "the slowest of them alone");
        }
        report.push(row);
    }
    Ok(report)
}

/// Builds a test of the binary's that measures, runs one of its functions and sorts what it prints: a word and a number a
/// line, the numbers by word.
///
/// # Errors
/// It does not build or run.
pub(super) fn told_by(
    workspace: &Workspace,
    test: &str,
    function: &str,
) -> Outcome<BTreeMap<String, Vec<f64>>> {
    let mut cargo = workspace.command("cargo");
    cargo.args(["test", "--quiet", "--release", "-p", "labinator", "--test", test]);
    Ok(sorted(&printed(cargo.args(["--", "--ignored", "--nocapture", function]))?))
}

/// What else a test prints has no number behind one word.
pub(super) fn sorted(said: &str) -> BTreeMap<String, Vec<f64>> {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (word, value) in said.lines().filter_map(|line| line.split_once(' ')) {
        if let Ok(value) = value.parse() {
            samples.entry(word.to_owned()).or_default().push(value);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_their_word() {
        let samples =
            sorted("\nrunning 1 test\npush_ms 1.5\npull_ms 2\npush_ms 3\ntest result: ok. 1 passed\n");
        assert_eq!(
            samples,
            BTreeMap::from([("push_ms".into(), vec![1.5, 3.0]), ("pull_ms".into(), vec![2.0])])
        );
    }
}
