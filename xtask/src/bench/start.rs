//! How long it takes to start the binary: the price of every `labinator` verb in a script.

use std::time::Instant;

use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace, quietly};

const RUNS: usize = 51;

/// The floor: a program that does nothing.
const PEER: &str = "/bin/true";

/// Starts both in turn, so that a busy moment of the machine hits both.
///
/// # Errors
/// An argument was given, the binary does not build, or one of the two does not start.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("start takes no arguments, not `{word}`").into());
    }
    let labinator = super::labinator(workspace)?.to_string_lossy().into_owned();
    let mut ours = Vec::new();
    let mut peer = Vec::new();
    for _ in 0..RUNS {
        ours.push(milliseconds(workspace, &[&labinator, "--version"])?);
        peer.push(milliseconds(workspace, &[PEER])?);
    }
    let mut report = Report::default();
    report.push(Row::new(PEER, "ms", peer));
    report.push(Row::new("labinator --version", "ms", ours).at_most(5.0, PEER));
    Ok(report)
}

fn milliseconds(workspace: &Workspace, words: &[&str]) -> Outcome<f64> {
    let (program, rest) = words.split_first().ok_or("nothing to start")?;
    let mut command = workspace.command(*program);
    command.args(rest);
    let begun = Instant::now();
    if !quietly(&mut command) {
        return Err(format!("`{}` failed", words.join(" ")).into());
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
