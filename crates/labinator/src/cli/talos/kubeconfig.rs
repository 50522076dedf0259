//! `talos kubeconfig`: the administrator's kubeconfig from the secrets alone.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use talos::config::Endpoint;
use talos::kubeconfig::{Said, differences, mint, read};
use talos::pki::OsRandom;

use super::generate::{now, read_secrets};
use super::nodes::{Chosen, NodesArgs, failed, running};
use super::private::{self, Written};
use crate::cli::failure::Failure;
use crate::cli::out;

/// Whose kubeconfig.
#[derive(Debug, Clone, Args)]
pub struct KubeconfigArgs {
    /// The cluster's secrets.yaml
    #[arg(long, value_name = "FILE")]
    pub secrets: PathBuf,
    /// Where its Kubernetes API is.
    #[arg(long, value_name = "URL", help = "Where its Kubernetes API is, such as https://10.0.0.10:6443")]
    pub endpoint: Endpoint,
    /// Name of the cluster [default: the endpoint's host]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// File to write instead of standard output; one that is there is replaced with --force only
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the file anew if it is there
    #[arg(long, requires = "output")]
    pub force: bool,
    /// A kubeconfig from elsewhere: print where it differs, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    pub compare: Option<PathBuf>,
    /// A control plane's address: fetch the kubeconfig that it mints, and print where it differs
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["output", "compare"])]
    pub from_node: Option<String>,
    /// With --from-node: client config [default: $TALOSCONFIG, else ~/.talos/config]
    #[arg(long, value_name = "FILE", requires = "from_node")]
    pub talosconfig: Option<PathBuf>,
    /// With --compare or --from-node: print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Compared {
    same: bool,
    differences: Vec<String>,
}

/// Carries out the verb.
pub(super) fn kubeconfig(args: &KubeconfigArgs) -> Result<(), Failure> {
    let secrets = read_secrets(&args.secrets)?;
    let cluster = args.cluster.as_deref().unwrap_or_else(|| args.endpoint.host());
    let made = mint(&secrets, cluster, &args.endpoint, now(), &mut OsRandom::new())
        .map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?;
    if let Some(path) = &args.compare {
        let broken = |why: &dyn std::fmt::Display| Failure::failed(format!("{}: {why}", path.display()));
        let content = std::fs::read_to_string(path).map_err(|why| broken(&why))?;
        let theirs = read(&content).map_err(|why| broken(&why))?;
        let ours = read(&made).map_err(|why| Failure::failed(why.to_string()))?;
        return compared(args, &ours, &theirs);
    }
    if let Some(node) = &args.from_node {
        let chosen = Chosen::read(&NodesArgs::of(node, args.talosconfig.clone()), None)?;
        let text = running(async {
            let [at] = chosen.addresses.as_slice() else {
                return Err(Failure::Usage("one node is asked: give one address".to_owned()));
            };
            chosen.ours(*at)?.kubeconfig().await.map_err(|why| failed(&why))
        })?;
        let theirs = read(&text).map_err(|why| Failure::failed(format!("what {node} mints: {why}")))?;
        let ours = read(&made).map_err(|why| Failure::failed(why.to_string()))?;
        return compared(args, &ours, &theirs);
    }
    let Some(path) = &args.output else { return out::print(&made) };
    if !args.force {
        private::absent(path, "--force writes it anew")?;
    }
    private::write(path, &made, Written::Anew)
}

/// Names that nobody chose are not compared.
fn compared(args: &KubeconfigArgs, ours: &Said, theirs: &Said) -> Result<(), Failure> {
    let mut ours = ours.clone();
    if args.cluster.is_none() {
        ours.cluster.clone_from(&theirs.cluster);
        ours.context.clone_from(&theirs.context);
    }
    let differences = differences(&ours, theirs);
    let same = differences.is_empty();
    if args.json {
        out::json(&Compared { same, differences }, true)?;
    } else if same {
        out::line("the same cluster and the same rights")?;
    } else {
        out::line(&differences.join("\n"))?;
    }
    if same { Ok(()) } else { Err(Failure::Said(1)) }
}
