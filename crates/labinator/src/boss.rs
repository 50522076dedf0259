//! The boss's own network as its kernel tells it: interfaces, addresses, routes. Read from `/proc`, whose tables belong
//! to the network namespace, which those of `/sys` may not.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// One IPv4 route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// Interface it leads out of.
    pub interface: &'a str,
    /// Network address.
    pub to: Ipv4Addr,
    /// Prefix length; 0 is the default route.
    pub prefix: u8,
    /// Next router; `None` for a network that is reached directly.
    pub gateway: Option<Ipv4Addr>,
}

/// The tables, as read once.
#[derive(Debug, Clone, Default)]
pub struct Boss {
    devices: String,
    routes: String,
    addresses: String,
}

impl Boss {
    /// Reads the tables of now. What cannot be read is empty.
    #[must_use]
    pub fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            devices: read("/proc/net/dev"),
            routes: read("/proc/net/route"),
            addresses: read("/proc/net/fib_trie"),
        }
    }

    /// Every interface but loopback, in the kernel's order.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        // Two lines of head, then `NAME: numbers`.
        let names = self.devices.lines().skip(2).filter_map(|line| line.split_once(':'));
        names.map(|(name, _)| name.trim()).filter(|name| *name != "lo")
    }

    /// Every IPv4 route.
    pub fn routes(&self) -> impl Iterator<Item = Route<'_>> {
        self.routes.lines().skip(1).filter_map(|line| {
            let mut cells = line.split_whitespace();
            let (interface, to, gateway) = (cells.next()?, address(cells.next()?)?, address(cells.next()?)?);
            let mask = u32::from(address(cells.nth(4)?)?);
            let prefix = u8::try_from(mask.leading_ones()).ok()?;
            let gateway = (!gateway.is_unspecified()).then_some(gateway);
            Some(Route { interface, to, prefix, gateway })
        })
    }

    /// Every IPv4 address of this machine but those of loopback.
    #[must_use]
    pub fn own_addresses(&self) -> Vec<Ipv4Addr> {
        let mut own = Vec::new();
        let mut last = None;
        for line in self.addresses.lines().map(str::trim) {
            if let Some(found) = line.strip_prefix("|-- ") {
                last = found.parse::<Ipv4Addr>().ok();
            } else if line == "/32 host LOCAL"
                && let Some(found) = last.filter(|found| !found.is_loopback())
                && !own.contains(&found)
            {
                own.push(found);
            }
        }
        own
    }

    /// Networks reached directly over an interface, with this machine's address there.
    #[must_use]
    pub fn networks_on(&self, interface: &str) -> Vec<(Ipv4Addr, u8, Option<Ipv4Addr>)> {
        let own = self.own_addresses();
        let direct = self.routes().filter(|route| route.gateway.is_none() && route.prefix > 0);
        direct
            .filter(|route| route.interface == interface)
            .map(|route| {
                let here = own.iter().copied().find(|address| is_in(*address, route.to, route.prefix));
                (route.to, route.prefix, here)
            })
            .collect()
    }

    /// The router of the default route over this interface.
    #[must_use]
    pub fn gateway_on(&self, interface: &str) -> Option<Ipv4Addr> {
        let mut defaults = self.routes().filter(|route| route.prefix == 0 && route.interface == interface);
        defaults.find_map(|route| route.gateway)
    }
}

/// The kernel writes addresses as hexadecimal numbers in its own byte order.
fn address(text: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(text, 16).ok().map(|number| number.to_ne_bytes().into())
}

/// True for an address of a subnet.
#[must_use]
pub fn is_in(address: Ipv4Addr, subnet: Ipv4Addr, prefix: u8) -> bool {
    let mask = mask(prefix);
    u32::from(address) & mask == u32::from(subnet) & mask
}

/// A prefix length as a mask of 32 bits.
#[must_use]
pub fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(prefix))).unwrap_or(0)
}

/// One word about an interface from `/sys/class/net`, such as `carrier`; `None` where that is not to be had.
#[must_use]
pub fn property(interface: &str, name: &str) -> Option<String> {
    let path = Path::new("/sys/class/net").join(interface).join(name);
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The driver of an interface, such as `r8152`.
#[must_use]
pub fn driver(interface: &str) -> Option<String> {
    let link = fs::read_link(Path::new("/sys/class/net").join(interface).join("device/driver")).ok()?;
    link.file_name()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_a_boss_with_two_interfaces_are_read() {
        let boss = Boss {
            devices: "Inter-|   Receive  |  Transmit\n face |bytes |bytes\n    lo: 1 2\n  eth0: 3 4\nenx00: 5 6\n".to_owned(),
            routes: "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
                .to_owned(),
            addresses: "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.168.1.0\n        \
                /24 link UNICAST\n        |-- 192.168.1.7\n           /32 host LOCAL\n        |-- 192.168.1.255\n           \
                /32 link BROADCAST\n"
                .to_owned(),
        };
        let here = Ipv4Addr::new(192, 168, 1, 7);
        assert_eq!(boss.interfaces().collect::<Vec<_>>(), ["eth0", "enx00"]);
        assert_eq!(boss.own_addresses(), [here]);
        assert_eq!(boss.networks_on("eth0"), [(Ipv4Addr::new(192, 168, 1, 0), 24, Some(here))]);
        assert_eq!(boss.gateway_on("eth0"), Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert!(boss.networks_on("enx00").is_empty());
    }

    #[test]
    fn a_mask_has_as_many_ones_as_the_prefix_says() {
        assert_eq!((mask(0), mask(24), mask(32)), (0, 0xffff_ff00, u32::MAX));
    }
}
