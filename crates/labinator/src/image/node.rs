//! The node image: a kernel for virtual machines, the agent as init, and nothing else; or, with simulated Talos beside
//! the agent, an image that boots as Talos does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::process::{Program, run_once};
use model::Digest;
use pki::secure_boot::Signer;

use super::cpio::Archive;
use super::kernel::{Kernel, Module, package};
use super::manifest::{ImageManifest, asset, digest};
use super::{ImageError, pe};
use crate::secure_boot::{self, SecureBoot};

/// Name of the image and of its folder.
pub(super) const NAME: &str = "node";
/// Name of the image with simulated Talos, and of its folder. Whoever sees it shall see what it is.
pub const SIMULATED_TALOS: &str = "simulated-talos";
/// Raised when the way of building changes, so that images built before are built again.
const RECIPE: u32 = 2;
/// What a virtual node needs; what these depend on is found.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_net", "virtio_rng", "virtio_blk"];
/// `console=ttyS0`: the virtual nodes have a serial port; on metal without one this can stall a boot by
/// minutes, so it belongs to this image and to no other. `panic=10`: a machine that cannot go on starts
/// again. `no_timer_check`: on a busy host an emulated timer misses its ticks, and the kernel panics with
/// "IO-APIC + timer doesn't work" (seen with six nodes on two processors).
const ARGUMENTS: &str = "console=tty0 console=ttyS0,115200 panic=10 no_timer_check quiet";
/// What genuine Talos on a machine of its own is told; here it tells the agent to step aside.
const TALOS_ARGUMENTS: &str = "talos.platform=metal";
const OS_RELEASE: &str = "ID=labinator\nNAME=Labinator\nPRETTY_NAME=\"Labinator node\"\n";
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const ZSTD: Program = Program::new("zstd", "zstd");
const LIMIT: Duration = Duration::from_secs(120);

/// What to build the node image from.
#[derive(Debug, Clone)]
pub struct NodeImage {
    /// The agent, linked statically.
    pub agent: PathBuf,
    /// Simulated Talos, linked statically, where the image shall play it.
    pub talosd: Option<PathBuf>,
    /// Folder of images; the image is put into `node` or `simulated-talos` below it.
    pub out: PathBuf,
    /// The kernel package; the distribution's current one when absent.
    pub kernel_deb: Option<PathBuf>,
    /// Where fetched packages are kept.
    pub cache: PathBuf,
}

/// A built image.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its folder.
    pub folder: PathBuf,
    /// What it consists of.
    pub manifest: ImageManifest,
    /// False when it was there already, built from the same.
    pub fresh: bool,
}

/// Builds the node image, unless the one that is there was built from the same.
///
/// # Errors
/// [`ImageError`]: what is missing, with the command that helps.
pub async fn build_node(plan: &NodeImage) -> Result<Built, ImageError> {
    let agent = read(&plan.agent)?;
    let talosd = plan.talosd.as_deref().map(read).transpose()?;
    let name = if talosd.is_some() { SIMULATED_TALOS } else { NAME };
    let deb = match &plan.kernel_deb {
        Some(path) => path.clone(),
        None => package(&plan.cache).await?,
    };
    let stub = stub()?;
    let package = read(&deb)?;
    let signer = SecureBoot::of(&plan.out).signer()?;
    let certificate = signer.as_ref().map(|signer| signer.certificate().der());
    let files = [Some(agent.as_slice()), Some(&package), Some(&stub), talosd.as_deref(), certificate];
    let inputs = inputs(name, &files.into_iter().flatten().collect::<Vec<_>>());
    let folder = plan.out.join(name);
    if let Ok(manifest) = ImageManifest::read(&folder)
        && manifest.inputs == inputs
        && manifest.is_complete(&folder)
    {
        return Ok(Built { folder, manifest, fresh: false });
    }
    fs::create_dir_all(&folder).map_err(|e| ImageError::io(&folder, e))?;
    let work = Scratch::new(&folder)?;
    let kernel = Kernel::unpack(&deb, &work.0).await?;
    let modules = kernel.modules(&MODULES).await?;
    let plays = talosd.is_some();
    let initrd = compress(&initramfs(agent, talosd, modules)?, &work.0).await?;
    let linux = for_firmware(read(&kernel.image)?, signer.as_ref(), "vmlinuz")?;
    let mut manifest = ImageManifest::new(asset(&folder, "vmlinuz", &linux)?, kernel.version, inputs);
    manifest.initrd = vec![asset(&folder, "initrd.img", &initrd)?];
    if plays {
        // Arguments change from boot to boot, as with genuine Talos: one file with its arguments inside is no use.
        manifest.args = format!("{ARGUMENTS} {TALOS_ARGUMENTS}");
    } else {
        let sections: [(&str, &[u8]); 4] = [
            (".osrel", OS_RELEASE.as_bytes()),
            (".cmdline", ARGUMENTS.as_bytes()),
            (".initrd", &initrd),
            (".linux", &linux),
        ];
        let uki = for_firmware(pe::append(&stub, &sections)?, signer.as_ref(), "node.efi")?;
        manifest.uki = Some(asset(&folder, "node.efi", &uki)?);
        ARGUMENTS.clone_into(&mut manifest.args);
        manifest.agent = true;
    }
    manifest.write(&folder)?;
    Ok(Built { folder, manifest, fresh: true })
}

fn inputs(name: &str, files: &[&[u8]]) -> Digest {
    let mut text = format!("{name} {RECIPE}\n{}\n{ARGUMENTS}\n{OS_RELEASE}", MODULES.join(" "));
    for file in files {
        text.push_str(&digest(file).to_string());
        text.push('\n');
    }
    digest(text.as_bytes())
}

/// The EFI stub that a UKI begins with.
pub(super) fn stub() -> Result<Vec<u8>, ImageError> {
    fs::read(STUB).map_err(|_| ImageError::NoStub(STUB.into()))
}

/// What firmware starts, signed where the owner has keys for Secure Boot.
pub(super) fn for_firmware(
    program: Vec<u8>,
    signer: Option<&Signer>,
    name: &str,
) -> Result<Vec<u8>, ImageError> {
    Ok(match signer {
        Some(signer) => secure_boot::sign(&program, signer, name)?,
        None => program,
    })
}

/// The archive of a node, simulated Talos beside the agent if it is wanted.
fn initramfs(agent: Vec<u8>, talosd: Option<Vec<u8>>, modules: Vec<Module>) -> Result<Vec<u8>, ImageError> {
    let mut archive = Archive::early(agent, modules);
    if let Some(talosd) = talosd {
        archive.program("bin/talosd", talosd);
    }
    archive.bytes().ok_or(ImageError::TooLarge("the initramfs"))
}

/// Where an archive behind another one begins.
const ALIGNED: usize = 4;

/// Packs with one thread: with more, zstd's output depends on their number. Zeros fill it up to a multiple of four: the
/// kernel passes over them, and takes what follows only if it begins at one, while older EFI stubs put files behind each
/// other as they are (Linux 6.1, `drivers/firmware/efi/libstub/file.c` and `init/initramfs.c`).
pub(super) async fn compress(plain: &[u8], work: &Path) -> Result<Vec<u8>, ImageError> {
    let (from, to) = (work.join("initrd"), work.join("initrd.zst"));
    fs::write(&from, plain).map_err(|e| ImageError::io(&from, e))?;
    let options = ["-q", "-f", "-19", "--single-thread", "--no-check"].map(Path::new);
    run_once(ZSTD, options.into_iter().chain([from.as_path(), Path::new("-o"), &to]), LIMIT).await?;
    let mut packed = read(&to)?;
    packed.resize(packed.len().next_multiple_of(ALIGNED), 0);
    Ok(packed)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|e| ImageError::io(path, e))
}

/// A folder that is gone when the work is done, however it ends.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(beside: &Path) -> Result<Self, ImageError> {
        let path = beside.join(format!(".work-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| ImageError::io(&path, e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is a hidden folder with this process's number: seen, and harmless.
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_is_packed_another_archive_may_follow_it() {
        let folder = std::env::temp_dir().join(format!("node-packed-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for size in 0..32 {
            let plain: Vec<u8> = (0..size).map(|byte: u8| byte.wrapping_mul(37)).collect();
            assert_eq!(compress(&plain, &folder).await.unwrap().len() % ALIGNED, 0, "{size} bytes");
        }
        fs::remove_dir_all(folder).unwrap();
    }
    use crate::image::pe::tests::stub;

    fn modules() -> Vec<Module> {
        let module = |name: &str| Module { name: name.to_owned(), object: name.as_bytes().to_vec() };
        vec![module("virtio_ring"), module("virtio")]
    }

    #[test]
    fn the_same_inputs_give_the_same_initramfs_and_the_same_uki() {
        let make = || {
            let initrd = initramfs(b"agent".to_vec(), None, modules()).unwrap();
            let uki = pe::append(&stub(4), &[(".initrd", &initrd), (".linux", b"kernel")]).unwrap();
            (digest(&initrd), digest(&uki))
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn modules_are_listed_in_loading_order() {
        let bytes = initramfs(Vec::new(), None, modules()).unwrap();
        let list = b"/lib/modules/virtio_ring.ko\n/lib/modules/virtio.ko\n";
        assert!(bytes.windows(list.len()).any(|window| window == list));
    }

    #[test]
    fn another_input_is_another_image() {
        assert_ne!(inputs("node", &[b"a", b"b", b"c"]), inputs("node", &[b"a", b"b", b"d"]));
        assert_ne!(inputs("node", &[b"ab", b"c"]), inputs("node", &[b"a", b"bc"]));
        assert_ne!(inputs("node", &[b"a"]), inputs(SIMULATED_TALOS, &[b"a"]));
    }
}
