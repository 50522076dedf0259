//! `talos disks|logs|dmesg|read|upgrade`: what a node is made of, what it writes, and another release on it.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use talos::api::{Extent, LogSource};

use super::nodes::{Chosen, InsecureArgs, NodesArgs, each, failed, not_arrived, running};
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

/// Whose log.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// A service, such as `kubelet` or `etcd`
    #[arg(value_name = "SERVICE")]
    service: String,
    #[command(flatten)]
    log: LogArgs,
    /// Only its last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<u16>,
}

/// Which file of which node.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Its whole path, such as `/proc/cmdline`
    #[arg(value_name = "PATH")]
    path: String,
    #[command(flatten)]
    nodes: NodesArgs,
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

/// Prints the log of a service.
pub(super) fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let extent = match (args.tail, args.log.follow) {
        (None, false) => Extent::Kept,
        (None, true) => Extent::Followed,
        (Some(lines), false) => Extent::Last(lines),
        (Some(lines), true) => Extent::FollowedLast(lines),
    };
    log(&args.log, LogSource::Service(&args.service), extent)
}

/// Prints the kernel's log.
pub(super) fn dmesg(args: &LogArgs) -> Result<(), Failure> {
    log(args, LogSource::Kernel, if args.follow { Extent::Followed } else { Extent::Kept })
}

fn log(args: &LogArgs, source: LogSource<'_>, extent: Extent) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    if args.follow && chosen.addresses.len() != 1 {
        return Err(Failure::Usage("one node's log is followed: give one address".to_owned()));
    }
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let node = chosen.ours(at)?;
            let mut text = node.log(source, extent).await.map_err(|why| failed(&why))?;
            while let Some(piece) = text.next().await.map_err(|why| failed(&why))? {
                out::bytes(&piece)?;
            }
            Ok(())
        }
    }))
}

/// Prints a file of a node as it is.
pub(super) fn read(args: &ReadArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    let at = chosen.one("a file of one node is read")?;
    running(async {
        // Why nothing more could be printed: a reader that went away is no failure.
        let mut stopped = None;
        let mut put = |piece: &[u8]| {
            out::bytes(piece).map_err(|failure| {
                let why = std::io::Error::other(failure.text());
                stopped = Some(failure);
                why
            })
        };
        let read = chosen.ours(at)?.file(&args.path, &mut put).await;
        match (read, stopped) {
            (_, Some(failure)) => Err(failure),
            (Err(why), None) => Err(not_arrived(at, &why)),
            (Ok(_), None) => Ok(()),
        }
    })
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
