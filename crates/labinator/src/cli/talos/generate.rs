//! `talos gen`: secrets, configs for both roles, and the administrator's own file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use model::WallTime;
use serde::Serialize;
use talos::config::{Endpoint, Input, InputError, Options, Role, text};
use talos::pki::OsRandom;
use talos::release::{Minor, Version, installer};
use talos::secrets::Secrets;
use talos::talosconfig::{ADMIN, Context, TalosConfig};

use super::VersionArgs;
use super::private::{self, Written};
use crate::cli::failure::Failure;
use crate::cli::out::{self, Look};

/// Which cluster to make.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct GenArgs {
    /// Only a part of it.
    #[command(subcommand)]
    pub part: Option<GenPart>,
    /// Name of the cluster
    #[arg(long, value_name = "NAME", required = true)]
    pub cluster: Option<String>,
    /// Where its Kubernetes API will be.
    #[arg(long, value_name = "URL", required = true)]
    #[arg(help = "Where its Kubernetes API will be, such as https://10.0.0.10:6443")]
    pub endpoint: Option<Endpoint>,
    /// Which Talos and Kubernetes.
    #[command(flatten)]
    pub versions: VersionArgs,
    /// Secrets of the cluster, if it has some already [default: new ones, written beside the configs]
    #[arg(long, value_name = "FILE")]
    pub secrets: Option<PathBuf>,
    /// Folder for secrets.yaml, controlplane.yaml, worker.yaml and talosconfig
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// Write configs and talosconfig anew where they are; secrets.yaml is never replaced
    #[arg(long)]
    pub force: bool,
    /// What the configs say.
    #[command(flatten)]
    pub options: ConfigArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A part of a cluster's files.
#[derive(Debug, Clone, Subcommand)]
pub enum GenPart {
    /// Only the secrets
    Secrets(SecretsArgs),
}

/// Where new secrets go.
#[derive(Debug, Clone, Args)]
pub struct SecretsArgs {
    /// Talos release, 1.9 to 1.14 [default: 1.13]
    #[arg(long, value_name = "VERSION")]
    pub talos_version: Option<Minor>,
    /// The file to write; one that is there is never replaced
    #[arg(long, value_name = "FILE", default_value = "secrets.yaml")]
    pub output: PathBuf,
}

/// What can be asked of a config.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// More names and addresses for the certificates of both APIs
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub additional_sans: Vec<String>,
    /// Addresses of control planes for the talosconfig
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub talos_endpoint: Vec<String>,
    /// Disk to install to
    #[arg(long, value_name = "DEVICE", default_value = "/dev/sda")]
    pub install_disk: String,
    /// Image that installs [default: the one of the Talos release]
    #[arg(long, value_name = "IMAGE")]
    pub install_image: Option<String>,
    /// Domain of the cluster's DNS
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub dns_domain: String,
    /// Where a registry's images come from instead; may be repeated
    #[arg(long, value_name = "REGISTRY=URL", value_parser = pair)]
    pub registry_mirror: Vec<(String, String)>,
    /// Kernel argument of the installed system, up to Talos 1.11; may be repeated
    #[arg(long, value_name = "ARG")]
    pub kernel_arg: Vec<String>,
    /// Kernel setting; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub sysctl: Vec<(String, String)>,
    /// Manifest of a network that replaces flannel
    #[arg(long, value_name = "URL")]
    pub cni_manifest: Option<String>,
    /// Port of each control plane's own API server [default: 6443]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub local_api_port: Option<u16>,
    /// Run everybody's pods on control planes too
    #[arg(long)]
    pub schedule_on_control_planes: bool,
    /// Nodes do not look for each other at the discovery service
    #[arg(long)]
    pub no_discovery: bool,
    /// Whether nodes talk over `KubeSpan`; nothing is said about it when absent.
    #[arg(long, value_name = "BOOL", help = "Nodes talk over KubeSpan (true) or do not (false)")]
    pub kube_span: Option<bool>,
}

/// `KEY=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    if key.is_empty() {
        Err("there is nothing before the =".to_owned())
    } else {
        Ok((key.to_owned(), value.to_owned()))
    }
}

impl ConfigArgs {
    fn options(&self, minor: Minor, talos: &Version) -> Options {
        let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (registry, url) in &self.registry_mirror {
            mirrors.entry(registry.clone()).or_default().push(url.clone());
        }
        Options {
            sans: self.additional_sans.clone(),
            schedule_on_control_planes: self.schedule_on_control_planes,
            dns_domain: self.dns_domain.clone(),
            install_disk: Some(self.install_disk.clone()),
            install_image: Some(self.install_image.clone().unwrap_or_else(|| installer(minor, talos))),
            extra_kernel_args: self.kernel_arg.clone(),
            local_api_port: self.local_api_port,
            sysctls: self.sysctl.iter().cloned().collect(),
            cni_manifest: self.cni_manifest.clone(),
            registry_mirrors: mirrors,
            discovery: !self.no_discovery,
            kube_span: self.kube_span,
            ..Options::default()
        }
    }
}

#[derive(Serialize)]
struct Made<'a> {
    talos: String,
    kubernetes: String,
    written: &'a [PathBuf],
}

/// Carries out the verb.
pub(super) fn generate(args: &GenArgs, look: Look) -> Result<(), Failure> {
    if let Some(GenPart::Secrets(only)) = &args.part {
        return secrets_alone(only, look);
    }
    let usage = || Failure::Usage("--cluster and --endpoint are needed".to_owned());
    let (Some(cluster), Some(endpoint)) = (&args.cluster, &args.endpoint) else { return Err(usage()) };
    let (minor, talos, kubernetes) = args.versions.chosen()?;
    let place = |name: &str| args.output.join(name);
    let new = place("secrets.yaml");
    let known = args.secrets.as_deref().map(read_secrets).transpose()?;
    if known.is_none() {
        private::absent(&new, "name it with --secrets, or delete it if its cluster is gone")?;
    }
    if !args.force {
        for name in ["controlplane.yaml", "worker.yaml", "talosconfig"] {
            private::absent(&place(name), "--force writes it anew")?;
        }
    }
    let (secrets, is_new) = match known {
        Some(secrets) => (secrets, false),
        None => (new_secrets(minor)?, true),
    };
    let options = args.options.options(minor, &talos);
    let input = Input { cluster, endpoint, contract: minor, kubernetes: &kubernetes, options: &options };
    input.check(&secrets).map_err(|why| input_failure(&why))?;
    let whole = |why: talos::secrets::Incomplete| Failure::failed(why.to_string());
    let mut files = Vec::new();
    if is_new {
        files.push((new, secrets.to_yaml().map_err(whole)?, Written::Never));
    }
    for role in [Role::ControlPlane, Role::Worker] {
        let config = text(&input, &secrets, role).map_err(whole)?;
        files.push((place(&format!("{}.yaml", role.word())), config, Written::Anew));
    }
    let mut client = TalosConfig::default();
    let endpoints = args.options.talos_endpoint.clone();
    let context = Context::mint(secrets.os(), &[ADMIN], endpoints, now(), &mut OsRandom::new());
    client.merge(cluster, &context.map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?);
    files.push((place("talosconfig"), client.to_yaml(), Written::Anew));
    std::fs::create_dir_all(&args.output)
        .map_err(|why| Failure::failed(format!("{}: {why}", args.output.display())))?;
    let mut written = Vec::new();
    for (path, content, over) in files {
        private::write(&path, &content, over)?;
        written.push(path);
    }
    tell(args.json, look, (&talos, &kubernetes), &written)
}

fn tell(
    json: bool,
    look: Look,
    (talos, kubernetes): (&Version, &Version),
    written: &[PathBuf],
) -> Result<(), Failure> {
    if json {
        return out::json(
            &Made { talos: talos.to_string(), kubernetes: kubernetes.to_string(), written },
            true,
        );
    }
    if look.quiet {
        return Ok(());
    }
    for path in written {
        out::line(&format!("{}", path.display()))?;
    }
    out::line(&format!("for Talos {talos} and Kubernetes {kubernetes}; all of it is secret"))
}

fn secrets_alone(args: &SecretsArgs, look: Look) -> Result<(), Failure> {
    private::absent(&args.output, "delete it yourself if its cluster is gone")?;
    let secrets = new_secrets(args.talos_version.unwrap_or(Minor::DEFAULT))?;
    let content = secrets.to_yaml().map_err(|why| Failure::failed(why.to_string()))?;
    private::write(&args.output, &content, Written::Never)?;
    if look.quiet { Ok(()) } else { out::line(&format!("{}", args.output.display())) }
}

fn new_secrets(minor: Minor) -> Result<Secrets, Failure> {
    let failed = |why: talos::pki::PkiError| Failure::with_advice(why.to_string(), why.advice());
    let (mut secrets, task) = Secrets::mint(minor, now(), &mut OsRandom::new()).map_err(failed)?;
    secrets.complete(task.run().map_err(failed)?);
    Ok(secrets)
}

/// Reads `secrets.yaml`.
pub(super) fn read_secrets(path: &Path) -> Result<Secrets, Failure> {
    let content = std::fs::read_to_string(path).map_err(|why| {
        Failure::with_advice(format!("{}: {why}", path.display()), "name the cluster's secrets.yaml")
    })?;
    Secrets::from_yaml(&content).map_err(|why| {
        let lines: Vec<String> =
            why.to_string().lines().map(|line| format!("{}: {line}", path.display())).collect();
        Failure::with_advice(lines.join("\n"), why.advice())
    })
}

pub(super) fn input_failure(why: &InputError) -> Failure {
    Failure::with_advice(why.to_string(), why.advice())
}

/// The wall clock: what certificates are dated by.
pub(super) fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
