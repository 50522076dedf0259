//! `cargo xtask soak`: what does not fit into the test run, because it takes hours.

mod first_inputs;
mod fuzz;

use std::process::ExitCode;

use crate::counting;
use crate::e2e;
use crate::stage::{Stage, Tally, run_table};
use crate::workspace::{Outcome, Workspace};

/// Cases per property; the test run takes a few hundred.
const CASES: &str = "100000";

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
        name: "live",
        about: "live images: built twice to the same bytes, started in real firmware, and looked into",
        packages: e2e::LIVE,
        run: e2e::live,
    },
    Stage {
        name: "loader",
        about: "our UEFI loader, built for firmware and started by it",
        packages: e2e::LOADER,
        run: e2e::own_loader,
    },
    Stage {
        name: "publish",
        about: "100,000 switches of the boot table while two readers ask without a pause",
        packages: &[],
        run: publish,
    },
    Stage { name: "wire", about: "100,000 cases of each property of the formats", packages: &[], run: wire },
    Stage {
        name: "fuzz",
        about: "ten minutes for each target in fuzz/, or FUZZ_SECONDS; FUZZ_ONLY names one",
        packages: &["g++"],
        run: fuzz::run,
    },
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
    command.env("SWITCHES", "100000");
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
    command.env("HOG_RUNS", "200");
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
