//! Which address a machine gets, the same on every server with the same configuration.

use core::net::Ipv4Addr;

use model::MacAddr;

use super::{Network, Server};

impl Server {
    /// The address for a machine that asks anew: what is reserved, what it has, what it was offered,
    /// what it asks for, then its own probe sequence through the pool. An address whose lease ran out
    /// is taken only when no unused one is left.
    pub(super) fn choose(
        &self,
        network: &Network,
        mac: MacAddr,
        asked: Option<Ipv4Addr>,
        now: u64,
    ) -> Option<Ipv4Addr> {
        if let Some(reservation) = self.config.reservation(network, mac) {
            return Some(reservation.address);
        }
        let leased = self.leases.get(&mac).map(|lease| lease.address);
        let offered = self.offers.get(&mac).map(|offer| offer.address);
        let wished = [leased, offered, asked].into_iter().flatten();
        if let Some(address) = wished.into_iter().find(|a| self.may_have(network, mac, *a, now)) {
            return Some(address);
        }
        let pool = network.pool?;
        let mut second_hand = None;
        for address in probe_sequence(mac, pool.first, pool.last) {
            if !self.may_have(network, mac, address, now) {
                continue;
            }
            if !self.owners.contains_key(&address) {
                return Some(address);
            }
            second_hand = second_hand.or(Some(address));
        }
        second_hand
    }

    /// True when the machine may use this address now.
    pub(super) fn may_have(&self, network: &Network, mac: MacAddr, address: Ipv4Addr, now: u64) -> bool {
        if let Some(reservation) = self.config.reservation(network, mac) {
            return reservation.address == address;
        }
        if self.reserved.contains_key(&address) || !self.config.pool_holds(network, address) {
            return false;
        }
        if self.declined.get(&address).is_some_and(|until| *until > now) {
            return false;
        }
        let leased_to_other = self.owners.get(&address).is_some_and(|owner| {
            *owner != mac && self.leases.get(owner).is_some_and(|lease| lease.until > now)
        });
        let offered_to_other = self.offered.get(&address).is_some_and(|owner| {
            *owner != mac && self.offers.get(owner).is_some_and(|offer| offer.until > now)
        });
        !leased_to_other && !offered_to_other
    }
}

/// Every address of the range once, in an order that depends on the machine only: start and stride
/// come from a hash of its Ethernet address, the stride sharing no factor with the range's size.
fn probe_sequence(mac: MacAddr, first: Ipv4Addr, last: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
    let size = u64::from(last.to_bits().saturating_sub(first.to_bits())) + 1;
    let hash = hash(mac);
    let start = hash % size;
    let mut stride = (hash >> 32) % size.max(2);
    while stride == 0 || shared_factor(stride, size) != 1 {
        stride += 1;
    }
    (0..size).map(move |step| {
        let index = (start + step * stride) % size;
        Ipv4Addr::from(first.to_bits().saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
    })
}

/// FNV-1a with a final mix, so that consecutive addresses of one vendor spread over a small pool.
fn hash(mac: MacAddr) -> u64 {
    let fnv = mac.0.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

const fn shared_factor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn a_probe_sequence_visits_every_address_once() {
        for size in [1u32, 2, 3, 7, 100, 256] {
            let first = Ipv4Addr::new(10, 0, 0, 10);
            let last = Ipv4Addr::from(first.to_bits() + size - 1);
            for n in 0..50u8 {
                let seen: BTreeSet<Ipv4Addr> =
                    probe_sequence(MacAddr([2, 0, 0, 0, 0, n]), first, last).collect();
                assert_eq!(seen.len(), size as usize, "pool of {size}");
                assert_eq!(seen.first(), Some(&first));
                assert_eq!(seen.last(), Some(&last));
            }
        }
    }

    #[test]
    fn a_range_written_backwards_is_its_first_address() {
        let (first, last) = (Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(probe_sequence(MacAddr([2; 6]), first, last).count(), 1);
    }
}
