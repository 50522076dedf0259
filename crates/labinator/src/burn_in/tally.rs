//! What may be said after some runs: a rate with its interval, whether that is enough for a claim, failures by what they
//! look like, and what takes longer than it did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::{NodeName, ScenarioName, Span, Stage};
use serde::Serialize;

use super::{Ended, Run};

/// Of a normal distribution, the point between 95 % in the middle and the rest.
const Z: f64 = 1.959_963_984_540_054;
/// Earlier runs that the present ones are held against.
const BASELINE: usize = 20;
/// Changes below this are not told, nor those below a fifth.
const NOISE: Span = Span(1_000);
/// Most runs that are looked ahead for a claim.
const AHEAD: u32 = 100_000;

/// Between which rates the true one lies, with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end, from 0 to 1.
    pub low: f64,
    /// Upper end, from 0 to 1.
    pub high: f64,
}

impl Interval {
    /// Wilson's interval (E. B. Wilson 1927), which also holds for few runs and for rates near 1. All rates after none.
    #[must_use]
    pub fn of(good: u32, runs: u32) -> Self {
        if runs == 0 {
            return Self { low: 0.0, high: 1.0 };
        }
        let (n, rate) = (f64::from(runs), f64::from(good) / f64::from(runs));
        let square = Z * Z;
        let middle = (rate + square / (2.0 * n)) / (1.0 + square / n);
        let half = Z / (1.0 + square / n) * (rate * (1.0 - rate) / n + square / (4.0 * n * n)).sqrt();
        Self { low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }
}

impl fmt::Display for Interval {
    /// `70.0 to 95.8 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} to {:.1} %", self.low * 100.0, self.high * 100.0)
    }
}

/// Whether a claim may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, with 95 % confidence.
    Holds,
    /// It does not, with 95 % confidence.
    Refuted,
    /// Nobody can say yet. So many runs more decide it, if all of them are good; none where no number does.
    Open {
        /// Runs.
        more: Option<u32>,
    },
}

/// Failures that look the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What they look like.
    pub looks: String,
    /// Which machines had it, and how often.
    pub nodes: BTreeMap<NodeName, u32>,
    /// Numbers of the runs.
    pub runs: Vec<u32>,
}

/// Something that takes longer, or less long, than it did before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slower {
    /// Of which scenario.
    pub scenario: ScenarioName,
    /// Which part; the whole start where none.
    pub stage: Option<Stage>,
    /// Median now.
    pub now: Span,
    /// Median of earlier runs.
    pub before: Span,
    /// How many earlier runs.
    pub of: usize,
}

/// What some runs say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub runs: u32,
    /// Those that were good.
    pub good: u32,
}

impl Tally {
    /// Counts runs.
    #[must_use]
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Self {
        let mut tally = Self::default();
        for run in runs {
            tally.runs += 1;
            tally.good += u32::from(run.ended.is_good());
        }
        tally
    }

    /// Runs that failed.
    #[must_use]
    pub const fn failed(self) -> u32 {
        self.runs - self.good
    }

    /// The interval of its rate.
    #[must_use]
    pub fn interval(self) -> Interval {
        Interval::of(self.good, self.runs)
    }

    /// Whether at least this rate (from 0 to 1) may be claimed.
    #[must_use]
    pub fn verdict(self, claim: f64) -> Verdict {
        let now = self.interval();
        if now.low >= claim {
            return Verdict::Holds;
        }
        if now.high < claim {
            return Verdict::Refuted;
        }
        let holds = |more: &u32| Interval::of(self.good + more, self.runs + more).low >= claim;
        // More good runs never lower the lower end, so the first that holds lies between two that were looked at.
        if !holds(&AHEAD) {
            return Verdict::Open { more: None };
        }
        let (mut below, mut at) = (0, AHEAD);
        while at - below > 1 {
            let middle = below + (at - below) / 2;
            if holds(&middle) { at = middle } else { below = middle }
        }
        Verdict::Open { more: Some(at) }
    }
}

/// Failures by what they look like, the most frequent first.
#[must_use]
pub(super) fn groups(runs: &[Run]) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for run in runs.iter().filter(|run| !run.ended.is_good()) {
        let looks = looks(run);
        let group = groups.entry(looks.clone()).or_insert_with(|| Group {
            looks,
            nodes: BTreeMap::new(),
            runs: Vec::new(),
        });
        group.runs.push(run.number);
        for machine in run.machines.iter().filter(|machine| machine.symptom.is_some()) {
            *group.nodes.entry(machine.node.clone()).or_default() += 1;
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.runs.len()));
    groups
}

/// What a failure looks like, whichever machine had it: the symptoms, else how it ended and why.
fn looks(run: &Run) -> String {
    let mut symptoms: Vec<&str> =
        run.machines.iter().filter_map(|machine| machine.symptom.as_deref()).collect();
    symptoms.sort_unstable();
    symptoms.dedup();
    match (&run.ended, symptoms.is_empty()) {
        (Ended::StuckOn(_), _) => "did not go off".to_owned(),
        (ended, true) => format!("{}: {}", ended.word(), ended.why()),
        (_, false) => symptoms.join(", "),
    }
}

/// What takes longer or less long in `now` than in the last runs before them, each scenario for itself, worst first.
#[must_use]
pub(super) fn changes(before: &[Run], now: &[Run]) -> Vec<Slower> {
    let mut names: Vec<&ScenarioName> = now.iter().map(|run| &run.scenario).collect();
    names.sort_unstable();
    names.dedup();
    let mut changes: Vec<Slower> = names.into_iter().flat_map(|name| changes_of(name, before, now)).collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.now.0.saturating_sub(change.before.0)));
    changes
}

fn changes_of(name: &ScenarioName, before: &[Run], now: &[Run]) -> Vec<Slower> {
    let good = |run: &&Run| run.scenario == *name && run.ended.is_good();
    let earlier: Vec<&Run> = before.iter().rev().filter(good).take(BASELINE).collect();
    let now: Vec<&Run> = now.iter().filter(good).collect();
    let of = earlier.len();
    let found = |stage: Option<Stage>, earlier: Option<Span>, now: Option<Span>| {
        let (before, now) = (earlier?, now?);
        let by = before.0.abs_diff(now.0);
        (by >= NOISE.0 && by >= before.0 / 5).then(|| Slower {
            scenario: name.clone(),
            stage,
            now,
            before,
            of,
        })
    };
    let whole = |runs: &[&Run]| median(runs.iter().map(|run| run.took).collect());
    let part = |runs: &[&Run], stage: Stage| {
        let stages = runs.iter().flat_map(|run| &run.machines).flat_map(|machine| &machine.stages);
        median(stages.filter(|(of, _)| *of == stage).map(|(_, took)| *took).collect())
    };
    let stages = now.iter().flat_map(|run| &run.machines).flat_map(|machine| &machine.stages);
    let stages: BTreeSet<Stage> = stages.map(|(stage, _)| *stage).collect();
    let parts =
        stages.into_iter().filter_map(|stage| found(Some(stage), part(&earlier, stage), part(&now, stage)));
    found(None, whole(&earlier), whole(&now)).into_iter().chain(parts).collect()
}

/// The middle one; of an even number the higher of the two.
pub(super) fn median(mut spans: Vec<Span>) -> Option<Span> {
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use model::{NodeWord, WallTime};
    use proptest::prelude::*;

    use super::super::MachineRun;
    use super::*;

    pub(in super::super) fn run(number: u32, ended: Ended) -> Run {
        let symptom = (!ended.is_good()).then(|| "never-asked".to_owned());
        let machine = |name: &str, symptom: Option<String>| MachineRun {
            node: name.parse().unwrap(),
            word: if symptom.is_some() { NodeWord::Bad } else { NodeWord::Ready },
            symptom,
            took: Some(Span(20_000)),
            stages: vec![(Stage::Firmware, Span(9_000)), (Stage::Image, Span(2_000))],
        };
        Run {
            session: WallTime(1_000),
            number,
            scenario: "all".parse().unwrap(),
            began: WallTime(1_700_000_000_000 + u64::from(number) * 60_000),
            took: Span(31_000),
            ended,
            machines: vec![machine("node1", None), machine("node2", symptom)],
        }
    }

    #[test]
    fn the_interval_is_wilsons() {
        let shown = |good, runs| Interval::of(good, runs).to_string();
        assert_eq!(shown(22, 25), "70.0 to 95.8 %");
        assert_eq!(shown(0, 10), "0.0 to 27.8 %");
        assert_eq!(shown(10, 10), "72.2 to 100.0 %");
        assert_eq!(shown(0, 0), "0.0 to 100.0 %");
    }

    #[test]
    fn a_claim_waits_for_enough_runs_and_a_failure_costs_more_of_them() {
        let verdict = |good, runs| Tally { runs, good }.verdict(0.95);
        assert_eq!(verdict(0, 0), Verdict::Open { more: Some(73) });
        assert_eq!(verdict(72, 72), Verdict::Open { more: Some(1) });
        assert_eq!(verdict(73, 73), Verdict::Holds);
        assert!(matches!(verdict(72, 73), Verdict::Open { more: Some(more) } if more > 20));
        assert_eq!(verdict(5, 10), Verdict::Refuted);
        assert_eq!(Tally { runs: 3, good: 3 }.verdict(1.0), Verdict::Open { more: None });
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_rate_and_narrows(good in 0u32..500, bad in 0u32..500, times in 2u32..20) {
            let runs = good + bad;
            prop_assume!(runs > 0);
            let (one, many) = (Interval::of(good, runs), Interval::of(good * times, runs * times));
            let rate = f64::from(good) / f64::from(runs);
            prop_assert!(one.low <= rate + 1e-9 && rate <= one.high + 1e-9, "{one:?} {rate}");
            prop_assert!(many.high - many.low < one.high - one.low);
        }

        #[test]
        fn what_is_said_to_decide_a_claim_decides_it_and_one_less_does_not(
            good in 0u32..200, bad in 0u32..10, percent in 50u32..99,
        ) {
            let (tally, claim) = (Tally { runs: good + bad, good }, f64::from(percent) / 100.0);
            let after = |more| Tally { runs: tally.runs + more, good: good + more }.verdict(claim);
            if let Verdict::Open { more: Some(more) } = tally.verdict(claim) {
                prop_assert_eq!(after(more), Verdict::Holds);
                prop_assert_ne!(after(more - 1), Verdict::Holds);
            }
        }
    }

    #[test]
    fn failures_that_look_the_same_stand_together_whoever_had_them() {
        let failed = || Ended::Failed("5 of 6 were ready".to_owned());
        let mut other = run(4, failed());
        other.machines[1].node = "node3".parse().unwrap();
        let mut stuck = run(5, Ended::StuckOn("node2 is on".to_owned()));
        stuck.machines[1].symptom = None;
        let runs = [run(1, Ended::Ready), stuck, run(2, failed()), other];
        let found = groups(&runs);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].looks.as_str(), &found[0].runs[..]), ("never-asked", &[2, 4][..]));
        assert_eq!(found[0].nodes.len(), 2);
        assert_eq!(found[1].looks, "did not go off");
    }

    #[test]
    fn what_became_slower_is_told_against_the_last_runs_before() {
        let before: Vec<Run> = (1..=30).map(|number| run(number, Ended::Ready)).collect();
        let mut now = [run(1, Ended::Ready), run(2, Ended::Ready), run(3, Ended::Ready)];
        assert_eq!(changes(&before, &now), []);
        for run in &mut now {
            run.took = Span(43_000);
            run.machines.iter_mut().for_each(|machine| machine.stages[0].1 = Span(21_000));
        }
        let found = changes(&before, &now);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|change| change.now.0 - change.before.0 == 12_000 && change.of == 20));
        assert_eq!(found.iter().filter(|change| change.stage == Some(Stage::Firmware)).count(), 1);
        assert_eq!(changes(&[], &now), [], "there is nothing to hold them against");
    }
}
