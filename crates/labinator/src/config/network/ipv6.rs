//! Judging `network.ipv6`: a prefix, the boss in it, a pool, and the address of each machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use model::Ipv6Spec;

use super::{Segment, taken_twice};
use crate::config::fields::{Found, Typed};
use crate::config::file::Ipv6File;
use crate::config::mistake::Mistake;
use crate::config::yaml::Place;

/// Most addresses of a pool: as many as the counter remembers leases.
const LARGEST_POOL: u128 = 65_536;
const EXAMPLE: &str = "for example `fd00:1ab::/64`";

/// Addresses in use, each with its place and its owner.
type Used = BTreeMap<Ipv6Addr, (Place, String)>;

/// What the rest of the file must fit into; each part absent when it was wrong itself.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Link6 {
    prefix: Option<Typed<Ipv6Addr>>,
    boss: Option<Typed<Ipv6Addr>>,
    pool: Option<Typed<(Ipv6Addr, Ipv6Addr)>>,
    pub(super) spec: Option<Ipv6Spec>,
}

impl Link6 {
    /// Judges the section.
    pub(super) fn of(file: &Ipv6File, found: &mut Found) -> Self {
        let before = found.len();
        let mut link =
            Self { prefix: file.prefix.as_ref().and_then(|p| prefix(p, found)), ..Self::default() };
        link.boss = file.boss.as_ref().and_then(|b| address("boss", b, found));
        if let Some(boss) = &link.boss {
            link.check("the boss", boss, found);
        }
        link.pool = file.pool.as_ref().and_then(|p| link.pool(p, found));
        let dns: Vec<Ipv6Addr> = file
            .dns
            .iter()
            .flat_map(|all| &all.value)
            .filter_map(|one| address("dns", one, found).map(|one| one.value))
            .collect();
        let router = file.gateway.as_ref().is_some_and(|g| link.gateway(g, found));
        let autonomous = file.slaac.as_ref().is_some_and(|s| on_or_off(s, found));
        if let (Some(prefix), Some(boss), true) = (&link.prefix, &link.boss, found.len() == before) {
            let pool = link.pool.as_ref().map(|pool| pool.value);
            link.spec =
                Some(Ipv6Spec { prefix: prefix.value, boss: boss.value, pool, dns, router, autonomous });
        }
        link
    }

    /// Complains when no machine of the link can have this address.
    fn check(&self, what: &str, address: &Typed<Ipv6Addr>, found: &mut Found) {
        let Some(prefix) = &self.prefix else { return };
        let (ip, net) = (address.value, prefix.value);
        let title = format!("{what} cannot be {ip}");
        let label = if net_of(ip) != net {
            format!("not in {net}/{}", Ipv6Spec::PREFIX)
        } else if ip == net {
            // RFC 4291 section 2.6.1.
            "this is the address of every router of the prefix".to_owned()
        } else {
            return;
        };
        found.push(Mistake::new(title, address.place, label).other(prefix.place, "the prefix"));
    }

    fn pool(&self, typed: &Typed<String>, found: &mut Found) -> Option<Typed<(Ipv6Addr, Ipv6Addr)>> {
        let ends = typed.value.split_once('-').map(|(a, b)| (a.trim().parse(), b.trim().parse()));
        let Some((Ok(first), Ok(last))) = ends else {
            let title = format!("`{}` is not a pool", typed.value);
            found.push(
                Mistake::new(title, typed.place, "not FIRST-LAST")
                    .help("for example `fd00:1ab::1:0-fd00:1ab::1:ff`"),
            );
            return None;
        };
        if last < first {
            found.push(
                Mistake::new(
                    "the pool ends before it begins",
                    typed.place,
                    format!("{last} comes before {first}"),
                )
                .help(format!("did you mean `{last}-{first}`?")),
            );
            return None;
        }
        let before = found.len();
        for end in [first, last] {
            self.check("an end of the pool", &Typed::new(end, typed.place), found);
        }
        if found.len() > before {
            return None;
        }
        if last.to_bits() - first.to_bits() >= LARGEST_POOL {
            let fitting = Ipv6Addr::from_bits(first.to_bits().saturating_add(LARGEST_POOL - 1));
            found.push(
                Mistake::new("the pool is larger than the boss can keep account of", typed.place, "too many")
                    .help(format!("at most {LARGEST_POOL} addresses, such as `{first}-{fitting}`")),
            );
            return None;
        }
        if let Some(boss) = self.boss.as_ref().filter(|boss| (first..=last).contains(&boss.value)) {
            found.push(
                Mistake::new(
                    "the boss's address is in the pool",
                    boss.place,
                    format!("{} could be given to a machine", boss.value),
                )
                .other(typed.place, "the pool"),
            );
        }
        Some(Typed::new((first, last), typed.place))
    }

    /// Only a router can announce itself, so the gateway is the boss or is not written here.
    fn gateway(&self, typed: &Typed<String>, found: &mut Found) -> bool {
        let (Some(gateway), Some(boss)) = (address("gateway", typed, found), &self.boss) else {
            return false;
        };
        if gateway.value == boss.value {
            return true;
        }
        found.push(
            Mistake::new(
                format!("the boss cannot announce {} as the gateway", gateway.value),
                gateway.place,
                "not the boss",
            )
            .other(boss.place, "the boss")
            .help("an IPv6 router announces itself: leave `gateway` out where another machine is the router"),
        );
        false
    }

    /// The address a machine gets unless another is written: in the prefix, with the number it has in the IPv4
    /// subnet as its digits, so that 192.168.122.11 is `fd00:1ab::11`.
    fn derived(&self, number: u32) -> Option<Ipv6Addr> {
        let mut interface = 0_u64;
        for digit in number.to_string().bytes() {
            interface = interface << 4 | u64::from(digit - b'0');
        }
        let prefix = self.prefix.as_ref()?.value;
        Some(Ipv6Addr::from_bits(prefix.to_bits() | u128::from(interface)))
    }
}

impl Segment {
    /// The reserved IPv6 address of a machine: written, or made from its place in the IPv4 subnet. The outer option
    /// is empty when something about it is wrong, the inner one when the lab has no IPv6.
    pub(in crate::config) fn node_address6(
        &self,
        name: &str,
        (typed, ip): (Option<&Typed<String>>, Option<Typed<Ipv4Addr>>),
        used: &mut Used,
        found: &mut Found,
    ) -> Option<Option<Ipv6Addr>> {
        let Some(link) = &self.ipv6 else {
            let Some(typed) = typed else { return Some(None) };
            found.push(
                Mistake::new(
                    format!("`{name}` has an IPv6 address in a lab without IPv6"),
                    typed.place,
                    "unused",
                )
                .help("add `ipv6: { prefix: fd00:1ab::/64, boss: fd00:1ab::3 }` to `network`"),
            );
            return None;
        };
        let own = match typed {
            Some(typed) => address("ip6", typed, found)?,
            None => {
                let subnet = self.subnet.as_ref()?;
                let ip = ip?;
                Typed::new(link.derived(subnet.value.number_of(ip.value))?, ip.place)
            }
        };
        let before = found.len();
        link.check(&format!("`{name}`"), &own, found);
        if found.len() > before {
            return None;
        }
        let hint = match typed {
            Some(_) => "each machine has its own; without `ip6` it is made from `ip`".to_owned(),
            None => format!("{} is made from `ip`: write another `ip6` for it", own.value),
        };
        let boss = link.boss.as_ref().filter(|boss| boss.value == own.value);
        let pool = link.pool.as_ref().filter(|p| (p.value.0..=p.value.1).contains(&own.value));
        let rival = boss.map(|b| ("the boss has this address", b.place));
        let rival = rival.or_else(|| pool.map(|p| ("the pool gives this address to others", p.place)));
        if let Some((label, place)) = rival {
            let title = format!("`{name}` cannot have {}", own.value);
            found.push(Mistake::new(title, own.place, label).other(place, "here").help(hint));
            return None;
        }
        if let Some((first, owner)) = used.get(&own.value) {
            let label = format!("`{owner}` has it");
            found.push(
                taken_twice("two nodes have the same IPv6 address", (own.place, label), *first).help(hint),
            );
            return None;
        }
        used.insert(own.value, (own.place, name.to_owned()));
        Some(Some(own.value))
    }
}

fn net_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)
}

fn prefix(typed: &Typed<String>, found: &mut Found) -> Option<Typed<Ipv6Addr>> {
    let parts =
        typed.value.split_once('/').map(|(a, p)| (a.trim().parse::<Ipv6Addr>(), p.trim().parse::<u8>()));
    let Some((Ok(net), Ok(length))) = parts else {
        let label =
            if typed.value.parse::<Ipv6Addr>().is_ok() { "its length is missing" } else { "not ADDRESS/64" };
        let title = format!("`{}` is not an IPv6 prefix", typed.value);
        found.push(Mistake::new(title, typed.place, label).help(EXAMPLE));
        return None;
    };
    if length != Ipv6Spec::PREFIX {
        let title = format!("a link's prefix has 64 bits, not {length}");
        let label = "firmware takes 64 for granted";
        found.push(
            Mistake::new(title, typed.place, label).help(format!("did you mean `{}/64`?", net_of(net))),
        );
        return None;
    }
    if net.is_multicast() || net.is_unicast_link_local() || net.is_loopback() || net.is_unspecified() {
        let title = format!("{net} is no prefix for a lab");
        let label = "machines cannot be reached there";
        found.push(
            Mistake::new(title, typed.place, label).help("take one of your own: `fd` and ten random digits"),
        );
        return None;
    }
    let right = net_of(net);
    if right != net {
        found.push(
            Mistake::new(
                format!("{net} is not the first address of a /64"),
                typed.place,
                "bits after the prefix are set",
            )
            .help(format!("did you mean `{right}/64`?")),
        );
    }
    Some(Typed::new(right, typed.place))
}

fn address(key: &str, typed: &Typed<String>, found: &mut Found) -> Option<Typed<Ipv6Addr>> {
    if let Ok(ip) = typed.value.parse() {
        return Some(Typed::new(ip, typed.place));
    }
    let title = format!("`{}` is not an IPv6 address", typed.value);
    found.push(
        Mistake::new(title, typed.place, format!("`{key}` is one"))
            .help("groups of hexadecimal digits, such as fd00:1ab::11"),
    );
    None
}

fn on_or_off(typed: &Typed<String>, found: &mut Found) -> bool {
    match typed.value.as_str() {
        "on" | "true" => return true,
        "off" | "false" => {}
        word => found.push(
            Mistake::new(
                format!("`{word}` is neither `on` nor `off`"),
                typed.place,
                "`slaac` is one of them",
            )
            .nearest(word, ["on", "off"], "words"),
        ),
    }
    false
}
