//! `labinator doctor` of a running controller, with faults planted around it one by one; and what a controller says
//! that cannot start at all.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use api::{Check, Diagnosis, Finding};
use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{given, said, until};
use e2e::house::House;
use e2e::lab;

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

/// A program that goes on until the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A house that sees its own interfaces below `/sys`, as a machine does.
fn house() -> House {
    let house = House::new();
    house.shell("mount -t sysfs sysfs /sys");
    house
}

/// What the doctor says, and its exit code.
fn examined(controller: &Controller) -> (Diagnosis, i32) {
    let output = controller.verb("doctor --json").output().unwrap();
    let diagnosis =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {}", said(&output)));
    (diagnosis, output.status.code().unwrap())
}

/// The checks of this name that are not well.
fn complaints(diagnosis: &Diagnosis, code: &str) -> Vec<Check> {
    let of = diagnosis.checks.iter().filter(|check| check.code == code);
    of.filter(|check| matches!(check.finding, Finding::Broken | Finding::Warning)).cloned().collect()
}

/// Waits until the doctor complains of this.
fn complaint(controller: &Controller, code: &str) -> (Check, i32) {
    until(LIMIT, &format!("the doctor complains of {code}"), || {
        let (diagnosis, exit) = examined(controller);
        complaints(&diagnosis, code).into_iter().next().map(|check| (check, exit))
    })
}

fn well_again(controller: &Controller, code: &str) {
    until(LIMIT, &format!("{code} is well again"), || {
        complaints(&examined(controller).0, code).is_empty().then_some(())
    });
}

#[test]
#[ignore = "stage e2e-clients"]
fn every_planted_fault_is_found_with_its_evidence_and_gone_when_it_is_gone() {
    let house = house();
    // A bridge has carrier as soon as one of its ports has.
    let guest = Client::new(&house, "guest", "02:4c:41:00:01:01");
    let lab = lab::written(&house);
    let controller = Controller::start(&house, &lab);
    well_again(&controller, "interface");
    let (clean, _) = examined(&controller);
    for code in ["interface", "boss_address", "subnet_overlap", "firewall", "foreign_dhcp", "mtu", "counter"]
    {
        assert!(
            complaints(&clean, code).is_empty(),
            "{code} before anything was planted: {:?}",
            clean.checks
        );
    }

    // The cable is out.
    house.shell("ip link set br0 down");
    let (check, exit) = complaint(&controller, "interface");
    assert_eq!((check.finding, exit), (Finding::Broken, 1));
    assert!(check.seen.contains("br0 is down") && check.help.contains("ip link set"), "{check:?}");
    house.shell("ip link set br0 up");
    well_again(&controller, "interface");

    // Somebody took the boss's address away.
    house.shell("ip addr del 10.79.0.1/20 dev br0");
    let (check, _) = complaint(&controller, "boss_address");
    assert_eq!(check.help, "ip address add 10.79.0.1/20 dev br0");
    house.shell(&check.help);
    well_again(&controller, "boss_address");

    // Another way into the same addresses.
    house.shell("ip link add br9 type bridge && ip addr add 10.79.8.1/24 dev br9 && ip link set br9 up");
    let (check, _) = complaint(&controller, "subnet_overlap");
    assert!(check.seen.contains("10.79.8.0/24 on br9"), "{check:?}");
    house.shell("ip link del br9");
    well_again(&controller, "subnet_overlap");

    // A firewall that knows nothing of the lab, and then does.
    house.shell(
        "nft add table inet filter && nft add chain inet filter input '{ type filter hook input priority 0; policy drop; }' \
         && nft add rule inet filter input tcp dport 22 accept",
    );
    let (check, exit) = complaint(&controller, "firewall");
    assert!(check.seen.contains("no rule names port 67, 69, 80"), "{check:?}");
    assert_eq!(check.finding, Finding::Warning);
    assert_eq!(exit, 0, "a hint is no failure");
    let help = check.help.split(", if").next().unwrap();
    house.shell(help);
    well_again(&controller, "firewall");
    house.shell("nft flush ruleset");

    // A virtual machine is given more by fw_cfg than Linux reads in time: QEMU's command line is what tells, so a shell
    // that is called like it and waits for a line will do.
    house.write("config.ign", [b'x'; 40_000]);
    house.shell("cp $(readlink -f /bin/sh) /run/qemu-system-x86_64");
    let content = format!("name=opt/com.coreos/config,file={}", house.path("config.ign").display());
    let mut machine = house.staying("/run/qemu-system-x86_64");
    machine.args(["-c", "read line", "-name", "guest=web1", "-fw_cfg", &content]).stdin(Stdio::piped());
    let machine = Running(machine.spawn().unwrap());
    let (check, exit) = complaint(&controller, "fw_cfg");
    assert_eq!((check.finding, exit), (Finding::Broken, 1));
    assert!(
        check.seen.contains("web1") && check.seen.contains("opt/com.coreos/config by fw_cfg, 40 KiB"),
        "{check:?}"
    );
    house.write("config.ign", [b'x'; 30_000]);
    well_again(&controller, "fw_cfg");
    drop(machine);

    // Another DHCP server answers a machine that asks.
    let other = Client::with_address(&house, "other", "02:4c:41:00:00:c8", "10.79.0.200");
    let dnsmasq = "exec dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --interface=eth0 --bind-interfaces \
        --dhcp-range=10.79.2.10,10.79.2.20,255.255.240.0 --dhcp-leasefile=/run/leases --pid-file=";
    let foreign =
        Running(other.command(300, "sh").args(["-c", dnsmasq]).stderr(Stdio::null()).spawn().unwrap());
    let (check, exit) = until(LIMIT, "the doctor names the other server", || {
        drop(
            guest
                .command(20, "busybox")
                .args(["udhcpc", "-n", "-q", "-t", "2", "-T", "1", "-i", "eth0", "-s", "/bin/true"])
                .output(),
        );
        let (diagnosis, exit) = examined(&controller);
        complaints(&diagnosis, "foreign_dhcp").into_iter().next().map(|check| (check, exit))
    });
    assert!(check.seen.contains("10.79.0.200"), "{check:?}");
    assert_eq!((check.finding, exit), (Finding::Broken, 1));
    drop(foreign);
    // The machine that asked is on no board.
    assert!(complaint(&controller, "stranger").0.seen.contains("02:4c:41:00:01:01"));
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_lab_that_names_another_interface_than_the_boss_s_address_has_is_told_so() {
    let house = house();
    house.shell("ip link add br9 type bridge && ip link set br9 up");
    let file = lab::written(&house);
    let text = fs::read_to_string(&file).unwrap().replace("interface: br0", "interface: br9");
    fs::write(&file, text).unwrap();
    let controller = Controller::start(&house, &file);
    let (check, exit) = complaint(&controller, "subnet_overlap");
    assert!(check.seen.contains("10.79.0.0/20 overlaps 10.79.0.0/20 on br0"), "{check:?}");
    assert_eq!((check.finding, exit), (Finding::Broken, 1));
}

/// Why a controller with this lab file does not start.
fn refused(house: &House, lab: &std::path::Path) -> String {
    let mut command = house.inside(60, given("LABINATOR_BIN"));
    command.args(["serve", "--lab"]).arg(lab).arg("--state").arg(house.path("state"));
    command.env("LABINATOR_SOCKET", house.path("api.sock")).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_controller_that_cannot_start_says_which_port_is_taken_or_which_interface_is_missing() {
    let house = House::new();
    let file = lab::written(&house);
    let dnsmasq = "dnsmasq --conf-file=/dev/null --port=0 --interface=br0 --bind-interfaces \
        --dhcp-range=10.79.2.10,10.79.2.20,255.255.240.0 --dhcp-leasefile=/run/leases --pid-file=/run/dnsmasq.pid";
    house.shell(dnsmasq);
    let why = refused(&house, &file);
    assert!(why.contains("67") && why.contains("help:"), "{why}");
    house.shell("kill $(cat /run/dnsmasq.pid) && pidwait dnsmasq || true");

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("interface: br0", "interface: eth7")).unwrap();
    let why = refused(&house, &file);
    assert!(why.contains("eth7"), "{why}");

    fs::write(&file, text.replace("boss: 10.79.0.1,", "boss: 10.79.0.2,")).unwrap();
    let why = refused(&house, &file);
    assert!(why.contains("10.79.0.2"), "{why}");
}
