//! A stage of a run: what it needs, what it counts, and the table of minutes at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::suites;
use crate::workspace::{Outcome, Workspace, exit_code};

/// One line of a run.
pub(crate) struct Stage {
    /// What `--only` and `--skip` take.
    pub(crate) name: &'static str,
    /// One phrase for `--list`.
    pub(crate) about: &'static str,
    /// Debian packages it cannot run without; `sid/ipxe` is one of another suite, unpacked aside.
    pub(crate) packages: &'static [&'static str],
    /// Does it; an error counts as one failure.
    pub(crate) run: fn(&Workspace) -> Outcome<Tally>,
}

/// What a stage counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// One line per failure, repeated at the end of the run.
    pub(crate) failures: Vec<String>,
    /// One reason per thing that could not run.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// One test, passed or failed.
    pub(crate) fn one(good: bool, failure: &str) -> Self {
        let mut tally = Self::default();
        if good {
            tally.passed = 1;
        } else {
            tally.fail(failure);
        }
        tally
    }

    /// Nothing ran, for this reason.
    pub(crate) fn skip(why: impl Into<String>) -> Self {
        Self { skipped: vec![why.into()], ..Self::default() }
    }

    /// Counts one failure.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    /// Adds another count to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.skipped.extend(other.skipped);
    }

    /// `N passed, N failed`, and the skipped where there are any.
    pub(crate) fn closing_line(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if !self.skipped.is_empty() {
            line.push_str(&format!(", {} skipped", self.skipped.len()));
        }
        line
    }
}

/// Which stages a person asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    only: Vec<String>,
    skip: Vec<String>,
    list: bool,
}

/// Runs the chosen stages of a table one after the other; a red stage does not stop the next.
///
/// # Errors
/// An argument is not understood, or names a stage that is not in the table.
pub(crate) fn run_table(workspace: &Workspace, table: &[Stage], arguments: &[String]) -> Outcome<ExitCode> {
    let names: Vec<&str> = table.iter().map(|stage| stage.name).collect();
    let choice = read_choice(arguments, &names)?;
    if choice.list {
        for stage in table {
            println!("{:<12} {}", stage.name, stage.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for stage in table.iter().filter(|stage| choice.wants(stage.name)) {
        println!("\n==> {}: {}", stage.name, stage.about);
        let begun = Instant::now();
        let tally = run_one(workspace, stage);
        for why in &tally.skipped {
            println!("SKIPPED {}: {why}", stage.name);
        }
        rows.push((stage.name, begun.elapsed(), tally));
    }
    let total = print_closing(rows);
    Ok(exit_code(total.failed == 0))
}

fn run_one(workspace: &Workspace, stage: &Stage) -> Tally {
    if let Err(trouble) = suites::ensure(workspace, stage.packages) {
        return Tally::skip(trouble.to_string());
    }
    (stage.run)(workspace).unwrap_or_else(|trouble| {
        println!("{trouble}");
        Tally::one(false, &trouble.to_string())
    })
}

fn print_closing(rows: Vec<(&str, Duration, Tally)>) -> Tally {
    println!("\n{:<12} {:>7} {:>7} {:>7} {:>7}", "stage", "minutes", "passed", "failed", "skipped");
    for (name, took, tally) in &rows {
        println!("{}", table_row(name, *took, tally));
    }
    let mut total = Tally::default();
    for (name, _, tally) in rows {
        for failure in &tally.failures {
            println!("FAILED  {name}: {failure}");
        }
        for why in &tally.skipped {
            println!("SKIPPED {name}: {why}");
        }
        total.add(tally);
    }
    println!("\n{}", total.closing_line());
    total
}

fn table_row(name: &str, took: Duration, tally: &Tally) -> String {
    let minutes = took.as_secs_f64() / 60.0;
    let skipped = tally.skipped.len();
    format!("{name:<12} {minutes:>7.1} {:>7} {:>7} {skipped:>7}", tally.passed, tally.failed)
}

impl Choice {
    fn wants(&self, name: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|entry| entry == name);
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }
}

/// Reads `--only A --skip B,C --list`; both may be given more than once.
fn read_choice(arguments: &[String], names: &[&str]) -> Outcome<Choice> {
    let mut choice = Choice::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, inline) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let list = match flag {
            "--only" => &mut choice.only,
            "--skip" => &mut choice.skip,
            "--list" => {
                choice.list = true;
                continue;
            }
            other => {
                return Err(format!("`{other}` is not understood; it is --only, --skip or --list").into());
            }
        };
        let value =
            inline.or_else(|| words.next().cloned()).ok_or_else(|| format!("{flag} needs a stage"))?;
        for stage in value.split(',') {
            if !names.contains(&stage) {
                return Err(format!("no stage `{stage}`; there are: {}", names.join(", ")).into());
            }
            list.push(stage.to_owned());
        }
    }
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_closing_line_names_skipped_only_when_there_are_some() {
        let mut tally = Tally { passed: 41, ..Tally::default() };
        assert_eq!(tally.closing_line(), "41 passed, 0 failed");
        tally.fail("one");
        tally.add(Tally::skip("no network"));
        assert_eq!(tally.closing_line(), "41 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn only_and_skip_choose_stages() {
        let names = ["format", "unit", "doors"];
        let choice = read_choice(&words("--only unit,doors --skip=doors"), &names).unwrap();
        assert!(choice.wants("unit"));
        assert!(!choice.wants("doors"));
        assert!(!choice.wants("format"));
        assert!(read_choice(&[], &names).unwrap().wants("format"));
    }

    #[test]
    fn an_unknown_stage_or_flag_is_refused_with_the_known_ones() {
        let trouble = read_choice(&words("--only speed"), &["unit"]).unwrap_err().to_string();
        assert_eq!(trouble, "no stage `speed`; there are: unit");
        assert!(read_choice(&words("--fast"), &["unit"]).is_err());
        assert!(read_choice(&words("--only"), &["unit"]).is_err());
    }

    #[test]
    fn a_row_shows_minutes_and_counts() {
        let tally = Tally { passed: 7, ..Tally::default() };
        assert_eq!(
            table_row("unit", Duration::from_secs(90), &tally),
            "unit             1.5       7       0       0"
        );
    }
}
