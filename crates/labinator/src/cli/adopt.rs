//! `adopt`: takes over a cluster that runs.

use std::path::PathBuf;
use std::time::Duration;

use api::{AdoptAsk, Adopted, SecretText};
use clap::Args;
use model::{Origin, ScenarioName};

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::wait::{Target, wait_for};

/// Options of `adopt`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct AdoptArgs {
    /// The scenario that describes the cluster
    pub scenario: ScenarioName,
    /// The cluster's secrets: the file that `talosctl gen secrets` or `labinator talos export` wrote
    #[arg(long, value_name = "FILE")]
    pub secrets: PathBuf,
    /// Only look at its machines, and say what each shows
    #[arg(long, conflicts_with = "wait")]
    pub look: bool,
    /// Wait until all of it is found ready
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, such as 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = super::args::duration, default_value = "5m")]
    pub timeout: Duration,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn adopt(client: &Client, args: AdoptArgs, look: Look) -> Result<(), Failure> {
    let AdoptArgs { scenario, secrets, look: only_look, wait, timeout, json } = args;
    let text = std::fs::read_to_string(&secrets).map_err(|why| {
        let advice = "`talosctl gen secrets --from-controlplane-config FILE` makes it of a machine's config";
        Failure::with_advice(format!("{}: {why}", secrets.display()), advice)
    })?;
    let ask = AdoptAsk { secrets: SecretText::new(text), only_look, by: Origin::Cli };
    let adopted: Adopted = client.post(&format!("/v1/scenarios/{scenario}/adopt"), &ask).await?;
    if json && !wait {
        return out::json(&adopted, true);
    }
    if !json && !look.quiet {
        for machine in &adopted.machines {
            out::line(&format!("{}: its Talos is {}", machine.node, machine.sight))?;
        }
    }
    match adopted.accepted {
        Some(accepted) if wait => {
            wait_for(client, &Target::Ready(scenario), &accepted, timeout, (look, json)).await
        }
        Some(_) if !look.quiet => {
            out::line(&format!("{scenario}: taken over; nothing was written to its machines"))
        }
        Some(_) | None => Ok(()),
    }
}
