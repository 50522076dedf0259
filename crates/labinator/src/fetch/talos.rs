//! Talos: which releases, what their kernels are told, and where the image factory has what it builds.

use talos::release::{Arch, Minor, Version};

use super::FetchError;
use super::catalogue::{For, Recipe, Sums, Wanted};

/// Its name in the catalogue: kernel and initramfs.
pub(crate) const NAME: &str = "talos";
/// Its name as one EFI program.
pub(super) const UKI: &str = "talos-uki";
/// Digits of a schematic that go into the name of an image.
const SHORT: usize = 12;
/// Longest kernel line that x86 takes, in bytes (`COMMAND_LINE_SIZE`).
const LONGEST_LINE: usize = 2048;

/// What the image factory builds from a schematic (its `docs/api.md`). It publishes no digests. Its kernel line has
/// what the schematic adds.
const FACTORY: [Recipe; 2] = [
    Recipe {
        name: NAME,
        about: "",
        base: "https://factory.talos.dev",
        version: "",
        files: &[
            (For::Kernel, "image/{schematic}/{version}/kernel-{arch}"),
            (For::Initrd, "image/{schematic}/{version}/initramfs-{arch}.xz"),
            (For::Args, "image/{schematic}/{version}/cmdline-metal-{arch}"),
        ],
        only: &[],
        sums: Sums::Nobody,
        args: "",
    },
    Recipe {
        name: UKI,
        about: "",
        base: "https://factory.talos.dev",
        version: "",
        files: &[(For::Uki, "image/{schematic}/{version}/metal-{arch}-uki.efi")],
        only: &[],
        sums: Sums::Nobody,
        args: "",
    },
];

/// Fills in what is particular to Talos: the recipe of the factory where a schematic is asked for, the version as its
/// makers write it, and the kernel line of the release. Everything else is left as it is.
pub(super) fn fill_in(recipe: Recipe, mut wanted: Wanted) -> Result<(Recipe, Wanted), FetchError> {
    if ![NAME, UKI].contains(&recipe.name) {
        return match wanted.schematic {
            Some(asked) => Err(FetchError::BadSchematic { name: recipe.name.to_owned(), asked }),
            None => Ok((recipe, wanted)),
        };
    }
    let release = release(recipe.name, &wanted.version)?;
    let arch = match wanted.arch.as_str() {
        "amd64" => Arch::Amd64,
        "arm64" => Arch::Arm64,
        other => return Err(FetchError::NoArchitecture { name: recipe.name, arch: other.to_owned() }),
    };
    if recipe.name == UKI && release.0 < Minor::V1_10 {
        let why = "releases have it from 1.10 on".to_owned();
        return Err(FetchError::BadVersion { name: recipe.name, asked: wanted.version, why });
    }
    wanted.version = format!("v{}", release.1);
    if recipe.name == NAME {
        wanted.args = release.0.kernel_args(arch).join(" ");
    }
    let Some(asked) = &wanted.schematic else { return Ok((recipe, wanted)) };
    if !is_schematic(asked) {
        return Err(FetchError::BadSchematic { name: recipe.name.to_owned(), asked: asked.clone() });
    }
    let factory = FACTORY.into_iter().find(|one| one.name == recipe.name);
    Ok((factory.unwrap_or(recipe), wanted))
}

/// A release that configs can be made for, written whole.
fn release(name: &'static str, asked: &str) -> Result<(Minor, Version), FetchError> {
    let bad = |why: String| FetchError::BadVersion { name, asked: asked.to_owned(), why };
    let version: Version = asked.parse().map_err(|_| bad("it is not written as v1.12.11".to_owned()))?;
    let minor = Minor::of(&version).map_err(|why| bad(why.to_string()))?;
    if asked.split('-').next().is_some_and(|numbers| numbers.matches('.').count() < 2) {
        return Err(bad("three numbers are needed".to_owned()));
    }
    Ok((minor, version))
}

/// What there is to choose from.
pub(super) fn versions() -> String {
    let newest: Vec<String> = Minor::ALL.iter().map(|minor| format!("v{}", minor.latest())).collect();
    format!("the newest that this version knows are {}", newest.join(", "))
}

/// True for an id of the image factory.
fn is_schematic(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// True for an address of something that the factory builds from a schematic.
pub(super) fn is_built(url: &str) -> bool {
    url.split('/').any(is_schematic)
}

/// What tells an image of a schematic from that of the release, at the end of its name.
pub(super) fn short(schematic: &str) -> &str {
    schematic.get(..SHORT).unwrap_or(schematic)
}

/// The kernel line in a file that came with kernel and initramfs.
pub(super) fn line(url: &str, bytes: &[u8]) -> Result<String, FetchError> {
    let bad = |why: &str| FetchError::BadLine { url: url.to_owned(), why: why.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| bad("it is no text"))?.trim();
    if text.len() > LONGEST_LINE {
        return Err(bad("it is longer than a kernel takes"));
    }
    if text.contains(|c: char| !(c == ' ' || c.is_ascii_graphic())) {
        return Err(bad("it is not one line of printable words"));
    }
    if !text.split(' ').any(|word| word == "talos.platform=metal") {
        return Err(bad("it lacks talos.platform=metal"));
    }
    Ok(text.to_owned())
}
