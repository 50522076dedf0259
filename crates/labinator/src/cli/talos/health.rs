//! `talos health`: whether a cluster is well, each check a line with its evidence.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kubernetes::watch::{Link, NodeState, Picture, PodState, Watch};
use kubernetes::{Client, Tcp};
use serde::Serialize;
use talos::api::Node;
use tokio::time::{Instant, sleep, timeout};

use super::nodes::{Chosen, NodesArgs, running};
use crate::cli::failure::Failure;
use crate::cli::out;

/// Service that only machines of a control plane have.
const ETCD: &str = "etcd";
/// What runs a cluster, by the beginning of its pods' names.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// For one look at the cluster, and between two.
const LOOKING: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(5);

/// Which machines, and for how long.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Look again for so long until all is well
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    check: String,
    well: bool,
    evidence: String,
}

fn check(name: impl Into<String>, found: Result<String, String>) -> Check {
    let well = found.is_ok();
    Check { check: name.into(), well, evidence: found.unwrap_or_else(|why| why) }
}

/// Carries out the verb.
pub(super) fn health(args: &HealthArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(async {
        let until = Instant::now() + Duration::from_secs(args.wait);
        let checks = loop {
            let checks = all(&chosen).await?;
            if checks.iter().all(|check| check.well) || Instant::now() >= until {
                break checks;
            }
            sleep(AGAIN).await;
        };
        for check in &checks {
            if args.json {
                out::json(check, false)?;
            } else {
                let mark = if check.well { "well" } else { "NOT WELL" };
                out::line(&format!("{mark:<8}  {:<31} {}", check.check, check.evidence))?;
            }
        }
        match (checks.iter().all(|check| check.well), args.wait) {
            (true, _) => Ok(()),
            (false, 0) => Err(Failure::Said(1)),
            (false, waited) => Err(Failure::TimedOut(format!("not well after {waited} s"))),
        }
    })
}

async fn all(chosen: &Chosen) -> Result<Vec<Check>, Failure> {
    let (mut checks, mut controls) = (Vec::new(), Vec::new());
    for at in &chosen.addresses {
        let node = chosen.ours(*at)?;
        checks.push(check(format!("{at} runs"), stage(&node).await));
        if node.services().await.is_ok_and(|all| all.iter().any(|service| service.id == ETCD)) {
            controls.push((*at, node));
        }
    }
    checks.push(check("etcd has the same members", members(&controls).await));
    let kubeconfig = match controls.first() {
        Some((_, node)) => node.kubeconfig().await.map_err(|why| why.to_string()),
        None => Err("no machine of the control plane answers".to_owned()),
    };
    let answers = match &kubeconfig {
        Ok(text) => version(text).await,
        Err(why) => Err(why.clone()),
    };
    let reached = answers.is_ok();
    checks.push(check("Kubernetes answers by its name", answers));
    if let (true, Ok(text)) = (reached, &kubeconfig) {
        match look(text).await {
            Ok(picture) => {
                checks.push(check("nodes are ready", nodes(&picture, chosen.addresses.len())));
                let control_plane = |name: &&str| check(format!("{name} runs"), pods(&picture, name));
                checks.extend(CONTROL_PLANE.iter().map(control_plane));
            }
            Err(why) => checks.push(check("nodes are ready", Err(why))),
        }
    }
    Ok(checks)
}

async fn stage(node: &Node) -> Result<String, String> {
    let status = node.machine_status().await.map_err(|why| why.to_string())?;
    let unmet = status.status.unmet();
    match (status.stage.as_str(), status.status.ready) {
        ("running", true) => Ok("running, and all it watches over is well".to_owned()),
        (stage, _) if unmet.is_empty() => Err(format!("it is {stage}")),
        (stage, _) => Err(format!("it is {stage}; {}", unmet.join(", "))),
    }
}

/// Every machine of the control plane must know the same members, and be one of as many.
async fn members(controls: &[(SocketAddr, Node)]) -> Result<String, String> {
    let mut known: Option<BTreeSet<(u64, String)>> = None;
    for (at, node) in controls {
        let members = node.etcd_members(true).await.map_err(|why| why.to_string())?;
        if let Some(learner) = members.iter().find(|member| member.learner) {
            return Err(format!("{} does not vote yet, as {at} knows it", learner.hostname));
        }
        let members: BTreeSet<_> = members.into_iter().map(|member| (member.id, member.hostname)).collect();
        match &known {
            None => known = Some(members),
            Some(known) if *known == members => {}
            Some(known) => {
                return Err(format!("{at} knows {}, another one {}", told(&members), told(known)));
            }
        }
    }
    let known = known.ok_or("no machine of the control plane answers")?;
    if known.len() < controls.len() {
        return Err(format!(
            "{} machines of the control plane, and {} are members",
            controls.len(),
            told(&known)
        ));
    }
    Ok(told(&known))
}

fn told(members: &BTreeSet<(u64, String)>) -> String {
    let names: Vec<&str> = members.iter().map(|(_, name)| name.as_str()).collect();
    names.join(", ")
}

async fn version(kubeconfig: &str) -> Result<String, String> {
    let client = Client::new(kubeconfig.as_bytes(), Arc::new(Tcp)).map_err(|why| why.to_string())?;
    let version = client.version().await.map_err(|why| why.to_string())?;
    Ok(format!("{version} at {}", client.server()))
}

/// One whole look at the cluster.
async fn look(kubeconfig: &str) -> Result<Picture, String> {
    let watch = Watch::spawn(kubeconfig.as_bytes(), Arc::new(Tcp)).map_err(|why| why.to_string())?;
    let mut picture = watch.picture();
    let settled = picture.wait_for(|picture| picture.link() == Link::Live);
    match timeout(LOOKING, settled).await {
        Ok(Ok(picture)) => Ok(picture.clone()),
        Ok(Err(_)) | Err(_) => Err(format!("nodes and pods were not seen within {} s", LOOKING.as_secs())),
    }
}

fn nodes(picture: &Picture, machines: usize) -> Result<String, String> {
    let mut ready = 0;
    for node in picture.nodes() {
        match &node.state {
            NodeState::Ready => ready += 1,
            NodeState::NotReady { reason } => return Err(format!("{} is not: {reason}", node.name)),
        }
    }
    if ready < machines {
        Err(format!("{ready} nodes of {machines} machines"))
    } else {
        Ok(format!("{ready} nodes"))
    }
}

fn pods(picture: &Picture, begins: &str) -> Result<String, String> {
    let pods = picture.pods().filter(|pod| {
        pod.name.namespace == "kube-system"
            && pod.name.name.strip_prefix(begins).is_some_and(|rest| rest.starts_with('-'))
    });
    let mut ready = 0;
    for pod in pods {
        match &pod.state {
            PodState::Ready => ready += 1,
            PodState::Terminating => {}
            state => return Err(format!("{} {}", pod.name.name, state.told())),
        }
    }
    if ready == 0 {
        Err("no pod of it is seen in kube-system".to_owned())
    } else {
        Ok(format!("{ready} ready"))
    }
}
