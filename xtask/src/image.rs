//! Builds the images: the static programs inside them first, then `labinator image build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::debian;
use crate::workspace::{Outcome, Workspace, succeeds};

/// What the image is put together with; the kernel itself is fetched by `labinator image build`.
const PACKAGES: &[&str] = &["systemd-boot-efi", "zstd", "xz-utils"];

/// The package that names the current kernel; it must be in the package lists, not installed.
const KERNEL: &str = "linux-image-cloud-amd64";

/// The node image, and its folder below the folder of images.
const NAME: &str = "node";

/// The image with simulated Talos.
const SIMULATED_TALOS: &str = "simulated-talos";

/// The image that machines boot to run others.
const HYPERVISOR: &str = "hypervisor";

/// Every live image.
const LIVE: [&str; 2] = [HYPERVISOR, "rescue"];

/// What the agent may weigh, in bytes: every machine fetches it and holds it in memory.
pub(crate) const AGENT_SIZE: u64 = 6 << 20;

/// A full triple keeps the static flag away from proc macros, which cannot be static.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The profile of programs inside images: small.
const PROFILE: &str = "inside";

/// What the demo and the QEMU tests start from.
pub(crate) struct Parts {
    /// The boss.
    pub(crate) labinator: PathBuf,
    /// The static agent.
    pub(crate) agent: PathBuf,
    /// The folder of images.
    pub(crate) images: PathBuf,
}

/// `cargo xtask image`.
///
/// # Errors
/// Something is missing and cannot be installed, or a part does not build.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if let Some(word) = arguments.first() {
        return Err(format!("image takes no arguments, not `{word}`").into());
    }
    let images = build(workspace)?.images;
    for name in [NAME, SIMULATED_TALOS] {
        println!("{}", images.join(name).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds binaries and images as they are released; each is quick when nothing changed.
///
/// # Errors
/// Something is missing and cannot be installed, or a part does not build.
pub(crate) fn build(workspace: &Workspace) -> Outcome<Parts> {
    build_around(workspace, workspace.build_labinator(true)?, &[NAME, SIMULATED_TALOS])
}

/// The same around the boss that the tests before have built already: optimising it takes ten minutes more.
/// What runs inside the images is as it is released.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_for_tests(workspace: &Workspace) -> Outcome<Parts> {
    build_around(workspace, workspace.build_labinator(false)?, &[NAME, SIMULATED_TALOS])
}

/// The same without simulated Talos, and the live images beside it. Gives the key that opens those, too; its public half
/// ends in `.pub`.
///
/// # Errors
/// As [`build`], and the packages cannot be fetched.
pub(crate) fn build_live_for_tests(workspace: &Workspace) -> Outcome<(Parts, PathBuf)> {
    let parts = build_around(workspace, workspace.build_labinator(false)?, &[NAME])?;
    let key = live_key(workspace)?;
    for name in LIVE {
        build_live(workspace, &parts, (name, &key))?;
    }
    Ok((parts, key))
}

/// The image of hypervisors, for the demo: the one of the tests.
///
/// # Errors
/// As [`build_live_for_tests`].
pub(crate) fn build_hypervisor(workspace: &Workspace, parts: &Parts) -> Outcome<()> {
    build_live(workspace, parts, (HYPERVISOR, &live_key(workspace)?))
}

fn build_around(workspace: &Workspace, labinator: PathBuf, names: &[&str]) -> Outcome<Parts> {
    debian::ensure(PACKAGES)?;
    debian::ensure_listed(KERNEL)?;
    let agent = build_agent(workspace)?;
    let images = workspace.cache.join("images");
    std::fs::create_dir_all(&images)?;
    for &name in names {
        let mut command = workspace.command(&labinator);
        command.args(["image", "build", name, "--agent"]).arg(&agent).arg("--out").arg(&images);
        if name == SIMULATED_TALOS {
            let talosd = build_static(workspace, &["--package", "sim", "--bin", "talosd"], "talosd")?;
            command.arg("--talosd").arg(talosd);
        }
        if !succeeds(&mut command)? || !images.join(name).is_dir() {
            return Err(format!("the image {name} does not build").into());
        }
    }
    Ok(Parts { labinator, agent, images })
}

/// The key that opens live images of tests.
fn live_key(workspace: &Workspace) -> Outcome<PathBuf> {
    let key = workspace.cache.join("live-key");
    if !key.is_file() {
        let mut make = workspace.command("ssh-keygen");
        if !succeeds(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))? {
            return Err("ssh-keygen made no key".into());
        }
    }
    Ok(key)
}

/// Builds a live image beside the others.
fn build_live(workspace: &Workspace, parts: &Parts, (name, key): (&str, &Path)) -> Outcome<()> {
    let mut command = workspace.command(&parts.labinator);
    command.args(["image", "build", name, "--agent"]).arg(&parts.agent).arg("--out").arg(&parts.images);
    if !succeeds(command.arg("--ssh-keys").arg(key.with_extension("pub")))? {
        return Err(format!("the image {name} does not build").into());
    }
    Ok(())
}

/// The agent as it goes into images.
///
/// # Errors
/// It does not build, or weighs more than it may.
pub(crate) fn build_agent(workspace: &Workspace) -> Outcome<PathBuf> {
    let agent = build_static(workspace, &["--package", "agent"], "agent")?;
    let size = std::fs::metadata(&agent)?.len();
    if size > AGENT_SIZE {
        return Err(format!(
            "{} has {size} bytes, and an agent may have {AGENT_SIZE}: `nm --size-sort` on a build with \
             CARGO_PROFILE_INSIDE_STRIP=none tells what it is made of",
            agent.display()
        )
        .into());
    }
    Ok(agent)
}

/// A program for the inside of an image: nothing it could be linked to is there.
///
/// # Errors
/// It does not build.
pub(crate) fn build_static(workspace: &Workspace, what: &[&str], program: &str) -> Outcome<PathBuf> {
    let mut build = workspace.cargo(&["build", "--profile", PROFILE, "--target", TRIPLE]);
    build.args(what).env("RUSTFLAGS", "-C target-feature=+crt-static");
    if !succeeds(&mut build)? {
        return Err(format!("{program} does not build").into());
    }
    Ok(workspace.target.join(TRIPLE).join(PROFILE).join(program))
}
