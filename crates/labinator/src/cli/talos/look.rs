//! `talos disks|etcd|logs|dmesg|upgrade`: what a node is made of, what it writes, and another release on it.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use talos::api::{Extent, LogSource};

use super::nodes::{Chosen, InsecureArgs, NodesArgs, each, failed, running};
use crate::cli::failure::Failure;
use crate::cli::out;

/// Which nodes' disks.
#[derive(Debug, Clone, Args)]
pub struct DisksArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    insecure: InsecureArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Whose etcd.
#[derive(Debug, Clone, Args)]
pub struct EtcdArgs {
    #[command(flatten)]
    pub(super) nodes: NodesArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What is asked about etcd.
#[derive(Debug, Clone, Subcommand)]
pub enum EtcdVerb {
    /// List the members, as each node knows them
    Members(EtcdArgs),
    /// Say how each node's member is
    Status(EtcdArgs),
}

/// Whose log.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// A service, such as `kubelet` or `etcd`
    #[arg(value_name = "SERVICE")]
    service: String,
    #[command(flatten)]
    log: LogArgs,
}

/// How much of a log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
}

/// Which release comes onto which nodes.
#[derive(Debug, Clone, Args)]
pub struct UpgradeArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Installer image, such as `ghcr.io/siderolabs/installer:v1.12.11`
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Wait so long for each node to boot it, before the next is asked
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    wait: u64,
}

/// Prints nodes' disks.
pub(super) fn disks(args: &DisksArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, Some(&args.insecure))?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let node = if args.insecure.insecure { chosen.waiting(at) } else { chosen.ours(at)? };
            for disk in node.disks().await.map_err(|why| failed(&why))? {
                if args.json {
                    out::json(
                        &json!({"node": at, "device": disk.device, "bytes": disk.size, "model": disk.model, "serial": disk.serial,
                            "wwid": disk.wwid, "system": disk.system, "read_only": disk.read_only}),
                        false,
                    )?;
                    continue;
                }
                let marks = [(disk.system, "Talos is on it"), (disk.read_only, "cannot be written")];
                let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
                let line = format!(
                    "{at}  {:<16} {:>8} MB  {} {}  {}",
                    disk.device,
                    disk.size / 1_000_000,
                    disk.model,
                    disk.serial,
                    marks.join(", ")
                );
                out::line(line.trim_end())?;
            }
            Ok(())
        }
    }))
}

/// Prints what nodes know of etcd.
pub(super) fn etcd(verb: &EtcdVerb) -> Result<(), Failure> {
    let (EtcdVerb::Members(args) | EtcdVerb::Status(args)) = verb;
    let chosen = Chosen::read(&args.nodes, None)?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let node = chosen.ours(at)?;
            if let EtcdVerb::Status(_) = verb {
                let status = node.etcd_status().await.map_err(|why| failed(&why))?;
                let leads = status.leader == status.member;
                if args.json {
                    let all = json!({"node": at, "member": format!("{:x}", status.member), "leader": format!("{:x}", status.leader),
                        "learner": status.learner, "bytes": status.size, "errors": status.errors});
                    return out::json(&all, false);
                }
                let errors =
                    if status.errors.is_empty() { "well".to_owned() } else { status.errors.join("; ") };
                let role = if leads { "leads" } else { "follows" };
                return out::line(&format!(
                    "{at}  {:x} {role}, {} kB, {errors}",
                    status.member,
                    status.size / 1000
                ));
            }
            for member in node.etcd_members(true).await.map_err(|why| failed(&why))? {
                if args.json {
                    let all = json!({"node": at, "member": format!("{:x}", member.id), "hostname": member.hostname,
                        "learner": member.learner, "peers": member.peer_urls});
                    out::json(&all, false)?;
                } else {
                    let learns = if member.learner { ", does not vote yet" } else { "" };
                    let peers = member.peer_urls.join(", ");
                    out::line(&format!("{at}  {:x} {}{learns}  {peers}", member.id, member.hostname))?;
                }
            }
            Ok(())
        }
    }))
}

/// Prints the log of a service.
pub(super) fn logs(args: &LogsArgs) -> Result<(), Failure> {
    log(&args.log, LogSource::Service(&args.service))
}

/// Prints the kernel's log.
pub(super) fn dmesg(args: &LogArgs) -> Result<(), Failure> {
    log(args, LogSource::Kernel)
}

fn log(args: &LogArgs, source: LogSource<'_>) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    if args.follow && chosen.addresses.len() != 1 {
        return Err(Failure::Usage("one node's log is followed: give one address".to_owned()));
    }
    let extent = if args.follow { Extent::Followed } else { Extent::Kept };
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let node = chosen.ours(at)?;
            let mut text = node.log(source, extent).await.map_err(|why| failed(&why))?;
            while let Some(piece) = text.next().await.map_err(|why| failed(&why))? {
                out::print(&String::from_utf8_lossy(&piece))?;
            }
            Ok(())
        }
    }))
}

/// Puts another release on nodes, one after the other: a cluster bears one that is away. The first that does not come
/// back ends it.
pub(super) fn upgrade(args: &UpgradeArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(async {
        for at in &chosen.addresses {
            let mut said = Vec::new();
            let node = chosen.ours(*at)?;
            let before = node.boot_id().await.map_err(|why| failed(&why))?;
            node.upgrade(&args.image, |step| said.push(step.to_owned())).await.map_err(|why| failed(&why))?;
            node.next_boot(&before, Duration::from_secs(args.wait)).await.map_err(|why| failed(&why))?;
            out::line(&format!("{at}: {}; booted", said.join("; ")))?;
        }
        Ok(())
    })
}
