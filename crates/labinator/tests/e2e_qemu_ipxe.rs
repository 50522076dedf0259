//! Three builds of iPXE boot by OVMF: Debian 12's of 2019, Debian 13's of 2025, and 2.0. The new ones get everything
//! from one script and keep the firmware's lease.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "figures, and what was not tested")]

mod e2e;

use std::path::PathBuf;
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground::{self, until};
use e2e::house::House;
use e2e::processes::{skip, told};
use model::{Carrier, ClientKind, FileRole, MachineView, MarkKind, Stage, Trace};

const LIMIT: Duration = Duration::from_secs(600);
const MAC: model::MacAddr = model::MacAddr([0x52, 0x54, 0, 0x4c, 0x42, 2]);

/// A lab of one machine whose boss serves these loaders.
fn lab(loaders: Option<&PathBuf>) -> (Controller, House) {
    let house = House::new();
    if let Some(loaders) = loaders {
        house.shell(&format!("mount --bind {} /usr/lib/ipxe", loaders.display()));
    }
    let tap = drivers::power::tap_name(MAC);
    house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    let file = house.write(
        "lab.yaml",
        format!(
            "lab: loaders\n\
             network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: authoritative }}\n\
             power: {{ qemu: {{ driver: virtual, memory: 512MiB, stagger: 100ms }} }}\n\
             board:\n  columns: 1\n  nodes:\n    \
             node1: {{ at: [1, 1], mac: \"{MAC}\", ip: 10.79.0.12, power: qemu/1, firmware: uefi-pxe }}\n\
             scenarios:\n  all: {{ image: node, nodes: all }}\n\
             limits: {{ first-ask: 5m, fetch: 5m, start: 5m }}\n"
        ),
    );
    ground::given("LABINATOR_IMAGES");
    let controller = Controller::start(&house, &file);
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty() && !scenario.image.is_empty())
    });
    (controller, house)
}

/// Boots the machine until its agent reports.
fn booted(controller: &Controller) -> (MachineView, Trace) {
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start all --wait --timeout 9m"));
    let text = told(&mut controller.verb("boot trace node1 --json"));
    let picture = controller.look().unwrap();
    (picture.machines.first().unwrap().as_ref().clone(), serde_json::from_str(&text).unwrap())
}

fn asks_of_ipxe(trace: &Trace) -> usize {
    let asks = |what: &MarkKind| matches!(what, MarkKind::Discover { client: ClientKind::Ipxe, .. });
    trace.boot.marks.iter().filter(|mark| asks(&mark.what)).count()
}

fn say(trace: &Trace) {
    let ipxe = trace.waterfall.bars.iter().find(|bar| bar.stage == Stage::Ipxe);
    println!("iPXE {}: set up in {} ms", trace.boot.ipxe, ipxe.map_or(0, |bar| bar.took_ms));
}

fn whole(trace: &Trace) {
    let files = &trace.boot.transfers;
    assert!(files.iter().all(|file| file.broken.is_none()), "{files:?}");
    let over = |role| files.iter().find(|file| file.role == role).map(|file| file.carrier);
    assert_eq!(over(FileRole::Loader), Some(Carrier::Tftp));
    assert_eq!(over(FileRole::Kernel), Some(Carrier::Http));
}

/// Loaders of another Debian, unpacked by the test run.
fn of_suite(suite: &str) -> Option<PathBuf> {
    let suites = PathBuf::from(std::env::var_os("LABINATOR_SUITES").unwrap_or_default());
    let loaders = suites.join(suite).join("ipxe/usr/lib/ipxe");
    if loaders.join("snponly.efi").is_file() {
        return Some(loaders);
    }
    skip(&format!("iPXE of Debian {suite}: the archive could not be reached"));
    None
}

#[test]
#[ignore = "stage e2e-qemu"]
fn the_build_of_2019_boots_and_is_named_too_old_with_its_cure() {
    let (mut controller, _house) = lab(None);
    let (machine, trace) = booted(&controller);
    whole(&trace);
    say(&trace);
    let ipxe = machine.ipxe.unwrap();
    assert!(ipxe.features.iter().any(|name| name == "HTTP"), "{ipxe:?}");
    if !ipxe.version.starts_with("1.0.0") {
        skip(&format!("iPXE of 2019: this machine's is {}", ipxe.version));
    } else {
        assert!(ipxe.old.unwrap().cure.contains("Debian 13"));
        let said = told(&mut controller.verb("explain node1"));
        assert!(said.contains("too old"), "{said}");
        assert_eq!(asks_of_ipxe(&trace), 1);
    }
    assert_eq!(controller.stop().code(), Some(0));
}

/// One script over TFTP, asked by the firmware's own stack before the card is opened, and no second lease.
fn boots_by_one_script(suite: &str, version: &str) -> Option<Trace> {
    let loaders = of_suite(suite)?;
    let (mut controller, _house) = lab(Some(&loaders));
    let (machine, trace) = booted(&controller);
    whole(&trace);
    say(&trace);
    assert_eq!(asks_of_ipxe(&trace), 0, "it kept the firmware's lease");
    let scripts = trace.boot.marks.iter().filter(|mark| matches!(mark.what, MarkKind::Script { .. })).count();
    assert_eq!(scripts, 1, "{:?}", trace.boot.marks);
    let ipxe = machine.ipxe.unwrap();
    assert!(ipxe.version.starts_with(version) && ipxe.old.is_none(), "{ipxe:?}");
    assert_eq!(controller.stop().code(), Some(0));
    Some(trace)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn the_build_of_2025_gets_everything_from_one_script() {
    boots_by_one_script("trixie", "1.21.1");
}

#[test]
#[ignore = "stage e2e-qemu"]
fn ipxe_2_gets_everything_from_one_script_and_logs_by_itself() {
    let Some(trace) = boots_by_one_script("sid", "2.") else { return };
    assert!(trace.boot.log.iter().any(|line| line.text.contains("vmlinuz")), "{:?}", trace.boot.log);
}
