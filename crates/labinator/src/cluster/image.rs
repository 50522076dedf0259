//! Which image a cluster boots, whether it is of the release that the cluster is described for, and what its kernel is told.

use std::path::Path;

use model::{Image, TalosSpec};
use talos::release::{Arch, Minor, Version};

use crate::image::ImageManifest;

/// Stands for whatever image of the release is there, where a cluster names none.
pub(crate) const ANY: &str = "talos";
/// The word that Talos does not start without.
const PLATFORM: &str = "talos.platform=";

/// The image that a cluster means by a name.
pub(crate) fn meant(images: &Path, name: &str, talos: &TalosSpec) -> Result<String, String> {
    if name != ANY || images.join(ANY).is_dir() {
        return Ok(name.to_owned());
    }
    let there = releases(images);
    let fits = there.iter().filter(|(version, _)| is_of(version, &talos.version));
    if let Some((_, name)) = fits.max_by_key(|(version, _)| rank(version)) {
        return Ok(name.clone());
    }
    let mut others: Vec<&Version> = there.iter().map(|(version, _)| version).collect();
    others.sort_by_key(|version| rank(version));
    let others: Vec<String> = others.into_iter().map(|version| format!("v{version}")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({} is there)", others.join(", ")) };
    let (wanted, out) = (&talos.version, images.display());
    let fetch = format!("labinator image fetch talos --version {} --out {out}", newest(wanted));
    Err(format!("no image of Talos {wanted} is in {out}{others}; fetch it: `{fetch}`"))
}

/// Why an image is not the cluster's.
pub(crate) fn misfit(name: &str, manifest: &ImageManifest, talos: &TalosSpec) -> Option<String> {
    let version = manifest.talos().filter(|version| !is_of(version, &talos.version))?;
    let wanted = &talos.version;
    let fetch = format!("labinator image fetch talos --version {}", newest(wanted));
    Some(format!(
        "Talos {wanted} is wanted, and image {name} is Talos {version}: write `talos: v{version}`, or fetch the other: `{fetch}`"
    ))
}

/// Makes an image the cluster's: kernel arguments of the release where nobody gave any, and no EFI program where there
/// is a kernel, for what a machine is told goes on its kernel line. `args` are those of the scenario.
pub(crate) fn prepare(image: &mut Image, args: &str, talos: &TalosSpec) {
    let Some(kernel) = &image.kernel else { return };
    image.uki = None;
    let told = |line: &str| line.split_whitespace().any(|word| word.starts_with(PLATFORM));
    if told(&image.args) || told(args) {
        return;
    }
    let Ok(release) = talos.version.parse::<Minor>() else { return };
    let arch = if kernel.name.contains("arm64") { Arch::Arm64 } else { Arch::Amd64 };
    let mut all = release.kernel_args(arch);
    all.extend(Some(image.args.as_str()).filter(|own| !own.is_empty()));
    image.args = all.join(" ");
}

/// Images of releases, without those of schematics: who wants one of these names it.
fn releases(images: &Path) -> Vec<(Version, String)> {
    let entries = std::fs::read_dir(images).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let release = |name: String| {
        let version = name.strip_prefix("talos-v")?.strip_suffix("-amd64")?.parse().ok()?;
        Some((version, name))
    };
    names.filter_map(release).collect()
}

/// Whether a version is the one that is asked for, or any patch of it where only two numbers are.
fn is_of(version: &Version, asked: &str) -> bool {
    let Ok(wanted) = asked.parse::<Version>() else { return false };
    let any = asked.matches('.').count() < 2;
    (version.major, version.minor) == (wanted.major, wanted.minor) && (any || *version == wanted)
}

/// What is fetched where that is asked for.
fn newest(asked: &str) -> String {
    let known = asked.parse::<Minor>().ok().filter(|_| asked.matches('.').count() < 2);
    format!("v{}", known.map_or_else(|| asked.to_owned(), |minor| minor.latest().to_string()))
}

/// A candidate is before its release.
fn rank(version: &Version) -> (u32, u32, u32, bool, String) {
    (version.major, version.minor, version.patch, version.candidate.is_empty(), version.candidate.clone())
}
