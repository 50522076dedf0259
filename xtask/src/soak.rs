//! `cargo xtask soak`: what does not fit into the test run, because it takes hours.

use std::process::{Command, ExitCode};

use crate::counting;
use crate::stage::{Stage, Tally, run_table};
use crate::workspace::{Outcome, Workspace, quietly, succeeds};

/// Cases per property; the test run takes a few hundred.
const CASES: &str = "100000";

/// Seconds per fuzz target.
const FUZZ_SECONDS: u32 = 600;

/// Counters and a table of edges where libFuzzer looks for them.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";

/// Every long run.
const STAGES: &[Stage] = &[
    Stage {
        name: "lifecycle",
        about: "100,000 cases of each property of the judgment",
        packages: &[],
        run: lifecycle,
    },
    Stage {
        name: "hog",
        about: "200 runs of six simulated boots, and 50 of eighteen, with a program spinning on the counter's core",
        packages: &[],
        run: hog,
    },
    Stage {
        name: "publish",
        about: "100,000 switches of the boot table while two readers ask without a pause",
        packages: &[],
        run: publish,
    },
    Stage {
        name: "firmware",
        about: "real firmware beside another DHCP server",
        packages: crate::e2e::FIRMWARE,
        run: crate::e2e::long_qemu,
    },
    Stage { name: "wire", about: "100,000 cases of each property of the formats", packages: &[], run: wire },
    Stage { name: "fuzz", about: "ten minutes for each target in fuzz/", packages: &["g++"], run: fuzz },
];

/// `cargo xtask soak [--only STAGE] [--skip STAGE] [--list]`.
///
/// # Errors
/// An argument is not understood.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    run_table(workspace, STAGES, arguments)
}

fn lifecycle(workspace: &Workspace) -> Outcome<Tally> {
    properties(workspace, "lifecycle")
}

fn publish(workspace: &Workspace) -> Outcome<Tally> {
    let mut command = workspace.cargo(&["test", "--release", "--package", "netboot", "--test", "publish"]);
    command.env("SWITCHES", "100000").env("CARGO_TARGET_DIR", workspace.target.join("soak"));
    counting::run_rust_tests(&mut command)
}

/// As it is shipped: optimised.
fn hog(workspace: &Workspace) -> Outcome<Tally> {
    let mut command = workspace.cargo(&[
        "test",
        "--release",
        "--package",
        "labinator",
        "--test",
        "hog",
        "--",
        "--nocapture",
    ]);
    command.env("HOG_RUNS", "200").env("CARGO_TARGET_DIR", workspace.target.join("soak"));
    counting::run_rust_tests(&mut command)
}

fn wire(workspace: &Workspace) -> Outcome<Tally> {
    properties(workspace, "wire")
}

/// Optimised, with overflow checks kept: an overflow is one of the things looked for.
fn properties(workspace: &Workspace, package: &str) -> Outcome<Tally> {
    let mut command = workspace.cargo(&["test", "--release", "--package", package, "--no-fail-fast"]);
    command.env("PROPTEST_CASES", CASES).env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true");
    command.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    command.env("CARGO_TARGET_DIR", workspace.target.join("soak"));
    counting::run_rust_tests(&mut command)
}

fn fuzz(workspace: &Workspace) -> Outcome<Tally> {
    let Ok(folder) = std::fs::read_dir(workspace.root.join("fuzz/fuzz_targets")) else {
        return Ok(Tally::skip("there is no folder fuzz/fuzz_targets"));
    };
    let mut targets: Vec<String> = folder
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    targets.sort_unstable();
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
        command.args([format!("-max_total_time={FUZZ_SECONDS}"), "-rss_limit_mb=2048".to_owned()]);
        command.arg(format!("-artifact_prefix={}/", notes.display()));
        let failure = format!("fuzz target {target}: the input is in {}", notes.display());
        tally.add(Tally::one(succeeds(&mut command)?, &failure));
    }
    Ok(tally)
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
