//! A kernel of the distribution: found, fetched into a cache, unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::process::{Program, run_once};

use super::ImageError;
use super::modules::{depends, in_order, plain};

/// The package whose first dependency is the current kernel for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
const APT_CACHE: Program = Program::new("apt-cache", "apt");
const APT_GET: Program = Program::new("apt-get", "apt");
const DPKG_DEB: Program = Program::new("dpkg-deb", "dpkg");
const XZ: Program = Program::new("xz", "xz-utils");
/// Some 30 MB over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
const LIMIT: Duration = Duration::from_secs(120);

/// A kernel package on disk: the one in the cache if it is there, else fetched into it.
///
/// # Errors
/// When the package cannot be named or fetched.
pub(super) async fn package(cache: &Path) -> Result<PathBuf, ImageError> {
    fs::create_dir_all(cache).map_err(|e| ImageError::io(cache, e))?;
    let relations = run_once(APT_CACHE, ["depends", META_PACKAGE], LIMIT).await;
    let name = relations.ok().and_then(|text| first_dependency(&String::from_utf8_lossy(&text)));
    if let Some(path) = newest(cache, name.as_deref().unwrap_or("linux-image-"))? {
        return Ok(path);
    }
    let name = name.ok_or(ImageError::NoPackage(META_PACKAGE))?;
    // apt-get writes into the current folder, and there is no option for another.
    let script = r#"cd "$1" && exec apt-get -q download "$2""#;
    APT_GET.find()?;
    let shell = Program::new("sh", "dash");
    run_once(shell, ["-c", script, "sh", &cache.to_string_lossy(), &name], FETCH_LIMIT).await?;
    newest(cache, &name)?.ok_or(ImageError::NoPackage(META_PACKAGE))
}

/// `apt-cache depends` says `  Depends: linux-image-6.1.0-56-cloud-amd64`.
fn first_dependency(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.trim().strip_prefix("Depends: "))?;
    name.starts_with("linux-image-").then(|| name.trim().to_owned())
}

/// The last by name of the cached packages that begin so. Versions of one kernel line sort well enough:
/// what is older only costs a rebuild.
fn newest(cache: &Path, begins: &str) -> Result<Option<PathBuf>, ImageError> {
    let entries = fs::read_dir(cache).map_err(|e| ImageError::io(cache, e))?;
    let fits = |path: &PathBuf| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(begins) && name.ends_with(".deb")
    };
    Ok(entries.flatten().map(|entry| entry.path()).filter(fits).max())
}

/// An unpacked kernel package.
#[derive(Debug)]
pub(super) struct Kernel {
    /// `uname -r` of it.
    pub(super) version: String,
    /// The bzImage.
    pub(super) image: PathBuf,
    modules: PathBuf,
}

/// A module ready to be loaded.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) object: Vec<u8>,
}

impl Kernel {
    /// Unpacks a package into an empty folder.
    ///
    /// # Errors
    /// When it cannot be unpacked or holds no kernel.
    pub(super) async fn unpack(package: &Path, folder: &Path) -> Result<Self, ImageError> {
        run_once(DPKG_DEB, [Path::new("-x"), package, folder], LIMIT).await?;
        Self::inside(folder).map_err(|error| match error {
            ImageError::NoKernel(_) => ImageError::NoKernel(package.to_owned()),
            error => error,
        })
    }

    /// The kernel in an unpacked root.
    ///
    /// # Errors
    /// When there is none with its modules.
    pub(super) fn inside(folder: &Path) -> Result<Self, ImageError> {
        let boot = folder.join("boot");
        let kernel = |name: &str| name.strip_prefix("vmlinuz-").map(str::to_owned);
        let version = names(&boot)?.iter().find_map(|name| kernel(name));
        let version = version.ok_or_else(|| ImageError::NoKernel(folder.to_owned()))?;
        // Debian moves /lib below /usr with release 13.
        let modules = ["lib", "usr/lib"].map(|lib| folder.join(lib).join("modules").join(&version));
        let modules = modules.into_iter().find(|path| path.is_dir());
        let modules = modules.ok_or_else(|| ImageError::NoKernel(folder.to_owned()))?;
        Ok(Self { image: boot.join(format!("vmlinuz-{version}")), version, modules })
    }

    /// Removes every module but the wanted ones and those that these need. `wanted` is asked with the path below
    /// `kernel/`.
    ///
    /// # Errors
    /// A module cannot be read or removed, or needs one that is not there.
    pub(super) async fn keep(&self, wanted: impl Fn(&str) -> bool) -> Result<(), ImageError> {
        let below = self.modules.join("kernel");
        let mut files = Vec::new();
        walk(&below, &mut files)?;
        let path = |file: &Path| file.strip_prefix(&below).unwrap_or(file).to_string_lossy().into_owned();
        let names: Vec<String> =
            files.iter().filter(|file| wanted(&path(file))).map(|file| module_name(file)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let kept: BTreeSet<String> =
            self.modules(&names).await?.into_iter().map(|module| module.name).collect();
        for file in files.iter().filter(|file| !kept.contains(&module_name(file))) {
            fs::remove_file(file).map_err(|e| ImageError::io(file, e))?;
        }
        // What was unpacked to be read lies beside its packed form, which is not needed any more.
        for file in
            files.iter().filter(|file| file.with_extension("").extension().is_some_and(|end| end == "ko"))
        {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ImageError::io(file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The wanted modules and all they need, in loading order. What is built in is left out.
    ///
    /// # Errors
    /// When a module is neither there nor built in.
    pub(super) async fn modules(&self, wanted: &[&str]) -> Result<Vec<Module>, ImageError> {
        let mut files = Vec::new();
        walk(&self.modules, &mut files)?;
        let builtin = fs::read_to_string(self.modules.join("modules.builtin")).unwrap_or_default();
        let builtin: BTreeSet<String> = builtin.lines().map(|line| module_name(Path::new(line))).collect();
        let files: BTreeMap<String, PathBuf> =
            files.into_iter().map(|path| (module_name(&path), path)).collect();
        // Dependencies are read from the objects, and these may have to be unpacked first.
        let mut objects: BTreeMap<String, (Vec<u8>, Vec<String>)> = BTreeMap::new();
        let mut open: Vec<String> = wanted.iter().map(|name| plain(name)).collect();
        while let Some(name) = open.pop() {
            if objects.contains_key(&name) {
                continue;
            }
            let Some(path) = files.get(&name) else {
                if builtin.contains(&name) {
                    continue;
                }
                return Err(ImageError::NoModule(name));
            };
            let object = read_object(path).await?;
            let needs = depends(&object).ok_or_else(|| ImageError::BadModule(name.clone()))?;
            open.extend(needs.iter().cloned());
            objects.insert(name, (object, needs));
        }
        let order = in_order(wanted, |name| objects.get(name).map(|(_, needs)| needs.clone()));
        let object = |name: String| objects.remove(&name).map(|(object, _)| Module { name, object });
        Ok(order.into_iter().filter_map(object).collect())
    }
}

async fn read_object(path: &Path) -> Result<Vec<u8>, ImageError> {
    if path.extension().is_some_and(|end| end == "xz") {
        return unpack_xz(path).await;
    }
    fs::read(path).map_err(|e| ImageError::io(path, e))
}

/// Debian 13 packs modules. Unpacked ones load faster and pack better together.
async fn unpack_xz(path: &Path) -> Result<Vec<u8>, ImageError> {
    let copy = path.with_extension("");
    run_once(XZ, [Path::new("-dkf"), path], LIMIT).await?;
    fs::read(&copy).map_err(|e| ImageError::io(&copy, e))
}

/// `kernel/drivers/char/hw_random/virtio-rng.ko.xz` is `virtio_rng`.
fn module_name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    plain(name.split(".ko").next().unwrap_or_default())
}

fn names(folder: &Path) -> Result<Vec<String>, ImageError> {
    let entries = fs::read_dir(folder).map_err(|e| ImageError::io(folder, e))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ImageError> {
    let failed = |e: io::Error| ImageError::io(folder, e);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().contains(".ko") {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_kernel_is_what_the_meta_package_depends_on() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(first_dependency(text).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(first_dependency("N: Unable to locate package"), None);
    }

    #[test]
    fn a_module_is_known_by_its_kernel_name() {
        assert_eq!(module_name(Path::new("kernel/drivers/virtio-rng.ko.xz")), "virtio_rng");
        assert_eq!(module_name(Path::new("a/virtio_net.ko")), "virtio_net");
    }
}
