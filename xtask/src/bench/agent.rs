//! What the agent weighs: its program, and what it holds in memory with guests whose consoles are read.

use crate::image;
use crate::workspace::{Outcome, Workspace, printed};

use super::report::{Report, Row};

/// The guests of the measurement, and what watches their network.
pub(super) const PACKAGES: &[&str] = &["qemu-system-x86", "iproute2"];
/// The test that measures; it says what it found in one line.
const TEST: &str = "an_agent_with_guests_and_consoles_weighs_what_was_promised";
/// What the promise is, in MiB.
const RESIDENT: f64 = 12.0;

/// Builds the agent as images have it, and runs it with guests.
///
/// # Errors
/// Something does not build, or the agent did not do its work.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("agent takes no arguments, not `{word}`").into());
    }
    let agent = image::build_agent(workspace)?;
    let mut cargo = workspace.cargo(&["test", "--quiet", "--package", "agent", "--test", "e2e_qemu_guests"]);
    cargo.args(["--", "--ignored", "--nocapture", TEST]).env("LABINATOR_AGENT", &agent);
    let said = printed(&mut cargo)?;
    let line = said.lines().find_map(|line| line.split_once("agent: ").map(|(_, found)| found));
    let found = numbers(line.ok_or("the test said nothing")?);
    let [file, resident, own, ..] = found.as_slice() else { return Err("the test said too little".into()) };
    let mut report = Report::default();
    let limit = f64::from(u32::try_from(image::AGENT_SIZE >> 10)?) / 1024.0;
    for (what, found, most) in [
        ("the agent's program", file, limit),
        ("the agent in memory, six guests and consoles", resident, RESIDENT),
    ] {
        let line = format!("limit: {what}");
        report.push(Row::new(line.clone(), "MiB", vec![most]));
        report.push(Row::new(what, "MiB", vec![*found]).at_most(1.0, line));
    }
    report.push(Row::new("of that shared with nobody", "MiB", vec![*own]));
    Ok(report)
}

/// Every number of KiB in a sentence, in MiB.
fn numbers(text: &str) -> Vec<f64> {
    let mut words = text.split_whitespace().peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if words.peek() == Some(&"KiB") {
            found.extend(word.parse::<f64>().map(|kib| kib / 1024.0));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_line_are_found() {
        let line = "4608 KiB as a file, 5120 KiB resident, 512 KiB of them its own, 6 guests";
        assert_eq!(numbers(line), [4.5, 5.0, 0.5]);
    }
}
