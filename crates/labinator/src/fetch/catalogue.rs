//! Which systems can be fetched: where each distributor keeps its files, and where it says their digests.
//!
//! None of these hosts was reached while this was written: the layouts are the documented ones, proven against
//! servers that have the same layout. A distributor that moves its files is met by `--mirror`.

use super::talos;

/// How a distributor says what its files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sums {
    /// One file with a line `DIGEST  PATH` for each file (`sha256sum`, `sha512sum`).
    List(&'static str),
    /// A file beside each file, with this at the end of its name; sections `# SHA512 HASH` (Gentoo's form).
    Beside(&'static str),
    /// Stream metadata of Fedora `CoreOS`, which names the files as well.
    Streams(&'static str),
    /// Not at all: what comes first is what is pinned.
    Nobody,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The kernel.
    Kernel,
    /// An initramfs, in order.
    Initrd,
    /// One EFI program.
    Uki,
    /// The kernel line, as text.
    Args,
    /// Served beside them, for the system that runs.
    Beside,
}

/// A system of the catalogue. `{version}`, `{arch}`, `{cpu}` (`x86_64` for `amd64`) and `{schematic}` are
/// filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipe {
    /// What it is called.
    pub(super) name: &'static str,
    /// One phrase.
    pub(super) about: &'static str,
    /// Where its files are, without a slash at the end.
    pub(super) base: &'static str,
    /// The version when nobody names one; empty where one must be named.
    pub(super) version: &'static str,
    /// Files, by path below the base.
    pub(super) files: &'static [(For, &'static str)],
    /// Files of one architecture alone.
    pub(super) only: &'static [(&'static str, For, &'static str)],
    /// Their digests, by path below the base.
    pub(super) sums: Sums,
    /// Kernel arguments that every start of it needs.
    pub(super) args: &'static str,
}

impl Recipe {
    /// Files for an architecture, in order.
    pub(super) fn files_for(&self, arch: &str) -> Vec<(For, &'static str)> {
        let own = self.only.iter().filter(|(only, ..)| *only == arch).map(|(_, role, path)| (*role, *path));
        self.files.iter().copied().chain(own).collect()
    }
}

/// The catalogue.
pub(super) const CATALOGUE: [Recipe; 7] = [
    Recipe {
        name: "debian",
        about: "the Debian installer, told by a preseed file",
        base: "https://deb.debian.org/debian",
        version: "bookworm",
        files: &[
            (
                For::Kernel,
                "dists/{version}/main/installer-{arch}/current/images/netboot/debian-installer/{arch}/linux",
            ),
            (
                For::Initrd,
                "dists/{version}/main/installer-{arch}/current/images/netboot/debian-installer/{arch}/initrd.gz",
            ),
        ],
        only: &[],
        sums: Sums::List("dists/{version}/main/installer-{arch}/current/images/SHA256SUMS"),
        args: "",
    },
    Recipe {
        name: "ubuntu",
        about: "an Ubuntu cloud image that runs from memory, told by cloud-init",
        base: "https://cloud-images.ubuntu.com/releases",
        version: "24.04",
        files: &[
            (
                For::Kernel,
                "{version}/release/unpacked/ubuntu-{version}-server-cloudimg-{arch}-vmlinuz-generic",
            ),
            (
                For::Initrd,
                "{version}/release/unpacked/ubuntu-{version}-server-cloudimg-{arch}-initrd-generic",
            ),
        ],
        only: &[],
        sums: Sums::List("{version}/release/unpacked/SHA256SUMS"),
        args: "",
    },
    Recipe {
        name: "flatcar",
        about: "Flatcar Container Linux, told by Ignition",
        base: "https://stable.release.flatcar-linux.net",
        version: "current",
        files: &[
            (For::Kernel, "{arch}-usr/{version}/flatcar_production_pxe.vmlinuz"),
            (For::Initrd, "{arch}-usr/{version}/flatcar_production_pxe_image.cpio.gz"),
        ],
        only: &[],
        sums: Sums::Beside(".DIGESTS"),
        args: "flatcar.first_boot=1",
    },
    Recipe {
        name: "fedora-coreos",
        about: "Fedora CoreOS, told by Ignition",
        base: "https://builds.coreos.fedoraproject.org",
        version: "stable",
        files: &[(For::Kernel, "kernel"), (For::Initrd, "initramfs"), (For::Initrd, "rootfs")],
        only: &[],
        sums: Sums::Streams("streams/{version}.json"),
        args: "ignition.firstboot ignition.platform.id=metal",
    },
    Recipe {
        name: "talos",
        about: "Talos Linux, as kernel and initramfs",
        base: "https://github.com/siderolabs/talos/releases/download",
        version: "",
        files: &[(For::Kernel, "{version}/vmlinuz-{arch}"), (For::Initrd, "{version}/initramfs-{arch}.xz")],
        only: &[],
        sums: Sums::List("{version}/sha256sum.txt"),
        // What its release wants: see `talos.rs` beside this file.
        args: "",
    },
    Recipe {
        name: "talos-uki",
        about: "Talos Linux as one EFI program, which takes no kernel arguments from a lab",
        base: "https://github.com/siderolabs/talos/releases/download",
        version: "",
        files: &[(For::Uki, "{version}/metal-{arch}-uki.efi")],
        only: &[],
        sums: Sums::List("{version}/sha256sum.txt"),
        args: "",
    },
    Recipe {
        name: "netboot.xyz",
        about: "a menu of many systems; needs a way to the internet",
        base: "https://boot.netboot.xyz",
        version: "latest",
        files: &[],
        // `.lkrn` is for a BIOS alone: the counter gives machines with UEFI the other one.
        only: &[
            ("amd64", For::Kernel, "ipxe/netboot.xyz.lkrn"),
            ("amd64", For::Uki, "ipxe/netboot.xyz.efi"),
            ("arm64", For::Uki, "ipxe/netboot.xyz-arm64.efi"),
        ],
        sums: Sums::List("ipxe/netboot.xyz-sha256-checksums.txt"),
        args: "",
    },
];

/// What is asked for, filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: String,
    pub(super) arch: String,
    /// Of Talos's image factory.
    pub(super) schematic: Option<String>,
    /// Kernel arguments that every start needs.
    pub(super) args: String,
}

impl Wanted {
    /// Fills a template of the catalogue in.
    pub(super) fn fill(&self, template: &str) -> String {
        let cpu = match self.arch.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        };
        let schematic = self.schematic.as_deref().unwrap_or_default();
        let filled = template.replace("{version}", &self.version).replace("{arch}", &self.arch);
        filled.replace("{cpu}", cpu).replace("{schematic}", schematic)
    }

    /// What the image is called.
    pub(super) fn image(&self, recipe: &Recipe) -> String {
        let name = format!("{}-{}-{}", recipe.name, self.version, self.arch);
        match &self.schematic {
            Some(schematic) => format!("{name}-{}", talos::short(schematic)),
            None => name,
        }
    }
}
