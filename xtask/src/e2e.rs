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
use crate::{counting, image, loader, node, suites};

/// What the tests of `e2e_clients*.rs` may call.
pub(crate) const CLIENTS: &[&str] = &[
    "isc-dhcp-client",
    "udhcpc",
    "dhcpcd-base",
    "systemd",
    "dhcping",
    "isc-dhcp-relay",
    "kea-admin",
    "curl",
    "atftp",
    "tftp-hpa",
    "tshark",
    "busybox",
    "wget",
    "openssl",
    "dnsmasq-base",
    "w3m",
    "libfaketime",
    "ipxe",
    "iproute2",
    "bind9-dnsutils",
    "knot-dnsutils",
    "ldnsutils",
    "dnsperf",
    "ntpsec-ntpdig",
    "nftables",
    "dosfstools",
    "mtools",
    "fdisk",
    "gdisk",
    "grub-common",
    "grub-pc-bin",
    "openipmi",
    "ipmitool",
    "snmp",
    "snmpd",
    "lldpd",
    "mosquitto",
    "mosquitto-clients",
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "uhubctl",
    "gpiod",
    "python3-venv",
    "pypi/sushy-tools",
    "pypi/labgrid",
    "pypi/certbot",
    "bookworm/pdudaemon-client",
    // What cloud-init stands on; itself it would take over the machine's next start.
    "python3-configobj",
    "python3-jinja2",
    "python3-jsonpatch",
    "python3-jsonschema",
    "python3-netifaces",
    "python3-oauthlib",
    "python3-requests",
    "python3-serial",
    "python3-yaml",
    "bookworm/cloud-init",
    "trixie/cloud-init",
    "bookworm/ignition",
    // Installed, it would take the place of the machine's own clock keeper.
    "bookworm/chrony",
    // Installed, either would take over the machine's own log.
    "bookworm/rsyslog",
    "bookworm/libestr0",
    "bookworm/libfastjson4",
    "bookworm/liblognorm5",
    "bookworm/syslog-ng-core",
    "bookworm/libivykis0",
    "bookworm/libnet1",
    "bookworm/libpcre3",
    "sid/kubectl",
];

/// What the tests of `e2e_qemu*.rs` may call.
pub(crate) const FIRMWARE: &[&str] = &[
    "qemu-system-x86",
    "ovmf",
    "ipxe",
    "trixie/ipxe",
    "sid/ipxe",
    "grub-common",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "seabios",
    "dnsmasq-base",
    "iproute2",
    "curl",
    "debian-installer-12-netboot-amd64",
    "systemd-boot-efi",
    "busybox-static",
    "binutils",
    "cpio",
    "squashfs-tools",
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "sid/kubectl",
];

/// What the tests of `e2e_loader*.rs` may call.
pub(crate) const LOADER: &[&str] = &[
    "qemu-system-x86",
    "ovmf",
    "qemu-system-arm",
    "qemu-efi-aarch64",
    "debian-installer-12-netboot-arm64",
    "ipxe",
    "grub-common",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "dnsmasq-base",
    "iproute2",
    "curl",
    "systemd-boot-efi",
    "busybox-static",
    "binutils",
    "cpio",
];

/// What builds live images, and what they are started by.
pub(crate) const LIVE: &[&str] = &[
    "mmdebstrap",
    "squashfs-tools-ng",
    "kmod",
    "zstd",
    "systemd-boot-efi",
    "qemu-system-x86",
    "ovmf",
    "ipxe",
    "trixie/ipxe",
    "sid/ipxe",
    "iproute2",
    "openssh-client",
];

/// What the page tests drive, and what the lab behind the page runs on.
pub(crate) const BROWSER: &[&str] = &["chromium", "qemu-system-x86", "ovmf", "ipxe", "iproute2"];

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
    suite(workspace, "e2e_qemu", |workspace| Ok(given_images(image::build_for_tests(workspace)?)))
}

/// Our own loader, in OVMF.
///
/// # Errors
/// As [`qemu`]; or the loader does not build.
pub(crate) fn own_loader(workspace: &Workspace) -> Outcome<Tally> {
    suite(workspace, "e2e_loader", |workspace| {
        let mut given = given_images(image::build_for_tests(workspace)?);
        given.push(("LABINATOR_LOADER", loader::build(workspace)?.into()));
        Ok(given)
    })
}

fn given_images(parts: image::Parts) -> Given {
    vec![
        binary(parts.labinator),
        ("LABINATOR_AGENT", parts.agent.into()),
        ("LABINATOR_IMAGES", parts.images.into()),
    ]
}

/// Live images, in the same firmware.
///
/// # Errors
/// As [`qemu`].
pub(crate) fn live(workspace: &Workspace) -> Outcome<Tally> {
    suite(workspace, "e2e_live", |workspace| {
        let (parts, key) = image::build_live_for_tests(workspace)?;
        let mut given = given_images(parts);
        given.push(("LABINATOR_LIVE_KEY", key.into()));
        given.push(("LABINATOR_LOADER", loader::build(workspace)?.into()));
        Ok(given)
    })
}

/// Playwright on the page with scripted events, then on the page of a lab with real firmware.
///
/// # Errors
/// The binary or the image does not build, or a tool cannot be started.
pub(crate) fn browser(workspace: &Workspace) -> Outcome<Tally> {
    if !node::scripts(workspace)?.contains("e2e") {
        return Ok(Tally::skip("the page has no script `e2e`"));
    }
    let tools = match node::find(workspace) {
        Ok(tools) => tools,
        Err(why) => return Ok(Tally::skip(why.to_string())),
    };
    tools.install(workspace)?;
    println!("npm run e2e");
    let mut tally = counting::run_page_tests(tools.npm(workspace, &["run", "e2e"]).env("CI", "1"))?;
    tally.add(suite(workspace, "e2e_browser", |workspace| {
        let parts = image::build_for_tests(workspace)?;
        let npm = tools.npm(workspace, &[]);
        let path = npm.get_envs().find_map(|(name, value)| value.filter(|_| name == "PATH"));
        let path = path.map_or_else(OsString::new, OsString::from);
        Ok(vec![binary(parts.labinator), ("LABINATOR_IMAGES", parts.images.into()), ("PATH", path)])
    })?);
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
        let mut command = workspace.cargo(&["test", "--package", package, "--test", test, "--"]);
        // Shown for the tests that passed, too: what they could not try is counted from it.
        command.args(["--ignored", "--test-threads=1", "--show-output"]);
        command.envs(given.iter().map(|(name, value)| (name, value)));
        command.env(suites::VARIABLE, suites::folder(workspace));
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
