//! Real firmware boots by our proxy while dnsmasq gives the addresses.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]

mod e2e;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{self, until};
use e2e::house::House;
use e2e::processes::{skip, told};
use model::{ClientKind, Fact, MacAddr, Sight};

/// As in the tests of every firmware: half a minute on an idle machine, many times that on a busy one.
const LIMIT: Duration = Duration::from_secs(600);
/// The other server, and how its addresses begin.
const OTHER: &str = "10.79.0.250";
const ITS: &str = "10.79.9.";

/// A machine of the lab.
struct Node {
    name: &'static str,
    firmware: &'static str,
    /// dnsmasq makes it wait for a second, so that our word comes first. Otherwise dnsmasq, which only looks into a
    /// list, is first most of the time.
    late: bool,
}

/// dnsmasq as a home router has it. Ends with the test, and tells what it did when that failed.
struct Router {
    program: Child,
    log: PathBuf,
}

impl Router {
    fn start(house: &House, late: &[MacAddr]) -> Self {
        let server = Client::with_address(house, "server", "02:4c:41:00:04:01", OTHER);
        let log = house.path("dnsmasq.log");
        let lines = fs::File::create(&log).unwrap();
        let mut dnsmasq = server.command(1200, "dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--port=0",
            "--no-ping",
        ]);
        dnsmasq.args(["--interface=eth0", "--bind-interfaces", "--log-facility=-", "--dhcp-authoritative"]);
        dnsmasq.args(["--log-dhcp", "--dhcp-reply-delay=tag:late,1"]);
        dnsmasq.args(late.iter().map(|mac| format!("--dhcp-host={mac},set:late")));
        dnsmasq.arg(format!("--dhcp-range={ITS}10,{ITS}60,255.255.240.0,10m"));
        dnsmasq.arg(format!("--dhcp-leasefile={}", house.path("dnsmasq.leases").display()));
        dnsmasq.arg(format!("--pid-file={}", house.path("dnsmasq.pid").display()));
        dnsmasq.stdin(Stdio::null()).stdout(lines.try_clone().unwrap()).stderr(lines);
        let program = dnsmasq.spawn().unwrap();
        let router = Self { program, log };
        until(LIMIT, "dnsmasq listens", || router.said().contains("DHCP, IP range").then_some(()));
        router
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- dnsmasq wrote:\n{}", self.said());
        }
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

/// Which programs a machine's DISCOVERs came from, one after another.
fn programs(controller: &Controller, mac: MacAddr) -> Vec<ClientKind> {
    let asks = controller.events(0).into_iter().filter_map(|event| match event.fact {
        Fact::Sighted { mac: of, sight: Sight::Discover { client, .. }, .. } => (of == mac).then_some(client),
        _ => None,
    });
    let mut programs: Vec<_> = asks.collect();
    programs.dedup();
    programs
}

fn mac(number: usize) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0x4c, 0x43, u8::try_from(number).unwrap()])
}

/// Boots these machines beside dnsmasq until every agent has reported, and gives back what was told meanwhile.
fn boots_beside_dnsmasq(house: &House, nodes: &[Node]) -> (Controller, Router) {
    let mut text = String::from(
        "lab: beside\n\
         network: { interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: proxy }\n\
         power: { qemu: { driver: virtual, memory: 512MiB, stagger: 100ms } }\n\
         board:\n  columns: 3\n  nodes:\n",
    );
    for (number, Node { name, firmware, .. }) in (1..).zip(nodes) {
        let mac = mac(number);
        writeln!(
            text,
            "    {name}: {{ at: [{number}, 1], mac: {mac}, ip: 10.79.0.1{number}, power: qemu/{number}, firmware: {firmware} }}"
        )
        .unwrap();
        let tap = drivers::power::tap_name(mac);
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    }
    text.push_str("scenarios:\n  all: { image: node, nodes: all }\n");
    text.push_str("limits: { first-ask: 5m, fetch: 5m, start: 5m }\n");
    let file = house.write("lab.yaml", text);
    ground::given("LABINATOR_IMAGES");
    let late: Vec<_> =
        (1..).zip(nodes).filter(|(_, node)| node.late).map(|(number, _)| mac(number)).collect();
    let router = Router::start(house, &late);
    let controller = Controller::start(house, &file);
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty() && !scenario.image.is_empty())
    });
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start all --wait --timeout 9m"));
    (controller, router)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn every_firmware_gets_ready_beside_dnsmasq_by_a_proxy() {
    let house = House::new();
    // iPXE is the one that hurries, as a ROM and as what UEFI loads: one hears us first, the other dnsmasq.
    let nodes = [
        Node { name: "bios", firmware: "bios", late: true },
        Node { name: "pxe", firmware: "uefi-pxe", late: false },
        Node { name: "http", firmware: "uefi-http", late: true },
    ];
    let (controller, router) = boots_beside_dnsmasq(&house, &nodes);
    let picture = controller.look().unwrap();
    for machine in &picture.machines {
        println!("{}", told(&mut controller.verb(&format!("boot trace {}", machine.node))));
        let address = machine.agent.as_ref().unwrap().report.address.unwrap();
        assert!(address.to_string().starts_with(ITS), "{}: {address} is dnsmasq's to give", machine.node);
    }
    assert!(picture.lab.notices.is_empty(), "{:?}", picture.lab.notices);

    let offers = controller.events(0).into_iter().filter_map(|event| match event.fact {
        Fact::Sighted { sight: Sight::Offer { address }, .. } => Some(address),
        _ => None,
    });
    assert!({ offers }.all(|address| address.is_unspecified()), "a proxy gives no address");
    // By the way the board says, and by no other that would do as well: OVMF tries HTTP when PXE failed.
    let of = |number| programs(&controller, mac(number));
    assert_eq!(of(1), [ClientKind::Ipxe, ClientKind::Agent]);
    assert_eq!(of(2), [ClientKind::UefiPxe, ClientKind::Ipxe, ClientKind::Agent]);
    assert_eq!(of(3), [ClientKind::UefiHttp, ClientKind::Agent]);

    let ledger = fs::read_to_string(controller.state.join("ledger")).unwrap();
    assert!(!ledger.contains("\"lease\""), "{ledger}");
    let log = router.said();
    assert!(log.contains("reply delay"), "nobody was kept waiting: {log}");
    told(&mut controller.verb("stop --wait --timeout 3m"));
}

/// iPXE 2.x under UEFI asks for nothing again: it has both answers from the firmware, and its script over TFTP.
#[test]
#[ignore = "stage e2e-qemu"]
fn a_newer_ipxe_keeps_what_the_firmware_got_from_both_servers() {
    let suites = PathBuf::from(std::env::var_os("LABINATOR_SUITES").unwrap_or_default());
    let loaders = suites.join("sid/ipxe/usr/lib/ipxe");
    if !loaders.join("snponly.efi").is_file() {
        return skip("iPXE of Debian sid: the archive could not be reached");
    }
    let house = House::new();
    house.shell(&format!("mount --bind {} /usr/lib/ipxe", loaders.display()));
    let nodes = [Node { name: "pxe", firmware: "uefi-pxe", late: true }];
    let (controller, _router) = boots_beside_dnsmasq(&house, &nodes);
    assert_eq!(programs(&controller, mac(1)), [ClientKind::UefiPxe, ClientKind::Agent]);
    let machine = controller.look().unwrap().machines.first().unwrap().as_ref().clone();
    let ipxe = machine.ipxe.unwrap();
    assert!(ipxe.version.starts_with("2."), "{ipxe:?}");
}
