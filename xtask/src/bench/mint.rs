//! `cargo xtask bench mint`: a lab's configs, again and again, each time in milliseconds.

use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace, printed};

/// No lab start may wait longer for its configs, in milliseconds.
const LIMIT: f64 = 200.0;
const WHAT: &str = "27 configs, talosconfig and kubeconfig, without the RSA key";

/// Builds the example `mint` of the crate `talos` and reads its times.
///
/// # Errors
/// It does not build or run, or an argument was given.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("mint takes no arguments, not `{word}`").into());
    }
    let mut cargo = workspace.command("cargo");
    let said = printed(cargo.args(["run", "--quiet", "--release", "-p", "talos", "--example", "mint"]))?;
    let times: Result<Vec<f64>, _> = said.lines().map(str::parse).collect();
    let mut report = Report::default();
    let line = format!("limit: {WHAT}");
    report.push(Row::new(line.clone(), "ms", vec![LIMIT]));
    report.push(Row::new(WHAT, "ms", times?).at_most(1.0, line));
    Ok(report)
}
