//! Compiles the pure rooms for a machine without an operating system, where std cannot be named.

use std::path::Path;
use std::process::Command;

use super::PURE_ROOMS;
use crate::debian;
use crate::metadata::Package;
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, printed, succeeds};

/// No operating system, 64-bit PC.
const TARGET: &str = "x86_64-unknown-none";

/// Debian's newest Rust with the source of core and alloc, which a release toolchain lacks.
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Who compiles for the bare target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compiler {
    /// The toolchain in use has the target's core and alloc ready-made.
    Rustup,
    /// Debian's compiler builds core and alloc from source first.
    Debian,
}

/// Builds each pure room alone, so that no other room's features are mixed in.
///
/// # Errors
/// Cargo could not be started.
pub(super) fn build(workspace: &Workspace, members: &[Package]) -> Outcome<Tally> {
    let compiler = match find_compiler(workspace) {
        Ok(compiler) => compiler,
        Err(why) => return Ok(Tally::skip(why)),
    };
    let mut tally = Tally::default();
    for room in PURE_ROOMS.iter().filter(|room| members.iter().any(|member| member.name == **room)) {
        println!("bare target: {room}");
        let good = succeeds(&mut check(workspace, compiler, room))?;
        let failure = format!(
            "crates/{room}/src/lib.rs:1: does not compile for {TARGET}: \
             remove what needs std, or take the dependency with `default-features = false`"
        );
        tally.add(Tally::one(good, &failure));
    }
    Ok(tally)
}

fn find_compiler(workspace: &Workspace) -> Result<Compiler, String> {
    let installed = || printed(workspace.command("rustup").args(["target", "list", "--installed"]));
    if debian::on_path("rustup") && installed().is_ok_and(|list| lists_target(&list)) {
        return Ok(Compiler::Rustup);
    }
    let trouble = match debian::ensure(&DEBIAN_RUST) {
        Ok(()) if Path::new("/usr/bin/cargo").is_file() => return Ok(Compiler::Debian),
        Ok(()) => "/usr/bin/cargo is not there".to_owned(),
        Err(trouble) => trouble.to_string(),
    };
    Err(format!("bare target not proven: {trouble}; or run: rustup target add {TARGET}"))
}

fn lists_target(list: &str) -> bool {
    list.lines().any(|line| line.trim() == TARGET)
}

fn check(workspace: &Workspace, compiler: Compiler, room: &str) -> Command {
    let mut command = match compiler {
        Compiler::Rustup => workspace.cargo(&["check"]),
        Compiler::Debian => {
            let mut command = workspace.command("/usr/bin/cargo");
            // A release compiler takes `-Z build-std` only when told that it is its own bootstrap.
            command.args(["check", "-Z", "build-std=core,alloc"]);
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc");
            for wrapper in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTUP_TOOLCHAIN"] {
                command.env_remove(wrapper);
            }
            command
        }
    };
    command.args(["--quiet", "--package", room, "--target", TARGET]);
    command.env("CARGO_TARGET_DIR", workspace.target.join("bare"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_target_is_found_only_by_its_whole_name() {
        assert!(lists_target("x86_64-unknown-linux-gnu\nx86_64-unknown-none\n"));
        assert!(!lists_target("x86_64-unknown-none-elf\nx86_64-unknown-linux-gnu\n"));
    }
}
