//! `talos etcd`: the members of a cluster's etcd, its database, and who is taken out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::nodes::{Chosen, NodesArgs, each, failed, not_arrived, running};
use super::private::{self, Beside, Written};
use crate::cli::failure::Failure;
use crate::cli::out;

/// Whose etcd.
#[derive(Debug, Clone, Args)]
pub struct EtcdArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where a snapshot goes.
#[derive(Debug, Clone, Args)]
pub struct SnapshotArgs {
    /// File to write; one that is there is not replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    nodes: NodesArgs,
}

/// Who is taken out.
#[derive(Debug, Clone, Args)]
pub struct RemoveArgs {
    /// Its number, as `members` prints it
    #[arg(value_name = "MEMBER", value_parser = member_id)]
    member: u64,
    #[command(flatten)]
    nodes: NodesArgs,
}

/// What is asked about etcd.
#[derive(Debug, Clone, Subcommand)]
pub enum EtcdVerb {
    /// Let another member lead, if the one on this node does
    ForfeitLeadership(NodesArgs),
    /// Take the member on this node out of etcd
    Leave(NodesArgs),
    /// List the members, as each node knows them
    Members(EtcdArgs),
    /// Take out a member whose machine will not come back; any other control plane is asked
    RemoveMember(RemoveArgs),
    /// Write etcd's database into a file, its checksum verified
    Snapshot(SnapshotArgs),
    /// Say how each node's member is
    Status(EtcdArgs),
}

fn member_id(word: &str) -> Result<u64, String> {
    u64::from_str_radix(word, 16)
        .map_err(|_| "a member's number is hexadecimal, as `etcd members` prints it".to_owned())
}

/// Carries out the verb.
pub(super) fn etcd(verb: &EtcdVerb) -> Result<(), Failure> {
    match verb {
        EtcdVerb::ForfeitLeadership(nodes) => forfeit(nodes),
        EtcdVerb::Leave(nodes) => leave(nodes),
        EtcdVerb::Members(args) => members(args),
        EtcdVerb::RemoveMember(args) => remove(args),
        EtcdVerb::Snapshot(args) => snapshot(args),
        EtcdVerb::Status(args) => status(args),
    }
}

fn status(args: &EtcdArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            let status = chosen.ours(at)?.etcd_status().await.map_err(|why| failed(&why))?;
            let leads = status.leader == status.member;
            if args.json {
                let all = json!({"node": at, "member": format!("{:x}", status.member), "leader": format!("{:x}", status.leader),
                    "learner": status.learner, "bytes": status.size, "errors": status.errors});
                return out::json(&all, false);
            }
            let errors = if status.errors.is_empty() { "well".to_owned() } else { status.errors.join("; ") };
            let role = if leads { "leads" } else { "follows" };
            out::line(&format!("{at}  {:x} {role}, {} kB, {errors}", status.member, status.size / 1000))
        }
    }))
}

fn members(args: &EtcdArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    running(each(&chosen.addresses, |at| {
        let chosen = &chosen;
        async move {
            for member in chosen.ours(at)?.etcd_members(true).await.map_err(|why| failed(&why))? {
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

fn snapshot(args: &SnapshotArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    let at = chosen.one("a snapshot is of one node's member")?;
    private::absent(&args.file, "give another name: a snapshot replaces nothing")?;
    let mut beside = Beside::of(&args.file)?;
    running(async {
        let read = chosen.ours(at)?.etcd_snapshot(&mut |piece| beside.put(piece)).await;
        let size = read.map_err(|why| not_arrived(at, &why))?;
        beside.done(Written::Never)?;
        out::line(&format!("{}: {size} bytes, whole", args.file.display()))
    })
}

fn remove(args: &RemoveArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, None)?;
    let at = chosen.one("one node takes a member out")?;
    running(async {
        let node = chosen.ours(at)?;
        node.etcd_remove(args.member).await.map_err(|why| failed(&why))?;
        out::line(&format!("{:x} is no member any more", args.member))
    })
}

fn leave(nodes: &NodesArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(nodes, None)?;
    // All members at once would be the end of the database.
    let at = chosen.one("one node leaves at a time")?;
    running(async {
        chosen.ours(at)?.etcd_leave().await.map_err(|why| failed(&why))?;
        out::line(&format!("{at}: its member is no member any more"))
    })
}

fn forfeit(nodes: &NodesArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(nodes, None)?;
    let at = chosen.one("one member gives up the lead")?;
    running(async {
        match chosen.ours(at)?.etcd_forfeit().await.map_err(|why| failed(&why))? {
            Some(member) => out::line(&format!("{member} leads")),
            None => out::line(&format!("{at}: it does not lead, nothing was done")),
        }
    })
}
