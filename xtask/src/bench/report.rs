//! What a bench found: samples, medians, ratios against a peer, and whether the line was met.

use serde_json::json;

use crate::workspace::Outcome;

/// All rows of one bench, in the order they are shown.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// One measured thing.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    samples: Vec<f64>,
    line: Option<Line>,
}

/// What the median of this row, divided by that of the peer row, must be.
#[derive(Debug)]
struct Line {
    peer: String,
    bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// How a row stands against its line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Standing {
    ratio: f64,
    bound: Bound,
}

impl Standing {
    fn met(self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.ratio <= most,
            Bound::AtLeast(least) => self.ratio >= least,
        }
    }

    fn verdict(self) -> &'static str {
        if self.met() { "met" } else { "MISSED" }
    }
}

impl Row {
    /// A row that is shown, and that others may be measured against.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, samples: Vec<f64>) -> Self {
        Self { what: what.into(), unit, samples, line: None }
    }

    /// The middle of its samples.
    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.samples)
    }

    /// Adds the line: at most so many times the median of the row called `peer`.
    pub(crate) fn at_most(mut self, ratio: f64, peer: impl Into<String>) -> Self {
        self.line = Some(Line { peer: peer.into(), bound: Bound::AtMost(ratio) });
        self
    }

    /// Adds the line: at least so many times the median of the row called `peer`.
    pub(crate) fn at_least(mut self, ratio: f64, peer: impl Into<String>) -> Self {
        self.line = Some(Line { peer: peer.into(), bound: Bound::AtLeast(ratio) });
        self
    }
}

impl Report {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a sentence that is shown below the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Whether every line is met; a line whose peer was not measured is not.
    pub(crate) fn all_met(&self) -> bool {
        self.rows
            .iter()
            .filter(|row| row.line.is_some())
            .all(|row| self.standing(row).is_some_and(Standing::met))
    }

    /// A table for people: text to the left, numbers to the right.
    pub(crate) fn table(&self) -> String {
        let head =
            ["what", "median", "least", "most", "unit", "runs", "ratio", "line", ""].map(str::to_owned);
        let mut lines: Vec<[String; 9]> = vec![head];
        for row in &self.rows {
            let (least, most) = ends(&row.samples);
            let standing = self.standing(row);
            let unmeasured = if row.line.is_some() { "peer not measured" } else { "" };
            lines.push([
                row.what.clone(),
                number(median(&row.samples)),
                number(least),
                number(most),
                row.unit.to_owned(),
                row.samples.len().to_string(),
                standing.map_or_else(String::new, |standing| format!("{:.2}", standing.ratio)),
                standing.map_or_else(String::new, |standing| match standing.bound {
                    Bound::AtMost(most) => format!("≤ {most}"),
                    Bound::AtLeast(least) => format!("≥ {least}"),
                }),
                standing.map_or(unmeasured, Standing::verdict).to_owned(),
            ]);
        }
        let mut text = aligned(&lines);
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
        text
    }

    /// The same for programs, with every sample.
    ///
    /// # Errors
    /// A number cannot be written as JSON.
    pub(crate) fn json(&self, bench: &str) -> Outcome<String> {
        let rows: Vec<serde_json::Value> = self
            .rows
            .iter()
            .map(|row| {
                let standing = self.standing(row);
                json!({
                    "what": row.what, "unit": row.unit, "samples": row.samples, "median": median(&row.samples),
                    "peer": row.line.as_ref().map(|line| &line.peer),
                    "at_most": row.line.as_ref().and_then(|line| match line.bound {
                        Bound::AtMost(most) => Some(most),
                        Bound::AtLeast(_) => None,
                    }),
                    "at_least": row.line.as_ref().and_then(|line| match line.bound {
                        Bound::AtLeast(least) => Some(least),
                        Bound::AtMost(_) => None,
                    }),
                    "ratio": standing.map(|standing| standing.ratio),
                    "met": row.line.as_ref().map(|_| standing.is_some_and(Standing::met)),
                })
            })
            .collect();
        let whole = json!({ "form": "labinator-bench/1", "bench": bench, "met": self.all_met(), "rows": rows, "notes": self.notes });
        Ok(format!("{}\n", serde_json::to_string_pretty(&whole)?))
    }

    fn standing(&self, row: &Row) -> Option<Standing> {
        let line = row.line.as_ref()?;
        let peer = self.rows.iter().find(|other| other.what == line.peer)?;
        let ratio = median(&row.samples)? / median(&peer.samples)?;
        ratio.is_finite().then_some(Standing { ratio, bound: line.bound })
    }
}

/// The middle sample, or the mean of the two in the middle.
fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(half.checked_sub(1)?)?, upper))
}

fn ends(samples: &[f64]) -> (Option<f64>, Option<f64>) {
    let least = samples.iter().copied().min_by(f64::total_cmp);
    let most = samples.iter().copied().max_by(f64::total_cmp);
    (least, most)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn aligned(lines: &[[String; 9]]) -> String {
    let mut widths = [0_usize; 9];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in lines {
        let mut out = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let left = matches!(column, 0 | 4 | 8);
            let (before, after) = if left { ("", padding.as_str()) } else { (padding.as_str(), "") };
            out.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(out.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ours: f64) -> Report {
        let mut report = Report::default();
        report.push(Row::new("peer", "s", vec![10.0, 30.0, 20.0]));
        report.push(Row::new("ours", "s", vec![ours, ours]).at_most(0.5, "peer"));
        report
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_line_is_met_by_the_ratio_of_medians() {
        assert!(report(10.0).all_met());
        assert!(!report(10.1).all_met());
    }

    #[test]
    fn more_can_be_asked_for_as_well_as_less() {
        let mut report = Report::default();
        report.push(Row::new("peer", "1/s", vec![100.0]));
        report.push(Row::new("ours", "1/s", vec![119.0]).at_least(1.2, "peer"));
        report.note("both on disk");
        assert!(!report.all_met());
        assert!(report.table().contains("≥ 1.2  MISSED") && report.table().ends_with("\nboth on disk\n"));
        report.push(Row::new("again", "1/s", vec![121.0]).at_least(1.2, "peer"));
        assert_eq!(report.rows.last().and_then(|row| report.standing(row)).map(Standing::met), Some(true));
    }

    #[test]
    fn a_line_without_its_peer_is_missed() {
        let mut alone = Report::default();
        alone.push(Row::new("ours", "s", vec![1.0]).at_most(0.5, "peer"));
        assert!(!alone.all_met());
        assert!(alone.table().contains("peer not measured"));
    }

    #[test]
    fn the_table_is_aligned_and_says_the_verdict() {
        assert_eq!(
            report(11.0).table(),
            "what  median  least   most  unit  runs  ratio   line\n\
             peer   20.00  10.00  30.00  s        3\n\
             ours   11.00  11.00  11.00  s        2   0.55  ≤ 0.5  MISSED\n"
        );
    }

    #[test]
    fn programs_get_every_sample() {
        let value: serde_json::Value = serde_json::from_str(&report(8.0).json("boot").unwrap()).unwrap();
        assert_eq!(value.pointer("/rows/0/samples/1").and_then(serde_json::Value::as_f64), Some(30.0));
        assert_eq!(value.pointer("/rows/1/met").and_then(serde_json::Value::as_bool), Some(true));
        assert_eq!(value.pointer("/rows/0/met"), Some(&serde_json::Value::Null));
    }
}
