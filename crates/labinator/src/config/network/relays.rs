//! Judging `network.relays`: subnets behind DHCP relays, apart from each other and from the lab's own.

use std::net::Ipv4Addr;

use model::RelayedSubnet;

use super::{Segment, Subnet, address, fits, range, subnet};
use crate::config::fields::{Found, Typed};
use crate::config::file::RelayFile;
use crate::config::mistake::Mistake;

/// A subnet behind a relay, judged.
#[derive(Debug, Clone)]
pub(in crate::config) struct Relay {
    pub(super) subnet: Typed<Subnet>,
    gateway: Typed<Ipv4Addr>,
    pool: Option<Typed<(Ipv4Addr, Ipv4Addr)>>,
}

impl Relay {
    /// True when `address` is taken by the gateway or the pool.
    pub(super) fn claims(&self, address: Ipv4Addr) -> bool {
        self.gateway.value == address
            || self.pool.as_ref().is_some_and(|pool| (pool.value.0..=pool.value.1).contains(&address))
    }

    pub(super) fn spec(&self) -> RelayedSubnet {
        RelayedSubnet {
            subnet: self.subnet.value.net,
            prefix: self.subnet.value.prefix,
            gateway: self.gateway.value,
            pool: self.pool.as_ref().map(|pool| pool.value),
        }
    }
}

/// Judges all of them.
pub(super) fn relays(files: &[RelayFile], segment: &Segment, found: &mut Found) -> Vec<Relay> {
    let mut good: Vec<Relay> = Vec::new();
    for file in files {
        let Some(subnet) = file.subnet.as_ref().and_then(|typed| subnet(typed, found)) else { continue };
        let others = segment.subnet.iter().chain(good.iter().map(|relay| &relay.subnet));
        if let Some(other) = others.into_iter().find(|other| overlap(other.value, subnet.value)) {
            let label = format!("shares addresses with {}", other.value);
            found.push(
                Mistake::new("two subnets overlap", subnet.place, label)
                    .other(other.place, "the other one")
                    .help("a relay's subnet is one that the boss has no interface in"),
            );
            continue;
        }
        let Some(gateway) = file.gateway.as_ref().and_then(|typed| address("gateway", typed, found)) else {
            continue;
        };
        fits(&subnet, "the gateway", &gateway, found);
        let taken = [("gateway", Some(gateway.clone()))];
        let pool =
            file.pool.as_ref().and_then(|typed| range(("pool", "pool"), typed, Some(&subnet), &taken, found));
        good.push(Relay { subnet, gateway, pool });
    }
    good
}

fn overlap(one: Subnet, other: Subnet) -> bool {
    one.holds(other.net) || other.holds(one.net)
}
