//! `talos volume`: a machine's config as a volume that Talos finds by its label, for machines that nobody can push to.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use model::{LabSpec, NodeName, NodeSpec};
use sha2::{Digest as _, Sha256};
use talos::validate::{Asked, Mode, check};
use zeroize::Zeroizing;

use super::patch::{read, refused};
use super::private::{self, Written};
use crate::cli::failure::Failure;
use crate::cli::out;
use crate::cluster::latest;
use crate::image::nocloud::{LABEL, Nocloud};
use crate::start::state_folder;

/// What Talos takes for somebody else's config, or for the address of another one.
const NOT_TALOS: [&str; 2] = ["#cloud-config", "#include"];

/// Whose config, and where to.
#[derive(Debug, Clone, Args)]
pub struct VolumeArgs {
    /// A machine of the cluster that this boss built last
    #[arg(value_name = "NODE", required_unless_present = "config")]
    pub node: Option<NodeName>,
    /// A machine config, `-` for standard input, instead of one of this boss's
    #[arg(long, value_name = "FILE", conflicts_with_all = ["node", "state"])]
    pub config: Option<PathBuf>,
    /// The file to write: an image of a whole disk, without partitions
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Write the file anew if it is there
    #[arg(long)]
    pub force: bool,
    /// The controller's state folder [default: /var/lib/labinator as root, else ~/.local/state/labinator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// Carries out the verb.
pub(super) fn volume(args: &VolumeArgs) -> Result<(), Failure> {
    let output = &args.output;
    if output.symlink_metadata().is_ok_and(|there| !there.is_file()) {
        let why = format!("{} is no file that could be written anew", output.display());
        return Err(Failure::with_advice(
            why,
            "write a file, and copy it onto the stick: dd if=FILE of=DEVICE bs=1M",
        ));
    }
    if !args.force {
        private::absent(output, "--force writes it anew")?;
    }
    let (files, whose) = match (&args.config, &args.node) {
        (Some(path), _) => (of_file(path)?, path.display().to_string()),
        (None, Some(node)) => of_lab(args.state.clone().unwrap_or_else(state_folder).as_path(), node)?,
        (None, None) => return Err(Failure::Usage("name a machine, or a config with --config".to_owned())),
    };
    let over = if args.force { Written::Anew } else { Written::Never };
    let image = files.volume().map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?;
    private::write_bytes(output, &image, over)?;
    out::line(&format!("{}: the config of {whose}, keys and all, on a volume {LABEL}", output.display()))?;
    out::line("attach it as a disk of its own to a machine whose kernel line has talos.platform=nocloud")
}

/// A config that was made elsewhere. Its machine has to find its addresses itself.
fn of_file(path: &Path) -> Result<Nocloud, Failure> {
    let text = Zeroizing::new(read(path)?);
    let name = path.display().to_string();
    let first = text.lines().next().unwrap_or_default().trim();
    if NOT_TALOS.contains(&first) {
        let why = format!("{name}: its first line is {first}, and Talos would not take it for a config");
        return Err(Failure::with_advice(why, "give the machine config itself"));
    }
    let mistakes = check(&text, Asked { mode: Mode::Cloud, release: None });
    if !mistakes.is_empty() {
        return Err(refused(&name, &mistakes));
    }
    let digest = Sha256::digest(text.as_bytes());
    let id: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(Nocloud { user_data: text, meta_data: format!("instance-id: {id}\n"), network_config: None })
}

/// A config of the cluster that was built last, and the addresses that the lab has for the machine.
fn of_lab(state: &Path, node: &NodeName) -> Result<(Nocloud, String), Failure> {
    let built =
        latest(state).map_err(|why| Failure::with_advice(why, "start a scenario with `talos` first"))?;
    let (scenario, run) = (&built.scenario, built.run);
    let members: Vec<&NodeName> =
        built.spec.scenarios.get(scenario).into_iter().flat_map(|scenario| scenario.members()).collect();
    let spec = built.spec.board.nodes.get(node).filter(|_| members.contains(&node)).ok_or_else(|| {
        let all: Vec<&str> = members.iter().map(|node| node.as_str()).collect();
        Failure::with_advice(
            format!("{node} is no machine of {scenario}, the cluster that was built last"),
            format!("it has {}", all.join(", ")),
        )
    })?;
    let user_data = built.config(node).map_err(Failure::failed)?;
    let meta_data = format!("instance-id: {scenario}-run-{run}-{node}\nlocal-hostname: {node}\n");
    let network_config =
        Some(network_config(&built.spec, spec).map_err(|why| Failure::failed(why.to_string()))?);
    Ok((Nocloud { user_data, meta_data, network_config }, format!("{node} in {scenario}, run {run}")))
}

/// Version 2 of cloud-init's network configuration, of which Talos reads what stands here.
fn network_config(lab: &LabSpec, node: &NodeSpec) -> Result<String, std::fmt::Error> {
    let network = &lab.network;
    let inside = |net: std::net::Ipv4Addr, prefix: u8| {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        u32::from(node.ip) & mask == u32::from(net) & mask
    };
    let relay = network.relays.iter().find(|relay| inside(relay.subnet, relay.prefix));
    let (prefix, gateway) = relay.map_or((network.prefix, network.gateway), |r| (r.prefix, Some(r.gateway)));
    let mut out = String::from("version: 2\nethernets:\n");
    // The name is for a machine that has no such interface yet; Talos goes by the address then, as soon as there is one.
    writeln!(out, "  eth0:\n    match:\n      macaddress: \"{}\"", node.mac)?;
    writeln!(out, "    addresses:\n      - {}/{prefix}", node.ip)?;
    if let Some(gateway) = gateway {
        writeln!(out, "    gateway4: {gateway}")?;
    }
    if !network.dns.is_empty() {
        writeln!(out, "    nameservers:\n      addresses:")?;
        for server in &network.dns {
            writeln!(out, "        - {server}")?;
        }
    }
    Ok(out)
}
