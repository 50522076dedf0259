//! Which address a client gets, the same on every server with the same configuration.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::outcome::Owner;
use super::{MOST_LEASES, Pool, Server};

impl Server {
    /// The address for one that asks anew: what is reserved, what it has, what it was offered, what it asks for,
    /// then its own probe sequence through the pool. An address whose lease ran out is taken only when no unused
    /// one is left.
    pub(super) fn choose(&mut self, owner: &Owner, asked: Option<Ipv6Addr>, now: u64) -> Option<Ipv6Addr> {
        if let Some(address) = self.reserved_for(owner) {
            return Some(address);
        }
        let leased = self.leases.get(owner).map(|lease| lease.address);
        let offered = self.offers.get(owner).map(|offer| offer.address);
        let wished = [leased, offered, asked].into_iter().flatten();
        if let Some(address) = wished.into_iter().find(|a| self.may_have(owner, *a, now)) {
            return Some(address);
        }
        let pool = self.config.pool?;
        self.make_room(now)?;
        // Each of these blocks one address, so a longer look finds nothing new; and the boss is one more.
        let taken = self.owners.len() + self.offered.len() + self.declined.len() + self.reserved.len() + 2;
        let mut second_hand = None;
        for address in probe_sequence(owner, pool).take(taken) {
            if !self.may_have(owner, address, now) {
                continue;
            }
            if !self.owners.contains_key(&address) {
                return Some(address);
            }
            second_hand = second_hand.or(Some(address));
        }
        second_hand
    }

    /// Strangers can invent identifiers without end: past a bound, leases that ran out are forgotten, and when none
    /// did, nobody new gets one.
    fn make_room(&mut self, now: u64) -> Option<()> {
        if self.leases.len() >= MOST_LEASES {
            let ended: Vec<Owner> =
                self.leases.values().filter(|lease| lease.until <= now).map(|l| l.owner.clone()).collect();
            for owner in &ended {
                self.forget(owner);
            }
        }
        (self.leases.len() < MOST_LEASES).then_some(())
    }

    pub(super) fn reserved_for(&self, owner: &Owner) -> Option<Ipv6Addr> {
        let Owner::Machine(mac) = owner else { return None };
        self.config.reservations.get(mac).map(|reservation| reservation.address)
    }

    /// True when this one may use this address now.
    pub(super) fn may_have(&self, owner: &Owner, address: Ipv6Addr, now: u64) -> bool {
        if let Some(reserved) = self.reserved_for(owner) {
            return reserved == address;
        }
        if self.reserved.contains_key(&address) || !self.config.pool_holds(address) {
            return false;
        }
        if self.declined.get(&address).is_some_and(|until| *until > now) {
            return false;
        }
        let leased_to_other = self.owners.get(&address).is_some_and(|holder| {
            holder != owner && self.leases.get(holder).is_some_and(|lease| lease.until > now)
        });
        let offered_to_other = self.offered.get(&address).is_some_and(|holder| {
            holder != owner && self.offers.get(holder).is_some_and(|offer| offer.until > now)
        });
        !leased_to_other && !offered_to_other
    }
}

/// Every address of the pool once (of a pool of more than 2^64, every one of that many), in an order that depends
/// on the asker only: start and stride come from a hash, the stride sharing no factor with the pool's size.
fn probe_sequence(owner: &Owner, pool: Pool) -> impl Iterator<Item = Ipv6Addr> {
    let size = (pool.last.to_bits().saturating_sub(pool.first.to_bits())).saturating_add(1).min(1 << 64);
    let (start, second) = hash(owner);
    let start = u128::from(start) % size;
    let mut stride = u128::from(second) % size.max(2);
    while stride == 0 || shared_factor(stride, size) != 1 {
        stride += 1;
    }
    (0..size).map(move |step| {
        let index = (start + step * stride) % size;
        Ipv6Addr::from_bits(pool.first.to_bits().saturating_add(index))
    })
}

/// FNV-1a with a final mix, twice, so that identifiers that differ in their last byte spread over a small pool.
fn hash(owner: &Owner) -> (u64, u64) {
    let fold = |seed: u64, bytes: &[u8]| {
        bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    let seed = 0xcbf2_9ce4_8422_2325;
    let folded = match owner {
        Owner::Machine(mac) => fold(seed, &mac.0),
        Owner::Client(duid, iaid) => fold(fold(seed, duid.as_bytes()), &iaid.to_be_bytes()),
    };
    let first = mix(folded);
    (first, mix(first))
}

const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const fn shared_factor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp6::Duid;
    use alloc::collections::BTreeSet;

    #[test]
    fn a_probe_sequence_visits_every_address_once() {
        for size in [1u128, 2, 3, 7, 100, 256] {
            let first: Ipv6Addr = "fd00::10".parse().unwrap();
            let last = Ipv6Addr::from_bits(first.to_bits() + size - 1);
            for iaid in 0..50 {
                let owner = Owner::Client(Duid::new(&[0, 3, 1]).unwrap(), iaid);
                let seen: BTreeSet<Ipv6Addr> = probe_sequence(&owner, Pool { first, last }).collect();
                assert_eq!(u128::try_from(seen.len()).unwrap(), size, "pool of {size}");
                assert_eq!((seen.first(), seen.last()), (Some(&first), Some(&last)));
            }
        }
    }

    #[test]
    fn a_pool_as_large_as_the_prefix_is_probed_without_counting_it() {
        let pool =
            Pool { first: "fd00::".parse().unwrap(), last: "fd00::ffff:ffff:ffff:ffff".parse().unwrap() };
        let owner = Owner::Client(Duid::new(&[0, 3, 1]).unwrap(), 1);
        let seen: BTreeSet<Ipv6Addr> = probe_sequence(&owner, pool).take(1000).collect();
        assert_eq!(seen.len(), 1000);
        assert!(seen.iter().all(|address| pool.first <= *address && *address <= pool.last));
    }
}
