//! `cargo xtask demo`: installs what is missing, builds, and becomes `labinator demo`.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use crate::workspace::{Outcome, Workspace};
use crate::{debian, image};

/// Virtual nodes with real firmware, and the namespace they live in.
const PACKAGES: &[&str] = &["qemu-system-x86", "ovmf", "ipxe", "iproute2", "util-linux"];

/// Passes every argument on; returns only when something went wrong before the demo began.
///
/// # Errors
/// What is missing and the command that installs it, or which part does not build.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    debian::ensure(PACKAGES)?;
    let parts = image::build(workspace)?;
    let mut demo = workspace.command(&parts.labinator);
    demo.arg("demo").args(arguments).env("LABINATOR_IMAGES", &parts.images);
    // Exec, so that Ctrl-C and the exit code are the demo's own.
    let trouble = demo.exec();
    Err(format!("cannot start {}: {trouble}", parts.labinator.display()).into())
}
