//! Switches by SNMP against net-snmp's agent: a Linux bridge is the switch, its own interfaces are the ports that `snmpd`
//! tells of and switches, a program of a few lines tells what the bridge learned, and `lldpd` who is at the other end.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

mod alone;
#[path = "switches/bench.rs"]
#[expect(dead_code, reason = "the parts of other tests are used as they are")]
mod bench;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alone::{alone, run};
use bench::{Driven, failed};
use model::{
    DeviceSight, LinkReading, MacAddr, Outcome, SecretRef, SnmpPorts, SnmpVersion, SwitchKind, SwitchPort,
};

const LIMIT: Duration = Duration::from_secs(40);
/// What the kernel's bridge learned, as `snmpd` asks a program for it (`pass_persist`): numbers of ports of BRIDGE-MIB,
/// and the table of addresses of Q-BRIDGE-MIB.
const TABLES: &str = include_str!("switches/tables.pl");

/// A bridge with two ports, and what tells of it.
struct Bridge {
    folder: PathBuf,
    children: Vec<Child>,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Bridge {
    fn new() -> Self {
        for line in ["link set lo up", "link add br0 type bridge", "link set br0 up"] {
            run(&format!("ip {line}"));
        }
        for number in 1..=2 {
            run(&format!(
                "ip link add p{number} type veth peer name n{number} address 02:00:00:00:00:0{number}"
            ));
            run(&format!("ip link set p{number} master br0"));
            run(&format!("ip link set p{number} up"));
            run(&format!("ip link set n{number} up"));
        }
        run("ip address add 10.77.0.1/24 dev n1");
        let folder = std::env::temp_dir().join(format!("drivers-snmp-switch-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("kept")).unwrap();
        let program = folder.join("tables");
        fs::write(&program, TABLES).unwrap();
        let settings = format!(
            "agentaddress udp:127.0.0.1:1161\nrwcommunity private 127.0.0.1\nrocommunity public 127.0.0.1\n\
             sysDescr switch of the tests\nmaster agentx\nagentXSocket tcp:127.0.0.1:1705\n\
             pass_persist .1.3.6.1.2.1.17 /usr/bin/perl {}\n",
            program.display()
        );
        fs::write(folder.join("snmpd.conf"), settings).unwrap();
        let mut bridge = Self { folder, children: Vec::new() };
        let settings = bridge.folder.join("snmpd.conf").to_string_lossy().into_owned();
        bridge.start("snmpd", &["/usr/sbin/snmpd", "-f", "-Lo", "-C", "-c", &settings]);
        bridge.wait("snmpd", || ask("1.3.6.1.2.1.1.1.0").contains("switch of the tests"));
        // The switch's one listens first: a neighbour says who he is when he starts.
        let socket = |name: &str| bridge.folder.join(name).to_string_lossy().into_owned();
        let (here, there) = (socket("here"), socket("there"));
        let agent = ["-X", "tcp:127.0.0.1:1705", "-r", "-I", "p1,p2", "-C", "p1"];
        bridge.start("here", &[&["/usr/sbin/lldpd", "-d", "-u", &here, "-L", ""][..], &agent].concat());
        // `lldpLocPortDesc`: it is connected, and has its ports.
        bridge.wait("here", || ask("1.0.8802.1.1.2.1.3.7.1.4").contains("p1"));
        let other = ["-I", "n1", "-C", "n1"];
        bridge.start("there", &[&["/usr/sbin/lldpd", "-d", "-u", &there, "-L", ""][..], &other].concat());
        bridge
    }

    fn start(&mut self, name: &str, command: &[&str]) {
        let log = fs::File::create(self.folder.join(format!("{name}.said"))).unwrap();
        let (program, arguments) = command.split_first().unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env("SNMP_PERSISTENT_DIR", self.folder.join("kept"))
            .env("MIBS", "")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|why| panic!("{program} of the package of that name: {why}"));
        self.children.push(child);
    }

    fn wait(&self, name: &str, is: impl Fn() -> bool) {
        let end = Instant::now() + LIMIT;
        while !is() {
            let said = fs::read_to_string(self.folder.join(format!("{name}.said"))).unwrap();
            assert!(Instant::now() < end, "{name} is not there: {said}");
        }
    }
}

/// What net-snmp's own client reads below a name.
fn ask(name: &str) -> String {
    let arguments = ["-v2c", "-c", "public", "-On", "-r", "0", "-t", "1", "127.0.0.1:1161", name];
    let output = Command::new("snmpbulkwalk").args(arguments).env("MIBS", "").output();
    let output = output.unwrap_or_else(|why| panic!("snmpbulkwalk of the package snmp: {why}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn kind(version: SnmpVersion, traps: bool) -> SwitchKind {
    SwitchKind::Snmp {
        host: "127.0.0.1:1161".to_owned(),
        credentials: SecretRef::Kept("switch".to_owned()),
        version,
        ports: SnmpPorts::Names,
        traps: traps.then(|| "127.0.0.1:1162".parse().unwrap()),
    }
}

const fn link(enabled: bool, mbit: Option<u32>) -> LinkReading {
    LinkReading { enabled, mbit, lost: false }
}

/// Looks until a port is as wanted, while the machine on the first one says something: whoever asks for an address is
/// heard.
async fn until(driven: &mut Driven, port: &str, wanted: impl Fn(&SwitchPort) -> bool) -> SwitchPort {
    let end = Instant::now() + LIMIT;
    let voice = std::net::UdpSocket::bind("10.77.0.1:0").unwrap();
    loop {
        // Without a link it says nothing.
        drop(voice.send_to(b"?", "10.77.0.9:9"));
        let seen = driven.look().await.ports.into_iter().find(|seen| seen.port == port).unwrap();
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "{seen:?}");
    }
}

fn is_up(interface: &str) -> bool {
    run(&format!("ip link show {interface}")).contains(",UP")
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn net_snmps_agent_and_lldpd_tell_of_a_bridge_and_switch_its_ports() {
    if !alone("net_snmps_agent_and_lldpd_tell_of_a_bridge_and_switch_its_ports") {
        return;
    }
    let _bridge = Bridge::new();
    let node1 = MacAddr([2, 0, 0, 0, 0, 1]);
    for version in [SnmpVersion::TwoC, SnmpVersion::One] {
        let mut driven = Driven::new(kind(version, false), &["p1", "p2"], "private");
        match driven.sight().await {
            DeviceSight::Answers { about } => {
                assert!(about.starts_with("switch of the tests, by SNMP"), "{about}");
            }
            other => panic!("{other:?}"),
        }
        // The kernel calls a virtual cable's speed 10 Gbit/s, which is more than version 1 has a number for.
        let mbit = match version {
            SnmpVersion::TwoC => 10_000,
            SnmpVersion::One => model::SPEED_UNTOLD,
        };
        assert_eq!(driven.link(1).await, link(true, Some(mbit)));
        assert_eq!(driven.link(2).await, link(true, Some(mbit)));
        // Who hangs where, by what the bridge heard and by what he says himself.
        until(&mut driven, "p1", |seen| seen.macs.as_ref().unwrap().contains(&node1)).await;
        let named = until(&mut driven, "p1", |seen| !seen.neighbours.is_empty()).await;
        let neighbour = named.neighbours.first().unwrap();
        assert_eq!((neighbour.port.as_str(), &neighbour.macs), ("n1", &vec![node1]));
        // Down and up, as the kernel has it; who hung there vanishes and comes back.
        assert_eq!(driven.set("p1", false).await, Outcome::Done);
        assert!(!is_up("p1") && is_up("p2"));
        assert_eq!(driven.link(1).await, link(false, None));
        until(&mut driven, "p1", |seen| !seen.macs.as_ref().unwrap().contains(&node1)).await;
        assert_eq!(driven.set("p1", true).await, Outcome::Done);
        assert!(is_up("p1"));
        until(&mut driven, "p1", |seen| seen.macs.as_ref().unwrap().contains(&node1)).await;
        // The other end goes.
        run("ip link set n2 down");
        assert_eq!(driven.link(2).await, link(true, None));
        run("ip link set n2 up");
        assert_eq!(driven.link(2).await, link(true, Some(mbit)));
    }
    let mut reader = Driven::new(kind(SnmpVersion::TwoC, false), &["p1"], "public");
    let (code, why) = failed(reader.set("p1", false).await);
    assert!(code == "snmp-status" && why.contains("may this community write?"), "{code}: {why}");
    assert!(is_up("p1"));
    // A trap of net-snmp's own makes us look, who would not for an hour. The agent looks at its kernel every 3 s.
    let mut driven = Driven::every(kind(SnmpVersion::TwoC, true), &["p1", "p2"], "private", 3_600_000);
    assert!(driven.link(2).await.mbit.is_some());
    run("ip link set n2 down");
    let end = Instant::now() + LIMIT;
    while !ask("1.3.6.1.2.1.2.2.1.8").contains("INTEGER: 2") {
        assert!(Instant::now() < end, "snmpd does not see that n2 is down");
    }
    run("snmptrap -v2c -c private 127.0.0.1:1162 1 1.3.6.1.6.3.1.1.5.3");
    assert_eq!(driven.link(2).await, link(true, None));
}
