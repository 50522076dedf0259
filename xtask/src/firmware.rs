//! Builds the relay board's mind for its chip: a library of `core` alone, for RISC-V without atomics (ESP32-C3).

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::debian;
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, printed, succeeds};

/// The core of an ESP32-C3. Xtensa is not among the targets of a compiler that is free to have.
const TARGET: &str = "riscv32imc-unknown-none-elf";
const PACKAGE: &str = "relay-board";
/// Debian's newest Rust, and the source of `core`.
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// `cargo xtask firmware`.
///
/// # Errors
/// It does not build.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if let Some(word) = arguments.first() {
        return Err(format!("firmware takes no arguments, not `{word}`").into());
    }
    println!("{}", build(workspace)?.display());
    Ok(ExitCode::SUCCESS)
}

/// The stage of the test run.
///
/// # Errors
/// Cargo cannot be started.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Tally> {
    if !has_target(workspace)
        && let Err(why) = debian::ensure(&DEBIAN_RUST)
    {
        return Ok(Tally::skip(format!("the relay board's chip: {why}; or run: rustup target add {TARGET}")));
    }
    Ok(match build(workspace) {
        Ok(library) => {
            println!("{}", library.display());
            Tally::one(true, "")
        }
        Err(why) => Tally::one(false, &format!("firmware/relay: {why}")),
    })
}

/// Builds it, and returns the library.
fn build(workspace: &Workspace) -> Outcome<PathBuf> {
    let folder = workspace.target.join("firmware");
    let mut command = if has_target(workspace) {
        workspace.cargo(&["build"])
    } else {
        debian::ensure(&DEBIAN_RUST)?;
        debians(workspace)
    };
    command.args(["--quiet", "--release", "--package", PACKAGE, "--target", TARGET]);
    // The chip's own code, and not what a linker of the house would still make code of.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s");
    if !succeeds(command.env("CARGO_TARGET_DIR", &folder))? {
        return Err(format!("it does not build for {TARGET}: see above").into());
    }
    let library = folder.join(TARGET).join("release").join("librelay_board.rlib");
    if !library.is_file() {
        return Err(format!("{} was not made", library.display()).into());
    }
    Ok(library)
}

fn has_target(workspace: &Workspace) -> bool {
    let mut ask = workspace.command("rustc");
    let folder = printed(ask.args(["--print", "target-libdir", "--target", TARGET])).ok();
    folder.is_some_and(|folder| PathBuf::from(folder.trim()).is_dir())
}

/// Debian's cargo, which builds `core` from its source.
fn debians(workspace: &Workspace) -> Command {
    let mut command = workspace.command("/usr/bin/cargo");
    command.args(["build", "-Z", "build-std=core"]);
    // A release compiler takes that only when told that it is its own bootstrap.
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc");
    for wrapper in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(wrapper);
    }
    command
}
