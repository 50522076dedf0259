//! `secure-boot`: the owner's keys, and what is signed with them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use pki::secure_boot::{Signer, signed_by};
use wire::loader::Processor;

use super::args_image::IMAGES_HELP;
use super::{Failure, Globals, media, out};
use crate::config;
use crate::image;
use crate::secure_boot::{Brought, SecureBoot, SecureBootFailure, sign};
use crate::start::{images_folder, loaders_folder, state_folder};

/// What can be done about Secure Boot.
#[derive(Debug, Clone, Subcommand)]
pub enum SecureBootVerb {
    /// Make keys of your own (PK, KEK and db), or bring a db that machines trust already
    Keys(KeysArgs),
    /// Sign an EFI program: a loader, a kernel, a unified kernel image
    Sign {
        /// The program
        file: PathBuf,
        /// The signed one; may be the same file
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        images: Option<PathBuf>,
    },
    /// Sign the loader for machines that fetch it: with this lab's key and the controller's address in it
    Loader(LoaderArgs),
    /// Say whether EFI programs are signed by your db, and are as they were signed
    Check {
        /// The programs
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Folder of boot images.
        #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
        images: Option<PathBuf>,
    },
}

/// Options of `secure-boot keys`.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// Whose they are, for people who read a menu of firmware
    #[arg(long, value_name = "NAME", default_value = "Labinator", conflicts_with = "key")]
    pub name: String,
    /// A private key that you have (RSA, PEM), instead of new ones
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Its certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub images: Option<PathBuf>,
}

/// Options of `secure-boot loader`.
#[derive(Debug, Clone, Args)]
pub struct LoaderArgs {
    /// The file to write: labinator-x64.efi or labinator-arm64.efi in the folder that `labinator serve` has as --loaders;
    /// its name says for which processor it is
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The lab file
    #[arg(long, value_name = "FILE", default_value = "lab.yaml")]
    pub lab: PathBuf,
    /// The controller's state folder, with the lab's key [default: /var/lib/labinator as root, else
    /// ~/.local/state/labinator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Folder with the loader as it was built [default: `LABINATOR_LOADERS`, else beside this program]
    #[arg(long, value_name = "DIR")]
    pub loaders: Option<PathBuf>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub images: Option<PathBuf>,
}

impl From<SecureBootFailure> for Failure {
    fn from(error: SecureBootFailure) -> Self {
        Self::failed(error.to_string())
    }
}

/// Carries out what is asked about Secure Boot.
///
/// # Errors
/// What is missing or wrong.
pub fn secure_boot(globals: &Globals, verb: SecureBootVerb) -> Result<(), Failure> {
    match verb {
        SecureBootVerb::Keys(args) => keys(globals, &args),
        SecureBootVerb::Sign { file, output, images } => {
            let keys = of(images);
            let signer = keys.signer()?.ok_or_else(|| SecureBootFailure::NoKeys(keys.folder().to_owned()))?;
            let signed = sign(&read(&file)?, &signer, &file.display().to_string())?;
            write(&output, &signed)?;
            told(globals, &format!("{}: signed by {}", output.display(), signer.certificate().name()))
        }
        SecureBootVerb::Loader(args) => loader(globals, args),
        SecureBootVerb::Check { files, images } => check(&of(images), &files),
    }
}

fn of(images: Option<PathBuf>) -> SecureBoot {
    SecureBoot::of(&images.unwrap_or_else(images_folder))
}

fn signer(images: Option<PathBuf>) -> Result<Signer, Failure> {
    let keys = of(images);
    Ok(keys.signer()?.ok_or_else(|| SecureBootFailure::NoKeys(keys.folder().to_owned()))?)
}

fn loader(globals: &Globals, args: LoaderArgs) -> Result<(), Failure> {
    let lab = config::load(&args.lab).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?;
    let signer = signer(args.images)?;
    let seed = media::seed_of(&lab, &args.state.unwrap_or_else(state_folder))?;
    let named = args.output.file_name().and_then(|name| Processor::of_file(name.to_str()?));
    let processor = named.unwrap_or(Processor::X64);
    let built = media::loader(&args.loaders.unwrap_or_else(loaders_folder), processor)?;
    let signed = media::signed((processor, &built), &seed, &signer)?;
    write(&args.output, &signed)?;
    let by = signer.certificate().name();
    told(globals, &format!("{}: for the lab {}, signed by {by}", args.output.display(), lab.lab))?;
    told(globals, "the controller hands it out as it is once it starts with that folder as --loaders")
}

fn keys(globals: &Globals, args: &KeysArgs) -> Result<(), Failure> {
    let keys = of(args.images.clone());
    let folder = keys.folder().display().to_string();
    let (certificate, next) = match (&args.key, &args.certificate) {
        (Some(key), Some(certificate)) => {
            (keys.bring(Brought { key, certificate })?, "machines that trust it need nothing more".to_owned())
        }
        _ => (
            keys.make(&args.name, image::now())?,
            format!(
                "put PK, KEK and db of {folder} into each machine's firmware, db first and PK last: docs/secure-boot.md"
            ),
        ),
    };
    told(globals, &format!("db is {}, sha256:{}", certificate.name(), certificate.fingerprint()))?;
    told(globals, &next)?;
    told(globals, "images that are built from now on are signed by it; build those again that are there")
}

fn check(keys: &SecureBoot, files: &[PathBuf]) -> Result<(), Failure> {
    let certificate =
        keys.certificate()?.ok_or_else(|| SecureBootFailure::NoKeys(keys.folder().to_owned()))?;
    let mut bad = 0;
    for file in files {
        let verdict = match signed_by(&read(file)?, &certificate) {
            Ok(()) => format!("is signed by {}", certificate.name()),
            Err(why) => {
                bad += 1;
                why
            }
        };
        out::line(&format!("{} {verdict}", file.display()))?;
    }
    if bad == 0 { Ok(()) } else { Err(Failure::Said(1)) }
}

fn told(globals: &Globals, line: &str) -> Result<(), Failure> {
    if globals.quiet { Ok(()) } else { out::line(line) }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|why| Failure::failed(format!("{}: {why}", path.display())))
}

/// Whole or not at all: the output may be the input.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use store::Files as _;
    store::Disk.replace(path, bytes).map_err(|why| Failure::failed(format!("{}: {why}", path.display())))
}
