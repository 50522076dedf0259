//! From what was heard to a network that fits beside it: subnet, boss, gateway, DHCP mode, pool, addresses of nodes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::segment::{Segment, Server};
use crate::boss::{Boss, is_in, mask};

/// Taken when neither the boss nor anybody else has a network on the interface; the first that nothing else uses.
const FRESH: [Ipv4Addr; 3] =
    [Ipv4Addr::new(192, 168, 77, 0), Ipv4Addr::new(10, 77, 0, 0), Ipv4Addr::new(172, 29, 77, 0)];
/// Most addresses of a suggested pool.
const POOL: u32 = 64;
/// First host number given to a node, where it is free.
const FIRST_NODE: u32 = 11;

/// What somebody decided already.
#[derive(Debug, Clone, Default)]
pub(super) struct Decided {
    pub(super) subnet: Option<(Ipv4Addr, u8)>,
    pub(super) boss: Option<Ipv4Addr>,
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) dhcp: Option<String>,
    pub(super) pool: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// A network for the lab file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(super) interface: String,
    pub(super) subnet: Ipv4Addr,
    pub(super) prefix: u8,
    pub(super) boss: Ipv4Addr,
    /// False when the boss has to be given its address first.
    pub(super) boss_is_ours: bool,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(super) dns: Vec<Ipv4Addr>,
    /// `authoritative`, `proxy` or `off`.
    pub(super) dhcp: String,
    /// Addresses for machines that are not on the board; none where another server gives addresses.
    pub(super) pool: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Addresses that somebody uses.
    taken: BTreeSet<Ipv4Addr>,
}

impl Network {
    /// Suggests a network for this interface.
    pub(super) fn suggest(interface: &str, boss: &Boss, segment: &Segment, decided: &Decided) -> Self {
        let server = segment.servers.values().next();
        let (subnet, prefix, here) = subnet(interface, boss, server, decided);
        let gateway = decided
            .gateway
            .or_else(|| boss.gateway_on(interface))
            .or_else(|| server.and_then(|server| server.routers.first().copied()))
            .filter(|gateway| is_in(*gateway, subnet, prefix));
        let mut taken = segment.used.clone();
        taken.extend(gateway);
        let own = decided.boss.or(here);
        let address = own.unwrap_or_else(|| free(subnet, prefix, &taken, 1).unwrap_or(subnet));
        taken.insert(address);
        let dhcp = decided
            .dhcp
            .clone()
            .unwrap_or_else(|| String::from(if server.is_some() { "proxy" } else { "authoritative" }));
        let dns = server.map(|server| server.dns.clone()).filter(|dns| !dns.is_empty());
        let pool = match (decided.pool, dhcp.as_str()) {
            (Some(pool), _) => Some(pool),
            (None, "authoritative") => pool(subnet, prefix, &taken),
            (None, _) => None,
        };
        Self {
            interface: interface.to_owned(),
            subnet,
            prefix,
            boss: address,
            boss_is_ours: boss.own_addresses().contains(&address),
            gateway,
            dns: dns.unwrap_or_else(|| gateway.into_iter().collect()),
            dhcp,
            pool,
            taken,
        }
    }

    /// An address for the next node: the one it was seen with where another server gave it that, else a free one.
    pub(super) fn next_address(&mut self, seen: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let keeps =
            seen.filter(|seen| self.dhcp != "authoritative" && is_in(*seen, self.subnet, self.prefix));
        let in_pool =
            |address: &Ipv4Addr| self.pool.is_some_and(|(first, last)| (first..=last).contains(address));
        let mut all = hosts(self.subnet, self.prefix);
        let from = u32::from(self.subnet).saturating_add(FIRST_NODE);
        let is_free = |address: &Ipv4Addr| !self.taken.contains(address) && !in_pool(address);
        let address = keeps
            .or_else(|| all.clone().find(|address| u32::from(*address) >= from && is_free(address)))
            .or_else(|| all.find(is_free))?;
        self.taken.insert(address);
        Some(address)
    }
}

fn subnet(
    interface: &str,
    boss: &Boss,
    server: Option<&Server>,
    decided: &Decided,
) -> (Ipv4Addr, u8, Option<Ipv4Addr>) {
    let own = boss.networks_on(interface);
    let here =
        |subnet, prefix| boss.own_addresses().into_iter().find(|address| is_in(*address, subnet, prefix));
    if let Some((subnet, prefix)) = decided.subnet {
        return (subnet, prefix, here(subnet, prefix));
    }
    if let Some(found) = own.iter().find(|(_, prefix, here)| here.is_some() && (8..=30).contains(prefix)) {
        return *found;
    }
    let offered = server.and_then(|server| Some((server.offered?, server.prefix?)));
    if let Some((address, prefix)) = offered.filter(|(_, prefix)| (8..=30).contains(prefix)) {
        let subnet = Ipv4Addr::from(u32::from(address) & mask(prefix));
        return (subnet, prefix, here(subnet, prefix));
    }
    let elsewhere: Vec<_> =
        boss.routes().filter(|route| route.prefix > 0).map(|r| (r.to, r.prefix)).collect();
    let is_clear = |fresh: &Ipv4Addr| {
        !elsewhere.iter().any(|(to, prefix)| is_in(*fresh, *to, *prefix) || is_in(*to, *fresh, 24))
    };
    let [first, ..] = FRESH;
    (FRESH.into_iter().find(is_clear).unwrap_or(first), 24, None)
}

/// Every host address of a subnet.
fn hosts(subnet: Ipv4Addr, prefix: u8) -> impl Iterator<Item = Ipv4Addr> + Clone {
    let first = u32::from(subnet).saturating_add(1);
    let last = (u32::from(subnet) | !mask(prefix)).saturating_sub(1);
    (first..=last).map(Ipv4Addr::from)
}

fn free(subnet: Ipv4Addr, prefix: u8, taken: &BTreeSet<Ipv4Addr>, from: u32) -> Option<Ipv4Addr> {
    let from = u32::from(subnet).saturating_add(from);
    hosts(subnet, prefix).find(|address| u32::from(*address) >= from && !taken.contains(address))
}

/// The longest stretch of free addresses in the upper half of the subnet, at most [`POOL`] of its upper end.
fn pool(subnet: Ipv4Addr, prefix: u8, taken: &BTreeSet<Ipv4Addr>) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let last = (u32::from(subnet) | !mask(prefix)).saturating_sub(1);
    let middle = u32::from(subnet).saturating_add((last - u32::from(subnet)) / 2 + 1);
    let mut edges: Vec<u32> =
        taken.iter().copied().map(u32::from).filter(|a| (middle..=last).contains(a)).collect();
    edges.insert(0, middle.saturating_sub(1));
    edges.push(last.saturating_add(1));
    let gaps = edges.windows(2).filter_map(|pair| match pair {
        [before, after] if after - before > 2 => Some((before + 1, after - 1)),
        _ => None,
    });
    let (first, last) = gaps.max_by_key(|(first, last)| (last - first).min(POOL))?;
    Some((first.max(last.saturating_sub(POOL - 1)).into(), last.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);

    fn segment(used: &[u8]) -> Segment {
        let mut segment = Segment::default();
        segment.used.extend(used.iter().map(|host| Ipv4Addr::new(10, 0, 0, *host)));
        segment
    }

    fn decided() -> Decided {
        Decided { subnet: Some((NET, 24)), ..Decided::default() }
    }

    #[test]
    fn the_pool_lies_where_nobody_was_heard_and_nodes_outside_of_it() {
        let segment = segment(&[1, 11, 12, 200, 240]);
        let mut network = Network::suggest("eth0", &Boss::default(), &segment, &decided());
        assert_eq!(network.boss, Ipv4Addr::new(10, 0, 0, 2), "the first that is free");
        assert!(!network.boss_is_ours);
        let (first, last) = network.pool.unwrap();
        assert_eq!((first, last), (Ipv4Addr::new(10, 0, 0, 136), Ipv4Addr::new(10, 0, 0, 199)));
        assert_eq!(network.dhcp, "authoritative");
        assert_eq!(network.next_address(None), Some(Ipv4Addr::new(10, 0, 0, 13)));
        assert_eq!(
            network.next_address(Some(Ipv4Addr::new(10, 0, 0, 12))),
            Some(Ipv4Addr::new(10, 0, 0, 14))
        );
    }

    #[test]
    fn beside_another_server_only_the_boot_is_ours_and_nodes_keep_what_it_gave() {
        let mut segment = segment(&[1]);
        let mac = model::MacAddr([2, 9, 9, 9, 9, 9]);
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let server = Server {
            mac,
            address,
            offered: Some(Ipv4Addr::new(10, 0, 0, 50)),
            prefix: Some(24),
            routers: vec![address],
            dns: vec![Ipv4Addr::new(9, 9, 9, 9)],
            boot_file: None,
        };
        segment.servers.insert(mac, server);
        let mut network = Network::suggest("eth0", &Boss::default(), &segment, &Decided::default());
        assert_eq!((network.subnet, network.prefix, network.dhcp.as_str()), (NET, 24, "proxy"));
        assert_eq!((network.gateway, network.pool), (Some(address), None));
        assert_eq!(network.dns, [Ipv4Addr::new(9, 9, 9, 9)]);
        let seen = Ipv4Addr::new(10, 0, 0, 50);
        assert_eq!(network.next_address(Some(seen)), Some(seen));
    }

    #[test]
    fn the_smallest_subnet_has_room_for_a_boss_and_nothing_else() {
        let decided = Decided { subnet: Some((NET, 30)), ..Decided::default() };
        let mut network = Network::suggest("eth0", &Boss::default(), &Segment::default(), &decided);
        assert_eq!((network.boss, network.pool), (Ipv4Addr::new(10, 0, 0, 1), None));
        assert_eq!(network.next_address(None), Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(network.next_address(None), None);
    }
}
