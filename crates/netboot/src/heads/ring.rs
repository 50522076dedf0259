//! A bounded memory of packet heads, one ring a machine: its first packets stay, of the later ones the latest.

use std::collections::{HashMap, VecDeque};

use model::MacAddr;

/// Bytes for all machines together.
const ROOM: usize = 32 << 20;
/// Most bytes for one machine.
const ROOM_OF_ONE: usize = 64 << 10;
/// What a head costs beside its bytes.
const OVERHEAD: usize = 48;

/// The head of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Microseconds since 1970.
    pub(crate) at: u64,
    /// Length of the whole frame in bytes.
    pub(crate) whole: u32,
    /// Its first bytes.
    pub(crate) bytes: Box<[u8]>,
}

impl Head {
    fn cost(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// One machine's heads. How a boot began is as telling as how it ended: a quarter of the room is for the beginning.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    first: Vec<Head>,
    first_cost: usize,
    last: VecDeque<Head>,
    last_cost: usize,
    left_out: u64,
}

impl Ring {
    fn push(&mut self, head: Head, room: usize) {
        let cost = head.cost();
        if self.last.is_empty() && self.first_cost + cost <= room / 4 {
            self.first_cost += cost;
            self.first.push(head);
            return;
        }
        self.last_cost += cost;
        self.last.push_back(head);
        self.fit(room);
    }

    fn fit(&mut self, room: usize) {
        while self.first_cost > room / 4 {
            let Some(head) = self.first.pop() else { break };
            self.first_cost -= head.cost();
            self.last_cost += head.cost();
            self.last.push_front(head);
        }
        while self.last_cost > room - room / 4 {
            let Some(head) = self.last.pop_front() else { break };
            self.last_cost -= head.cost();
            self.left_out += 1;
        }
    }

    /// All heads, oldest first.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Head> {
        self.first.iter().chain(&self.last)
    }

    /// Packets between the first and the last ones that found no room.
    #[cfg(test)]
    fn left_out(&self) -> u64 {
        self.left_out
    }

    #[cfg(test)]
    fn cost(&self) -> usize {
        self.first_cost + self.last_cost
    }
}

/// The rings of all machines.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    rings: HashMap<MacAddr, Ring>,
}

impl Rings {
    /// Bytes each of so many machines may take. Steps by halves, so that a growing board is trimmed a few times only.
    fn room(machines: usize) -> usize {
        (ROOM / machines.max(1).next_power_of_two()).min(ROOM_OF_ONE)
    }

    /// Keeps a head.
    pub(crate) fn push(&mut self, mac: MacAddr, head: Head) {
        let before = Self::room(self.rings.len());
        let ring = self.rings.entry(mac).or_default();
        ring.push(head, before);
        let room = Self::room(self.rings.len());
        if room < before {
            for ring in self.rings.values_mut() {
                ring.fit(room);
                ring.first.shrink_to_fit();
                ring.last.shrink_to_fit();
            }
        }
    }

    /// Forgets a machine's heads and gives them to the caller.
    pub(crate) fn take(&mut self, mac: MacAddr) -> Option<Ring> {
        self.rings.remove(&mac)
    }

    /// Forgets every machine but these.
    pub(crate) fn keep_only(&mut self, on_board: impl Fn(MacAddr) -> bool) {
        self.rings.retain(|mac, _| on_board(*mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(at: u64, size: usize) -> Head {
        Head { at, whole: 1500, bytes: vec![0; size].into() }
    }

    fn mac(n: u32) -> MacAddr {
        let [a, b, c, d] = n.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    #[test]
    fn the_first_packets_of_a_boot_stay_and_of_the_rest_the_latest() {
        let mut rings = Rings::default();
        for at in 0..10_000 {
            rings.push(mac(1), head(at, 96));
        }
        let ring = rings.take(mac(1)).unwrap();
        let times: Vec<u64> = ring.heads().map(|head| head.at).collect();
        assert_eq!(times.first(), Some(&0));
        assert_eq!(times.last(), Some(&9_999));
        assert!(times.is_sorted() && times.len() > 300, "{}", times.len());
        assert_eq!(ring.left_out(), 10_000 - u64::try_from(times.len()).unwrap());
        assert!(ring.cost() <= ROOM_OF_ONE);
        assert!(rings.take(mac(1)).is_none(), "they are given away once");
    }

    #[test]
    fn a_hall_of_machines_shares_the_room_of_one_rack() {
        let mut rings = Rings::default();
        for n in 0..13_500 {
            for at in 0..24 {
                rings.push(mac(n), head(at, 96));
            }
        }
        let cost: usize = rings.rings.values().map(Ring::cost).sum();
        assert!(cost <= ROOM, "{cost} bytes");
        let fewest = rings.rings.values().map(|ring| ring.heads().count()).min();
        assert!(fewest >= Some(10), "each machine keeps some: {fewest:?}");
        rings.keep_only(|this| this == mac(7));
        assert_eq!(rings.rings.len(), 1);
    }
}
