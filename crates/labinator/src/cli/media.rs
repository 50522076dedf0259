//! `media`: a stick or disk from which a machine boots by our own loader, with a cache and without PXE; and the loader on
//! the disk of a machine.

mod disk;

use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use model::{LabSpec, Mebibytes, NodeName};
use pki::secure_boot::Signer;
use wire::loader::{Processor, Seed, Settings, StaticAddress, plant};

use super::args_image::IMAGES_HELP;
use super::{Failure, Globals, out};
use crate::config;
use crate::delegate::Delegate;
use crate::media::{
    self, Bios, BiosError, GRUB_FOLDER, Holes, LKRN, MediaError, Medium, Seeded, Written, address_of,
};
use crate::secure_boot::{SecureBoot, sign};
use crate::start::{LOADERS, images_folder, loaders_folder, own_loader, state_folder};

/// What can be done with media.
#[derive(Debug, Clone, Subcommand)]
pub enum MediaVerb {
    /// Write the image of a stick or disk that starts a machine by Labinator's own loader, and caches what it boots
    Build(Box<MediaArgs>),
    /// Put the loader onto the disk of a machine that runs a live image, and let its firmware start it first
    Install(InstallArgs),
    /// Take the loader from a machine's disk, and out of its firmware's order: undoes `install`
    Uninstall(UninstallArgs),
    /// What of the loader is on a machine's disks, and what its firmware starts
    Show(ShowArgs),
}

/// Options of `media install`.
#[derive(Debug, Clone, Args)]
pub struct InstallArgs {
    /// Which machine.
    #[command(flatten)]
    pub target: DiskArgs,
    /// The loader has the address of the lab file, and asks no DHCP
    #[arg(long = "static")]
    pub fixed_address: bool,
}

/// Options of `media uninstall`.
#[derive(Debug, Clone, Args)]
pub struct UninstallArgs {
    /// Which machine.
    #[command(flatten)]
    pub target: DiskArgs,
}

/// A disk of a machine.
#[derive(Debug, Clone, Args)]
pub struct DiskArgs {
    /// The machine
    pub node: String,
    /// Which disk, by kernel name or serial [default: where there is one that it could be]
    #[arg(long, value_name = "DISK")]
    pub disk: Option<String>,
    /// Also where the loader of another lab is
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `media show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The machine
    pub node: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `media build`.
#[derive(Debug, Clone, Args)]
pub struct MediaArgs {
    /// The file to write: an image of a whole disk
    pub output: PathBuf,
    /// The lab file
    #[arg(long, value_name = "FILE", default_value = "lab.yaml")]
    pub lab: PathBuf,
    /// For this machine alone: it has its address from the lab file and asks no DHCP
    #[arg(long, value_name = "NODE", conflicts_with = "address")]
    pub node: Option<NodeName>,
    /// A fixed address, such as 10.9.0.13/24; without one DHCP is asked
    #[arg(long = "static", value_name = "ADDRESS/PREFIX", value_parser = address)]
    pub address: Option<StaticAddress>,
    /// The router of the fixed address [default: the lab's]
    #[arg(long, value_name = "ADDRESS", requires = "address")]
    pub gateway: Option<Ipv4Addr>,
    /// Put this image into the cache; once or twice
    #[arg(long, value_name = "NAME")]
    pub image: Vec<String>,
    /// Size of the medium, half of which is what one image may have
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "1GiB")]
    pub size: Mebibytes,
    /// Seconds without an answer after which the image that started well last is started
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(5..))]
    pub patience: Option<u16>,
    /// Bring your keys for Secure Boot: the loader writes them into firmware whose keys were cleared (setup mode)
    #[arg(long)]
    pub enrol: bool,
    /// What a BIOS starts.
    #[command(flatten)]
    pub bios: BiosArgs,
    /// Write the file anew if it is there
    #[arg(long)]
    pub force: bool,
    /// Folder with labinator-x64.efi, labinator-arm64.efi or both, and ipxe.lkrn for a BIOS [default: `LABINATOR_LOADERS`, else beside this program, else /usr/lib/ipxe]
    #[arg(long, value_name = "DIR")]
    pub loaders: Option<PathBuf>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub images: Option<PathBuf>,
    /// The controller's state folder, with the lab's key [default: /var/lib/labinator as root, else
    /// ~/.local/state/labinator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// What is for machines with a BIOS.
#[derive(Debug, Clone, Args)]
pub struct BiosArgs {
    /// Fail where machines with a BIOS could not start from it: that takes the packages grub-common, grub-pc-bin and ipxe
    #[arg(long)]
    pub bios: bool,
    /// Folder of GRUB's files for a BIOS
    #[arg(long, value_name = "DIR", default_value = GRUB_FOLDER)]
    pub grub: PathBuf,
}

fn address(text: &str) -> Result<StaticAddress, String> {
    StaticAddress::read(text).map_err(|why| why.to_string())
}

fn size(text: &str) -> Result<Mebibytes, String> {
    config::memory(text).ok_or_else(|| "a size is expected, as in 512MiB or 4GiB".to_owned())
}

impl From<MediaError> for Failure {
    fn from(error: MediaError) -> Self {
        Self::with_advice(error.to_string(), error.advice())
    }
}

/// Carries out what is asked about media.
///
/// # Errors
/// What is missing or wrong, with what helps.
pub async fn media(globals: &Globals, verb: MediaVerb) -> Result<(), Failure> {
    match verb {
        MediaVerb::Build(args) => build(globals, *args).await,
        MediaVerb::Install(args) => disk::change(globals, args.target, Some(args.fixed_address)).await,
        MediaVerb::Uninstall(args) => disk::change(globals, args.target, None).await,
        MediaVerb::Show(args) => disk::show(globals, args).await,
    }
}

async fn build(globals: &Globals, args: MediaArgs) -> Result<(), Failure> {
    free(&args.output, args.force)?;
    let lab = config::load(&args.lab).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?;
    let state = args.state.unwrap_or_else(state_folder);
    let seed = seed_of(&lab, &state)?;
    let address = match (&args.node, args.address) {
        (Some(node), _) => Some(of_node(&lab, node)?),
        (None, Some(fixed)) => Some(StaticAddress { gateway: args.gateway.or(lab.network.gateway), ..fixed }),
        (None, None) => None,
    };
    let images = args.images.unwrap_or_else(images_folder);
    let grub = bios(&args.bios.grub, args.loaders.clone()).await;
    let (bios, without_bios) = match grub {
        Ok(bios) => (Some(bios), None),
        Err(why) if args.bios.bios => return Err(Failure::with_advice(why.to_string(), why.advice())),
        Err(why) => (None, Some(why)),
    };
    let keys = SecureBoot::of(&images);
    let signer = keys.signer()?;
    let loaders = loaders(args.loaders, &seed, signer.as_ref())?;
    let medium = Medium {
        loaders,
        settings: Settings { boss: seed.boss, node: args.node, address, patience: args.patience },
        seed,
        images: args.image.iter().map(|name| Seeded::of(&images, name)).collect::<Result<_, _>>()?,
        size: u64::from(args.size.0) << 20,
        bios,
        keys: if args.enrol { keys.variables()? } else { Vec::new() },
    };
    let written = write(&medium, &args.output)?;
    if globals.quiet {
        return Ok(());
    }
    let output = args.output.display();
    let processors: Vec<String> = medium.loaders.iter().map(|(processor, _)| processor.to_string()).collect();
    let processors = processors.join(" and ");
    out::line(&format!("{output}: boots {processors} machines of the lab {}, {written}", lab.lab))?;
    out::line(&match medium.settings.address {
        Some(fixed) => {
            format!("its machine has {}/{} and asks {}", fixed.address, fixed.prefix, lab.network.boss)
        }
        None => format!("its machine asks DHCP, and then {}", lab.network.boss),
    })?;
    out::line(&about_bios(&medium, &written, without_bios))?;
    if let Some(signer) = signer {
        out::line(&format!("its loader is signed by {}", signer.certificate().name()))?;
    }
    out::line(&format!("the lab's key is that of {}", state.join("loader").display()))?;
    out::line(&format!(
        "write it onto a stick: dd if={output} of=/dev/sdX bs=4M conv=fsync, and mind which one"
    ))
}

/// What a machine with a BIOS has of it.
fn about_bios(medium: &Medium, written: &Written, without: Option<BiosError>) -> String {
    if let Some(why) = without {
        return format!("machines with a BIOS do not start from it: {why}");
    }
    let also = "machines with a BIOS start from it, too: GRUB and iPXE";
    match written.for_bios.as_slice() {
        [] if medium.images.is_empty() => {
            format!("{also}; without a controller they start nothing, as no --image was named")
        }
        [] => format!("{also}; none of its images has a kernel for them"),
        names => format!("{also}, and without a controller {}", names.join(", else ")),
    }
}

/// What starts a BIOS: GRUB's files, and iPXE from the folder of loaders or where Debian puts it.
async fn bios(grub: &Path, loaders: Option<PathBuf>) -> Result<Bios, BiosError> {
    let named = loaders.unwrap_or_else(loaders_folder);
    let folder = if named.join(LKRN).is_file() { named } else { PathBuf::from(LOADERS) };
    Bios::made(grub, &folder).await
}

/// What a loader of this lab has in it: the key in the state folder, and the controller's address.
pub(super) fn seed_of(lab: &LabSpec, state: &Path) -> Result<Seed, Failure> {
    let key = Delegate::kept(state, lab.lab.clone())
        .map_err(|error| Failure::with_advice(error.to_string(), error.advice()))?
        .public();
    Ok(media::seed_of(lab, key))
}

/// The loader of a processor with its seed in it, signed for Secure Boot: whoever changes the seed breaks the signature.
pub(super) fn signed(
    (processor, loader): (Processor, &[u8]),
    seed: &Seed,
    signer: &Signer,
) -> Result<Vec<u8>, Failure> {
    let file = processor.file();
    let planted = plant(loader, seed).map_err(|why| Failure::failed(format!("{file}: {why}")))?;
    Ok(sign(&planted, signer, file)?)
}

/// Refuses to write over what is no file, and over a file without being told to.
fn free(output: &Path, force: bool) -> Result<(), Failure> {
    let Ok(there) = output.symlink_metadata() else { return Ok(()) };
    if !there.is_file() {
        let why = format!("{} is no file that could be written anew", output.display());
        let advice = "write a file, and copy it onto the stick: dd if=FILE of=DEVICE bs=4M conv=fsync";
        return Err(Failure::with_advice(why, advice));
    }
    if force {
        return Ok(());
    }
    Err(Failure::with_advice(format!("{} is there already", output.display()), "--force writes it anew"))
}

/// The address that the lab has for a machine.
fn of_node(lab: &LabSpec, node: &NodeName) -> Result<StaticAddress, Failure> {
    address_of(lab, node).ok_or_else(|| {
        let all: Vec<&str> = lab.board.nodes.keys().map(|node| node.as_str()).collect();
        Failure::with_advice(format!("{node} is not on the board"), format!("it has {}", all.join(", ")))
    })
}

/// Our loaders of all processors that there are in this folder or where they lie, signed where there are keys.
fn loaders(
    folder: Option<PathBuf>,
    seed: &Seed,
    signer: Option<&Signer>,
) -> Result<Vec<(Processor, Vec<u8>)>, Failure> {
    let folder = folder.unwrap_or_else(loaders_folder);
    let there = |processor: &Processor| own_loader(&folder, *processor).is_file();
    let mut processors: Vec<Processor> = Processor::ALL.into_iter().filter(there).collect();
    if processors.is_empty() {
        // Whose absence is then told.
        processors.push(Processor::X64);
    }
    let read = |processor: Processor| {
        let plain = loader(&folder, processor)?;
        let loader = match signer {
            Some(signer) => signed((processor, &plain), seed, signer)?,
            None => plain,
        };
        Ok((processor, loader))
    };
    processors.into_iter().map(read).collect()
}

/// Our loader of a processor as it is built, from this folder or from where it lies.
pub(super) fn loader(folder: &Path, processor: Processor) -> Result<Vec<u8>, Failure> {
    let path = own_loader(folder, processor);
    std::fs::read(&path).map_err(|why| {
        let advice = "build it with `cargo xtask loader`, and name its folder with --loaders";
        Failure::with_advice(format!("{}: {why}", path.display()), advice)
    })
}

/// Writes it beside its place and puts it there, so that there is never a part of one.
fn write(medium: &Medium, output: &Path) -> Result<Written, Failure> {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = output.with_file_name(name);
    let failed = |why: std::io::Error| Failure::failed(format!("{}: {why}", output.display()));
    let file = OpenOptions::new().write(true).create_new(true).open(&beside).map_err(failed)?;
    let written =
        Holes::new(file, medium.size).map_err(failed).and_then(|mut holes| Ok(medium.write(&mut holes)?));
    let put = written.and_then(|written| {
        let synced = File::open(&beside).and_then(|file| file.sync_all());
        synced.and_then(|()| std::fs::rename(&beside, output)).map_err(failed).map(|()| written)
    });
    if put.is_err() {
        // What is not whole is not left behind; what went wrong is said.
        drop(std::fs::remove_file(&beside));
    }
    put
}
