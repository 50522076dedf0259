//! The node image: a kernel for virtual machines, the agent as init, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::process::{Program, run_once};
use model::Digest;

use super::cpio::Archive;
use super::kernel::{Kernel, Module, package};
use super::manifest::{ImageManifest, asset, digest};
use super::{ImageError, pe};

/// Name of the image and of its folder.
const NAME: &str = "node";
/// Raised when the way of building changes, so that images built before are built again.
const RECIPE: u32 = 1;
/// What a virtual node needs; what these depend on is found.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_net", "virtio_rng", "virtio_blk"];
/// `console=ttyS0`: the virtual nodes have a serial port; on metal without one this can stall a boot by
/// minutes, so it belongs to this image and to no other. `panic=10`: a machine that cannot go on starts
/// again. `no_timer_check`: on a busy host an emulated timer misses its ticks, and the kernel panics with
/// "IO-APIC + timer doesn't work" (seen with six nodes on two processors).
const ARGUMENTS: &str = "console=tty0 console=ttyS0,115200 panic=10 no_timer_check quiet";
const OS_RELEASE: &str = "ID=labinator\nNAME=Labinator\nPRETTY_NAME=\"Labinator node\"\n";
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const ZSTD: Program = Program::new("zstd", "zstd");
const LIMIT: Duration = Duration::from_secs(120);

/// What to build the node image from.
#[derive(Debug, Clone)]
pub struct NodeImage {
    /// The agent, linked statically.
    pub agent: PathBuf,
    /// Folder of images; the image is put into `node` below it.
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
    let deb = match &plan.kernel_deb {
        Some(path) => path.clone(),
        None => package(&plan.cache).await?,
    };
    let stub = fs::read(STUB).map_err(|_| ImageError::NoStub(STUB.into()))?;
    let inputs = inputs(&[&agent, &read(&deb)?, &stub]);
    let folder = plan.out.join(NAME);
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
    let initrd = pack(&initramfs(agent, modules)?, &work.0).await?;
    let linux = read(&kernel.image)?;
    let sections: [(&str, &[u8]); 4] = [
        (".osrel", OS_RELEASE.as_bytes()),
        (".cmdline", ARGUMENTS.as_bytes()),
        (".initrd", &initrd),
        (".linux", &linux),
    ];
    let uki = pe::append(&stub, &sections)?;

    let mut manifest = ImageManifest::new(asset(&folder, "vmlinuz", &linux)?, kernel.version, inputs);
    manifest.initrd = vec![asset(&folder, "initrd.img", &initrd)?];
    manifest.uki = Some(asset(&folder, "node.efi", &uki)?);
    ARGUMENTS.clone_into(&mut manifest.args);
    manifest.agent = true;
    manifest.write(&folder)?;
    Ok(Built { folder, manifest, fresh: true })
}

fn inputs(files: &[&[u8]]) -> Digest {
    let mut text = format!("{NAME} {RECIPE}\n{}\n{ARGUMENTS}\n{OS_RELEASE}", MODULES.join(" "));
    for file in files {
        text.push_str(&digest(file).to_string());
        text.push('\n');
    }
    digest(text.as_bytes())
}

/// The archive the kernel unpacks: the agent as `/init`, its modules, and the nodes it needs before it has
/// mounted `/dev`.
fn initramfs(agent: Vec<u8>, modules: Vec<Module>) -> Result<Vec<u8>, ImageError> {
    let mut archive = Archive::new();
    for folder in ["dev", "proc", "sys"] {
        archive.folder(folder);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    archive.program("init", agent);
    let mut list = String::new();
    for module in modules {
        let path = format!("lib/modules/{}.ko", module.name);
        list.push_str(&format!("/{path}\n"));
        archive.file(&path, module.object);
    }
    archive.file("etc/labinator/modules", list.into_bytes());
    archive.bytes().ok_or(ImageError::TooLarge("the initramfs"))
}

/// Packs with one thread: with more, zstd's output depends on their number.
async fn pack(plain: &[u8], work: &Path) -> Result<Vec<u8>, ImageError> {
    let (from, to) = (work.join("initrd"), work.join("initrd.zst"));
    fs::write(&from, plain).map_err(|e| ImageError::io(&from, e))?;
    let options = ["-q", "-f", "-19", "--single-thread", "--no-check"].map(Path::new);
    run_once(ZSTD, options.into_iter().chain([from.as_path(), Path::new("-o"), &to]), LIMIT).await?;
    read(&to)
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|e| ImageError::io(path, e))
}

/// A folder that is gone when the work is done, however it ends.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new(beside: &Path) -> Result<Self, ImageError> {
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
    use crate::image::pe::tests::stub;

    fn modules() -> Vec<Module> {
        let module = |name: &str| Module { name: name.to_owned(), object: name.as_bytes().to_vec() };
        vec![module("virtio_ring"), module("virtio")]
    }

    #[test]
    fn the_same_inputs_give_the_same_initramfs_and_the_same_uki() {
        let make = || {
            let initrd = initramfs(b"agent".to_vec(), modules()).unwrap();
            let uki = pe::append(&stub(4), &[(".initrd", &initrd), (".linux", b"kernel")]).unwrap();
            (digest(&initrd), digest(&uki))
        };
        assert_eq!(make(), make());
    }

    #[test]
    fn modules_are_listed_in_loading_order() {
        let bytes = initramfs(Vec::new(), modules()).unwrap();
        let list = b"/lib/modules/virtio_ring.ko\n/lib/modules/virtio.ko\n";
        assert!(bytes.windows(list.len()).any(|window| window == list));
    }

    #[test]
    fn another_input_is_another_image() {
        assert_ne!(inputs(&[b"a", b"b", b"c"]), inputs(&[b"a", b"b", b"d"]));
        assert_ne!(inputs(&[b"ab", b"c"]), inputs(&[b"a", b"bc"]));
    }
}
