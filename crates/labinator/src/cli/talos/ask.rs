//! `talos bootstrap|version|services|service|reboot|shutdown|reset`: nodes asked over their machine API.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use talos::api::{Bootstrap, Reset, Seen, ServiceOrder, Wipe};

use super::nodes::{Chosen, InsecureArgs, NodesArgs, each, failed, running};
use crate::cli::failure::Failure;
use crate::cli::out;

/// Which nodes are asked for something.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    #[command(flatten)]
    pub(super) nodes: NodesArgs,
    #[command(flatten)]
    pub(super) insecure: InsecureArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which node begins its cluster's etcd.
#[derive(Debug, Clone, Args)]
pub struct BootstrapArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Ask again for so long while the node says that it is not ready for it
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
}

/// Which nodes boot anew.
#[derive(Debug, Clone, Args)]
pub struct RebootArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Wait so long for another boot
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    wait: u64,
}

/// Which nodes power off.
#[derive(Debug, Clone, Args)]
pub struct ShutdownArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Without draining the node and leaving etcd's lead first
    #[arg(long)]
    force: bool,
}

/// What a service is told.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OrderName {
    /// Run, if it does not
    Start,
    /// Do not run
    Stop,
    /// Run anew
    Restart,
}

/// Which service of which nodes is told what.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// What it is told; Talos takes it for the kubelet and extensions only
    #[arg(value_enum, value_name = "ORDER")]
    order: OrderName,
    /// A service, such as `kubelet`
    #[arg(value_name = "SERVICE")]
    service: String,
    #[command(flatten)]
    nodes: NodesArgs,
}

/// Which nodes are wiped, and how.
#[derive(Debug, Clone, Args)]
pub struct ResetArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Leave etcd and Kubernetes first; fails in a dead cluster
    #[arg(long)]
    graceful: bool,
    /// Come back afterwards, instead of powering off
    #[arg(long)]
    reboot: bool,
    /// Wipe only these partitions, with commas between them: STATE,EPHEMERAL keeps Talos installed
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    partitions: Vec<String>,
}

/// Begins a cluster's etcd on one node.
pub(super) fn bootstrap(args: &BootstrapArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    let [at] = chosen.addresses.as_slice() else {
        return Err(Failure::Usage("a cluster is begun on exactly one node: give one address".to_owned()));
    };
    running(async {
        let begun = chosen.ours(*at)?.bootstrap_within(Duration::from_secs(args.wait)).await;
        match begun.map_err(|why| failed(&why))? {
            Bootstrap::Begun => out::line(&format!("{at}: etcd begins")),
            Bootstrap::AlreadyThere => out::line(&format!("{at}: etcd was begun before, nothing was done")),
            Bootstrap::NotYet { text } => Err(Failure::TimedOut(format!("{at}: {text}"))),
            Bootstrap::Never { text } => {
                Err(Failure::with_advice(format!("{at}: {text}"), "give a control plane's address"))
            }
            Bootstrap::Unknown { why } => Err(Failure::with_advice(
                format!("{at}: the reply was lost: {why}"),
                "ask the same node again, never another one",
            )),
        }
    })
}

/// Prints nodes' releases; of waiting ones, what a probe finds.
pub(super) fn version(args: &AskArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, Some(&args.insecure))?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            if args.insecure.insecure {
                return seen(at, &chosen.waiting(at).probe().await, args.json);
            }
            let version = chosen.ours(at)?.version().await.map_err(|why| failed(&why))?;
            if args.json {
                let all = json!({"node": at, "version": version.tag, "sha": version.sha, "arch": version.arch, "platform": version.platform});
                return out::json(&all, false);
            }
            out::line(&format!("{at}: {} ({}, {})", version.tag, version.platform, version.arch))
        }
    }))
}

fn seen(at: SocketAddr, seen: &Seen, json: bool) -> Result<(), Failure> {
    let text = match seen {
        Seen::Maintenance { character, fingerprint, version } => {
            if json {
                let all = json!({"node": at, "maintenance": true, "character": format!("{character:?}"), "fingerprint": fingerprint.to_string(), "version": version});
                return out::json(&all, false);
            }
            let version = version.as_deref().unwrap_or("1.12 or earlier");
            return out::line(&format!("{at}: waits for a config, {version}, fingerprint {fingerprint}"));
        }
        Seen::Configured => "has a config; ask with --talosconfig",
        Seen::NotReady => "has a config and no certificate yet",
        Seen::Closed => "is up and answers not: it boots or installs",
        Seen::Silent { why } | Seen::NotTalos { why } => why,
        Seen::Impostor { seen } => {
            return Err(Failure::failed(format!("{at}: its key is {seen}, not the pinned one")));
        }
    };
    Err(Failure::failed(format!("{at}: {text}")))
}

/// Prints nodes' services.
pub(super) fn services(args: &AskArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, Some(&args.insecure))?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let node = if args.insecure.insecure { chosen.waiting(at) } else { chosen.ours(at)? };
            for service in node.services().await.map_err(|why| failed(&why))? {
                let health =
                    service.healthy.map_or("?", |healthy| if healthy { "healthy" } else { "not healthy" });
                if args.json {
                    out::json(
                        &json!({"node": at, "id": service.id, "state": service.state, "healthy": service.healthy, "message": service.message}),
                        false,
                    )?;
                } else {
                    out::line(&format!(
                        "{at}  {:<12} {:<12} {health:<12} {}",
                        service.id, service.state, service.message
                    ))?;
                }
            }
            Ok(())
        }
    }))
}

/// Reboots nodes, and waits until each answers from another boot.
pub(super) fn reboot(args: &RebootArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let node = chosen.ours(at)?;
            let before = node.boot_id().await.map_err(|why| failed(&why))?;
            node.reboot().await.map_err(|why| failed(&why))?;
            node.next_boot(&before, Duration::from_secs(args.wait)).await.map_err(|why| failed(&why))?;
            out::line(&format!("{at}: booted"))
        }
    }))
}

/// Powers nodes off.
pub(super) fn shutdown(args: &ShutdownArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let actor = chosen.ours(at)?.shutdown(args.force).await.map_err(|why| failed(&why))?;
            out::line(&format!("{at}: powers off ({actor})"))
        }
    }))
}

/// Starts, stops or restarts a service.
pub(super) fn service(args: &ServiceArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    let order = match args.order {
        OrderName::Start => ServiceOrder::Start,
        OrderName::Stop => ServiceOrder::Stop,
        OrderName::Restart => ServiceOrder::Restart,
    };
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let said = chosen.ours(at)?.tell_service(&args.service, order).await;
            out::line(&format!("{at}: {}", said.map_err(|why| failed(&why))?))
        }
    }))
}

/// Wipes nodes.
pub(super) fn reset(args: &ResetArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let wipe = if args.partitions.is_empty() {
                Wipe::Everything
            } else {
                Wipe::Partitions(args.partitions.clone())
            };
            let how = Reset { graceful: args.graceful, reboot: args.reboot, wipe };
            let actor = chosen.ours(at)?.reset(how).await.map_err(|why| failed(&why))?;
            out::line(&format!("{at}: wipes itself ({actor})"))
        }
    }))
}
