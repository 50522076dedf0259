//! What can be typed after `labinator image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use model::NodeName;

use crate::image::Extra;

pub(super) const IMAGES_HELP: &str =
    "Folder of boot images [default: $LABINATOR_IMAGES, else images below the state folder]";

/// What can be done with images.
#[derive(Debug, Clone, Subcommand)]
pub enum ImageVerb {
    /// Build an image from what this computer has
    Build(BuildArgs),
    /// Fetch a system of another maker, each file proven before it is used
    Fetch(FetchArgs),
    /// List the images that are there, with their generations and their age, and loaders and caches with theirs
    List {
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        out: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare images with their digests and their signature
    Verify {
        /// Which image [default: all]
        name: Option<String>,
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        out: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a live image of today's packages, start it in QEMU, and let one machine try it
    Update(UpdateArgs),
    /// Write an image into one file, for a boss without a way to its packages
    Bundle {
        /// Which image
        name: String,
        /// The file
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        out: Option<PathBuf>,
    },
    /// Use the generation that is being tried, from now on
    Promote(OneImage),
    /// Give up the generation that is being tried; where none is, go back to the last good one
    Rollback(OneImage),
    /// Print the public key that images are signed with here
    Key {
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        out: Option<PathBuf>,
    },
    /// Trust images that another computer signed; without a name, list whom this one trusts
    Trust {
        /// What to call that computer
        name: Option<String>,
        /// Its public key, as `labinator image key` printed it there
        #[arg(value_name = "FILE", requires = "name")]
        key: Option<PathBuf>,
        /// Trust it no longer
        #[arg(long, requires = "name", conflicts_with = "key")]
        remove: bool,
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        out: Option<PathBuf>,
    },
}

/// An image by its name.
#[derive(Debug, Clone, Args)]
pub struct OneImage {
    /// Which image
    pub name: String,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub out: Option<PathBuf>,
}

/// Options of `image update`.
#[derive(Debug, Clone, Args)]
pub struct UpdateArgs {
    /// Which image: hypervisor or rescue
    pub name: String,
    /// Good starts of one machine after which all machines get it
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub after: u32,
    /// The machine that tries it [default: the first of the scenario]
    #[arg(long, value_name = "NODE")]
    pub node: Option<NodeName>,
    /// Take an image that another boss made, from a file of `image bundle`, instead of building one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["agent", "ssh_keys", "suite", "mirror"])]
    pub offline: Option<PathBuf>,
    /// The agent that goes in, linked statically [default: `agent` beside this program]
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// Public keys that may log in as root [default: those of the image in use]
    #[arg(long, value_name = "FILE")]
    pub ssh_keys: Option<PathBuf>,
    /// Debian release [default: that of the image in use]
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
    /// Where packages are: a URL or a line of sources.list, once or more [default: as for the image in use]
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub out: Option<PathBuf>,
}

/// Options of `image build`.
#[derive(Debug, Clone, Args)]
pub struct BuildArgs {
    /// Which image: node, simulated-talos, hypervisor or rescue
    #[arg(default_value = "node")]
    pub name: String,
    /// The agent that goes in, linked statically [default: `agent` beside this program]
    #[arg(long, value_name = "PATH")]
    pub agent: Option<PathBuf>,
    /// Simulated Talos, linked statically, for the image of that name [default: `talosd` beside this program]
    #[arg(long, value_name = "PATH")]
    pub talosd: Option<PathBuf>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub out: Option<PathBuf>,
    /// Kernel package of node and simulated-talos [default: the distribution's current one]
    #[arg(long, value_name = "FILE")]
    pub kernel_deb: Option<PathBuf>,
    /// Public keys that may log in to a live image as root; without this option nobody can
    #[arg(long, value_name = "FILE")]
    pub ssh_keys: Option<PathBuf>,
    /// Debian release of a live image's packages [default: bookworm]
    #[arg(long, value_name = "NAME")]
    pub suite: Option<String>,
    /// Where a live image's packages are: a URL or a line of sources.list, once or more [default: Debian's servers]
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// What to add to the hypervisor; updates keep it [default: nothing, and the agent starts QEMU itself]
    #[arg(long, value_name = "WHAT")]
    pub with: Vec<Extra>,
}

/// Options of `image fetch`.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// Which system; without one the catalogue is listed
    pub name: Option<String>,
    /// Which version [default: the catalogue's]
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
    /// Architecture, as Debian calls it
    #[arg(long, value_name = "ARCH", default_value = "amd64")]
    pub arch: String,
    /// What Talos's image factory is to build in, as `labinator talos schematic` prints it
    #[arg(long, value_name = "ID")]
    pub schematic: Option<String>,
    /// Another place with the same layout, http:// or https://
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// A folder that has the files, with the maker's list of digests, where there is no way to the maker
    #[arg(long, value_name = "DIR", conflicts_with = "mirror")]
    pub from: Option<PathBuf>,
    /// Take files of that folder although nobody says what they must be
    #[arg(long, requires = "from")]
    pub unproven: bool,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub out: Option<PathBuf>,
    /// Where the digests are pinned
    #[arg(long, value_name = "FILE", default_value = "images.lock")]
    pub lock: PathBuf,
}
