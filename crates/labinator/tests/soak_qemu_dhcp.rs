//! Real firmware boots by our proxy while dnsmasq gives the addresses.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]
#![expect(dead_code, reason = "the stand is shared with other tests")]

#[path = "e2e/client.rs"]
mod client;
#[path = "e2e/controller.rs"]
mod controller;
#[path = "e2e/ground.rs"]
mod ground;
#[path = "e2e/house.rs"]
mod house;
#[path = "e2e/processes.rs"]
mod processes;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use client::Client;
use controller::Controller;
use ground::until;
use house::House;
use model::{Fact, Sight};
use processes::told;

/// As in the tests of every firmware: half a minute on an idle machine, many times that on a busy one.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
#[ignore = "soak firmware"]
fn every_firmware_gets_ready_beside_dnsmasq_by_a_proxy() {
    let house = House::new();
    let mut text = String::from(
        "lab: beside\n\
         network: { interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: proxy }\n\
         power: { qemu: { driver: virtual, memory: 512MiB, stagger: 100ms } }\n\
         board:\n  columns: 3\n  nodes:\n",
    );
    for (name, firmware, number) in [("bios", "bios", 1_u8), ("pxe", "uefi-pxe", 2), ("http", "uefi-http", 3)]
    {
        let mac = model::MacAddr([0x52, 0x54, 0, 0x4c, 0x43, number]);
        text.push_str(&format!(
            "    {name}: {{ at: [{number}, 1], mac: {mac}, ip: 10.79.0.1{number}, power: qemu/{number}, firmware: {firmware} }}\n"
        ));
        let tap = drivers::power::tap_name(mac);
        house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    }
    text.push_str("scenarios:\n  all: { image: node, nodes: all }\n");
    text.push_str("limits: { first-ask: 5m, fetch: 5m, start: 5m }\n");
    let file = house.write("lab.yaml", text);
    ground::given("LABINATOR_IMAGES");

    let server = Client::with_address(&house, "server", "02:4c:41:00:04:01", "10.79.0.250");
    let log = house.path("dnsmasq.log");
    let lines = fs::File::create(&log).unwrap();
    let mut dnsmasq = server.command(1200, "dnsmasq");
    dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0", "--no-ping"]);
    dnsmasq.args(["--interface=eth0", "--bind-interfaces", "--log-facility=-", "--dhcp-authoritative"]);
    dnsmasq.arg("--dhcp-range=10.79.9.10,10.79.9.60,255.255.240.0,10m");
    dnsmasq.arg(format!("--dhcp-leasefile={}", house.path("dnsmasq.leases").display()));
    dnsmasq.arg(format!("--pid-file={}", house.path("dnsmasq.pid").display()));
    dnsmasq.stdin(Stdio::null()).stdout(lines.try_clone().unwrap()).stderr(lines);
    let mut dnsmasq = dnsmasq.spawn().unwrap();
    until(LIMIT, "dnsmasq listens", || {
        fs::read_to_string(&log).unwrap().contains("DHCP, IP range").then_some(())
    });

    let controller = Controller::start(&house, &file);
    controller.wait(LIMIT, "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty() && !scenario.image.is_empty())
    });
    until(Duration::from_secs(120), "the start is not refused any more", || {
        let plan = controller.verb("start all --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    told(&mut controller.verb("start all --wait --timeout 9m"));

    let picture = controller.look().unwrap();
    for machine in &picture.machines {
        println!("{}", told(&mut controller.verb(&format!("boot trace {}", machine.node))));
        let address = machine.agent.as_ref().unwrap().report.address.unwrap();
        assert!(
            address.to_string().starts_with("10.79.9."),
            "{}: {address} is dnsmasq's to give",
            machine.node
        );
    }
    assert!(picture.lab.notices.is_empty(), "{:?}", picture.lab.notices);
    let events = controller.events(0);
    let offers: Vec<_> = events
        .iter()
        .filter_map(|event| match event.fact {
            Fact::Sighted { sight: Sight::Offer { address }, .. } => Some(address),
            _ => None,
        })
        .collect();
    assert!(offers.len() >= 3 && offers.iter().all(std::net::Ipv4Addr::is_unspecified), "{offers:?}");
    let ledger = fs::read_to_string(controller.state.join("ledger")).unwrap();
    assert!(!ledger.contains("\"lease\""), "{ledger}");
    told(&mut controller.verb("stop --wait --timeout 3m"));
    drop(dnsmasq.kill());
    drop(dnsmasq.wait());
}
