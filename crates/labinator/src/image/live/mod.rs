//! Live images: a whole Debian root in RAM with the agent as process 1, from packages by one command.
//!
//! ```text
//! mmdebstrap ─▶ root.tar ─▶ root/ ─ what is left out, + modules chosen, agent, services ─▶ live.squashfs
//!                            └▶ vmlinuz, early modules, agent, busybox ─▶ initrd.img      └▶ live.img (cpio)
//! ```
//! The kernel unpacks both archives, so the squashfs lies in RAM as it was packed and is read where it lies: a machine
//! pays for the packed size, and one download brings all of it.

mod recipe;
mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::process::{Program, run_once};
use model::Digest;

use super::cpio::Archive;
use super::kernel::Kernel;
use super::manifest::{ImageManifest, Package, Recipe, asset, digest};
use super::node::{Built, Scratch, compress, for_firmware, read, stub};
use super::{ImageError, pe};
use crate::secure_boot::SecureBoot;
use recipe::{ARGUMENTS, EARLY_MODULES, RECIPE};
pub use recipe::{Extra, Live};
use root::Root;

const GENSQUASHFS: Program = Program::new("gensquashfs", "squashfs-tools-ng");
/// A minute or two on two cores.
const PACK_LIMIT: Duration = Duration::from_secs(1200);
/// Where the agent looks for its root.
const SQUASHFS: &str = "live.squashfs";

/// What to build a live image from.
#[derive(Debug, Clone)]
pub struct LiveImage {
    /// Which one.
    pub live: Live,
    /// What is added to it.
    pub with: Vec<Extra>,
    /// The agent, linked statically.
    pub agent: PathBuf,
    /// Public keys that may log in as root, in the form of `authorized_keys`. Without one nobody can.
    pub keys: Option<String>,
    /// Debian release the packages come from.
    pub suite: String,
    /// Where to get them: URLs or lines of `sources.list`; the distribution's own servers when empty.
    pub mirrors: Vec<String>,
    /// Folder of images, by whose keys for Secure Boot it is signed, where it has any.
    pub images: PathBuf,
    /// Folder that the image is put into.
    pub folder: PathBuf,
    /// The image that is there already: built from the same, it is left as it is.
    pub current: Option<PathBuf>,
}

/// Builds a live image. What is written stays the same when packages, agent and keys are the same.
///
/// # Errors
/// [`ImageError`]: what is missing, with the command that helps.
pub async fn build_live(plan: &LiveImage) -> Result<Built, ImageError> {
    // All that is missing is told before minutes are spent.
    for program in [root::MMDEBSTRAP, root::TAR, root::DEPMOD, GENSQUASHFS] {
        program.find()?;
    }
    let agent = read(&plan.agent)?;
    let keys = plan.keys.as_ref().map(|keys| keys.clone().into_bytes());
    let stub = stub()?;
    let signer = SecureBoot::of(&plan.images).signer()?;
    let certificate = signer.as_ref().map(|signer| signer.certificate().der().to_vec());
    let folder = plan.folder.clone();
    fs::create_dir_all(&folder).map_err(|e| ImageError::io(&folder, e))?;
    let work = Scratch::new(&folder)?;
    let root = Root::unpack(plan, &work.0).await?;
    let mut files = vec![Some(&agent), keys.as_ref(), Some(&stub)];
    files.extend(certificate.as_ref().map(Some));
    let inputs = inputs((plan.live, &plan.with), &root.packages, &files);
    if let Some(current) = &plan.current
        && let Ok(manifest) = ImageManifest::read(current)
        && manifest.inputs == inputs
        && manifest.is_complete(current)
    {
        return Ok(Built { folder: current.clone(), manifest, fresh: false });
    }
    let kernel = Kernel::inside(&root.folder)?;
    let linux = for_firmware(read(&kernel.image)?, signer.as_ref(), "vmlinuz")?;
    let modules = kernel.modules(&EARLY_MODULES).await?;
    let busybox = read(&root.folder.join("usr/bin/busybox"))?;
    root.furnish((plan.live, &plan.with), &kernel, &agent, keys.as_deref()).await?;
    let squashfs = squash(&root.folder, &work.0).await?;

    let mut early = Archive::early(agent, modules);
    early.program("bin/busybox", busybox);
    let early = compress(&early.bytes().ok_or(ImageError::TooLarge("the initramfs"))?, &work.0).await?;
    let mut late = Archive::new();
    late.file(SQUASHFS, squashfs);
    let late = late.bytes().ok_or(ImageError::TooLarge("the root"))?;

    let mut manifest = ImageManifest::new(asset(&folder, "vmlinuz", &linux)?, kernel.version, inputs);
    manifest.initrd = vec![asset(&folder, "initrd.img", &early)?, asset(&folder, "live.img", &late)?];
    let os = format!("ID=labinator\nNAME=Labinator\nPRETTY_NAME=\"Labinator {}\"\n", plan.live.name());
    let both = joined(&[&early, &late]);
    let sections: [(&str, &[u8]); 4] = [
        (".osrel", os.as_bytes()),
        (".cmdline", ARGUMENTS.as_bytes()),
        (".initrd", &both),
        (".linux", &linux),
    ];
    let name = format!("{}.efi", plan.live.name());
    let uki = for_firmware(pe::append(&stub, &sections)?, signer.as_ref(), &name)?;
    manifest.uki = Some(asset(&folder, &name, &uki)?);
    ARGUMENTS.clone_into(&mut manifest.args);
    manifest.agent = true;
    manifest.packages = root.packages;
    manifest.recipe = Some(Recipe {
        suite: plan.suite.clone(),
        mirrors: plan.mirrors.clone(),
        keys: plan.keys.clone(),
        with: plan.with.clone(),
    });
    manifest.write(&folder)?;
    Ok(Built { folder, manifest, fresh: true })
}

/// SHA-256 over everything the image is made from.
fn inputs((live, with): (Live, &[Extra]), packages: &[Package], files: &[Option<&Vec<u8>>]) -> Digest {
    let mut text = format!("{} {RECIPE}\n{ARGUMENTS}\n{}", live.name(), live.services(with));
    for package in packages {
        text.push_str(&format!("{} {}\n", package.name, package.version));
    }
    for file in files {
        text.push_str(&file.map_or_else(|| "none".to_owned(), |bytes| digest(bytes).to_string()));
        text.push('\n');
    }
    digest(text.as_bytes())
}

/// Several archives in one. The kernel looks for a plain one only at a multiple of four bytes, and skips zeros up to
/// there (`init/initramfs.c`); loaders that are given the files one by one pad them so, an EFI program has one section.
fn joined(archives: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(archives.iter().map(|archive| archive.len() + 3).sum());
    for archive in archives {
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend_from_slice(archive);
    }
    all
}

/// Packs a root: every owner is root and every time is 0, whoever built it and when.
async fn squash(root: &Path, work: &Path) -> Result<Vec<u8>, ImageError> {
    let to = work.join(SQUASHFS);
    let words =
        ["-q", "-f", "--all-root", "-c", "zstd", "-X", "level=19", "-b", "262144", "-D"].map(Path::new);
    run_once(GENSQUASHFS, words.into_iter().chain([root, to.as_path()]), PACK_LIMIT).await?;
    read(&to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(version: &str) -> Package {
        Package { name: "bash".to_owned(), version: version.to_owned() }
    }

    #[test]
    fn a_package_a_key_or_an_agent_that_changed_makes_another_image() {
        let of = |live, version, agent: &str, keys: Option<&str>| {
            let keys = keys.map(|keys| keys.as_bytes().to_vec());
            inputs((live, &[]), &[package(version)], &[Some(&agent.as_bytes().to_vec()), keys.as_ref()])
        };
        let one = of(Live::Rescue, "1", "agent", None);
        assert_eq!(one, of(Live::Rescue, "1", "agent", None));
        assert_ne!(one, of(Live::Hypervisor, "1", "agent", None));
        assert_ne!(one, of(Live::Rescue, "2", "agent", None));
        assert_ne!(one, of(Live::Rescue, "1", "other", None));
        assert_ne!(one, of(Live::Rescue, "1", "agent", Some("ssh-ed25519 A")));
    }

    #[test]
    fn an_archive_behind_another_stands_where_the_kernel_looks_for_it() {
        for length in 1..=8 {
            let packed = vec![7; length];
            let all = joined(&[&packed, b"0707"]);
            let at = all.len() - 4;
            assert_eq!((at % 4, &all[at..]), (0, b"0707".as_slice()));
            assert!(
                at < length + 4 && all[..length] == packed && all[length..at].iter().all(|byte| *byte == 0)
            );
        }
    }
}
