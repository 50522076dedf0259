//! Wake-on-LAN on a wire in a network of its own: what leaves is taken apart by `tshark`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod alone;
#[expect(dead_code, reason = "the parts of other tests are used as they are")]
mod bench;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use alone::{alone, run};
use bench::{Driven, failed};
use drivers::power::DriverReport;
use model::{DeviceKind, Outcome, PowerOrder};

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn a_magic_packet_goes_out_on_the_labs_wire_to_the_machines_own_address() {
    if !alone("a_magic_packet_goes_out_on_the_labs_wire_to_the_machines_own_address") {
        return;
    }
    run("ip link set lo up");
    // The lab's wire, and another one with an address of the same subnet.
    for line in ["link add br0 type veth peer name lab", "link add other type veth peer name far"] {
        run(&format!("ip {line}"));
    }
    run("ip address add 10.77.0.251/24 dev other");
    run("ip address add 10.77.0.250/24 dev br0");
    for name in ["other", "far", "br0", "lab"] {
        run(&format!("ip link set {name} up"));
    }
    let fields = [
        "eth.src",
        "eth.dst",
        "ip.src",
        "ip.dst",
        "udp.dstport",
        "wol.sync",
        "wol.mac",
        "frame.interface_name",
    ];
    let fields = fields.iter().flat_map(|field| ["-e", field]);
    let mut tshark = Command::new("tshark")
        // A filter before the first interface is for all of them.
        .args([
            "-f",
            "udp port 9",
            "-l",
            "-i",
            "lab",
            "-i",
            "far",
            "-c",
            "6",
            "-T",
            "fields",
            "-E",
            "separator=,",
        ])
        .args(fields)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("tshark of the package tshark: {why}"));
    let mut said = BufReader::new(tshark.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Capturing on") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "tshark captures nothing");
    }
    // Its two sockets, behind a line of titles.
    let end = Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string("/proc/self/net/packet").unwrap().lines().count() < 3 {
        assert!(Instant::now() < end, "tshark does not listen");
    }
    let mut driven = Driven::new(DeviceKind::WakeOnLan, &["left", "right"], &[]);
    let mut lines = BufReader::new(tshark.stdout.take().unwrap()).lines();
    let order = driven.begin("right", PowerOrder::On);
    assert_eq!(driven.end(order).await, Outcome::Done);
    assert_eq!(driven.order("right", PowerOrder::On).await, Outcome::Done);
    // The folder of interfaces below /sys is of another network.
    let shown = Command::new("ip").args(["-o", "link", "show", "br0"]).output().unwrap().stdout;
    let shown = String::from_utf8(shown).unwrap();
    let source = shown.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
    for _ in 0..6 {
        let seen = lines.next().unwrap().unwrap();
        let times = ["02:00:00:00:00:02"; 16].join(",");
        let wanted = format!("{source},ff:ff:ff:ff:ff:ff,10.77.0.250,10.77.0.255,9,ffffffffffff,{times},lab");
        assert_eq!(seen, wanted);
    }
    // It stops nothing, and claims nothing of any machine.
    for order in [PowerOrder::Off, PowerOrder::Soft, PowerOrder::Press] {
        let (code, why) = failed(driven.order("left", order).await);
        assert!(code == "only-wakes" && why.contains("its agent does"), "{code}: {why}");
    }
    let claims = |report: &DriverReport| {
        matches!(report, DriverReport::PortRead { .. } | DriverReport::PowerSeen { .. })
    };
    assert!(!driven.passed.iter().any(claims), "{:?}", driven.passed);
    // Without the wire nothing is said to have gone out.
    run("ip link delete br0");
    let (code, why) = failed(driven.order("left", PowerOrder::On).await);
    assert!(code == "not-sent" && why.contains("leaves br0 from 10.77.0.250"), "{code}: {why}");
    tshark.wait().unwrap();
}
