//! DHCPv6, router advertisements and boot files over IPv6, with clients that others wrote.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{said, until};
use e2e::house::House;
use e2e::processes::told;
use model::{Fact, Sight};

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(90);

const BOSS: &str = "fd00:79::1";
const MAC: &str = "02:4c:41:00:00:01";

/// A lab that answers over IPv6 alone: one machine of the board, and a pool.
fn started() -> (Controller, House) {
    let house = House::new();
    house.shell(&format!("ip addr add {BOSS}/64 dev br0 nodad"));
    house.write("vmlinuz", vec![7; 300_000]);
    house.write("initrd", b"an initramfs of 28 bytes only");
    let text = format!(
        "lab: six\n\
         network:\n\
         \x20 {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, dhcp: off, lease: 10m,\n\
         \x20   ipv6: {{ prefix: \"fd00:79::/64\", boss: \"{BOSS}\", pool: \"fd00:79::1:0-fd00:79::1:ff\" }} }}\n\
         power: {{ hand: {{ driver: manual }} }}\n\
         board: {{ columns: 1, nodes: {{ node1: {{ at: [1, 1], mac: \"{MAC}\", ip: 10.79.0.11, power: hand/1 }} }} }}\n\
         scenarios: {{ all: {{ image: {{ kernel: vmlinuz, initrd: [initrd] }}, nodes: all }} }}\n"
    );
    let lab = house.write("lab.yaml", text);
    (Controller::start(&house, &lab), house)
}

/// A machine whose link-local address may be used, which takes the kernel a second or two.
fn machine<'a>(house: &'a House, name: &str, mac: &str) -> Client<'a> {
    let client = Client::new(house, name, mac);
    until(LIMIT, "its link-local address", || {
        client.shell("ip -6 addr show dev eth0 scope link -tentative").contains("fe80::").then_some(())
    });
    client
}

fn in_ledger(controller: &Controller, what: &str) {
    until(LIMIT, &format!("the ledger says {what}"), || {
        fs::read_to_string(controller.state.join("ledger")).unwrap().contains(what).then_some(())
    });
}

/// What the counter saw of the machine's DHCPv6, in words.
fn steps(controller: &Controller) -> Vec<&'static str> {
    let step = |sight: &Sight| match sight {
        Sight::Solicit { .. } => Some("solicit"),
        Sight::Advertise { .. } => Some("advertise"),
        Sight::Request6 { .. } => Some("request"),
        Sight::Reply { .. } => Some("reply"),
        _ => None,
    };
    let events = controller.events(0).into_iter();
    events
        .filter_map(|event| match event.fact {
            Fact::Sighted { mac, sight } if mac.to_string() == MAC => step(&sight),
            _ => None,
        })
        .collect()
}

#[test]
#[ignore = "stage e2e-clients"]
fn dhclient_gets_its_address_of_the_board_and_gives_it_back() {
    let (controller, house) = started();
    let node = machine(&house, "node1", MAC);
    let (leases, pid) = (house.path("leases"), house.path("dhclient.pid"));
    let dhclient = |more: &[&str]| {
        let mut command = node.command(90, "dhclient");
        command.args(["-6", "-1", "-v", "-sf", "/bin/true", "-lf"]).arg(&leases).arg("-pf").arg(&pid);
        said(&command.args(more).arg("eth0").output().unwrap())
    };
    let first = dhclient(&[]);
    assert!(first.contains("RCV: Advertise") && first.contains("IAADDR fd00:79::11"), "{first}");
    let lease = fs::read_to_string(&leases).unwrap();
    assert!(lease.contains("iaaddr fd00:79::11") && lease.contains("max-life 600;"), "{lease}");
    in_ledger(
        &controller,
        "{\"lease6\":{\"holder\":{\"machine\":\"02:4c:41:00:00:01\"},\"address\":\"fd00:79::11\"",
    );
    let seen = until(LIMIT, "four steps", || Some(steps(&controller)).filter(|steps| steps.len() >= 4));
    assert_eq!(seen.first_chunk(), Some(&["solicit", "advertise", "request", "reply"]));
    let last = dhclient(&["-r"]);
    assert!(last.contains("XMT: Release"), "{last}");
    in_ledger(&controller, "{\"freed6\":{\"address\":\"fd00:79::11\"}}");
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_kernel_learns_the_prefix_and_no_router_and_dhcpcd_asks_because_it_is_told_to() {
    let (controller, house) = started();
    let node = machine(&house, "node1", MAC);
    // The kernel asked for a router as soon as its link was up.
    let routes = until(LIMIT, "the prefix is on the link", || {
        let routes = node.shell("ip -6 route show dev eth0");
        routes
            .lines()
            .any(|route| route.starts_with("fd00:79::/64 ") && route.contains("proto"))
            .then_some(routes)
    });
    assert!(!node.shell("ip -6 route show default").contains("via"), "{routes}");
    // No address of the prefix: only DHCPv6 gives one.
    assert!(!node.shell("ip -6 addr show dev eth0 scope global").contains("fd00:79"), "{routes}");
    let conf = house.write("dhcpcd.conf", "duid\nipv6only\nnooption domain_name_servers\nscript /bin/true\n");
    // With the lease of an earlier run in its folder it would only ask whether that still holds.
    let fresh = "mount -t tmpfs none /var/lib/dhcpcd && exec dhcpcd -6 -1 -B -d -t 60 -f \"$0\" eth0";
    let mut command = node.command(90, "unshare");
    command.args(["--mount", "sh", "-c", fresh]).arg(&conf);
    let heard = said(&command.output().unwrap());
    assert!(heard.contains("fd00:79::11/128"), "{heard}");
    in_ledger(&controller, "\"address\":\"fd00:79::11\"");
    // With its address, boot files come from the boss's.
    let curl = |url: &str| {
        let mut command = node.command(60, "curl");
        told(command.args(["-6", "--silent", "--show-error", "--fail", url]))
    };
    node.shell("ip addr replace fd00:79::11/64 dev eth0 nodad");
    let script = curl(&format!("http://[{BOSS}]/autoexec.ipxe"));
    assert!(script.contains("ifconf --configurator ipv6"), "{script}");
    assert!(
        script.contains("This is node1 of the lab six.")
            && script.contains(&format!("http://[{BOSS}]/boot/")),
        "{script}"
    );
    let got = house.path("got");
    let mut fetch = node.command(60, "curl");
    told(
        fetch
            .args(["-6", "--silent", "--fail", &format!("tftp://[{BOSS}]/snponly.efi"), "--output"])
            .arg(&got),
    );
    assert_eq!(fs::read(got).unwrap(), fs::read("/usr/lib/ipxe/snponly.efi").unwrap());
}

#[test]
#[ignore = "stage e2e-clients"]
fn perfdhcp_loses_nothing_and_no_address_is_given_twice() {
    let (controller, house) = started();
    let crowd = machine(&house, "crowd", "02:4c:41:00:02:01");
    let mut command = crowd.command(120, "perfdhcp");
    command
        .args(["-6", "-l", "eth0", "-r", "20", "-R", "60", "-n", "60", "-W", "5000000", "-d", "20", "all"]);
    let report = said(&command.output().unwrap());
    let numbers = |word: &str| -> Vec<u64> {
        let lines = report.lines().filter_map(|line| line.trim().strip_prefix(word));
        lines.filter_map(|rest| rest.trim_start_matches(':').trim().parse().ok()).collect()
    };
    assert_eq!(numbers("received packets"), [60, 60], "{report}");
    assert_eq!(numbers("drops"), [0, 0], "{report}");
    let ledger = fs::read_to_string(controller.state.join("ledger")).unwrap();
    let given: Vec<&str> = ledger
        .lines()
        .filter_map(|line| line.split_once("\"address\":\"fd00:79::1:"))
        .map(|(_, rest)| rest)
        .collect();
    let distinct: BTreeSet<&str> = given.iter().filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!((given.len(), distinct.len()), (60, 60), "{ledger}");
}

#[test]
#[ignore = "stage e2e-clients"]
fn udhcpc6_is_answered_where_this_busybox_has_it() {
    let list = said(&Command::new("busybox").arg("--list").output().unwrap());
    if !list.lines().any(|applet| applet == "udhcpc6") {
        println!("NOT TESTED: busybox of this Debian is built without udhcpc6");
        return;
    }
    let (controller, house) = started();
    let node = machine(&house, "node1", MAC);
    let mut command = node.command(60, "busybox");
    told(command.args(["udhcpc6", "-f", "-q", "-n", "-i", "eth0", "-s", "/bin/true"]));
    in_ledger(&controller, "\"address\":\"fd00:79::11\"");
}
