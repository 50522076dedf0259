//! `cargo xtask demo`: installs what is missing, builds, and becomes `labinator demo`.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use crate::workspace::{Outcome, Workspace};
use crate::{debian, image};

/// Virtual nodes with real firmware, and the namespace they live in.
const PACKAGES: &[&str] = &["qemu-system-x86", "ovmf", "ipxe", "iproute2", "util-linux"];

/// The scenario whose machines boot an image of Debian packages.
const VIRTUAL: &str = "virtual";

/// What such an image is built with.
const BUILDING: &[&str] = &["mmdebstrap", "squashfs-tools-ng", "kmod", "zstd", "systemd-boot-efi"];

/// Passes every argument on; returns only when something went wrong before the demo began.
///
/// # Errors
/// What is missing and the command that installs it, or which part does not build.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    debian::ensure(PACKAGES)?;
    let of_guests = names_scenario(arguments, VIRTUAL);
    if of_guests {
        debian::ensure(BUILDING)?;
    }
    let parts = image::build(workspace)?;
    if of_guests {
        image::build_hypervisor(workspace, &parts)?;
    }
    let mut demo = workspace.command(&parts.labinator);
    demo.arg("demo").args(arguments).env("LABINATOR_IMAGES", &parts.images);
    // Exec, so that Ctrl-C and the exit code are the demo's own.
    let trouble = demo.exec();
    Err(format!("cannot start {}: {trouble}", parts.labinator.display()).into())
}

fn names_scenario(arguments: &[String], name: &str) -> bool {
    let next = arguments.iter().skip(1).map(String::as_str).chain([""]);
    arguments.iter().zip(next).any(|(word, next)| match word.split_once('=') {
        Some(("--scenario", value)) => value == name,
        _ => word == "--scenario" && next == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_named_in_two_ways_and_a_word_alone_names_none() {
        let names = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            names_scenario(&words, VIRTUAL)
        };
        assert!(names("--nodes 2 --scenario virtual") && names("--scenario=virtual --json"));
        assert!(!names("--scenario physical") && !names("--images virtual") && !names("--scenario"));
    }
}
