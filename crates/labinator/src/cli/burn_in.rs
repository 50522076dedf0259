//! `burn-in`: starts a lab again and again, and says how often it came up, how sure that is, and what the failures have in
//! common.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::{Accepted, Ask, Explanations};
use clap::Args;
use drivers::process::{Program, run_once};
use model::{Origin, Phase, ScenarioName, Snapshot, Span, Trace, WallTime};
use sim::dice::Dice;
use store::Files as _;
use tokio::time::Instant;

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::render::clock;
use super::verbs::page;
use super::wait::{Outcome, Target, follow};
use crate::burn_in::{
    Ended, History, HistoryError, MachineRun, Report, Run, Tally, Verdict, csv, junit, machines_of,
};
use crate::clock::wall_now;
use crate::start::state_folder;

/// Runs when neither number, time nor claim says how many.
const RUNS: u32 = 10;
/// How long a command of a person's may take.
const COMMAND: Duration = Duration::from_secs(3600);
/// The shell that runs it.
const SHELL: Program = Program::new("sh", "dash");

/// Options of `burn-in`.
#[derive(Debug, Clone, Args)]
pub struct BurnInArgs {
    /// What to start; of several one after the other
    #[arg(required_unless_present = "report", value_name = "SCENARIO")]
    pub scenarios: Vec<ScenarioName>,
    /// End after so many runs [default: 10, where neither --for nor --claim says when]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: Option<u32>,
    /// Begin no run after this time, such as 90m or 8h
    #[arg(long = "for", value_name = "TIME", value_parser = super::args::duration)]
    pub time: Option<Duration>,
    /// End when it is decided, with 95 % confidence, whether at least this many per cent of all starts succeed
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub claim: Option<u8>,
    /// End after so many failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub abort_after: Option<u32>,
    /// A run that is neither ready nor given up after this time has failed
    #[arg(long, value_name = "TIME", value_parser = super::args::duration, default_value = "30m")]
    pub limit: Duration,
    /// Draw the scenario of each run by this number, instead of one after the other
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Run this by `sh -c` before each run; where it fails the burn-in ends
    #[arg(long, value_name = "COMMAND")]
    pub before: Option<String>,
    /// Run this by `sh -c` after each run, before the lab is stopped, with the run's number, scenario and end as arguments
    #[arg(long, value_name = "COMMAND")]
    pub after: Option<String>,
    /// Where runs are kept, and earlier ones read [default: burn-in.jsonl in the state folder]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Only report what the history has
    #[arg(long, conflicts_with_all = ["runs", "time", "abort_after", "before", "after", "seed", "evidence"])]
    pub report: bool,
    /// Write `JUnit`'s XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a table
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// For each failed run, put what is known of it into a folder below this one
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        Self::with_advice(error.to_string(), error.advice())
    }
}

/// Why no further run is begun.
enum Over {
    /// As was asked.
    Done,
    /// Something else.
    Broken(Failure),
}

/// Burns in, or reports.
///
/// # Errors
/// Any failed run, after the report; or what kept it from running.
pub(super) async fn burn_in(client: &Client, args: BurnInArgs, look: Look) -> Result<(), Failure> {
    let path = args.history.clone().unwrap_or_else(|| state_folder().join("burn-in.jsonl"));
    let (history, before) = History::open(&path)?;
    let mut session = Session { client, look, history, session: wall_now(), runs: Vec::new(), args };
    if session.args.report {
        let wanted =
            |run: &Run| session.args.scenarios.is_empty() || session.args.scenarios.contains(&run.scenario);
        session.runs = before.into_iter().filter(wanted).collect();
        return session.reported(&[]).map(|_| ());
    }
    session.is_free().await?;
    let over = tokio::select! {
        over = session.go() => over,
        _ = tokio::signal::ctrl_c() => {
            let why = "interrupted: the run under way does not count, and the lab is left as it is";
            Over::Broken(Failure::with_advice(why, "`labinator stop` switches it off"))
        }
    };
    let tally = session.reported(&before)?;
    match over {
        Over::Broken(failure) => Err(failure),
        Over::Done if tally.failed() > 0 => Err(Failure::Said(1)),
        Over::Done => Ok(()),
    }
}

struct Session<'a> {
    client: &'a Client,
    look: Look,
    history: History,
    session: WallTime,
    runs: Vec<Run>,
    args: BurnInArgs,
}

impl Session<'_> {
    /// A lab that somebody uses is not burnt in.
    async fn is_free(&self) -> Result<(), Failure> {
        let picture: Snapshot = self.client.get("/v1/snapshot").await?;
        let lab = &picture.lab;
        if lab.phase == Phase::Idle {
            return Ok(());
        }
        let what = lab.scenario.as_ref().map_or_else(|| "something".to_owned(), ToString::to_string);
        let why = format!("the lab {} is {}, with {what}", lab.name, lab.phase);
        Err(Failure::with_advice(why, "a burn-in begins with a lab that is off: `labinator stop --wait`"))
    }

    async fn go(&mut self) -> Over {
        let end = self.args.time.map(|time| Instant::now() + time);
        let mut dice = self.args.seed.map(Dice::new);
        for number in 1.. {
            if self.is_enough() || end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            let last = self.args.scenarios.len().saturating_sub(1);
            let turn = match &mut dice {
                Some(dice) => dice.between(0, u64::try_from(last).unwrap_or_default()),
                None => (u64::from(number) - 1) % (u64::try_from(last).unwrap_or_default() + 1),
            };
            let at = usize::try_from(turn).unwrap_or_default();
            let Some(scenario) = self.args.scenarios.get(at).cloned() else { break };
            match self.one(number, scenario).await {
                Ok(run) => self.runs.push(run),
                Err(failure) => return Over::Broken(failure),
            }
            if let Some(run) = self.runs.last()
                && !(self.look.quiet || self.args.json)
                && let Err(failure) = out::line(&line(run, Tally::of(&self.runs)))
            {
                return Over::Broken(failure);
            }
        }
        Over::Done
    }

    fn is_enough(&self) -> bool {
        let (args, tally) = (&self.args, Tally::of(&self.runs));
        let decided = self.claim().is_some_and(|claim| !matches!(tally.verdict(claim), Verdict::Open { .. }));
        let is_unbounded = args.time.is_none() && args.claim.is_none();
        let runs = args.runs.or_else(|| is_unbounded.then_some(RUNS));
        decided
            || runs.is_some_and(|runs| tally.runs >= runs)
            || args.abort_after.is_some_and(|most| tally.failed() >= most)
    }

    fn claim(&self) -> Option<f64> {
        self.args.claim.map(|percent| f64::from(percent) / 100.0)
    }

    /// One run, from a lab that is off to one that is off, kept.
    async fn one(&mut self, number: u32, scenario: ScenarioName) -> Result<Run, Failure> {
        let words = [number.to_string(), scenario.to_string(), String::new()];
        shell(self.args.before.as_deref(), &words).await?;
        let (began, since) = (wall_now(), Instant::now());
        let accepted: Accepted = self.client.post(&format!("/v1/scenarios/{scenario}/start"), &ASK).await?;
        let target = Target::Ready(scenario.clone());
        let (outcome, picture) = follow(self.client, &target, &accepted, self.args.limit, |_| Ok(())).await?;
        let took = Span(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX));
        let ended = match outcome {
            Outcome::Reached => Ended::Ready,
            Outcome::Failed(why) => Ended::Failed(why),
            Outcome::Late(why) => Ended::TimedOut(why),
        };
        let machines = picture.as_deref().map(machines_of).unwrap_or_default();
        let mut run = Run { session: self.session, number, scenario, began, took, ended, machines };
        self.gather(&run, picture.as_deref(), &accepted).await?;
        let words = [number.to_string(), run.scenario.to_string(), run.ended.word().to_owned()];
        shell(self.args.after.as_deref(), &words).await?;
        if let (Some(why), true) = (self.off().await?, run.ended.is_good()) {
            run.ended = Ended::StuckOn(why);
        }
        self.history.keep(&run)?;
        Ok(run)
    }

    /// Switches the lab off. Why it is not off, where it is not.
    async fn off(&self) -> Result<Option<String>, Failure> {
        let accepted: Accepted = self.client.post("/v1/stop", &ASK).await?;
        let stopped = follow(self.client, &Target::Idle, &accepted, self.args.limit, |_| Ok(())).await?;
        Ok(match stopped.0 {
            Outcome::Reached => None,
            Outcome::Failed(why) | Outcome::Late(why) => Some(why),
        })
    }

    /// What is known of a run that failed: picture, reasons, events, and the boot of each machine that is not as wanted.
    async fn gather(
        &self,
        run: &Run,
        picture: Option<&Snapshot>,
        accepted: &Accepted,
    ) -> Result<(), Failure> {
        let Some(folder) = self.args.evidence.as_ref().filter(|_| !run.ended.is_good()) else {
            return Ok(());
        };
        let folder = folder.join(format!("{}-run-{}", run.session.0, run.number));
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        write(&folder.join("run.json"), &pretty(run))?;
        if let Some(picture) = picture {
            write(&folder.join("picture.json"), &pretty(picture))?;
        }
        let reasons: Explanations = self.client.get("/v1/explain").await?;
        write(&folder.join("explain.json"), &pretty(&reasons))?;
        let mut events = Vec::new();
        let mut last = accepted.seq.saturating_sub(1);
        loop {
            let page = page(self.client, last).await?;
            let Some(newest) = page.events.last() else { break };
            last = newest.seq;
            for event in &page.events {
                events.extend(serde_json::to_vec(event).unwrap_or_default());
                events.push(b'\n');
            }
        }
        write(&folder.join("events.jsonl"), &events)?;
        for MachineRun { node, .. } in run.machines.iter().filter(|machine| machine.symptom.is_some()) {
            // One that never booted has no trace.
            if let Ok(trace) = self.client.get::<Trace>(&format!("/v1/nodes/{node}/trace")).await {
                write(&folder.join(format!("trace-{node}.json")), &pretty(&trace))?;
            }
        }
        Ok(())
    }

    /// Prints and writes what the runs say.
    fn reported(&self, before: &[Run]) -> Result<Tally, Failure> {
        let report = Report::of(before, &self.runs, self.claim());
        if self.args.json {
            out::json(&report, true)?;
        } else {
            out::line(&report.to_string())?;
        }
        if let Some(path) = &self.args.junit {
            write(path, junit(&self.runs).as_bytes())?;
        }
        if let Some(path) = &self.args.csv {
            write(path, csv(&self.runs).as_bytes())?;
        }
        Ok(Tally::of(&self.runs))
    }
}

const ASK: Ask = Ask { by: Origin::Cli };

/// Runs a command of the person's, with number, scenario and end of the run as `$1`, `$2` and `$3`.
async fn shell(command: Option<&str>, words: &[String; 3]) -> Result<(), Failure> {
    let Some(command) = command else { return Ok(()) };
    let arguments = ["-c", command, "sh"].map(str::to_owned).into_iter().chain(words.iter().cloned());
    run_once(SHELL, arguments, COMMAND).await.map(|_| ()).map_err(|why| {
        Failure::with_advice(
            format!("run {}: {why}", words[0]),
            "the burn-in ended there; mend it, and begin again",
        )
    })
}

fn pretty<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    store::Disk.replace(path, bytes).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |why| Failure::failed(format!("{}: {why}", path.display()))
}

/// One run on one line, with the rate so far.
fn line(run: &Run, so_far: Tally) -> String {
    let ready = run.machines.iter().filter(|machine| machine.symptom.is_none()).count();
    let took = run.took.to_string();
    let mut line = format!(
        "{}  run {:>3}  {:<12} {:<9} {took:>8}  {ready} of {} machines  {} of {} ({})",
        clock(run.began),
        run.number,
        run.scenario.as_str(),
        run.ended.word(),
        run.machines.len(),
        so_far.good,
        so_far.runs,
        so_far.interval(),
    );
    if !run.ended.is_good() {
        line.push_str(&format!("\n          {}", run.ended.why().replace('\n', "\n          ")));
    }
    line
}
