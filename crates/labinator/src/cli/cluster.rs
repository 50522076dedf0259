//! `manifests` and `pods`: a Kubernetes cluster by its kubeconfig, without kubectl and without a controller.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use kubernetes::apply::{Applied, Manifests, OnConflict, Plan, Refusal, apply};
use kubernetes::watch::{Counts, Link, Node, NodeState, Picture, Pod, PodState, Watch};
use kubernetes::{Client, Tcp, Trouble};
use serde_json::{Value, json};

use super::args::Globals;
use super::failure::Failure;
use super::out;

/// For a first look at a cluster.
const LOOKING: Duration = Duration::from_secs(60);

/// What can be done with manifests.
#[derive(Debug, Clone, Subcommand)]
pub enum ManifestsVerb {
    /// Apply files server-side: namespaces and definitions first, then the rest
    Apply(ApplyArgs),
}

/// Options of `manifests apply`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct ApplyArgs {
    /// YAML or JSON files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The cluster's kubeconfig
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Take over fields that somebody else has set to something else
    #[arg(long)]
    pub take_over: bool,
    /// Ask the server what it would do, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Name of the set: written on each object as the label `labinator.dev/set`
    #[arg(long, value_name = "NAME", value_parser = set_name)]
    pub set: Option<String>,
    /// Delete what was applied under this name and is no longer in the files
    #[arg(long, requires = "set", conflicts_with = "dry_run")]
    pub prune: bool,
}

/// Options of `pods`.
#[derive(Debug, Clone, Args)]
pub struct PodsArgs {
    /// The cluster's kubeconfig
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A label's value: at most 63 letters, digits, `-`, `_` and `.`, the first and last a letter or digit.
fn set_name(text: &str) -> Result<String, String> {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().last()) && text.chars().all(inside)
    {
        return Ok(text.to_owned());
    }
    Err("a name is at most 63 letters, digits, `-`, `_` and `.`, and begins and ends with a letter or digit"
        .to_owned())
}

/// Carries out `manifests`.
///
/// # Errors
/// Every document and object that was refused, each with its place.
pub async fn manifests(globals: &Globals, verb: ManifestsVerb) -> Result<(), Failure> {
    let ManifestsVerb::Apply(args) = verb;
    let mut files = Vec::new();
    for file in &args.files {
        files.push((file.display().to_string(), read(file)?));
    }
    let files = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    let manifests = Manifests::read(files).map_err(|refusals| said(&refusals))?;
    let client = Client::new(&read(&args.kubeconfig)?, Arc::new(Tcp)).map_err(|why| failed(&why))?;
    let plan = Plan {
        on_conflict: if args.take_over { OnConflict::TakeOver } else { OnConflict::Refuse },
        dry_run: args.dry_run,
        set: args.set.clone(),
    };
    let applied = apply(&client, &manifests, &plan).await.map_err(|refusals| said(&refusals))?;
    if !globals.quiet {
        tell(&applied, args.dry_run)?;
    }
    let Some(set) = args.set.as_ref().filter(|_| args.prune) else { return Ok(()) };
    let pruned = manifests.prune(&client, set).await.map_err(|why| failed(&why))?;
    for object in pruned.deleted.iter().filter(|_| !globals.quiet) {
        out::line(&format!("deleted {object}"))?;
    }
    for object in &pruned.left {
        out::complain(&format!("{object} left the set and stays: more would go with it; delete it by hand"));
    }
    Ok(())
}

fn tell(applied: &Applied, dry_run: bool) -> Result<(), Failure> {
    for (object, foreign) in &applied.taken {
        out::line(&format!("{object}: took {} over from `{}`", foreign.fields.join(", "), foreign.manager))?;
    }
    let done = if dry_run { "would be applied" } else { "applied" };
    let objects = if applied.objects == 1 { "object" } else { "objects" };
    out::line(&format!("{} {objects} {done}", applied.objects))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let result = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut content).map(|_| content)
    } else {
        std::fs::read(file)
    };
    result.map_err(|why| Failure::failed(format!("{}: {why}", file.display())))
}

fn failed(why: &Trouble) -> Failure {
    Failure::with_advice(why.to_string(), why.advice())
}

/// All refusals, each with its advice.
fn said(refusals: &[Refusal]) -> Failure {
    let lines: Vec<String> =
        refusals.iter().map(|refusal| format!("{refusal}\n  → {}", refusal.advice())).collect();
    Failure::failed(lines.join("\n"))
}

/// Carries out `pods`.
///
/// # Errors
/// The cluster cannot be read, or is not seen whole within a minute.
pub async fn pods(args: &PodsArgs) -> Result<(), Failure> {
    let watch = Watch::spawn(&read(&args.kubeconfig)?, Arc::new(Tcp)).map_err(|why| failed(&why))?;
    let mut picture = watch.picture();
    let settled = picture.wait_for(|picture| picture.link() != Link::Connecting);
    let picture = match tokio::time::timeout(LOOKING, settled).await {
        Ok(Ok(picture)) => picture.clone(),
        Ok(Err(_)) => return Err(Failure::failed("the watch has stopped")),
        Err(_) => return Err(Failure::TimedOut("the cluster was not seen within a minute".to_owned())),
    };
    if let Link::Lost { why } = picture.link() {
        return Err(Failure::with_advice(
            why,
            "see that the kubeconfig is of this cluster and that its server answers",
        ));
    }
    if args.json {
        return out::json(&as_json(&picture), true);
    }
    out::print(&as_text(&picture))
}

/// One word for a state, and its reason.
fn word(state: &PodState) -> (&'static str, String) {
    match state {
        PodState::Ready => ("ready", String::new()),
        PodState::Starting { waits_for } => ("starting", waits_for.clone().unwrap_or_default()),
        PodState::Succeeded => ("done", String::new()),
        PodState::CrashLoop { restarts } => ("crash-loop", format!("started again {restarts} times")),
        PodState::Pending { reason } => ("pending", reason.clone()),
        PodState::Failed { reason } => ("failed", reason.clone()),
        PodState::Terminating => ("terminating", String::new()),
    }
}

fn node_reason(node: &Node) -> Option<String> {
    match &node.state {
        NodeState::Ready if node.pressures.is_empty() => None,
        NodeState::Ready => Some(node.pressures.join(", ")),
        NodeState::NotReady { reason } => Some(reason.clone()),
    }
}

fn as_json(picture: &Picture) -> Value {
    let counts = |counts: &Counts| {
        json!({
            "wanted": counts.wanted(), "done": counts.done(), "ready": counts.ready, "starting": counts.starting,
            "succeeded": counts.succeeded, "crash_loop": counts.crash_loop, "pending": counts.pending,
            "failed": counts.failed, "terminating": counts.terminating, "replaced": counts.replaced,
        })
    };
    let node = |node: &Node| {
        json!({"name": node.name, "ready": node.state == NodeState::Ready, "reason": node_reason(node),
            "version": node.version, "address": node.address})
    };
    let pod = |pod: &Pod| {
        let (state, reason) = word(&pod.state);
        json!({"namespace": pod.name.namespace, "name": pod.name.name, "node": pod.node, "state": state,
            "reason": Some(reason).filter(|reason| !reason.is_empty())})
    };
    let by_namespace: Value = picture
        .counts_by_namespace()
        .iter()
        .map(|(name, count)| ((*name).to_owned(), counts(count)))
        .collect();
    json!({
        "version": 1,
        "nodes": picture.nodes().map(node).collect::<Vec<_>>(),
        "pods": picture.pods().map(pod).collect::<Vec<_>>(),
        "counts": counts(&picture.counts()),
        "namespaces": by_namespace,
    })
}

fn as_text(picture: &Picture) -> String {
    let mut lines = Vec::new();
    let by_node = picture.counts_by_node();
    for node in picture.nodes() {
        let count = by_node.get(&Some(node.name.as_str())).copied().unwrap_or_default();
        let state = if node.state == NodeState::Ready { "Ready" } else { "NotReady" };
        let reason = node_reason(node).map(|reason| format!("  {reason}")).unwrap_or_default();
        lines.push(format!(
            "{:<24} {state:<8} {:>3} of {:>3} pods{reason}",
            node.name,
            count.done(),
            count.wanted()
        ));
    }
    for (namespace, count) in picture.counts_by_namespace() {
        lines.push(format!("{namespace:<33} {:>3} of {:>3} pods", count.done(), count.wanted()));
    }
    for pod in picture.pods().filter(|pod| !matches!(pod.state, PodState::Ready | PodState::Succeeded)) {
        let (state, reason) = word(&pod.state);
        lines.push(
            format!("{}/{}: {state} {reason}", pod.name.namespace, pod.name.name).trim_end().to_owned(),
        );
    }
    lines.push(String::new());
    lines.join("\n")
}
