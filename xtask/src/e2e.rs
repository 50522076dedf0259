//! Stages against software that others wrote: clients, firmware, a browser.
//!
//! A test belongs to the stage that its file is named after: `crates/*/tests/e2e_clients*.rs`,
//! `e2e_qemu*.rs` or `e2e_browser*.rs`. Its tests are `#[ignore = ".."]`, so that a plain
//! `cargo test` needs nothing but cargo; the stage runs them one at a time.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::metadata;
use crate::stage::Tally;
use crate::workspace::{Outcome, Workspace};
use crate::{counting, image, node};

/// What the tests of `e2e_clients*.rs` may call.
pub(crate) const CLIENTS: &[&str] = &["isc-dhcp-client", "udhcpc", "kea-admin", "curl", "atftp", "iproute2"];

/// What the tests of `e2e_qemu*.rs` may call.
pub(crate) const FIRMWARE: &[&str] = &["qemu-system-x86", "ovmf", "ipxe", "iproute2", "curl"];

/// What the page tests drive.
pub(crate) const BROWSER: &[&str] = &["chromium"];

/// Variables the tests find the built parts by.
type Given = Vec<(&'static str, OsString)>;

/// Real dhclient, udhcpc, perfdhcp, curl and atftp.
///
/// # Errors
/// The binary does not build, or cargo cannot be started.
pub(crate) fn clients(workspace: &Workspace) -> Outcome<Tally> {
    suite(workspace, "e2e_clients", |workspace| Ok(vec![binary(workspace.build_labinator(false)?)]))
}

/// OVMF, SeaBIOS and iPXE in QEMU, with the node image.
///
/// # Errors
/// The binary, the agent or the image does not build, or cargo cannot be started.
pub(crate) fn qemu(workspace: &Workspace) -> Outcome<Tally> {
    suite(workspace, "e2e_qemu", |workspace| {
        let parts = image::build(workspace)?;
        Ok(vec![
            binary(parts.labinator),
            ("LABINATOR_AGENT", parts.agent.into()),
            ("LABINATOR_IMAGES", parts.images.into()),
        ])
    })
}

/// Playwright on the page with scripted events, then on the page of a running binary.
///
/// # Errors
/// The binary does not build, or a tool cannot be started.
pub(crate) fn browser(workspace: &Workspace) -> Outcome<Tally> {
    let scripts = node::scripts(workspace)?;
    let wanted: Vec<&str> = ["e2e", "real"].into_iter().filter(|name| scripts.contains(*name)).collect();
    let mut tally = Tally::default();
    if !wanted.is_empty() {
        let tools = match node::find(workspace) {
            Ok(tools) => tools,
            Err(why) => return Ok(Tally::skip(why.to_string())),
        };
        tools.install(workspace)?;
        let (name, path) = binary(workspace.build_labinator(true)?);
        for script in wanted {
            println!("npm run {script}");
            let mut run = tools.npm(workspace, &["run", script]);
            run.env(name, &path).env("CI", "1");
            tally.add(counting::run_page_tests(&mut run)?);
        }
    }
    let rust =
        suite(workspace, "e2e_browser", |workspace| Ok(vec![binary(workspace.build_labinator(true)?)]))?;
    if tally.passed + tally.failed == 0 || rust.passed + rust.failed > 0 {
        tally.add(rust);
    }
    Ok(tally)
}

fn binary(path: PathBuf) -> (&'static str, OsString) {
    ("LABINATOR_BIN", path.into())
}

/// Runs every test file of a stage; what the tests need is built only when there are any.
fn suite(
    workspace: &Workspace,
    stage: &str,
    prepare: impl FnOnce(&Workspace) -> Outcome<Given>,
) -> Outcome<Tally> {
    let targets: Vec<(String, String)> = metadata::members(workspace)?
        .into_iter()
        .flat_map(|member| member.tests.into_iter().map(move |test| (member.name.clone(), test)))
        .filter(|(_, test)| belongs(stage, test))
        .collect();
    if targets.is_empty() {
        return Ok(Tally::skip(format!("no crate has a test file `tests/{stage}*.rs`")));
    }
    let given = prepare(workspace)?;
    let mut tally = Tally::default();
    for (package, test) in &targets {
        println!("{package}: {test}");
        let arguments = ["test", "--package", package, "--test", test, "--", "--ignored", "--test-threads=1"];
        let mut command = workspace.cargo(&arguments);
        command.envs(given.iter().map(|(name, value)| (name, value)));
        let mut counted = counting::run_rust_tests(&mut command)?;
        if counted.passed + counted.failed == 0 {
            counted
                .fail(format!("{package}/tests/{test}.rs: no test ran: mark its tests `#[ignore = \"..\"]`"));
        }
        tally.add(counted);
    }
    Ok(tally)
}

fn belongs(stage: &str, test: &str) -> bool {
    test.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_file_belongs_to_the_stage_it_is_named_after() {
        assert!(belongs("e2e_clients", "e2e_clients"));
        assert!(belongs("e2e_clients", "e2e_clients_dhclient"));
        assert!(!belongs("e2e_clients", "e2e_clientship"));
        assert!(!belongs("e2e_clients", "leases"));
    }
}
