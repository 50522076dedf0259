//! `labinator talos`: what people do with a Talos cluster's own tool, without it.

mod apply;
mod ask;
mod etcd;
mod events;
mod export;
mod generate;
mod get;
mod health;
mod images;
mod inline;
mod kubeconfig;
mod look;
mod nodes;
mod patch;
pub(super) mod private;
mod schematic;
mod validate;
mod volume;

use clap::{Args, Subcommand};
use talos::release::{Minor, Version, VersionError};

pub use apply::ApplyArgs;
pub use ask::{AskArgs, BootstrapArgs, RebootArgs, ResetArgs, ServiceArgs, ShutdownArgs};
pub use etcd::{EtcdArgs, EtcdVerb, RemoveArgs, SnapshotArgs};
pub use export::ExportArgs;
pub use generate::{ConfigArgs, GenArgs, GenPart, SecretsArgs};
pub use get::{Form, GetArgs};
pub use health::HealthArgs;
pub use images::ImagesArgs;
pub use inline::InlineArgs;
pub use kubeconfig::KubeconfigArgs;
pub use look::{DisksArgs, LogArgs, LogsArgs, ReadArgs, UpgradeArgs};
pub use nodes::{InsecureArgs, NodesArgs};
pub use patch::PatchArgs;
pub use schematic::SchematicArgs;
pub use validate::{ModeName, ValidateArgs};
pub use volume::VolumeArgs;

use super::args::Globals;
use super::failure::Failure;
use super::out::Look;

/// What can be asked of Talos.
#[derive(Debug, Clone, Subcommand)]
pub enum TalosVerb {
    /// Give nodes a machine config
    Apply(ApplyArgs),
    /// Begin a cluster's etcd, once, on one control plane
    Bootstrap(BootstrapArgs),
    /// List nodes' disks
    Disks(DisksArgs),
    /// Print nodes' kernel log
    Dmesg(LogArgs),
    /// Members and database of a cluster's etcd
    #[command(subcommand)]
    Etcd(EtcdVerb),
    /// Follow what happens on a node
    Events(AskArgs),
    /// Write secrets.yaml, talosconfig and kubeconfig of the cluster that this boss built last
    Export(ExportArgs),
    /// Make a cluster: secrets, a config for each role, and a talosconfig
    Gen(Box<GenArgs>),
    /// Print any resource of nodes, such as members, addresses or machinestatus
    Get(GetArgs),
    /// Say whether a cluster is well, each check with its evidence
    Health(HealthArgs),
    /// List the container images that a cluster pulls
    Images(ImagesArgs),
    /// Print documents without secrets as an argument of the kernel line
    Inline(InlineArgs),
    /// Print the administrator's kubeconfig, made from the secrets alone
    Kubeconfig(KubeconfigArgs),
    /// Print the log of a service of nodes
    Logs(LogsArgs),
    /// Apply patches to a machine config and print it
    Patch(PatchArgs),
    /// Name the image factory's image for what is asked of it, without asking the factory
    Schematic(SchematicArgs),
    /// Find every mistake of a machine config
    Validate(ValidateArgs),
    /// Print a file of a node
    Read(ReadArgs),
    /// Boot nodes anew
    Reboot(RebootArgs),
    /// Wipe nodes
    Reset(ResetArgs),
    /// Start, stop or restart a service of nodes
    Service(ServiceArgs),
    /// List nodes' services
    Services(AskArgs),
    /// Power nodes off
    Shutdown(ShutdownArgs),
    /// Put another release on nodes
    Upgrade(UpgradeArgs),
    /// Say which release nodes run, or that they wait for a config
    Version(AskArgs),
    /// Write a machine's config as a volume that Talos finds by its label
    Volume(VolumeArgs),
}

/// Which Talos and which Kubernetes.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// Talos release, 1.9 to 1.14 [default: 1.13, its newest release known here]
    #[arg(long, value_name = "VERSION")]
    pub talos_version: Option<Version>,
    /// Kubernetes release [default: the one that this Talos brings]
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<Version>,
}

impl VersionArgs {
    /// The minor release, the Talos and the Kubernetes meant; a Talos of two numbers is its newest known release.
    ///
    /// # Errors
    /// A Talos that is not known, or a Kubernetes that it does not run.
    pub(super) fn chosen(&self) -> Result<(Minor, Version, Version), Failure> {
        let minor = match &self.talos_version {
            Some(version) => Minor::of(version).map_err(|why| version_failure(&why))?,
            None => Minor::DEFAULT,
        };
        let newest = minor.latest();
        let given = self.talos_version.as_ref().filter(|v| v.patch > 0 || !v.candidate.is_empty());
        let talos = given.cloned().unwrap_or(newest);
        let kubernetes = self.kubernetes_version.clone().unwrap_or_else(|| minor.default_kubernetes());
        minor.check_kubernetes(&kubernetes).map_err(|why| version_failure(&why))?;
        Ok((minor, talos, kubernetes))
    }
}

fn version_failure(why: &VersionError) -> Failure {
    Failure::with_advice(why.to_string(), why.advice())
}

/// Carries out the verb.
///
/// # Errors
/// What each verb says.
pub fn run(globals: &Globals, verb: TalosVerb) -> Result<(), Failure> {
    match verb {
        TalosVerb::Apply(args) => apply::apply(&args),
        TalosVerb::Bootstrap(args) => ask::bootstrap(&args),
        TalosVerb::Disks(args) => look::disks(&args),
        TalosVerb::Dmesg(args) => look::dmesg(&args),
        TalosVerb::Etcd(verb) => etcd::etcd(&verb),
        TalosVerb::Events(args) => events::events(&args),
        TalosVerb::Gen(args) => generate::generate(&args, Look::new(globals)),
        TalosVerb::Get(args) => get::get(&args),
        TalosVerb::Health(args) => health::health(&args),
        TalosVerb::Images(args) => images::list(&args),
        TalosVerb::Inline(args) => inline::inline(&args),
        TalosVerb::Export(args) => export::export(&args),
        TalosVerb::Kubeconfig(args) => kubeconfig::kubeconfig(&args),
        TalosVerb::Logs(args) => look::logs(&args),
        TalosVerb::Patch(args) => patch::patch(&args),
        TalosVerb::Schematic(args) => schematic::schematic(&args),
        TalosVerb::Validate(args) => validate::validate(&args),
        TalosVerb::Read(args) => look::read(&args),
        TalosVerb::Reboot(args) => ask::reboot(&args),
        TalosVerb::Reset(args) => ask::reset(&args),
        TalosVerb::Service(args) => ask::service(&args),
        TalosVerb::Services(args) => ask::services(&args),
        TalosVerb::Shutdown(args) => ask::shutdown(&args),
        TalosVerb::Upgrade(args) => look::upgrade(&args),
        TalosVerb::Volume(args) => volume::volume(&args),
        TalosVerb::Version(args) => ask::version(&args),
    }
}
