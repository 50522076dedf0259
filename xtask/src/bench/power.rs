//! `cargo xtask bench power`: what drivers add to the hardware's own time, and what they cost while nothing is ordered.

use super::cluster::sorted;
use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace, printed};

/// The test that measures.
const TEST: &str = "power_cost";
/// What the controller may add to a command, in milliseconds.
const ADDED: f64 = 5.0;
/// What eight drivers may take of a core while nothing is ordered, in per cent.
const IDLE: f64 = 0.5;

/// Builds the test, and makes a table of what it prints.
///
/// # Errors
/// It does not build, or a board did not do its part.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("power takes no arguments, not `{word}`").into());
    }
    let mut samples = std::collections::BTreeMap::new();
    for function in ["ports", "idle"] {
        println!("{TEST}: {function}");
        let mut cargo =
            workspace.cargo(&["test", "--quiet", "--release", "--package", "drivers", "--test", TEST]);
        cargo.args(["--", "--ignored", "--nocapture", "--exact", function]);
        samples.extend(sorted(&printed(&mut cargo)?));
    }
    let mut take = |word: &str| -> Outcome<Vec<f64>> {
        samples.remove(word).ok_or_else(|| format!("the test {TEST} printed no {word}").into())
    };
    let mut report = Report::default();
    report.push(Row::new("one port on, at 9600 baud", "ms", take("one_took")?));
    report.push(Row::new("one port: kept for the board", "ms", take("one_kept")?));
    limited(&mut report, ("one port: beside line, press and what is kept", "ms", ADDED), take("one_added")?);
    report.push(Row::new("64 ports on, 8 boards: line and one press", "ms", take("all_line")?));
    report.push(Row::new("64 ports on, 8 boards: all of it", "ms", take("all_took")?));
    report.push(Row::new("64 ports on, 8 boards: kept for a board", "ms", take("all_kept")?));
    let beside = "64 ports: beside line, press and what is kept, a command";
    limited(&mut report, (beside, "ms", ADDED), take("all_added")?);
    limited(&mut report, ("eight boards, nothing ordered", "% of a core", IDLE), take("idle_share")?);
    report.note(
        "The original board at 9600 baud, which is the slowest that can be asked. Kept for the board's own sake are 20 ms \
         between two exchanges, for it looks at its line between two drawings of its display, and 50 ms after the last \
         press, for its own clock. What is beside all of that is the controller's own.",
    );
    Ok(report)
}

/// A row, and above it what it may be at most.
fn limited(report: &mut Report, (what, unit, most): (&str, &'static str, f64), samples: Vec<f64>) {
    let line = format!("limit: {what}");
    report.push(Row::new(line.clone(), unit, vec![most]));
    report.push(Row::new(what, unit, samples).at_most(1.0, line));
}
