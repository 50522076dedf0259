//! Builds the node image: the static agent first, then `labinator image build`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::debian;
use crate::workspace::{Outcome, Workspace, succeeds};

/// What the image is put together with; the kernel itself is fetched by `labinator image build`.
const PACKAGES: &[&str] = &["systemd-boot-efi", "zstd", "xz-utils"];

/// The package that names the current kernel; it must be in the package lists, not installed.
const KERNEL: &str = "linux-image-cloud-amd64";

/// The image, and its folder below the folder of images.
const NAME: &str = "node";

/// A full triple keeps the static flag away from proc macros, which cannot be static.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What the demo and the QEMU tests start from.
pub(crate) struct Parts {
    /// The release binary.
    pub(crate) labinator: PathBuf,
    /// The static agent.
    pub(crate) agent: PathBuf,
    /// The folder of images; the node image is `node` in it.
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
    println!("{}", build(workspace)?.images.join(NAME).display());
    Ok(ExitCode::SUCCESS)
}

/// Builds binary, agent and image; each is quick when nothing changed.
///
/// # Errors
/// Something is missing and cannot be installed, or a part does not build.
pub(crate) fn build(workspace: &Workspace) -> Outcome<Parts> {
    debian::ensure(PACKAGES)?;
    debian::ensure_listed(KERNEL)?;
    let labinator = workspace.build_labinator(true)?;
    let agent = build_agent(workspace)?;
    let images = workspace.cache.join("images");
    std::fs::create_dir_all(&images)?;
    let mut command = workspace.command(&labinator);
    command.args(["image", "build", NAME, "--agent"]).arg(&agent).arg("--out").arg(&images);
    if !succeeds(&mut command)? || !images.join(NAME).is_dir() {
        return Err("the node image does not build".into());
    }
    Ok(Parts { labinator, agent, images })
}

fn build_agent(workspace: &Workspace) -> Outcome<PathBuf> {
    let mut build = workspace.cargo(&["build", "--release", "--package", "agent", "--target", TRIPLE]);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    if !succeeds(&mut build)? {
        return Err("the agent does not build".into());
    }
    Ok(workspace.target.join(TRIPLE).join("release").join("agent"))
}
