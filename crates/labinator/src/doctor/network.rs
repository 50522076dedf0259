//! The lab's interface and what the boss's own network does to it.

use std::fs;
use std::time::Duration;

use api::{Check, Finding};
use drivers::process::{Program, run_once};
use model::{DhcpMode, NetworkSpec};

use super::{check, well_or};
use crate::boss::{self, Boss, is_in};

/// What the firmware of machines speaks, in bytes.
const MTU: u32 = 1500;
/// Firewall rules, and where they come from.
const NFT: Program = Program::new("nft", "nftables");
/// Offload flags, and where they come from.
const ETHTOOL: Program = Program::new("ethtool", "ethtool");
/// How long one of them may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Offloads that went wrong on cheap adapters (raspberrypi/linux#2449, #5239).
const OFFLOADS: [&str; 4] = [
    "rx-checksumming",
    "tcp-segmentation-offload",
    "generic-segmentation-offload",
    "generic-receive-offload",
];

/// Checks that read the kernel's tables.
pub(super) fn examine(network: &NetworkSpec) -> Vec<Check> {
    let boss = Boss::look();
    let mut checks = vec![interface(network, &boss), address(network, &boss), overlap(network, &boss)];
    checks.extend(bridge(network));
    checks.extend(mtu(network));
    checks.extend(speed(network));
    checks.extend(reverse_path(network, &boss));
    checks
}

fn interface(network: &NetworkSpec, boss: &Boss) -> Check {
    let name = network.interface.as_str();
    if name != "lo" && !boss.interfaces().any(|this| this == name) {
        let help = "`ip link` lists the interfaces; set `network.interface` in the lab file";
        return check("interface", Finding::Broken, format!("there is no interface {name}"), help);
    }
    let help = "plug the cable in, or `ip link set dev INTERFACE up`";
    match boss::property(name, "operstate").as_deref() {
        Some(state @ ("up" | "unknown")) => {
            check("interface", Finding::Well, format!("{name} is {state}"), "")
        }
        Some(state) => check("interface", Finding::Broken, format!("{name} is {state}"), help),
        None => check("interface", Finding::Well, format!("{name} is there"), ""),
    }
}

fn address(network: &NetworkSpec, boss: &Boss) -> Check {
    let own = network.boss.is_loopback() || boss.own_addresses().contains(&network.boss);
    let seen = format!("{} is {}this machine's", network.boss, if own { "" } else { "not " });
    let help = format!("ip address add {}/{} dev {}", network.boss, network.prefix, network.interface);
    check("boss_address", well_or(own, Finding::Broken), seen, &help)
}

/// Two interfaces into the same addresses: answers leave by the wrong one.
fn overlap(network: &NetworkSpec, boss: &Boss) -> Check {
    let (subnet, prefix) = (network.subnet, network.prefix);
    let clash = boss.routes().filter(|route| route.prefix > 0 && route.interface != network.interface).find(
        |route| {
            is_in(route.to, subnet, prefix)
                || (route.prefix <= prefix && is_in(subnet, route.to, route.prefix))
        },
    );
    match clash {
        Some(route) => check(
            "subnet_overlap",
            Finding::Broken,
            format!("{subnet}/{prefix} overlaps {}/{} on {}", route.to, route.prefix, route.interface),
            "give the lab a subnet of its own: `network.subnet` in the lab file, and the boss's address in it",
        ),
        None => check(
            "subnet_overlap",
            Finding::Well,
            format!("{subnet}/{prefix} is on {} only", network.interface),
            "",
        ),
    }
}

/// A bridge that learns before it forwards costs every boot its first 15 to 30 seconds.
fn bridge(network: &NetworkSpec) -> Option<Check> {
    let name = &network.interface;
    if let Some(master) = boss::property(name, "brport/bridge/uevent") {
        let bridge = master.lines().find_map(|line| line.strip_prefix("INTERFACE=")).unwrap_or("a bridge");
        let seen = format!("{name} is a port of {bridge}");
        return Some(check("bridge", Finding::Broken, seen, "name the bridge itself as `network.interface`"));
    }
    let tree = boss::property(name, "bridge/stp_state")?;
    let hundredths = boss::property(name, "bridge/forward_delay").and_then(|text| text.parse::<u32>().ok());
    let delay = hundredths.unwrap_or_default() / 100;
    let seen = format!(
        "{name} is a bridge, spanning tree {}, forward delay {delay} s",
        if tree == "0" { "off" } else { "on" }
    );
    let help = format!("ip link set dev {name} type bridge stp_state 0 forward_delay 0");
    Some(check("bridge", well_or(tree == "0" && delay == 0, Finding::Warning), seen, &help))
}

fn mtu(network: &NetworkSpec) -> Option<Check> {
    let mtu: u32 = boss::property(&network.interface, "mtu")?.parse().ok()?;
    let seen = format!("{} sends packets of up to {mtu} bytes", network.interface);
    let help =
        format!("ip link set dev {} mtu {MTU}: firmware speaks {MTU} and nothing else", network.interface);
    let usual = mtu == MTU || network.interface == "lo";
    Some(check("mtu", well_or(usual, Finding::Warning), seen, &help))
}

fn speed(network: &NetworkSpec) -> Option<Check> {
    let megabits: i64 =
        boss::property(&network.interface, "speed")?.parse().ok().filter(|speed| *speed > 0)?;
    let duplex = boss::property(&network.interface, "duplex").unwrap_or_else(|| "unknown".to_owned());
    let driver = boss::driver(&network.interface).unwrap_or_else(|| "no driver of its own".to_owned());
    let seen = format!("{} runs at {megabits} Mbit/s, {duplex} duplex, driver {driver}", network.interface);
    let help = "a pair of the cable is broken, or the port is slow: six images at once need 1000 Mbit/s";
    let finding = well_or(megabits >= 1000 && duplex != "half", Finding::Warning);
    Some(check("link_speed", finding, seen, help))
}

/// A strict filter drops what comes from where no route leads back.
fn reverse_path(network: &NetworkSpec, boss: &Boss) -> Option<Check> {
    let read = |interface: &str| {
        let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter")).ok()?;
        text.trim().parse::<u8>().ok()
    };
    // The kernel takes the larger of the two (ip-sysctl.rst); 1 is strict, 2 asks only for any route back.
    let filter = read("all").unwrap_or_default().max(read(&network.interface)?);
    let here = boss.routes().any(|route| {
        route.interface == network.interface
            && route.prefix > 0
            && is_in(network.subnet, route.to, route.prefix)
    });
    let strict = filter == 1;
    let seen = match (strict, here) {
        (true, false) => format!(
            "reverse-path filtering is strict, and no route leads to {}/{}",
            network.subnet, network.prefix
        ),
        (true, true) => "reverse-path filtering is strict, and the lab's route leads back".to_owned(),
        (false, _) => "reverse-path filtering is not strict".to_owned(),
    };
    let help = format!("sysctl -w net.ipv4.conf.{0}.rp_filter=2, or give {0} its address", network.interface);
    Some(check("reverse_path", well_or(!strict || here, Finding::Warning), seen, &help))
}

/// Checks that ask programs, where they are installed.
pub(super) async fn ask(network: &NetworkSpec) -> Vec<Check> {
    let rules = said(NFT, &["list", "ruleset"]).await;
    let flags = said(ETHTOOL, &["-k", network.interface.as_str()]).await;
    [rules.map(|rules| firewall(&rules, network)), flags.map(|flags| offloads(&flags))]
        .into_iter()
        .flatten()
        .collect()
}

/// What a program wrote; nothing when it is not installed or has not the right.
async fn said(program: Program, arguments: &[&str]) -> Option<String> {
    let output = run_once(program, arguments, LIMIT).await.ok()?;
    Some(String::from_utf8_lossy(&output).into_owned())
}

/// Only a hint: who reads rules without running them can be wrong both ways.
fn firewall(rules: &str, network: &NetworkSpec) -> Check {
    let drops = rules.lines().any(|line| line.contains("hook input") && line.contains("policy drop"));
    let wanted: &[u16] = if network.dhcp == DhcpMode::Off { &[69, 80] } else { &[67, 69, 80] };
    let is_named = |port: u16| {
        rules
            .lines()
            .filter(|line| line.contains("dport"))
            .any(|line| line.split(|c: char| !c.is_ascii_digit()).any(|number| number.parse() == Ok(port)))
    };
    let whole = rules
        .lines()
        .any(|line| line.contains("accept") && line.contains(&format!("\"{}\"", network.interface)));
    let closed: Vec<String> =
        wanted.iter().filter(|port| !whole && !is_named(**port)).map(u16::to_string).collect();
    if !drops || closed.is_empty() {
        let seen = if drops {
            "the firewall drops what it does not know, and names the lab's ports"
        } else {
            "no firewall drops what comes in"
        };
        return check("firewall", Finding::Well, seen.to_owned(), "");
    }
    let seen =
        format!("the firewall drops what it does not know, and no rule names port {}", closed.join(", "));
    let help = format!(
        "nft insert rule inet filter input iifname {} accept, if your chain is called that",
        network.interface
    );
    check("firewall", Finding::Warning, seen, &help)
}

fn offloads(flags: &str) -> Check {
    let state = |name: &str| {
        let line = flags.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "))?;
        Some(line.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let told: Vec<String> =
        OFFLOADS.iter().filter_map(|name| Some(format!("{name} {}", state(name)?))).collect();
    check("offloads", Finding::Well, told.join(", "), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> NetworkSpec {
        NetworkSpec {
            interface: "br0".to_owned(),
            dhcp: DhcpMode::Authoritative,
            ..super::super::tests::network()
        }
    }

    #[test]
    fn a_firewall_that_drops_our_ports_is_named_and_one_that_lets_them_in_is_not() {
        let strict = "table inet filter {\n chain input {\n  type filter hook input priority 0; policy drop;\n  tcp dport 22 accept\n";
        let found = firewall(&format!("{strict} }}}}"), &network());
        assert_eq!(found.finding, Finding::Warning);
        assert!(found.seen.contains("port 67, 69, 80"), "{}", found.seen);
        let open = format!("{strict}  udp dport {{ 67, 69 }} accept\n  tcp dport 80 accept\n");
        assert_eq!(firewall(&open, &network()).finding, Finding::Well);
        let by_name = format!("{strict}  iifname \"br0\" accept\n");
        assert_eq!(firewall(&by_name, &network()).finding, Finding::Well);
        assert_eq!(firewall("", &network()).finding, Finding::Well);
    }

    #[test]
    fn offload_flags_are_read_from_ethtool() {
        let found =
            offloads("Features for eth0:\nrx-checksumming: on\n\ttcp-segmentation-offload: off [fixed]\n");
        assert_eq!(found.seen, "rx-checksumming on, tcp-segmentation-offload off");
    }
}
