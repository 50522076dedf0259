//! Gate *installing*: once the machines of a cluster are there, its manifests are applied; the lab is ready when the pods
//! that they ask for are.
//!
//! ```text
//! machines there ─▶ Apply ─done─▶ pods short ─▶ pods there
//!                    ▲  └refused: again, later each time
//! ```
//!
//! That they were applied proves nothing; only pods that are seen do.

use alloc::format;
use alloc::string::String;

use model::{ClusterPods, Command, LabTime, Outcome, Phase, Span, Waiting};

use super::cluster::{Wanted, ask};
use crate::cluster::{Cluster, is_in_force};
use crate::judge::Standing;
use crate::lab::Lab;

/// How long a set of manifests may take to be applied; each definition in it has a minute of its own.
const APPLY: Span = Span::secs(600);
/// Between a refusal and the next order; twice as long after each, up to the longest.
const AFTER_REFUSAL: Span = Span::secs(3);
const LONGEST_REST: Span = Span::secs(60);
/// How long pods of a ready lab may be missing before it is called degraded: Kubernetes replaces a pod by itself.
const GRACE: Span = Span::secs(30);
/// When a wait that others end is looked at again.
const LOOK_AGAIN: Span = Span::secs(60);
/// Workloads that are named in a sentence.
const NAMED: usize = 2;

/// How a run stands with its manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pods {
    /// It has none.
    None,
    /// All they ask for is there.
    There(u32),
    /// They are on their way, or missing for a moment.
    Coming(Waiting),
    /// They take too long.
    Late(Waiting),
}

/// The machines of the run are there since then, as far as they will be.
fn machines_there(lab: &Lab) -> Option<LabTime> {
    let (mut members, mut ready, mut bad, mut since) = (0_usize, 0_usize, 0_usize, None);
    for machine in lab.machines.values() {
        let standing = Standing::of(machine);
        members += usize::from(standing.member);
        bad += usize::from(standing.bad);
        if standing.ready {
            ready += 1;
            since = since.max(Some(machine.entered.since_start));
        }
    }
    let enough = lab.scenario().map_or(members, |scenario| usize::from(scenario.enough));
    since.filter(|_| ready >= enough && ready + bad == members)
}

fn installing(lab: &Lab) -> Option<(&Cluster, u32)> {
    let run = lab.active_run()?.number;
    let (cluster, _) = lab.cluster()?;
    (!cluster.manifests.is_empty()).then_some((cluster, run))
}

fn is_applied(lab: &Lab, cluster: &Cluster) -> bool {
    cluster.apply.as_ref().is_some_and(|order| is_in_force(lab, order))
}

/// What has to be asked for.
pub(crate) fn wanted(lab: &Lab, now: LabTime) -> Wanted {
    let Some((cluster, run)) = installing(lab) else { return Wanted::default() };
    let Some(there) = machines_there(lab) else { return Wanted::default() };
    let mut wanted = if is_applied(lab, cluster) {
        Wanted::default()
    } else {
        let limits = (APPLY, rest(cluster.refusals));
        ask(cluster.apply.as_ref(), limits, now, || Command::Apply { run })
    };
    if let Pods::Coming(waiting) | Pods::Late(waiting) = stands(lab, (cluster, there), now) {
        wanted.look_at = [wanted.look_at, Some(waiting.until)].into_iter().flatten().min();
    }
    wanted
}

/// How long to wait after so many refusals.
fn rest(refusals: u8) -> Span {
    let doubled = refusals.saturating_sub(1).min(8);
    Span((AFTER_REFUSAL.0 << doubled).min(LONGEST_REST.0))
}

/// How the run in hand stands with its manifests.
pub(crate) fn pods(lab: &Lab, now: LabTime) -> Pods {
    let Some((cluster, _)) = installing(lab) else { return Pods::None };
    match machines_there(lab) {
        Some(there) => stands(lab, (cluster, there), now),
        None => Pods::None,
    }
}

fn stands(lab: &Lab, (cluster, there): (&Cluster, LabTime), now: LabTime) -> Pods {
    let applied = is_applied(lab, cluster);
    if let Some(pods) = cluster.pods.as_ref().filter(|pods| applied && pods.is_done()) {
        return Pods::There(pods.wanted);
    }
    let (since, limit) = match lab.phase {
        Phase::Ready => (cluster.pods_since.max(there), GRACE),
        Phase::Idle
        | Phase::PoweringDown
        | Phase::Booting
        | Phase::Degraded
        | Phase::Failed
        | Phase::Stopping => (there, lab.spec.limits.pods),
    };
    let what = what(cluster, applied);
    let until = since.after(limit);
    if now < until {
        let then = match lab.phase {
            Phase::Degraded => "look again",
            Phase::Idle
            | Phase::PoweringDown
            | Phase::Booting
            | Phase::Ready
            | Phase::Failed
            | Phase::Stopping => "call the lab degraded, and go on waiting",
        };
        return Pods::Coming(Waiting { what, since, until, then: String::from(then) });
    }
    let rounds = now.since(until).0 / LOOK_AGAIN.0 + 1;
    let until = until.after(Span(LOOK_AGAIN.0.saturating_mul(rounds)));
    Pods::Late(Waiting { what, since, until, then: String::from("look again") })
}

/// What keeps the run waiting.
fn what(cluster: &Cluster, applied: bool) -> String {
    if applied {
        return cluster
            .pods
            .as_ref()
            .map_or_else(|| String::from("the cluster to tell of its pods"), |pods| missing(pods));
    }
    let refused = cluster.refused.as_ref().map(|why| format!(", which failed: {why}")).unwrap_or_default();
    match cluster.apply.as_ref().and_then(|order| order.ended.as_ref()) {
        Some((Outcome::Unknown, _)) => {
            String::from("its manifests to be applied again: nobody knows whether they were")
        }
        Some((Outcome::Done | Outcome::Failed { .. }, _)) | None => {
            format!("its manifests to be applied{refused}")
        }
    }
}

fn missing(pods: &ClusterPods) -> String {
    if let Some(why) = &pods.away {
        return format!("the Kubernetes API, which is not heard: {why}");
    }
    let mut named = String::new();
    for short in pods.short.iter().take(NAMED) {
        let between = if named.is_empty() { "" } else { "; " };
        named.push_str(&format!("{between}{} has {} of {}", short.workload, short.done, short.wanted));
        if !short.why.is_empty() {
            named.push_str(&format!(", {}", short.why));
        }
    }
    let besides = pods.short.len().saturating_sub(NAMED) + usize::try_from(pods.short_besides).unwrap_or(0);
    let besides = if besides == 0 { String::new() } else { format!("; and {besides} others") };
    let left = pods.wanted.saturating_sub(pods.done);
    let count = if left == 1 { "pod" } else { "pods" };
    format!("{left} more {count} of {}: {named}{besides}", pods.wanted)
}

/// What the run waits for beside its machines.
pub(crate) fn waiting(lab: &Lab, now: LabTime) -> Option<Waiting> {
    match pods(lab, now) {
        Pods::Coming(waiting) | Pods::Late(waiting) => Some(waiting),
        Pods::None | Pods::There(_) => None,
    }
}
