//! Real resolvers and clock clients ask a running controller: dig, kdig, drill, glibc, dnsperf, ntpdig, chrony.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::said;
use e2e::house::House;
use e2e::lab::{self, BOSS};
use e2e::processes::{skip, told};

/// A lab with names and time whose other names belong to a server that is not there.
fn started(ntp: &str) -> (Controller, House) {
    let house = House::new();
    let plain = fs::read_to_string(lab::written(&house)).unwrap();
    let named = format!(
        "dhcp: authoritative, domain: lab.internal, ntp: {ntp}, \
         dns: {{ forward: [\"10.79.0.1:5353\"], ingress: [node2] }},"
    );
    let file = house.write("lab.yaml", plain.replace("dhcp: authoritative,", &named));
    (Controller::start(&house, &file), house)
}

#[test]
#[ignore = "stage e2e-clients"]
fn every_resolver_finds_machines_by_name_and_back() {
    let (_controller, house) = started("off");
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let at = format!("@{BOSS}");
    let dig = |words: &str| node.shell(&format!("dig {at} +tries=1 +time=5 {words}"));
    assert_eq!(dig("+short node3.lab.internal"), "10.79.0.13\n");
    assert_eq!(dig("+short -x 10.79.0.13"), "node3.lab.internal.\n");
    assert_eq!(dig("+short grafana.apps.lab.internal"), "10.79.0.12\n");
    assert_eq!(dig("+short +tcp SRV _http._tcp.lab.internal"), "0 0 80 boss.lab.internal.\n");
    let denied = dig("node99.lab.internal");
    assert!(denied.contains("status: NXDOMAIN") && denied.contains("SOA"), "{denied}");
    // Nobody is at the other server: that is said at once, because the kernel says so at once.
    let failed = dig("www.example.org");
    assert!(failed.contains("status: SERVFAIL"), "{failed}");
    let kdig = node.shell(&format!("kdig {at} +edns +bufsize=4096 node3.lab.internal A"));
    assert!(kdig.contains("10.79.0.13") && kdig.contains("EDNS"), "{kdig}");
    let drill = node.shell(&format!("drill node3.lab.internal {at}"));
    assert!(drill.contains("NOERROR") && drill.contains("10.79.0.13"), "{drill}");
    // glibc, with the search domain that DHCP tells.
    let conf = house.write("resolv.conf", format!("nameserver {BOSS}\nsearch lab.internal\n"));
    let conf = conf.display();
    let glibc = |words: &str| node.shell(&format!("mount --bind {conf} /etc/resolv.conf && getent {words}"));
    assert!(glibc("ahosts node3").contains("10.79.0.13"));
    assert!(glibc("hosts 10.79.0.13").contains("node3.lab.internal"));
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_load_of_questions_loses_none() {
    let (_controller, house) = started("off");
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let questions: String =
        (1..=9).map(|n| format!("node{n}.lab.internal A\nx{n}.apps.lab.internal A\n")).collect();
    let file = house.write("questions", questions);
    let mut command = node.command(60, "dnsperf");
    command.args(["-s", BOSS, "-l", "2", "-c", "4", "-q", "50", "-d"]).arg(&file);
    let heard = told(&mut command);
    println!("{heard}");
    let line = |name: &str| heard.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("Queries lost").contains(" 0 ("), "{heard}");
    assert!(line("Response codes").contains("NOERROR") && !heard.contains("SERVFAIL"), "{heard}");
}

#[test]
#[ignore = "stage e2e-clients"]
fn clock_clients_take_the_time_of_a_clock_that_is_vouched_for_only() {
    let (mut controller, house) = started("trust");
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let ntpdig =
        |node: &Client<'_>| said(&node.command(30, "ntpdig").args(["-t", "5", BOSS]).output().unwrap());
    let heard = ntpdig(&node);
    // The machine that runs this may have a clock that others keep.
    assert!(heard.contains(" s10 ") || heard.contains(" s4 "), "{heard}");
    let chronyd = std::path::PathBuf::from(std::env::var_os("LABINATOR_SUITES").unwrap_or_default())
        .join("bookworm/chrony/usr/sbin/chronyd");
    let chrony = |node: &Client<'_>| {
        let mut command = node.command(60, &chronyd);
        command.args(["-Q", "-t", "20", "-u", "root", &format!("server {BOSS} iburst")]);
        command.output().map(|output| (output.status.success(), said(&output)))
    };
    match chrony(&node) {
        Ok((good, heard)) if chronyd.is_file() => {
            assert!(good && heard.contains("System clock wrong by"), "{heard}");
        }
        _ => skip("chrony: Debian's archive could not be reached"),
    }
    assert_eq!(controller.stop().code(), Some(0));
    if heard.contains(" s4 ") {
        return skip("a clock that nobody keeps: this machine's is kept");
    }
    drop(node);
    drop(house);

    let (_controller, house) = started("auto");
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let heard = ntpdig(&node);
    assert!(!heard.contains(" s10 "), "nobody vouches for this clock: {heard}");
    if chronyd.is_file() {
        let (good, heard) = chrony(&node).unwrap();
        assert!(!good && !heard.contains("System clock wrong by"), "{heard}");
    }
}
