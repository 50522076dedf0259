//! Waiting for a start or a stop to end: phase lines on a terminal, only the result in a pipe.

use std::fmt;
use std::time::Duration;

use api::{Accepted, StreamItem};
use model::{Goal, MachineView, NodeName, NodeWord, Phase, ScenarioName, Snapshot, Span, WipeState};
use tokio::time::Instant;

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look, Paper};
use super::render::{Paint, clock, cut};
use super::stream::{Follower, Heard, apply};

/// How long a controller may be away before the wait is given up.
const ABSENCE: Duration = Duration::from_secs(30);

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// This scenario is ready.
    Ready(ScenarioName),
    /// Nothing runs.
    Idle,
    /// The wipe of this machine that was accepted last has ended.
    Wiped(NodeName),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(scenario) => write!(f, "start of {scenario}"),
            Self::Idle => f.write_str("stop"),
            Self::Wiped(node) => write!(f, "wipe of {node}"),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it was wanted.
    Reached,
    /// Otherwise, and why.
    Failed(String),
    /// Not within the limit, and what was waited for then.
    Late(String),
}

/// Whether the wait is over. A picture from before the request was recorded says nothing about it.
fn outcome(target: &Target, accepted: &Accepted, picture: &Snapshot) -> Option<Outcome> {
    if picture.epoch == accepted.epoch && picture.through < accepted.seq {
        return None;
    }
    let lab = &picture.lab;
    let wanted = match target {
        Target::Ready(wanted) => wanted,
        Target::Idle => return (lab.phase == Phase::Idle).then_some(Outcome::Reached),
        Target::Wiped(node) => return wiped(node, picture),
    };
    if lab.scenario.as_ref() != Some(wanted) {
        let what = lab
            .scenario
            .as_ref()
            .map_or_else(|| "the lab was stopped".to_owned(), |s| format!("{s} was started"));
        return Some(Outcome::Failed(format!("{what} while {wanted} was waited for")));
    }
    // The phase of an earlier run is still shown until the first decision about this one.
    let of_this_run = lab.run_since.is_none_or(|run| lab.phase_since.since_start >= run.since_start);
    match lab.phase {
        Phase::Ready if of_this_run => Some(Outcome::Reached),
        Phase::Failed if of_this_run => Some(Outcome::Failed(lab.phase_because.clone())),
        Phase::Stopping if of_this_run => Some(Outcome::Failed("the lab is being stopped".to_owned())),
        Phase::Ready
        | Phase::Failed
        | Phase::Stopping
        | Phase::Idle
        | Phase::PoweringDown
        | Phase::Booting
        | Phase::Degraded => None,
    }
}

/// How the last wipe of a machine ended.
fn wiped(node: &NodeName, picture: &Snapshot) -> Option<Outcome> {
    let machine = picture.machines.iter().find(|machine| machine.node == *node)?;
    let wipe = machine.wipe.as_ref()?;
    match wipe.state.as_ref()? {
        WipeState::Wiping { .. } => None,
        WipeState::Wiped { .. } => Some(Outcome::Reached),
        WipeState::Failed { touched, why } => {
            let half = if *touched { "is half wiped" } else { "was not touched" };
            Some(Outcome::Failed(format!("{} of {node} {half}: {why}", wipe.disk)))
        }
    }
}

/// `sda (serial X, 256 GB) of node3 is wiped: discard of every block, 52 places and 4096 samples read back, 7.0 s`.
fn wiped_line(node: &NodeName, picture: &Snapshot) -> Option<String> {
    let wipe = picture.machines.iter().find(|machine| machine.node == *node)?.wipe.as_ref()?;
    let Some(WipeState::Wiped { report }) = &wipe.state else { return None };
    let samples =
        if report.method.is_whole() { format!(" and {} samples", report.samples) } else { String::new() };
    let mut line = format!(
        "{} of {node} is wiped: {}, {} places{samples} read back, {}",
        wipe.disk,
        report.method,
        report.places,
        Span(report.took_ms)
    );
    for why in &report.passed_over {
        line.push_str(&format!("\n  not by {why}"));
    }
    if !report.method.is_whole() {
        line.push_str(
            "\n  data outside of headers and secrets may still be there: docs/wiping.md says what that means",
        );
    }
    Some(line)
}

/// Follows the stream until the target is reached (with `json`, prints the last picture then), it failed,
/// or `limit` is over.
pub(super) async fn wait_for(
    client: &Client,
    target: &Target,
    accepted: &Accepted,
    limit: Duration,
    (look, json): (Look, bool),
) -> Result<(), Failure> {
    let mut lines = PhaseLines::new(look, look.paper == Paper::Terminal && !look.quiet && !json);
    let followed = follow(client, target, accepted, limit, |picture| lines.show(picture)).await;
    lines.settle()?;
    let (outcome, picture) = followed?;
    if json && let (Some(now), Outcome::Reached | Outcome::Failed(_)) = (&picture, &outcome) {
        out::json(now, true)?;
    }
    match (outcome, picture) {
        (Outcome::Late(why), _) => Err(Failure::TimedOut(why)),
        (Outcome::Failed(why), _) => {
            Err(Failure::with_advice(why, "`labinator explain` says it for each machine"))
        }
        (Outcome::Reached, Some(now)) if !look.quiet && !json => out::line(&match target {
            Target::Wiped(node) => wiped_line(node, &now).unwrap_or_default(),
            Target::Ready(_) | Target::Idle => last_line(&now, look),
        }),
        (Outcome::Reached, _) => Ok(()),
    }
}

/// The same without a word but what `show` makes of each picture: how it ended, and the last picture.
///
/// # Errors
/// The controller is away for too long, or `show` failed.
pub(super) async fn follow(
    client: &Client,
    target: &Target,
    accepted: &Accepted,
    limit: Duration,
    mut show: impl FnMut(&Snapshot) -> Result<(), Failure>,
) -> Result<(Outcome, Option<Box<Snapshot>>), Failure> {
    let deadline = Instant::now() + limit;
    let mut follower = Follower::open(client).await?;
    let mut picture: Option<Box<Snapshot>> = None;
    let mut away: Option<Instant> = None;
    loop {
        let Ok(heard) = tokio::time::timeout_at(deadline, follower.next()).await else {
            return Ok((Outcome::Late(overdue(target, limit, picture.as_deref())), picture));
        };
        match heard? {
            Heard::Lost(why) => {
                let since = *away.get_or_insert_with(Instant::now);
                if since.elapsed() > ABSENCE {
                    return Err(why);
                }
                continue;
            }
            Heard::Item(item) => {
                away = None;
                take(&mut picture, item);
            }
        }
        let Some(now) = picture.as_deref() else { continue };
        match outcome(target, accepted, now) {
            None => show(now)?,
            Some(outcome) => return Ok((outcome, picture)),
        }
    }
}

/// Keeps the picture up to date.
pub(super) fn take(picture: &mut Option<Box<Snapshot>>, item: StreamItem) {
    match (item, picture) {
        (StreamItem::Snapshot(new), picture) => *picture = Some(new),
        (StreamItem::Change(change), Some(picture)) => apply(picture, change),
        (StreamItem::Beat(at), Some(picture)) => picture.at = at,
        (StreamItem::StartOver, picture) => *picture = None,
        (StreamItem::Event(_), _) | (StreamItem::Change(_) | StreamItem::Beat(_), None) => {}
    }
}

fn overdue(target: &Target, limit: Duration, picture: Option<&Snapshot>) -> String {
    let limit = Span(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    let mut text = format!("{target} was not done within {limit}");
    for machine in picture.iter().flat_map(|p| &p.machines).filter(|m| is_behind(m)) {
        let reason = machine.waiting.as_ref().map_or("nothing known", |w| w.what.as_str());
        text.push_str(&format!("\n  {} is {}, waiting for: {reason}", machine.node, machine.word));
    }
    text
}

fn is_behind(machine: &MachineView) -> bool {
    match machine.goal {
        Goal::Ready => machine.word != NodeWord::Ready,
        Goal::Off => machine.word != NodeWord::Off,
        Goal::Any => false,
    }
}

/// `14:05:02  ready           6 of 6 machines ready     31.0 s`.
fn last_line(picture: &Snapshot, look: Look) -> String {
    let lab = &picture.lab;
    let ran = lab.run_since.map(|run| lab.phase_since.since_start.since(run.since_start).to_string());
    let paint = Paint(look.color);
    let phase = format!("{:<14}", lab.phase);
    let phase = if lab.phase == Phase::Ready { paint.well(&phase) } else { phase };
    let what = if lab.phase == Phase::Ready { counts(picture) } else { lab.phase_because.clone() };
    let what = cut(&what, look.width.saturating_sub(40));
    // A lab that was never started has been idle since no time of day.
    let since = if lab.phase_since.wall.0 == 0 { picture.at.wall } else { lab.phase_since.wall };
    format!("{}  {phase}  {what:<40}  {}", clock(since), ran.unwrap_or_default()).trim_end().to_owned()
}

fn counts(picture: &Snapshot) -> String {
    let wanted = picture.machines.iter().filter(|m| m.goal == Goal::Ready).count();
    let ready =
        picture.machines.iter().filter(|m| m.goal == Goal::Ready && m.word == NodeWord::Ready).count();
    format!("{ready} of {wanted} machines ready")
}

/// The lines on a terminal: phases that are over stay, the present one is drawn anew.
struct PhaseLines {
    look: Look,
    wanted: bool,
    /// Lines of the present phase that can be drawn over.
    drawn: usize,
    /// The phase that is shown, with its beginning on the lab's clock and its line.
    phase: Option<(Phase, model::Moment, String)>,
}

impl PhaseLines {
    const fn new(look: Look, wanted: bool) -> Self {
        Self { look, wanted, drawn: 0, phase: None }
    }

    fn show(&mut self, picture: &Snapshot) -> Result<(), Failure> {
        if !self.wanted {
            return Ok(());
        }
        let lab = &picture.lab;
        let mut text = self.erased();
        if let Some((phase, since, line)) = &self.phase
            && (*phase, *since) != (lab.phase, lab.phase_since)
        {
            let took = lab.phase_since.since_start.since(since.since_start);
            text.push_str(&format!("{line}  {took}\n"));
        }
        let line = phase_line(picture, self.look);
        let mut live = vec![line.clone()];
        live.extend(waits(picture, self.look));
        self.phase = Some((lab.phase, lab.phase_since, line));
        self.drawn = live.len();
        // Lines that are wider than the terminal must not wrap, or drawing over them would miss.
        text.push_str("\x1b[?7l");
        for line in live {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str("\x1b[?7h");
        out::print(&text)
    }

    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            n => format!("\x1b[{n}A\x1b[J"),
        }
    }

    /// Leaves the line of the present phase where it is, without its machines.
    fn settle(&mut self) -> Result<(), Failure> {
        let mut text = self.erased();
        if let Some((_, _, line)) = self.phase.take() {
            text.push_str(&line);
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { out::print(&text) }
    }
}

fn phase_line(picture: &Snapshot, look: Look) -> String {
    let lab = &picture.lab;
    let what = match lab.phase {
        Phase::Booting | Phase::Ready | Phase::Degraded => counts(picture),
        Phase::Idle | Phase::PoweringDown | Phase::Failed | Phase::Stopping => lab.phase_because.clone(),
    };
    let what = cut(&what, look.width.saturating_sub(40));
    format!("{}  {:<14}  {what:<40}", clock(lab.phase_since.wall), lab.phase).trim_end().to_owned()
}

/// Machines shown below a phase: drawing over more lines than a terminal has would miss.
const SHOWN: usize = 8;

fn waits(picture: &Snapshot, look: Look) -> Vec<String> {
    let now = picture.at.since_start;
    let mut lines: Vec<String> = picture
        .machines
        .iter()
        .filter(|m| is_behind(m))
        .filter_map(|machine| {
            let waiting = machine.waiting.as_ref()?;
            let text = format!(
                "{}  waiting {} for {} (limit {})",
                machine.node,
                now.since(waiting.since),
                waiting.what,
                waiting.until.since(waiting.since)
            );
            Some(format!("              {}", cut(&text, look.width.saturating_sub(14))))
        })
        .collect();
    if lines.len() > SHOWN {
        let more = lines.split_off(SHOWN).len();
        lines.push(format!("              … and {more} more"));
    }
    lines
}
