//! `cargo xtask bench carriers`: how long a config of 4, 40 and 400 kB is on its way to a machine, by carrier.

use super::cluster::told_by;
use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace};

/// Bytes of the configs.
const SIZES: [u32; 3] = [4_000, 40_000, 400_000];
/// The word under which the test prints a carrier, and what it is. The first is what the others are compared with.
const CARRIERS: [(&str, &str); 3] = [
    ("push", "push: connect, TLS, apply, answered"),
    ("pull", "one-time URL: asked in vain, laid ready, fetched"),
    ("volume", "volume: made, written, its config read out of it"),
];

/// Builds the test `carrier_cost` and reads what it prints.
///
/// # Errors
/// It does not build or run, or an argument was given.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("carriers takes no arguments, not `{word}`").into());
    }
    let mut samples = told_by(workspace, "carrier_cost", "carriers_of_every_size")?;
    let mut report = Report::default();
    for size in SIZES {
        let mut medians = Vec::new();
        for (word, what) in CARRIERS {
            let word = format!("{word}_{size}");
            let samples = samples.remove(&word).ok_or_else(|| format!("the test printed no {word}"))?;
            let row = Row::new(format!("{} kB, {what}", size / 1000), "ms", samples);
            medians.push((what, row.median().ok_or_else(|| format!("no sample of {word}"))?));
            report.push(row);
        }
        report.note(ratios(size, &medians));
    }
    report.note(
        "Over TCP on this machine, the machine's end simulated; the volume by a file. Waits are not in it: Talos's \
         own between two asks for a URL, and the person who carries a volume.",
    );
    Ok(report)
}

/// Each carrier against the first.
fn ratios(size: u32, medians: &[(&str, f64)]) -> String {
    let name = |what: &str| what.split(':').next().unwrap_or_default().to_owned();
    let Some(((first, base), others)) = medians.split_first() else { return String::new() };
    let others: Vec<String> = others
        .iter()
        .map(|(what, median)| {
            format!("{} takes {:.2} times as long as {}", name(what), median / base, name(first))
        })
        .collect();
    format!("{} kB: {}.", size / 1000, others.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_carrier_is_set_against_the_first() {
        let said = ratios(4_000, &[("push: all of it", 4.0), ("URL: twice", 1.0), ("volume: read", 6.0)]);
        assert_eq!(
            said,
            "4 kB: URL takes 0.25 times as long as push, volume takes 1.50 times as long as push."
        );
    }
}
