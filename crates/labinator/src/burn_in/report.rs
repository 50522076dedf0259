//! Runs for people, for machines that read `JUnit`, and for tables.

use std::fmt;

use model::Span;
use serde::Serialize;

use super::Run;
use super::tally::{Group, Slower, Tally, Verdict, changes, groups, median};

/// What a burn-in found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Runs.
    pub runs: u32,
    /// Those in which everything was ready.
    pub good: u32,
    /// The rate's lower end with 95 % confidence, from 0 to 1.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The rate that is to be claimed, from 0 to 1.
    pub claim: Option<f64>,
    /// Whether it may be: `holds`, `refuted` or `open`.
    pub verdict: Option<&'static str>,
    /// Good runs that would decide an open claim.
    pub more: Option<u32>,
    /// Median of the good runs, in milliseconds.
    pub median_ms: Option<u64>,
    /// The longest good run, in milliseconds.
    pub longest_ms: Option<u64>,
    /// Failures by what they look like, the most frequent first.
    pub failures: Vec<Group>,
    /// What takes longer or less long than in the runs before.
    pub changes: Vec<Slower>,
}

impl Report {
    /// Of these runs, held against those before them.
    #[must_use]
    pub fn of(before: &[Run], runs: &[Run], claim: Option<f64>) -> Self {
        let tally = Tally::of(runs);
        let interval = tally.interval();
        let verdict = claim.map(|claim| tally.verdict(claim));
        let good: Vec<Span> = runs.iter().filter(|run| run.ended.is_good()).map(|run| run.took).collect();
        Self {
            runs: tally.runs,
            good: tally.good,
            low: interval.low,
            high: interval.high,
            claim,
            verdict: verdict.map(|verdict| match verdict {
                Verdict::Holds => "holds",
                Verdict::Refuted => "refuted",
                Verdict::Open { .. } => "open",
            }),
            more: verdict.and_then(|verdict| if let Verdict::Open { more } = verdict { more } else { None }),
            longest_ms: good.iter().max().map(|span| span.0),
            median_ms: median(good).map(|span| span.0),
            failures: groups(runs),
            changes: changes(before, runs),
        }
    }

    fn claim_line(&self) -> Option<String> {
        let (claim, verdict) = (self.claim? * 100.0, self.verdict?);
        Some(match (verdict, self.more) {
            ("open", Some(more)) => {
                let runs =
                    if more == 1 { "one more good run".to_owned() } else { format!("{more} more good runs") };
                format!("at least {claim} %: nobody can say yet; {runs} would do")
            }
            ("open", None) => format!("at least {claim} %: no number of runs shows that"),
            ("holds", _) => format!("at least {claim} %: holds, with 95 % confidence"),
            (_, _) => format!("at least {claim} %: refuted, with 95 % confidence"),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runs == 0 {
            return f.write_str("no run has ended");
        }
        let rate = f64::from(self.good) * 100.0 / f64::from(self.runs);
        write!(f, "{} of {} runs were ready, {rate:.1} %", self.good, self.runs)?;
        write!(f, " (95 % confidence: {:.1} to {:.1} %)", self.low * 100.0, self.high * 100.0)?;
        if let Some(line) = self.claim_line() {
            write!(f, "\n{line}")?;
        }
        if let (Some(median), Some(longest)) = (self.median_ms, self.longest_ms) {
            write!(f, "\nready after {} in the median, {} at most", Span(median), Span(longest))?;
        }
        for group in &self.failures {
            let runs: Vec<String> = group.runs.iter().map(ToString::to_string).collect();
            let nodes: Vec<String> =
                group.nodes.iter().map(|(node, times)| format!("{node} {times} x")).collect();
            write!(f, "\n{:>4} x  {}: run {}", group.runs.len(), group.looks, runs.join(", "))?;
            if !nodes.is_empty() {
                write!(f, "; {}", nodes.join(", "))?;
            }
        }
        for change in &self.changes {
            let part = change.stage.map_or_else(|| "the whole start".to_owned(), |stage| stage.to_string());
            let (by, word) = match change.now.0.checked_sub(change.before.0) {
                Some(by) => (by, "slower"),
                None => (change.before.0 - change.now.0, "faster"),
            };
            write!(f, "\n{}: {part} is {word} by {} than in ", change.scenario, Span(by))?;
            write!(f, "{} runs before: {}, was {}", change.of, change.now, change.before)?;
        }
        Ok(())
    }
}

/// `JUnit`'s XML, as labgrid, GitLab and Jenkins read it: a test case for each run.
#[must_use]
pub fn junit(runs: &[Run]) -> String {
    let seconds = |span: Span| format!("{}.{:03}", span.0 / 1000, span.0 % 1000);
    let all = Span(runs.iter().map(|run| run.took.0).sum());
    let tally = Tally::of(runs);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"burn-in\" tests=\"{}\" failures=\"{}\" \
         errors=\"0\" skipped=\"0\" time=\"{}\">\n",
        tally.runs,
        tally.failed(),
        seconds(all)
    );
    for run in runs {
        let (scenario, took) = (run.scenario.as_str(), seconds(run.took));
        let number = run.number;
        xml.push_str(&format!("  <testcase classname=\"{scenario}\" name=\"run {number}\" time=\"{took}\""));
        if run.ended.is_good() {
            xml.push_str("/>\n");
            continue;
        }
        let symptoms = run.machines.iter().filter_map(|machine| {
            Some(format!("{} ({}): {}", machine.node, machine.word, machine.symptom.as_ref()?))
        });
        let body = escaped(&symptoms.collect::<Vec<String>>().join("\n"));
        let (kind, why) = (run.ended.word(), escaped(run.ended.why()));
        xml.push_str(&format!(
            ">\n    <failure type=\"{kind}\" message=\"{why}\">{body}</failure>\n  </testcase>\n"
        ));
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text for XML: what means something there is written otherwise, what may not stand there at all is left out.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\n' => written.push_str("&#10;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => written.push(letter),
        }
    }
    written
}

/// A table (RFC 4180): a row for each machine of each run.
#[must_use]
pub fn csv(runs: &[Run]) -> String {
    let mut table =
        String::from("session_ms,run,scenario,began_ms,took_ms,ended,why,node,word,symptom,boot_ms\r\n");
    for run in runs {
        for machine in &run.machines {
            let boot = machine.took.map_or_else(String::new, |took| took.0.to_string());
            let fields = [
                run.session.0.to_string(),
                run.number.to_string(),
                run.scenario.as_str().to_owned(),
                run.began.0.to_string(),
                run.took.0.to_string(),
                run.ended.word().to_owned(),
                run.ended.why().to_owned(),
                machine.node.as_str().to_owned(),
                machine.word.to_string(),
                machine.symptom.clone().unwrap_or_default(),
                boot,
            ];
            table.push_str(&fields.map(|field| quoted(&field)).join(","));
            table.push_str("\r\n");
        }
    }
    table
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ended;
    use super::super::tally::tests::run;
    use super::*;

    fn two() -> Vec<Run> {
        let why = "node2 <b>&\"never\"\u{7} asked,\nas yet";
        vec![run(1, Ended::Ready), run(2, Ended::Failed(why.to_owned()))]
    }

    #[test]
    fn a_report_says_how_sure_it_is() {
        let text = Report::of(&[], &two(), Some(0.95)).to_string();
        assert_eq!(
            text,
            "1 of 2 runs were ready, 50.0 % (95 % confidence: 9.5 to 90.5 %)\n\
             at least 95 %: refuted, with 95 % confidence\n\
             ready after 31.0 s in the median, 31.0 s at most\n   \
             1 x  never-asked: run 2; node2 1 x"
        );
        assert_eq!(Report::of(&[], &[], Some(0.9)).to_string(), "no run has ended");
    }

    #[test]
    fn what_programs_read_is_well_formed_whatever_a_reason_says() {
        let xml = junit(&two());
        assert!(xml.contains("tests=\"2\" failures=\"1\""), "{xml}");
        assert!(xml.contains("message=\"node2 &lt;b&gt;&amp;&quot;never&quot; asked,&#10;as yet\""), "{xml}");
        assert!(xml.contains(">node2 (bad): never-asked</failure>"), "{xml}");
        let table = csv(&two());
        assert_eq!(table.matches("\r\n").count(), 1 + 4, "{table}");
        assert!(table.contains(
            ",failed,\"node2 <b>&\"\"never\"\"\u{7} asked,\nas yet\",node2,bad,never-asked,20000\r\n"
        ));
    }
}
