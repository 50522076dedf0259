//! Burn-in: a lab started again and again, every run recorded, and what may be said of it afterwards.
//!
//! | file | what |
//! |---|---|
//! | `history.rs` | runs on disk: one line each, kept before the next begins |
//! | `tally.rs` | how sure the number is, whether that is enough, failures by what they look like, what became slower |
//! | `report.rs` | the same for people, as `JUnit` and as CSV |
//!
//! Nothing here waits or asks: `cli/burn_in.rs` does.

mod history;
mod report;
mod tally;

use model::{Goal, MachineView, NodeName, NodeWord, ScenarioName, Snapshot, Span, Stage, WallTime};
use serde::{Deserialize, Serialize};

pub use history::{History, HistoryError};
pub use report::{Report, csv, junit};
pub use tally::{Group, Interval, Slower, Tally, Verdict};

/// One start of a lab, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When the burn-in began that it belongs to, by the clock of whoever ran it.
    pub session: WallTime,
    /// Its number in that burn-in, from 1.
    pub number: u32,
    /// What was started.
    pub scenario: ScenarioName,
    /// When, by the boss's clock.
    pub began: WallTime,
    /// From the request to its end.
    pub took: Span,
    /// How it ended.
    pub ended: Ended,
    /// Every machine that was wanted.
    pub machines: Vec<MachineRun>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", content = "why", rename_all = "kebab-case")]
pub enum Ended {
    /// Everything was ready.
    Ready,
    /// The lab gave up, and said why.
    Failed(String),
    /// Nobody gave up, and it was not ready within the limit of the burn-in.
    TimedOut(String),
    /// It was ready, and did not go off again.
    StuckOn(String),
}

impl Ended {
    /// True for what counts for the lab.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Ready)
    }

    /// One word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed out",
            Self::StuckOn(_) => "stuck on",
        }
    }

    /// Why; empty for what is good.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Ready => "",
            Self::Failed(why) | Self::TimedOut(why) | Self::StuckOn(why) => why,
        }
    }
}

/// What became of one machine in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineRun {
    /// Which.
    pub node: NodeName,
    /// Where it stood at the end.
    pub word: NodeWord,
    /// What is wrong with it, in a word that is the same each time; absent where it is as wanted.
    pub symptom: Option<String>,
    /// How long its boot took; absent where none was seen.
    pub took: Option<Span>,
    /// The parts of it.
    pub stages: Vec<(Stage, Span)>,
}

/// The machines that were wanted, as they stand in this picture.
#[must_use]
pub fn machines_of(picture: &Snapshot) -> Vec<MachineRun> {
    picture
        .machines
        .iter()
        .filter(|machine| machine.goal == Goal::Ready)
        .map(|machine| machine_run(machine))
        .collect()
}

fn machine_run(machine: &MachineView) -> MachineRun {
    let boot = machine.boot.as_ref();
    MachineRun {
        node: machine.node.clone(),
        word: machine.word,
        symptom: symptom(machine),
        took: boot.filter(|boot| !boot.open).map(|boot| Span(boot.total_ms)),
        stages: boot
            .map(|boot| boot.bars.iter().map(|bar| (bar.stage, Span(bar.took_ms))).collect())
            .unwrap_or_default(),
    }
}

/// `never-asked`, else `silent in kernel`: without a number, so that the same failure looks the same each time.
fn symptom(machine: &MachineView) -> Option<String> {
    if machine.word == NodeWord::Ready {
        return None;
    }
    let fault = machine.fault.as_ref().map(|fault| fault.code.to_string());
    Some(fault.unwrap_or_else(|| format!("not beyond {}", machine.word)))
}
