//! `talos export`: secrets and client configs of the cluster that this boss built last, out of its sealed store.

use std::path::{Path, PathBuf};

use clap::Args;
use talos::pki::OsRandom;
use talos::talosconfig::{ADMIN, Context, TalosConfig};
use zeroize::Zeroizing;

use super::generate::now;
use super::private::{self, Written};
use crate::cli::failure::Failure;
use crate::cli::out;
use crate::cluster::{Built, latest};
use crate::start::state_folder;

/// Which cluster, and where to.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Folder for secrets.yaml, talosconfig and kubeconfig
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// The controller's state folder [default: /var/lib/labinator as root, else ~/.local/state/labinator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Write files anew that are there
    #[arg(long)]
    pub force: bool,
}

/// Carries out the verb.
pub(super) fn export(args: &ExportArgs) -> Result<(), Failure> {
    let state = args.state.clone().unwrap_or_else(state_folder);
    let built =
        latest(&state).map_err(|why| Failure::with_advice(why, "start a scenario with `talos` first"))?;
    let files = contents(&built)?;
    let over = if args.force { Written::Anew } else { Written::Never };
    for (name, _) in &files {
        if !args.force {
            private::absent(&args.output.join(name), "--force writes it anew")?;
        }
    }
    std::fs::create_dir_all(&args.output)
        .map_err(|why| Failure::failed(format!("{}: {why}", args.output.display())))?;
    for (name, content) in &files {
        private::write(&args.output.join(name), content, over)?;
    }
    let Built { scenario, run, .. } = &built;
    out::line(&format!("{} of {scenario}, run {run}: {}", listed(&files), shown(&args.output)))
}

type Files = [(&'static str, Zeroizing<String>); 3];

fn contents(built: &Built) -> Result<Files, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::failed(why.to_string());
    let Built { scenario, secrets, endpoint, addresses, .. } = built;
    let kubeconfig =
        talos::kubeconfig::mint(secrets, scenario.as_str(), endpoint, now(), &mut OsRandom::new());
    let context = Context::mint(secrets.os(), &[ADMIN], addresses.clone(), now(), &mut OsRandom::new());
    let mut client = TalosConfig::default();
    client.merge(scenario.as_str(), &context.map_err(|why| failed(&why))?);
    Ok([
        ("secrets.yaml", secrets.to_yaml().map_err(|why| failed(&why))?),
        ("talosconfig", client.to_yaml()),
        ("kubeconfig", kubeconfig.map_err(|why| failed(&why))?),
    ])
}

fn listed(files: &Files) -> String {
    files.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn shown(folder: &Path) -> String {
    folder.display().to_string()
}
