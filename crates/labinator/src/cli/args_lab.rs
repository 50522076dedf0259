//! What can be typed after the verbs that write lab files.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::duration;

/// The network of a lab file, as far as somebody decided it.
#[derive(Debug, Clone, Default, Args)]
pub struct NetworkArgs {
    /// The lab's interface [default: the only one there is, else asked]
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,
    /// The lab's subnet, such as 192.168.1.0/24
    #[arg(long, value_name = "SUBNET")]
    pub subnet: Option<crate::init::SubnetArg>,
    /// This machine's address in it
    #[arg(long, value_name = "ADDRESS")]
    pub boss: Option<Ipv4Addr>,
    /// The router told to machines
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Option<Ipv4Addr>,
    /// Addresses for machines that are not on the board, such as 10.0.0.100-10.0.0.150
    #[arg(long, value_name = "RANGE")]
    pub pool: Option<crate::init::PoolArg>,
    /// Whether this machine gives the addresses
    #[arg(long, value_name = "MODE", value_parser = ["authoritative", "proxy", "off"])]
    pub dhcp: Option<String>,
}

/// Options of `init`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub struct InitArgs {
    /// The network that goes into the file.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// The lab file to write
    #[arg(long, value_name = "FILE", default_value = "lab.yaml")]
    pub out: PathBuf,
    /// Write the file anew if it is there
    #[arg(long)]
    pub force: bool,
    /// How long to listen
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub listen: Duration,
    /// Listen to nobody: all is said by flags, and no right is needed
    #[arg(long)]
    pub no_listen: bool,
    /// Only listen; ask no DHCP server and no router who they are
    #[arg(long)]
    pub silent: bool,
    /// Serve meanwhile: the page shows the machines as they announce themselves, and each goes into the file
    #[arg(long, conflicts_with_all = ["no_listen", "json"])]
    pub serve: bool,
    /// With --serve: end when there are so many machines [default: on Enter or Ctrl-C]
    #[arg(long, value_name = "N", requires = "serve", value_parser = clap::value_parser!(u16).range(1..))]
    pub machines: Option<u16>,
    /// With --serve: folder for its journal, gone afterwards [default: `init` below the state folder]
    #[arg(long, value_name = "DIR", requires = "serve")]
    pub state: Option<PathBuf>,
    /// With --serve: address of the page
    #[arg(long, value_name = "ADDRESS:PORT", requires = "serve", default_value = "127.0.0.1:8080")]
    pub page: std::net::SocketAddr,
    /// Ask nothing: take what is suggested
    #[arg(short, long)]
    pub yes: bool,
    /// Print what was heard as JSON, and write no file
    #[arg(long)]
    pub json: bool,
    /// Name of the lab
    #[arg(long, value_name = "NAME", default_value = "home")]
    pub name: model::LabName,
    /// Columns of the board
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub columns: u8,
    /// A machine of the board: NAME=MAC or NAME=MAC@COLUMN,ROW; may be given again
    #[arg(long, value_name = "NODE")]
    pub node: Vec<crate::init::NamedNode>,
}

/// Whose files become a lab.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportVerb {
    /// Groups, profiles and templates of matchbox
    Matchbox(MatchboxArgs),
}

/// Options of `import matchbox`.
#[derive(Debug, Clone, Args)]
pub struct MatchboxArgs {
    /// matchbox's folder (its `-data-path`), with `groups` and `profiles` in it
    pub folder: PathBuf,
    /// Folder of groups [default: `groups` in it]
    #[arg(long, value_name = "DIR")]
    pub groups: Option<PathBuf>,
    /// Folder of assets (its `-assets-path`) [default: `assets` in it]
    #[arg(long, value_name = "DIR")]
    pub assets: Option<PathBuf>,
    /// What machines call matchbox [default: seen in kernel arguments]; may be given again
    #[arg(long, value_name = "URL")]
    pub url: Vec<String>,
    /// A machine and the labels of its requests: NAME=MAC or NAME=MAC,LABEL=VALUE; may be given again
    #[arg(long, value_name = "MACHINE")]
    pub machine: Vec<crate::import::matchbox::NamedMachine>,
    /// A lab file that has network, power and board already: its machines are meant
    #[arg(long, value_name = "FILE", conflicts_with_all = ["interface", "subnet", "boss", "gateway", "pool", "dhcp"])]
    pub lab: Option<PathBuf>,
    /// The lab file to write; translated templates go into the folder `matchbox` beside it
    #[arg(long, value_name = "FILE", default_value = "lab.yaml")]
    pub out: PathBuf,
    /// Write files anew that are there
    #[arg(long)]
    pub force: bool,
    /// Name of the lab
    #[arg(long, value_name = "NAME", default_value = "home")]
    pub name: model::LabName,
    /// Columns of the board
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    pub columns: u8,
    /// The network that goes into the file.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Print what is to be known as JSON
    #[arg(long)]
    pub json: bool,
}
