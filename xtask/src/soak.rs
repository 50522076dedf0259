//! `cargo xtask soak`: what does not fit into the test run, because it takes hours.

use std::process::ExitCode;

use crate::counting;
use crate::stage::{Stage, Tally, run_table};
use crate::workspace::{Outcome, Workspace, quietly, succeeds};

/// Cases per property; the test run takes a few hundred.
const CASES: &str = "100000";

/// Seconds per fuzz target.
const FUZZ_SECONDS: u32 = 600;

/// Every long run.
const STAGES: &[Stage] = &[
    Stage {
        name: "lifecycle",
        about: "100,000 cases of each property of the judgment",
        packages: &[],
        run: lifecycle,
    },
    Stage { name: "wire", about: "100,000 cases of each property of the formats", packages: &[], run: wire },
    Stage { name: "fuzz", about: "ten minutes for each target in fuzz/", packages: &[], run: fuzz },
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
    if !quietly(workspace.command("cargo").args(["+nightly", "fuzz", "--version"])) {
        return Ok(Tally::skip(
            "no cargo-fuzz; run: rustup toolchain install nightly && cargo install cargo-fuzz",
        ));
    }
    let mut targets: Vec<String> = folder
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    targets.sort_unstable();
    let mut tally = Tally::default();
    for target in targets {
        println!("fuzz: {target}");
        let limit = format!("-max_total_time={FUZZ_SECONDS}");
        let mut command = workspace.command("cargo");
        // The one that rustup dispatches by `+nightly`, not the fixed toolchain that started us.
        command.args(["+nightly", "fuzz", "run", &target, "--", &limit, "-rss_limit_mb=2048"]);
        for name in ["CARGO", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        let good = succeeds(&mut command)?;
        tally
            .add(Tally::one(good, &format!("fuzz target {target}: its input is in fuzz/artifacts/{target}")));
    }
    Ok(tally)
}
