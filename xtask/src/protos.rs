//! Keeps the generated messages of Talos's machine API equal to `crates/talos/proto`; a test of `talos` compares.

use std::process::ExitCode;

use crate::workspace::{Outcome, Workspace, exit_code};

/// `cargo xtask protos`.
///
/// The compiler of protos is a workspace of its own in `xtask/protos`, so that no ordinary build pays for it.
///
/// # Errors
/// There is an argument, or cargo cannot be started.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if !arguments.is_empty() {
        return Err("protos takes no argument".into());
    }
    let mut written =
        workspace.cargo(&["run", "--quiet", "--manifest-path", "xtask/protos/Cargo.toml", "--"]);
    if !written.arg(&workspace.root).status()?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let formatted = workspace.cargo(&["fmt", "--package", "talos"]).status()?;
    Ok(exit_code(formatted.success()))
}
