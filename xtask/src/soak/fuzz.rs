//! Every fuzz target for some minutes, from what earlier runs reached and the first inputs on.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::first_inputs;
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace, quietly, succeeds};

/// Seconds per target unless the variable `FUZZ_SECONDS` says otherwise.
const SECONDS: u32 = 600;

/// Counters and a table of edges where libFuzzer looks for them.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";

pub(super) fn run(workspace: &Workspace) -> Outcome<Tally> {
    let seconds = match std::env::var("FUZZ_SECONDS") {
        Ok(text) => text.parse().map_err(|_| format!("FUZZ_SECONDS needs a number, not `{text}`"))?,
        Err(_) => SECONDS,
    };
    let only = std::env::var("FUZZ_ONLY").ok();
    let mut targets = targets(&workspace.root.join("fuzz/fuzz_targets"))?;
    if let Some(only) = &only {
        targets.retain(|target| target == only);
        if targets.is_empty() {
            return Err(format!("FUZZ_ONLY: there is no target `{only}` in fuzz/fuzz_targets").into());
        }
    }
    let whole = quietly(&mut rustup_cargo(workspace, &["fuzz", "--version"]));
    if !whole {
        println!("no nightly cargo-fuzz: the targets run without the address sanitizer");
    }
    let mut tally = Tally::default();
    for target in targets {
        println!("fuzz: {target}");
        let notes = workspace.target.join("fuzz").join(&target);
        let corpus = notes.join("corpus");
        std::fs::create_dir_all(&corpus)?;
        for (name, bytes) in first_inputs::of(&workspace.root, &target)? {
            std::fs::write(corpus.join(name), bytes)?;
        }
        let mut command = if whole {
            rustup_cargo(workspace, &["fuzz", "run", &target])
        } else {
            plain_fuzz(workspace, &target)
        };
        if whole {
            command.arg(&corpus).arg("--");
        } else {
            command.arg("--").arg(&corpus);
        }
        command.args([format!("-max_total_time={seconds}"), "-rss_limit_mb=2048".to_owned()]);
        command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", notes.display()));
        let failure = format!("fuzz target {target}: the input is in {}", notes.display());
        tally.add(Tally::one(succeeds(&mut command)?, &failure));
    }
    Ok(tally)
}

/// Names of the targets, in order.
fn targets(folder: &Path) -> Outcome<Vec<String>> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            targets.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
        }
    }
    targets.sort_unstable();
    Ok(targets)
}

/// The cargo that rustup dispatches by `+nightly`, not the fixed toolchain that started us.
fn rustup_cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.command("cargo");
    command.arg("+nightly").args(arguments);
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Any toolchain can count the edges it reaches, which is what guides the fuzzer.
fn plain_fuzz(workspace: &Workspace, target: &str) -> Command {
    let mut command = workspace.cargo(&["run", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    command.args(["--target", "x86_64-unknown-linux-gnu", "--bin", target]);
    command.env("CARGO_TARGET_DIR", workspace.target.join("fuzz").join("build"));
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", COVERAGE);
    command
}
