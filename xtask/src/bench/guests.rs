//! `cargo xtask bench guests`: what guests cost in time, and their agent in work.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::cluster::sorted;
use super::report::{Report, Row};
use crate::image;
use crate::workspace::{Outcome, Workspace, printed};

/// The guests, and what they boot from without an agent.
pub(super) const PACKAGES: &[&str] =
    &["qemu-system-x86", "ipxe-qemu", "iproute2", "dnsmasq-base", "nginx-light"];
/// The test that measures.
const TEST: &str = "guest_cost";
/// What a boot by kernel may take of one over the network.
const SHARE: f64 = 0.25;
/// Upper ends of the histogram's steps, in seconds.
const STEPS: [f64; 8] = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, f64::INFINITY];

type Samples = BTreeMap<String, Vec<f64>>;

/// Builds what guests boot, the agent as images have it, and the test; and makes a table of what that prints.
///
/// # Errors
/// Something does not build, or a guest did not do its part.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("guests takes no arguments, not `{word}`").into());
    }
    let (agent, images) = parts(workspace)?;
    let before = load();
    let mut samples = Samples::new();
    for function in ["boots", "ends", "consoles"] {
        println!("{TEST}: {function}");
        let mut cargo = workspace.cargo(&["test", "--quiet", "--package", "agent", "--test", TEST]);
        cargo.args(["--", "--ignored", "--nocapture", "--exact", function]);
        cargo.env("LABINATOR_AGENT", &agent).env("LABINATOR_IMAGES", &images);
        samples.extend(sorted(&printed(&mut cargo)?));
    }
    let mut report = Report::default();
    boots(&mut report, &mut samples, "heavy")?;
    boots(&mut report, &mut samples, "light")?;
    ends(&mut report, &mut samples)?;
    consoles(&mut report, &mut samples)?;
    report.note(format!("Load of this machine (1, 5 and 15 min): before {before}, after {}.", load()));
    Ok(report)
}

/// The agent of this tree, and the folder of images: that which `LABINATOR_IMAGES` names, or this tree's own.
fn parts(workspace: &Workspace) -> Outcome<(PathBuf, PathBuf)> {
    let Some(images) = std::env::var_os("LABINATOR_IMAGES").map(PathBuf::from) else {
        let parts = image::build_for_tests(workspace)?;
        return Ok((parts.agent, parts.images));
    };
    println!("images: {}", images.display());
    Ok((image::build_agent(workspace)?, images))
}

fn take(samples: &mut Samples, word: &str) -> Outcome<Vec<f64>> {
    samples.remove(word).ok_or_else(|| format!("the test {TEST} printed no {word}").into())
}

fn boots(report: &mut Report, samples: &mut Samples, weight: &str) -> Outcome<()> {
    let size = take(samples, &format!("{weight}_mb"))?.first().copied().unwrap_or_default();
    let mut row = |word: &str, what: &str| {
        Ok(Row::new(format!("{size:.0} MB: {what}"), "s", take(samples, &format!("{weight}_{word}"))?))
    };
    let mut add = |row: Outcome<Row>| row.map(|row| report.push(row));
    let peer = "iPXE ROM, dnsmasq, nginx, chain, to the kernel's first line";
    add(row("plain", peer))?;
    if weight == "heavy" {
        add(row("quick", "the same with nothing to wait for: one script, literal addresses, a router"))?;
    }
    let ours = row("direct", "by kernel, from the wish at the boss to the kernel's first line");
    add(ours.map(|ours| ours.at_most(SHARE, format!("{size:.0} MB: {peer}"))))?;
    add(row("direct_told", "of that until the agent had the wish"))?;
    add(row("direct_firmware", "of that until the first byte on its console"))?;
    add(row("direct_kernel", "of that until the kernel's first line"))
}

fn ends(report: &mut Report, samples: &mut Samples) -> Outcome<()> {
    report.push(Row::new("after kill -9: another QEMU", "s", take(samples, "back_process")?));
    let begun = take(samples, "back_byte")?;
    let worst = begun.iter().copied().fold(f64::NAN, f64::max);
    let histogram = histogram(&begun);
    limited(report, ("after kill -9: first byte of the next boot", "s", 10.0), begun);
    limited(report, ("the worst of them", "s", 30.0), vec![worst]);
    report.push(Row::new("after kill -9: its kernel's first line", "s", take(samples, "back_line")?));
    report.note(format!(
        "From kill -9 to the next boot's first byte, pauses of the restart budget (0, 1, 2, 4 and 8 s) included: \
         {histogram}."
    ));
    Ok(())
}

fn consoles(report: &mut Report, samples: &mut Samples) -> Outcome<()> {
    report.push(Row::new("one line at 115200 baud", "B/s", take(samples, "line_speed")?));
    for (word, what) in [
        ("paced", "18 consoles, written by guests at that speed"),
        ("single", "18 consoles, written at that speed"),
        ("tenfold", "18 consoles, written at ten times that speed"),
    ] {
        report.push(Row::new(format!("{what}: each"), "B/s", take(samples, &format!("{word}_rate"))?));
        for (key, what, unit, most) in [
            ("cpu", format!("{what}: the agent"), "% of a core", 5.0),
            ("resident", format!("{what}: the agent in memory"), "MiB", 12.0),
        ] {
            let found = take(samples, &format!("{word}_{key}"))?;
            match word {
                "single" => limited(report, (&what, unit, most), found),
                _ => report.push(Row::new(what, unit, found)),
            }
        }
    }
    report.note(
        "Consoles: of 18 real guests whose system only writes, which a busy machine slows down; so that is also written \
         for silent guests to the end of their files, where QEMU writes. A core reads all of them over the agent's line, \
         as the controller does.",
    );
    Ok(())
}

/// A row, and above it what it may be at most.
fn limited(report: &mut Report, (what, unit, most): (&str, &'static str, f64), samples: Vec<f64>) {
    let line = format!("limit: {what}");
    report.push(Row::new(line.clone(), unit, vec![most]));
    report.push(Row::new(what, unit, samples).at_most(1.0, line));
}

/// How many samples lie below each step and not below the one before.
fn histogram(samples: &[f64]) -> String {
    let mut from = 0.0;
    let mut parts = Vec::new();
    for to in STEPS {
        let count = samples.iter().filter(|sample| (from..to).contains(*sample)).count();
        if count > 0 {
            let to = if to.is_finite() { format!("{from} to {to} s") } else { format!("over {from} s") };
            parts.push(format!("{to} {} {count}", "▇".repeat(count)));
        }
        from = to;
    }
    parts.join(", ")
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_one_step_of_the_histogram() {
        assert_eq!(histogram(&[0.3, 1.0, 1.9, 31.0]), "0 to 0.5 s ▇ 1, 1 to 2 s ▇▇ 2, over 30 s ▇ 1");
        assert_eq!(histogram(&[]), "");
    }
}
