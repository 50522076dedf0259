//! `talos apply`: a config for nodes that wait, or for nodes that have one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use talos::api::{Apply, ApplyMode, ApplyOutcome, Push, push};

use super::nodes::{Chosen, InsecureArgs, NodesArgs, each, running};
use crate::cli::failure::Failure;
use crate::cli::out;

/// When a config takes effect.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// The node decides
    Auto,
    /// With a reboot; not from 1.14 on
    Reboot,
    /// At once, or not at all
    NoReboot,
    /// With the next boot
    Staged,
    /// At once, and taken back after a minute
    Try,
}

/// What is applied where.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    nodes: NodesArgs,
    #[command(flatten)]
    insecure: InsecureArgs,
    /// The machine config
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// When it takes effect
    #[arg(long, value_enum, default_value = "auto")]
    mode: Mode,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// After --insecure, wait so long for the node to answer as one of the talosconfig's cluster
    #[arg(long, value_name = "SECONDS", requires = "insecure", conflicts_with = "dry_run")]
    confirm: Option<u64>,
}

/// Gives nodes a config.
pub(super) fn apply(args: &ApplyArgs) -> Result<(), Failure> {
    let chosen = Chosen::read(&args.nodes, Some(&args.insecure))?;
    let config = std::fs::read(&args.file)
        .map_err(|why| Failure::with_advice(format!("{}: {why}", args.file.display()), "give --file FILE"))?;
    let mode = match args.mode {
        Mode::Auto => ApplyMode::Auto,
        Mode::Reboot => ApplyMode::Reboot,
        Mode::NoReboot => ApplyMode::NoReboot,
        Mode::Staged => ApplyMode::Staged,
        Mode::Try => ApplyMode::Try,
    };
    let how = Apply { mode, dry_run: args.dry_run };
    running(each(&chosen.addresses, |at| {
        let (chosen, config) = (&chosen, &config);
        async move {
            let outcome = match args.confirm {
                Some(seconds) => {
                    let (waiting, configured) = (chosen.waiting(at), chosen.ours(at)?);
                    let limit = Duration::from_secs(seconds);
                    push(Push { waiting: &waiting, configured: &configured, config, limit }).await
                }
                None if args.insecure.insecure => chosen.waiting(at).apply_configuration(config, how).await,
                None => chosen.ours(at)?.apply_configuration(config, how).await,
            };
            told(at, &outcome, args.confirm.is_some())
        }
    }))
}

/// What an outcome says; without --confirm a yes is all there can be.
fn told(at: SocketAddr, outcome: &ApplyOutcome, confirming: bool) -> Result<(), Failure> {
    let (code, advice) = (outcome.code(), outcome.advice());
    let why = match outcome {
        ApplyOutcome::Unconfirmed { warnings, details, fingerprint } if !confirming => {
            for warning in warnings {
                out::complain(&format!("{at}: {warning}"));
            }
            let key = fingerprint.map(|key| format!(", fingerprint {key}")).unwrap_or_default();
            return out::line(format!("{at}: taken, not confirmed{key}\n{details}").trim_end());
        }
        ApplyOutcome::Confirmed { version, warnings } => {
            for warning in warnings {
                out::complain(&format!("{at}: {warning}"));
            }
            return out::line(&format!("{at}: confirmed, {version}"));
        }
        ApplyOutcome::AlreadyConfigured { ours: true } if confirming => {
            return out::line(&format!("{at}: had a config of this cluster before, nothing was sent"));
        }
        ApplyOutcome::Unconfirmed { .. } => {
            "it said yes, and did not come back under its new identity".to_owned()
        }
        ApplyOutcome::AlreadyConfigured { .. } => "it has a config already, nothing was sent".to_owned(),
        ApplyOutcome::WrongCluster => "it is of another cluster, nothing was sent".to_owned(),
        ApplyOutcome::Refused(refusal) => {
            let field = refusal.field.as_ref().map(|field| format!(" ({field})")).unwrap_or_default();
            format!("it refuses the config{field}: {}", refusal.problems.join("; "))
        }
        ApplyOutcome::Impostor { expected, seen } => {
            format!("its key is {seen}, expected {expected}, nothing was sent")
        }
        ApplyOutcome::Unreachable(error) => error.to_string(),
        ApplyOutcome::ReplyLost { why, .. } => format!("the reply was lost: {why}"),
    };
    Err(Failure::with_advice(format!("{at}: {why} [{code}]"), advice))
}
