//! `talos volume`: a machine's config as a volume that Talos finds by its label, for machines that nobody can push to.
//!
//! What Talos reads of it (platform `nocloud` of v1.9.6 to v1.14.0-rc.1): a file system whose label is `cidata` or
//! `CIDATA`, in the boot sector up to 1.11 and in the root directory from 1.12; on it `user-data`, the config;
//! `network-config`, of which version 2 is understood; and `meta-data`, which is looked at only where there is a
//! `network-config`.

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
use crate::image::fat::{FatError, Settings, Volume};
use crate::start::state_folder;

/// What Talos looks for.
const LABEL: &str = "CIDATA";
/// The smallest volume that is made, in bytes. Talos up to 1.11 looks for ISO 9660 first, in the second 32 KiB, and gives a
/// smaller device up.
const SMALLEST: u64 = 1 << 20;
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

/// The files of a volume. The first holds keys.
struct Files {
    user_data: Zeroizing<String>,
    meta_data: String,
    network_config: Option<String>,
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
    let image = image(&files).map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?;
    private::write_bytes(output, &image, over)?;
    out::line(&format!("{}: the config of {whose}, keys and all, on a volume {LABEL}", output.display()))?;
    out::line("attach it as a disk of its own to a machine whose kernel line has talos.platform=nocloud")
}

/// A config that was made elsewhere. Its machine has to find its addresses itself.
fn of_file(path: &Path) -> Result<Files, Failure> {
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
    Ok(Files { user_data: text, meta_data: format!("instance-id: {id}\n"), network_config: None })
}

/// A config of the cluster that was built last, and the addresses that the lab has for the machine.
fn of_lab(state: &Path, node: &NodeName) -> Result<(Files, String), Failure> {
    let built =
        latest(state).map_err(|why| Failure::with_advice(why, "start a scenario with `talos` first"))?;
    let (scenario, run) = (&built.scenario, built.run);
    let members =
        built.spec.scenarios.get(scenario).map(|scenario| scenario.nodes.as_slice()).unwrap_or_default();
    let spec = built.spec.board.nodes.get(node).filter(|_| members.contains(node)).ok_or_else(|| {
        let all: Vec<&str> = members.iter().map(NodeName::as_str).collect();
        Failure::with_advice(
            format!("{node} is no machine of {scenario}, the cluster that was built last"),
            format!("it has {}", all.join(", ")),
        )
    })?;
    let user_data = built.config(node).map_err(Failure::failed)?;
    let meta_data = format!("instance-id: {scenario}-run-{run}-{node}\nlocal-hostname: {node}\n");
    let network_config =
        Some(network_config(&built.spec, spec).map_err(|why| Failure::failed(why.to_string()))?);
    Ok((Files { user_data, meta_data, network_config }, format!("{node} in {scenario}, run {run}")))
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

/// The volume. What it holds decides every byte.
fn image(files: &Files) -> Result<Zeroizing<Vec<u8>>, FatError> {
    let mut all: Vec<(&str, &[u8])> =
        vec![("user-data", files.user_data.as_bytes()), ("meta-data", files.meta_data.as_bytes())];
    all.extend(files.network_config.as_ref().map(|text| ("network-config", text.as_bytes())));
    let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let content: u64 = all.iter().map(|(_, bytes)| length(bytes)).sum();
    let mut digest = Sha256::new();
    all.iter().for_each(|(_, bytes)| digest.update(bytes));
    let serial = digest.finalize().iter().take(4).fold(0, |serial: u32, byte| serial << 8 | u32::from(*byte));
    let size = content.saturating_mul(2).next_multiple_of(SMALLEST).max(SMALLEST);
    let mut volume = Volume::new(Settings { size, label: Some(LABEL.to_owned()), serial, time: 0 })?;
    for (name, bytes) in all {
        volume.file(name, length(bytes), bytes)?;
    }
    // Whole from the start: memory that grows leaves copies of the keys behind.
    let mut out = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
    volume.write(&mut *out)?;
    Ok(out)
}
