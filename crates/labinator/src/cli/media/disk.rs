//! The loader on a machine's own disk: put there, taken away, looked at.

use api::{LoaderAsk, LoaderWish};
use model::{DiskLoaders, FirmwareEntry, Origin, SystemPartition};

use super::{DiskArgs, ShowArgs};
use crate::cli::client::Client;
use crate::cli::out::{self, Look};
use crate::cli::{Failure, Globals};

/// Puts it there, with the lab file's address or by DHCP; or takes it away, where that is not said.
pub(super) async fn change(
    globals: &Globals,
    args: DiskArgs,
    fixed_address: Option<bool>,
) -> Result<(), Failure> {
    let DiskArgs { node, disk, force, json } = args;
    let ask = LoaderAsk {
        wish: if fixed_address.is_some() { LoaderWish::Install } else { LoaderWish::Remove },
        disk,
        force,
        fixed_address: fixed_address.unwrap_or_default(),
        by: Origin::Cli,
    };
    let how: DiskLoaders = Client::new(globals).post(&path(&node), &ask).await?;
    if json {
        return out::json(&how, true);
    }
    if Look::new(globals).quiet {
        return Ok(());
    }
    match (how.done.is_empty(), ask.wish) {
        (true, LoaderWish::Install) => out::line(&format!("{node}: all of it is there already"))?,
        (true, LoaderWish::Remove) => out::line(&format!("{node}: nothing of it is there"))?,
        (false, _) => how.done.iter().try_for_each(|step| out::line(&format!("{node}: {step}")))?,
    }
    tell(&how)
}

/// Tells how it is.
pub(super) async fn show(globals: &Globals, args: ShowArgs) -> Result<(), Failure> {
    let how: DiskLoaders = Client::new(globals).get(&path(&args.node)).await?;
    if args.json {
        return out::json(&how, true);
    }
    if how.places.is_empty() {
        out::line(&format!("{}: no disk has an EFI system partition", args.node))?;
    }
    how.places.iter().try_for_each(|place| out::line(&of_place(place)))?;
    tell(&how)
}

fn path(node: &str) -> String {
    format!("/v1/nodes/{node}/loader")
}

fn of_place(place: &SystemPartition) -> String {
    let SystemPartition { partition, free, loaders, fault, .. } = place;
    if !fault.is_empty() {
        return format!("{partition}: {fault}");
    }
    let room = free.map(|free| format!(", {} KiB free", free >> 10)).unwrap_or_default();
    let of_loader = |loader: &model::FoundLoader| {
        let lab = loader.lab_key.map_or_else(
            || "it is damaged".to_owned(),
            |key| format!("for the lab with key {}", key.short()),
        );
        format!("{} ({lab})", loader.file)
    };
    match loaders.iter().map(of_loader).collect::<Vec<_>>() {
        none if none.is_empty() => format!("{partition}: no loader of ours{room}"),
        some => format!("{partition}: {}{room}", some.join(", ")),
    }
}

/// The order of the firmware.
fn tell(how: &DiskLoaders) -> Result<(), Failure> {
    let line = |entry: &FirmwareEntry| {
        let ours = if entry.is_ours { "  <- our loader" } else { "" };
        let tried = if entry.is_tried { "" } else { "  (not tried)" };
        format!("  {entry}{tried}{ours}")
    };
    out::line("its firmware tries")?;
    how.entries.iter().try_for_each(|entry| out::line(&line(entry)))
}
