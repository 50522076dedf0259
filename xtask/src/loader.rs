//! Builds Labinator's UEFI loader: with a rustup target where there is one, else with Debian's Rust and its sources.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::debian;
use crate::workspace::{Outcome, Workspace, printed, quietly, succeeds};

/// Firmware of x86-64, which lints and examples are for.
pub(crate) const TARGET: &str = "x86_64-unknown-uefi";
/// Every firmware that it is built for, and the name that its file is served by (`wire::loader::Processor`).
const TARGETS: [(&str, &str); 2] =
    [(TARGET, "labinator-x64.efi"), ("aarch64-unknown-uefi", "labinator-arm64.efi")];
/// Its workspace.
pub(crate) const MANIFEST: &str = "bootloader/Cargo.toml";
/// Debian's newest Rust, the sources of its libraries, and a linker for programs of this kind.
pub(crate) const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld"];
/// What the loader may weigh, in bytes: every machine fetches it by TFTP before anything else.
const SIZE: u64 = 300 << 10;

/// `cargo xtask loader`.
///
/// # Errors
/// It does not build, or weighs more than it may.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    if let Some(word) = arguments.first() {
        return Err(format!("loader takes no arguments, not `{word}`").into());
    }
    for (target, name) in TARGETS {
        println!("{}", built_for(workspace, target, name)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds it for every firmware, and returns where that for x86-64 lies; the others lie beside it.
///
/// # Errors
/// It does not build, or weighs more than it may.
pub(crate) fn build(workspace: &Workspace) -> Outcome<PathBuf> {
    let [x64, others @ ..] = TARGETS;
    for (target, name) in others {
        built_for(workspace, target, name)?;
    }
    built_for(workspace, x64.0, x64.1)
}

fn built_for(workspace: &Workspace, target: &str, name: &str) -> Outcome<PathBuf> {
    let built = compile(workspace, target, &[])?.join("labinator.efi");
    let size = std::fs::metadata(&built)?.len();
    if size > SIZE {
        return Err(format!(
            "{} has {size} bytes, and the loader may have {SIZE}: look what came into bootloader/Cargo.lock",
            built.display()
        )
        .into());
    }
    let named = workspace.target.join("bootloader").join(name);
    std::fs::copy(built, &named)?;
    Ok(named)
}

/// Builds the program that measures the firmware's own TCP, and returns where it lies.
///
/// # Errors
/// It does not build.
pub(crate) fn tcp4(workspace: &Workspace) -> Outcome<PathBuf> {
    Ok(compile(workspace, TARGET, &["--example", "tcp4"])?.join("examples").join("tcp4.efi"))
}

/// Has cargo build what these words say, and returns the folder that it puts programs into.
fn compile(workspace: &Workspace, target: &str, what: &[&str]) -> Outcome<PathBuf> {
    let folder = workspace.target.join("bootloader");
    let mut command = if has_target(workspace, target) {
        workspace.cargo(&[])
    } else {
        debian::ensure(PACKAGES)?;
        debians(workspace)
    };
    command.env("CARGO_TARGET_DIR", &folder);
    command.args(["build", "--locked", "--release", "--manifest-path", MANIFEST, "--target", target]);
    if !succeeds(command.args(what))? {
        return Err("the loader does not build".into());
    }
    Ok(folder.join(target).join("release"))
}

/// Whether the toolchain that started us can build for firmware; rustup fetches the target where it is.
fn has_target(workspace: &Workspace, target: &str) -> bool {
    let there = || {
        let mut ask = workspace.command("rustc");
        let libraries = printed(ask.args(["--print", "target-libdir", "--target", target])).ok();
        libraries.is_some_and(|folder| PathBuf::from(folder.trim()).is_dir())
    };
    there()
        || (debian::on_path("rustup")
            && quietly(workspace.command("rustup").args(["target", "add", target]))
            && there())
}

/// Debian's cargo, which builds the target's libraries from their sources.
fn debians(workspace: &Workspace) -> Command {
    let mut command = workspace.command("/usr/bin/cargo");
    command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
    for (target, _) in TARGETS {
        let word = target.to_uppercase().replace('-', "_");
        command.env(format!("CARGO_TARGET_{word}_LINKER"), "lld-link");
    }
    command.arg("-Zbuild-std=core,alloc,compiler_builtins");
    command
}

/// Formatting and lints of the loader's own workspace.
///
/// # Errors
/// Cargo cannot be started.
pub(crate) fn lints(workspace: &Workspace) -> Outcome<Option<bool>> {
    if !has_target(workspace, TARGET) {
        return Ok(None);
    }
    let mut format = workspace.cargo(&["fmt", "--manifest-path", MANIFEST, "--", "--check", "-l"]);
    let mut clippy =
        workspace.cargo(&["clippy", "--release", "--manifest-path", MANIFEST, "--target", TARGET]);
    clippy.args(["--", "-D", "warnings"]).env("CARGO_TARGET_DIR", workspace.target.join("bootloader"));
    Ok(Some(succeeds(&mut format)? && succeeds(&mut clippy)?))
}
