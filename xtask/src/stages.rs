//! `cargo xtask test`: the table of stages. A new stage is a line here and a function.

use std::process::ExitCode;

use crate::stage::{Stage, Tally, run_table};
use crate::workspace::{Outcome, Workspace, quietly, succeeds};
use crate::{counting, debian, doors, e2e, firmware, hardware, licences, loader, openapi, tidy, ui};

/// Everything the test run has, quick and telling ones first.
const STAGES: &[Stage] = &[
    Stage { name: "format", about: "rustfmt would change nothing", packages: &[], run: format },
    Stage {
        name: "tidy",
        about: "sizes, first sentences, leftovers, documents",
        packages: &[],
        run: tidy::check,
    },
    Stage { name: "licences", about: "bans, licences, sources", packages: &[], run: licences::check },
    Stage {
        name: "doors",
        about: "who may use whom; pure rooms need no system",
        packages: &[],
        run: doors::check,
    },
    Stage {
        name: "lints",
        about: "clippy finds nothing in any target; the fuzz targets compile",
        packages: &[],
        run: lints,
    },
    Stage {
        name: "firmware",
        about: "the relay board's mind builds for its chip",
        packages: &[],
        run: firmware::check,
    },
    Stage { name: "unit", about: "every test that needs only cargo", packages: &[], run: unit },
    Stage {
        name: "contract",
        about: "the written API and schema are those of the code",
        packages: &[],
        run: openapi::check,
    },
    Stage {
        name: "ui",
        about: "types, unit tests, and ui/dist is what its source builds",
        packages: &[],
        run: ui::check,
    },
    Stage {
        name: "hardware",
        about: "the printed parts render, and can be printed",
        packages: hardware::PACKAGES,
        run: hardware::check,
    },
    Stage {
        name: "e2e-clients",
        about: "real DHCP, TFTP and HTTP clients",
        packages: e2e::CLIENTS,
        run: e2e::clients,
    },
    Stage {
        name: "e2e-qemu",
        about: "real firmware boots the node image",
        packages: e2e::FIRMWARE,
        run: e2e::qemu,
    },
    Stage {
        name: "e2e-browser",
        about: "Chromium on the real page",
        packages: e2e::BROWSER,
        run: e2e::browser,
    },
];

/// `cargo xtask test`.
///
/// # Errors
/// An argument is not understood.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    run_table(workspace, STAGES, arguments)
}

fn format(workspace: &Workspace) -> Outcome<Tally> {
    if let Err(why) = component(workspace, "fmt", "rustfmt") {
        return Ok(Tally::skip(why));
    }
    let good = succeeds(&mut workspace.cargo(&["fmt", "--all", "--", "--check", "-l"]))?;
    Ok(Tally::one(good, "some files are not formatted: run `cargo fmt --all`"))
}

fn lints(workspace: &Workspace) -> Outcome<Tally> {
    if let Err(why) = component(workspace, "clippy", "clippy") {
        return Ok(Tally::skip(why));
    }
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let good = succeeds(&mut workspace.cargo(&arguments))?;
    let mut tally = Tally::one(good, "clippy found something: see above");
    tally.add(Tally::one(fuzz_compiles(workspace)?, "a fuzz target does not compile: see above"));
    tally.add(match loader::lints(workspace)? {
        Some(good) => Tally::one(good, "rustfmt or clippy found something in the loader: see above"),
        None => Tally::skip("the loader: this toolchain has no target x86_64-unknown-uefi"),
    });
    Ok(tally)
}

/// The fuzz targets are a workspace of their own, which no other stage looks at. Nothing is linked here, so the fuzzer's
/// own library is only named and no C++ compiler is needed; a folder beside that of `soak` keeps the two from building it
/// in turns.
fn fuzz_compiles(workspace: &Workspace) -> Outcome<bool> {
    let folder = workspace.target.join("fuzz").join("check");
    let mut command = workspace.cargo(&["check", "--bins", "--manifest-path", "fuzz/Cargo.toml"]);
    command.env("CUSTOM_LIBFUZZER_PATH", folder.join("libfuzzer.a")).env("CARGO_TARGET_DIR", &folder);
    succeeds(&mut command)
}

/// Properties draw the same cases in each run, so that a red run is a change's doing and comes back when it is run again;
/// `soak` draws new ones, and looks for what nobody knew.
const SEED: &str = "79";

fn unit(workspace: &Workspace) -> Outcome<Tally> {
    let mut command = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        command.env("PROPTEST_RNG_SEED", SEED);
    }
    counting::run_rust_tests(&mut command)
}

/// A part of the toolchain that a minimal installation lacks.
fn component(workspace: &Workspace, subcommand: &str, name: &str) -> Result<(), String> {
    let there = || quietly(&mut workspace.cargo(&[subcommand, "--version"]));
    let fetch =
        || debian::on_path("rustup") && quietly(workspace.command("rustup").args(["component", "add", name]));
    if there() || (fetch() && there()) {
        return Ok(());
    }
    Err(format!("the toolchain has no {name}; run: rustup component add {name}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_stage_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = STAGES.iter().map(|stage| stage.name).collect();
        assert_eq!(names.len(), STAGES.len());
    }
}
