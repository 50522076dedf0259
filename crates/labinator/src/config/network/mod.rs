//! Judging the `network` section: addresses that fit each other.

mod ipv6;
mod mode;
mod names;
mod relays;

use std::net::Ipv4Addr;

use model::{NetworkSpec, Span, TftpPorts};

use crate::config::fields::{Found, Typed};
use crate::config::file::NetworkFile;
use crate::config::mistake::Mistake;
use crate::config::words;
use crate::config::yaml::Place;

pub(in crate::config) use ipv6::Link6;
pub(in crate::config) use names::names;

/// Seconds a lease lasts unless told.
const LEASE_SECONDS: u32 = 3600;

/// A subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Subnet {
    net: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(0)
    }

    pub(in crate::config) fn holds(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.net.to_bits()
    }

    /// The number of an address in this subnet, from 0 for the network's own.
    fn number_of(self, address: Ipv4Addr) -> u32 {
        address.to_bits() & !self.mask()
    }

    fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.net.to_bits() | !self.mask())
    }

    /// The first address that a machine can have and that `taken` does not claim.
    pub(in crate::config) fn first_free(self, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
        let first = self.net.to_bits().saturating_add(1);
        (first..self.broadcast().to_bits()).map(Ipv4Addr::from_bits).take(4096).find(|a| !taken(*a))
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.net, self.prefix)
    }
}

/// What the rest of the file must fit into; each part absent when it was wrong itself.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Segment {
    pub(in crate::config) subnet: Option<Typed<Subnet>>,
    pub(in crate::config) boss: Option<Typed<Ipv4Addr>>,
    pub(in crate::config) gateway: Option<Typed<Ipv4Addr>>,
    pub(in crate::config) pool: Option<Typed<(Ipv4Addr, Ipv4Addr)>>,
    /// Addresses for guests.
    pub(in crate::config) guests: Option<Typed<(Ipv4Addr, Ipv4Addr)>>,
    pub(in crate::config) ipv6: Option<Link6>,
    /// Subnets behind relays.
    pub(in crate::config) relayed: Vec<relays::Relay>,
}

impl Segment {
    /// True when `address` is taken by the boss, the gateway or the pool.
    pub(in crate::config) fn claims(&self, address: Ipv4Addr) -> bool {
        self.relayed.iter().any(|relay| relay.claims(address))
            || self.boss.as_ref().is_some_and(|b| b.value == address)
            || self.gateway.as_ref().is_some_and(|g| g.value == address)
            || self.pool.as_ref().is_some_and(|p| (p.value.0..=p.value.1).contains(&address))
    }

    /// Complains when no machine of the segment can have this address.
    pub(in crate::config) fn check(&self, what: &str, address: &Typed<Ipv4Addr>, found: &mut Found) {
        if let Some(subnet) = &self.subnet {
            fits(subnet, what, address, found);
        }
    }

    /// The same for a machine of the board, which may also stand behind a relay.
    pub(in crate::config) fn check_machine(&self, what: &str, address: &Typed<Ipv4Addr>, found: &mut Found) {
        let relayed = self.relayed.iter().map(|relay| &relay.subnet);
        let behind = relayed.into_iter().find(|subnet| subnet.value.holds(address.value));
        if let Some(subnet) = behind.or(self.subnet.as_ref()) {
            fits(subnet, what, address, found);
        }
    }
}

/// Complains when no machine of the subnet can have this address.
fn fits(subnet: &Typed<Subnet>, what: &str, address: &Typed<Ipv4Addr>, found: &mut Found) {
    let (ip, net) = (address.value, subnet.value);
    let title = format!("{what} cannot be {ip}");
    let label = if !net.holds(ip) {
        format!("not in {net}")
    } else if ip == net.net {
        format!("this is the network address of {net}")
    } else if ip == net.broadcast() {
        format!("this is the broadcast address of {net}")
    } else {
        return;
    };
    found.push(Mistake::new(title, address.place, label).other(subnet.place, "the subnet"));
}

/// Judges the section.
pub(in crate::config) fn network(file: &NetworkFile, found: &mut Found) -> (Segment, Option<NetworkSpec>) {
    let interface = file.interface.as_ref().and_then(|i| interface_name(i, found));
    let mut segment =
        Segment { subnet: file.subnet.as_ref().and_then(|s| subnet(s, found)), ..Segment::default() };
    segment.boss = file.boss.as_ref().and_then(|b| address("boss", b, found));
    segment.gateway = file.gateway.as_ref().and_then(|g| address("gateway", g, found));
    if let Some(boss) = &segment.boss {
        segment.check("the boss", boss, found);
    }
    if let Some(gateway) = &segment.gateway {
        segment.check("the gateway", gateway, found);
    }
    segment.pool = file.pool.as_ref().and_then(|p| {
        let taken = [("boss", segment.boss.clone()), ("gateway", segment.gateway.clone())];
        range(("pool", "pool"), p, segment.subnet.as_ref(), &taken, found)
    });
    segment.guests = file.guests.as_ref().and_then(|guests| {
        let taken = [("boss", segment.boss.clone()), ("gateway", segment.gateway.clone())];
        let called = ("range", "addresses for guests");
        let range = range(called, guests, segment.subnet.as_ref(), &taken, found)?;
        let beside = |pool: &&Typed<(Ipv4Addr, Ipv4Addr)>| {
            pool.value.0 <= range.value.1 && range.value.0 <= pool.value.1
        };
        if let Some(pool) = segment.pool.as_ref().filter(beside) {
            let mistake =
                Mistake::new("guests cannot have addresses of the pool", range.place, "both have some");
            found.push(mistake.other(pool.place, "the pool, for machines that are not on the board"));
            return None;
        }
        Some(range)
    });
    segment.ipv6 = file.ipv6.as_ref().map(|six| Link6::of(six, found));
    segment.relayed = relays::relays(file.relays.as_deref().unwrap_or_default(), &segment, found);
    let dhcp = file.dhcp.as_ref().and_then(|d| mode::mode(d, file, found));
    let lease_seconds = file.lease.as_ref().map_or(Some(LEASE_SECONDS), |l| lease(l, found));
    let tftp = file.tftp.as_ref().map_or_else(|| Some(TftpPorts::default()), |t| tftp_ports(t, found));
    let spec = || {
        let subnet = segment.subnet.as_ref()?.value;
        let ipv6 = match &segment.ipv6 {
            Some(link) => Some(link.spec.clone()?),
            None => None,
        };
        Some(NetworkSpec {
            interface: interface?,
            subnet: subnet.net,
            prefix: subnet.prefix,
            boss: segment.boss.as_ref()?.value,
            gateway: segment.gateway.as_ref().map(|g| g.value),
            dns: Vec::new(),
            domain: None,
            names: None,
            ntp: model::NtpMode::default(),
            pool: segment.pool.as_ref().map(|p| p.value),
            dhcp: dhcp?,
            lease_seconds: lease_seconds?,
            relays: segment.relayed.iter().map(relays::Relay::spec).collect(),
            tftp: tftp?,
            ipv6,
        })
    };
    let spec = spec();
    (segment, spec)
}

/// An interface name as Linux takes it (`dev_valid_name`: at most 15 bytes, no `/`, no white space).
fn interface_name(typed: &Typed<String>, found: &mut Found) -> Option<String> {
    let name = &typed.value;
    let wrong = if name.is_empty() || name == "." || name == ".." {
        "this is not a name"
    } else if name.len() > 15 {
        "longer than 15 characters"
    } else if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        "a `/`, a `:` or white space is inside"
    } else {
        return Some(name.clone());
    };
    found.push(
        Mistake::new(format!("`{name}` is not an interface name"), typed.place, wrong)
            .help("`ip -br link` lists the interfaces of this computer"),
    );
    None
}

fn subnet(typed: &Typed<String>, found: &mut Found) -> Option<Typed<Subnet>> {
    let example = "for example `192.168.122.0/24`";
    let parts =
        typed.value.split_once('/').map(|(a, p)| (a.trim().parse::<Ipv4Addr>(), p.trim().parse::<u8>()));
    let Some((Ok(net), Ok(prefix))) = parts else {
        let label = if typed.value.parse::<Ipv4Addr>().is_ok() {
            "the prefix is missing"
        } else {
            "not ADDRESS/PREFIX"
        };
        let title = format!("`{}` is not a subnet", typed.value);
        found.push(Mistake::new(title, typed.place, label).help(example));
        return None;
    };
    if !(8..=30).contains(&prefix) {
        let label = match prefix {
            31.. => "no room for a boss and a machine".to_owned(),
            _ => {
                format!("{} addresses", 1_u64.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0))
            }
        };
        found.push(
            Mistake::new(format!("/{prefix} is no prefix for a board"), typed.place, label)
                .help(format!("8 to 30; {example}")),
        );
        return None;
    }
    let subnet = Subnet { net, prefix };
    let right = Subnet { net: Ipv4Addr::from_bits(net.to_bits() & subnet.mask()), prefix };
    if right != subnet {
        found.push(
            Mistake::new(
                format!("{net} is not the first address of a /{prefix}"),
                typed.place,
                "bits after the prefix are set",
            )
            .help(format!("did you mean `{right}`?")),
        );
    }
    Some(Typed::new(right, typed.place))
}

/// Reads one address.
pub(in crate::config) fn address(
    key: &str,
    typed: &Typed<String>,
    found: &mut Found,
) -> Option<Typed<Ipv4Addr>> {
    if let Ok(ip) = typed.value.parse() {
        return Some(Typed::new(ip, typed.place));
    }
    found.push(
        Mistake::new(
            format!("`{}` is not an IPv4 address", typed.value),
            typed.place,
            format!("`{key}` is one"),
        )
        .help("four numbers from 0 to 255, such as 192.168.122.11"),
    );
    None
}

/// Reads a range of addresses of this subnet, in which nobody else's may be. It is called so, and in a sentence so.
fn range(
    (called, whole): (&str, &str),
    typed: &Typed<String>,
    subnet: Option<&Typed<Subnet>>,
    taken: &[(&str, Option<Typed<Ipv4Addr>>)],
    found: &mut Found,
) -> Option<Typed<(Ipv4Addr, Ipv4Addr)>> {
    let ends = typed.value.split_once('-').map(|(a, b)| (a.trim().parse(), b.trim().parse()));
    let Some((Ok(first), Ok(last))) = ends else {
        let title = format!("`{}` is not a {called}", typed.value);
        found.push(
            Mistake::new(title, typed.place, "not FIRST-LAST")
                .help("for example `192.168.122.200-192.168.122.254`"),
        );
        return None;
    };
    if last < first {
        found.push(
            Mistake::new(
                format!("the {called} ends before it begins"),
                typed.place,
                format!("{last} comes before {first}"),
            )
            .help(format!("did you mean `{last}-{first}`?")),
        );
        return None;
    }
    let before = found.len();
    for end in [first, last] {
        if let Some(subnet) = subnet {
            fits(subnet, &format!("an end of the {called}"), &Typed::new(end, typed.place), found);
        }
    }
    if found.len() > before {
        return None;
    }
    for (whose, address) in taken {
        if let Some(address) = address
            && (first..=last).contains(&address.value)
        {
            found.push(
                Mistake::new(
                    format!("the {whose}'s address is in the {called}"),
                    address.place,
                    format!("{} could be given to a machine", address.value),
                )
                .other(typed.place, format!("the {whole}")),
            );
        }
    }
    Some(Typed::new((first, last), typed.place))
}

fn tftp_ports(typed: &Typed<String>, found: &mut Found) -> Option<TftpPorts> {
    match typed.value.as_str() {
        "own-ports" => Some(TftpPorts::OwnPorts),
        "single-port" => Some(TftpPorts::SinglePort),
        other => {
            found.push(
                Mistake::new(format!("`{other}` is no way to answer TFTP"), typed.place, "not one of two")
                    .help("`own-ports`, or `single-port` where a firewall lets only port 69 through"),
            );
            None
        }
    }
}

fn lease(typed: &Typed<String>, found: &mut Found) -> Option<u32> {
    let span = duration("lease", typed, found)?;
    let seconds = u32::try_from(span.0 / 1000).ok().filter(|s| (60..=30 * 86_400).contains(s));
    if seconds.is_none() {
        found.push(
            Mistake::new(format!("a lease cannot last {}", typed.value), typed.place, "out of bounds")
                .help("from `60s` to `720h`"),
        );
    }
    seconds
}

/// Reads a duration.
pub(in crate::config) fn duration(key: &str, typed: &Typed<String>, found: &mut Found) -> Option<Span> {
    let span = words::span(&typed.value);
    if span.is_none() {
        let mistake = Mistake::new(
            format!("`{}` is not a duration", typed.value),
            typed.place,
            format!("`{key}` needs a number and a unit"),
        );
        found.push(match typed.value.parse::<u64>() {
            Ok(n) => mistake.help(format!("did you mean `{n}s`? units: ms, s, m, h")),
            Err(_) => mistake.help("for example `500ms`, `90s`, `4m` or `2m30s`"),
        });
    }
    span
}

/// Where two places of one thing are shown.
pub(in crate::config) fn taken_twice(
    title: impl Into<String>,
    (again, label): (Place, String),
    first: Place,
) -> Mistake {
    Mistake::new(title, again, label).other(first, "first used here")
}
