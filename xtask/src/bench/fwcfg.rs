//! `cargo xtask bench fwcfg`: why a large content is slow to read by QEMU's `fw_cfg`, counted at the device.
//!
//! A stub reads 4, 40 and 400 kB in each way there is, and Linux reads them by its own files. The suspected cause, that
//! Linux begins at byte 0 again with every page, predicts each of its passes to the byte; the table sets what was
//! counted beside it, and the sentence below comes out of that.

mod count;
mod linux;
mod stub;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use self::count::Trace;
use self::linux::{Linux, Seen};
use self::stub::{Engine, Stub, Way};
use super::report::{Report, Row};
use crate::workspace::{Outcome, Workspace};

/// What it measures with.
pub(super) const PACKAGES: &[&str] = &["binutils", "dpkg", "qemu-system-x86", "xz-utils"];

/// Bytes of the contents. The third is the one above which `labinator doctor` calls a content broken
/// (`labinator/src/doctor/guests.rs`).
const SIZES: [u64; 4] = [4_000, 40_000, 32_768, 400_000];
/// Runs of each thing that is timed.
const RUNS: usize = 3;
/// Once runs of a thing have taken this long, no more are made of it.
const ENOUGH: Duration = Duration::from_secs(5);
/// A run that must take longer than this is worked out from a shorter one.
const TOO_LONG: Duration = Duration::from_secs(60);

/// A content on the disk.
struct Content {
    size: u64,
    path: PathBuf,
    sum: u32,
}

/// A line of the table of counts.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    size: u64,
    way: String,
    /// Reads of the data port; QEMU's trace tells a transfer by DMA as one.
    reads: u64,
    /// What the suspected cause predicts, where it says something.
    predicted: Option<u64>,
    /// Exits from the guest, where the processor ran it.
    exits: Option<u64>,
}

/// Runs it.
///
/// # Errors
/// Something does not build or start, or a guest read something else than it was given.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(word) = arguments.first() {
        return Err(format!("fwcfg takes no arguments, not `{word}`").into());
    }
    let folder = Scratch::new(workspace.target.join("bench").join("fwcfg"))?;
    let mut sizes = SIZES;
    sizes.sort_unstable();
    let contents = sizes.iter().map(|&size| {
        let path = folder.0.join(format!("content{size}"));
        Ok(Content { size, sum: stub::write_content(&path, size)?, path })
    });
    let contents = contents.collect::<Outcome<Vec<_>>>()?;
    let (mut report, mut lines) = (Report::default(), Vec::new());
    let stub = Stub::assemble(&folder.0)?;
    let engine = engine(&stub, &contents, &mut report);
    of_the_stub(&stub, engine, &contents, &mut report, &mut lines)?;
    let guest = Linux::prepare(workspace, &folder.0)?;
    let passes = of_linux(&guest, &contents, &mut report, &mut lines)?;
    report.note(table(&lines));
    report.note(verdict(&guest.version, &passes));
    Ok(report)
}

/// The folder of one run; gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: PathBuf) -> Outcome<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The processor if it runs the stub, for only then there are exits to count.
fn engine(stub: &Stub<'_>, contents: &[Content], report: &mut Report) -> Engine {
    let Some(content) = contents.first() else { return Engine::Tcg };
    match stub.run(Way::Page, Engine::Kvm, &content.path, false) {
        Ok(run) if run.sum == content.sum => Engine::Kvm,
        Ok(_) => {
            report.note("KVM runs the stub wrongly here: no exits were counted, the stub ran in software.");
            Engine::Tcg
        }
        Err(error) => {
            report.note(format!(
                "KVM does not run the stub here ({error}): no exits were counted, the stub ran in software."
            ));
            Engine::Tcg
        }
    }
}

fn of_the_stub(
    stub: &Stub<'_>,
    engine: Engine,
    contents: &[Content],
    report: &mut Report,
    lines: &mut Vec<Line>,
) -> Outcome<()> {
    // What one access costs, from the way that does nothing else: a longer run is first worked out with it.
    let mut access = Duration::ZERO;
    for content in contents {
        let nothing = counted(stub, Way::Nothing, engine, content)?;
        for way in Way::ALL {
            let expected = count::again_from_zero(content.size).iter().sum::<u64>();
            let work = access.saturating_mul(u32::try_from(expected)?);
            let what = format!("{}, stub, {}", kilobytes(content.size), way.words());
            if way == Way::Again && work > TOO_LONG {
                report.note(format!(
                    "{what}: not run, {expected} accesses would take about {:.0} s.",
                    work.as_secs_f64()
                ));
                continue;
            }
            eprintln!("{what} ({})", engine.words());
            let trace = counted(stub, way, engine, content)?;
            let exits = trace.exits.saturating_sub(nothing.exits);
            lines.push(Line {
                size: content.size,
                way: format!("stub, {}", way.words()),
                reads: reads(&trace) - reads(&nothing),
                predicted: (way == Way::Again).then_some(expected),
                exits: (engine == Engine::Kvm).then_some(exits),
            });
            let mut times = Vec::new();
            while times.len() < RUNS && times.iter().sum::<Duration>() < ENOUGH {
                times.push(right(stub, way, engine, content, false)?.took);
            }
            if way == Way::Byte {
                let least = times.iter().min().copied().unwrap_or_default();
                access = least / u32::try_from(content.size)?;
            }
            let millis = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
            report.push(Row::new(format!("{what} ({})", engine.words()), "ms", millis));
        }
    }
    let who = match engine {
        Engine::Kvm => "An exit costs",
        Engine::Tcg => "An access costs, in software,",
    };
    report.note(format!(
        "{who} {:.2} µs here. Times of the stub are those between two bytes on a pipe: below 0.1 ms they say nothing.",
        access.as_secs_f64() * 1e6
    ));
    Ok(())
}

/// All reads of the data port, whatever was selected.
fn reads(trace: &Trace) -> u64 {
    trace.passes.iter().map(|pass| pass.reads).sum()
}

fn counted(stub: &Stub<'_>, way: Way, engine: Engine, content: &Content) -> Outcome<Trace> {
    right(stub, way, engine, content, true)?.trace.ok_or_else(|| "nothing was counted".into())
}

/// One run, which must have read what it was given.
fn right(stub: &Stub<'_>, way: Way, engine: Engine, content: &Content, counted: bool) -> Outcome<stub::Run> {
    let run = stub.run(way, engine, &content.path, counted)?;
    if way != Way::Nothing && run.sum != content.sum {
        return Err(format!(
            "the stub ({}) read something else than {}",
            way.words(),
            content.path.display()
        )
        .into());
    }
    Ok(run)
}

/// What Linux did for one content: the reads of each of its passes.
#[derive(Debug)]
struct Passes {
    size: u64,
    reads: Vec<u64>,
}

fn of_linux(
    guest: &Linux,
    contents: &[Content],
    report: &mut Report,
    lines: &mut Vec<Line>,
) -> Outcome<Vec<Passes>> {
    let named: Vec<(String, PathBuf)> =
        contents.iter().map(|content| (format!("b{}", content.size), content.path.clone())).collect();
    eprintln!("Linux {} reads, counted: twenty million lines", guest.version);
    let (seen, trace) = guest.run(&named, 1, true)?;
    eprintln!("Linux {} reads, timed", guest.version);
    let (timed, _) = guest.run(&named, RUNS, false)?;
    let mut all = Vec::new();
    for (content, (name, _)) in contents.iter().zip(&named) {
        let find = |list: &[Seen]| list.iter().position(|seen| seen.name == *name);
        let (Some(seen), Some(timed)) =
            (find(&seen).and_then(|at| seen.get(at)), find(&timed).and_then(|at| timed.get(at)))
        else {
            return Err(format!("the guest did not tell of {name}").into());
        };
        for guest in [seen, timed] {
            if (guest.bytes, guest.sum) != (content.size, content.sum) {
                return Err(format!("Linux read something else than {}", content.path.display()).into());
            }
        }
        let passes = trace.passes.iter().filter(|pass| pass.key == seen.key);
        let passes = Passes { size: content.size, reads: passes.map(|pass| pass.reads).collect() };
        lines.push(Line {
            size: content.size,
            way: format!("Linux, sysfs, {} calls", seen.calls),
            reads: passes.reads.iter().sum(),
            predicted: Some(suspected(content.size).iter().sum()),
            exits: None,
        });
        let millis = timed.micros.iter().map(|&micros| Duration::from_micros(micros).as_secs_f64() * 1000.0);
        let what = format!("{}, Linux {}, sysfs (tcg)", kilobytes(content.size), guest.version);
        report.push(Row::new(what, "ms", millis.collect()));
        all.push(passes);
    }
    Ok(all)
}

/// The suspected cause, with the call that finds the end: it reads over the whole content too.
fn suspected(size: u64) -> Vec<u64> {
    let mut passes = count::again_from_zero(size);
    passes.push(size);
    passes
}

/// What the counts say of the suspected cause.
fn verdict(version: &str, all: &[Passes]) -> String {
    let Some(largest) = all.iter().max_by_key(|passes| passes.size) else {
        return "Nothing was counted.".to_owned();
    };
    let total: u64 = largest.reads.iter().sum();
    let times = |reads: u64, size: u64| reads / size.max(1);
    let fit = all.iter().filter(|passes| passes.reads == suspected(passes.size)).count();
    let linear = all.iter().filter(|passes| passes.reads.iter().sum::<u64>() == passes.size).count();
    let mut figures = format!(
        "{} were read by {total} accesses in {} passes, {} for each byte",
        kilobytes(largest.size),
        largest.reads.len(),
        times(total, largest.size),
    );
    if let Some(tenth) = all.iter().find(|passes| passes.size * 10 == largest.size) {
        let less = tenth.reads.iter().sum();
        figures.push_str(&format!(", {} times as many as a tenth of the size took", times(total, less)));
    }
    if fit == all.len() {
        format!(
            "CONFIRMED for Linux {version}: every pass of every size began at byte 0 and read on to the end of its page, \
             exactly as predicted; {figures}."
        )
    } else if linear == all.len() {
        format!("REFUTED for Linux {version}: no byte was read twice; {figures}.")
    } else {
        let first = all.iter().find(|passes| passes.reads != suspected(passes.size)).unwrap_or(largest);
        format!(
            "NOT CONFIRMED for Linux {version}: {fit} of {} sizes were read as predicted; of {} the passes read {:?}, \
             predicted were {:?}; {figures}.",
            all.len(),
            kilobytes(first.size),
            shortened(&first.reads),
            shortened(&suspected(first.size)),
        )
    }
}

/// The first few.
fn shortened(reads: &[u64]) -> &[u64] {
    reads.get(..6).unwrap_or(reads)
}

fn table(lines: &[Line]) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let mut text = format!(
        "{:<8} {:<34} {:>10} {:>10} {:>8} {:>10}\n",
        "size", "way", "reads", "predicted", "a byte", "exits"
    );
    for line in lines {
        let each = f64::from(u32::try_from(line.reads).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(line.size).unwrap_or(u32::MAX));
        text.push_str(&format!(
            "{:<8} {:<34} {:>10} {:>10} {each:>8.2} {:>10}\n",
            kilobytes(line.size),
            line.way,
            line.reads,
            number(line.predicted),
            number(line.exits)
        ));
    }
    text.trim_end().to_owned()
}

/// `400 kB`, or `32 KiB` for what is round in binary only.
fn kilobytes(size: u64) -> String {
    if size.is_multiple_of(1000) { format!("{} kB", size / 1000) } else { format!("{} KiB", size / 1024) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(read: fn(u64) -> Vec<u64>) -> Vec<Passes> {
        SIZES.map(|size| Passes { size, reads: read(size) }).into()
    }

    #[test]
    fn the_verdict_follows_the_counts() {
        let found = verdict("6.1", &passes(suspected));
        assert!(found.starts_with("CONFIRMED for Linux 6.1"), "{found}");
        assert!(
            found.contains("400 kB were read by 20268288 accesses in 99 passes, 50 for each byte"),
            "{found}"
        );
        let found = verdict("6.1", &passes(|size| vec![size]));
        assert!(found.starts_with("REFUTED") && found.contains("in 1 passes, 1 for each byte"), "{found}");
        let mut odd = passes(suspected);
        odd.last_mut().unwrap().reads.pop();
        let found = verdict("6.1", &odd);
        assert!(found.starts_with("NOT CONFIRMED") && found.contains("3 of 4 sizes"), "{found}");
        assert!(!verdict("6.1", &[]).contains("CONFIRMED"));
    }

    #[test]
    fn a_size_is_told_in_the_unit_in_which_it_is_round() {
        assert_eq!(SIZES.map(kilobytes), ["4 kB", "40 kB", "32 KiB", "400 kB"]);
    }

    #[test]
    fn the_table_has_a_dash_where_nothing_was_counted() {
        let lines = [Line { size: 4000, way: "stub".into(), reads: 8000, predicted: None, exits: Some(7) }];
        let text = table(&lines);
        assert!(text.ends_with("8000          -     2.00          7"), "{text}");
    }
}
