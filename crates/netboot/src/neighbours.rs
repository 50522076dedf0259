//! Which machine has which address, as far as leases and frames tell.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::MacAddr;
use wire::ndp::mac_of;

/// Addresses remembered of either kind. More than any lab has; beyond it all are learnt anew.
const MOST: usize = 65_536;

/// The table. Addresses that the board reserves are not in it.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    leased: Mutex<HashMap<IpAddr, MacAddr>>,
    met: Mutex<HashMap<Ipv6Addr, MacAddr>>,
}

fn lock<K>(table: &Mutex<HashMap<K, MacAddr>>) -> MutexGuard<'_, HashMap<K, MacAddr>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Neighbours {
    pub(crate) fn of(leases: impl Iterator<Item = (IpAddr, MacAddr)>) -> Self {
        Self { leased: Mutex::new(leases.collect()), met: Mutex::default() }
    }

    /// It has this address by lease; who had it before.
    pub(crate) fn hold(&self, address: IpAddr, mac: MacAddr) -> Option<MacAddr> {
        let mut leased = lock(&self.leased);
        if leased.len() >= MOST {
            leased.clear();
        }
        leased.insert(address, mac)
    }

    /// The lease is over.
    pub(crate) fn release(&self, address: IpAddr) {
        lock(&self.leased).remove(&address);
    }

    /// A frame came from it with this address.
    pub(crate) fn meet(&self, address: Ipv6Addr, mac: MacAddr) {
        let mut met = lock(&self.met);
        if met.len() >= MOST {
            met.clear();
        }
        met.insert(address, mac);
    }

    /// Whose frame last had this address.
    pub(crate) fn met(&self, address: Ipv6Addr) -> Option<MacAddr> {
        lock(&self.met).get(&address).copied()
    }

    /// Whose address this is: by lease, by its frames, or because it is made of an Ethernet address.
    pub(crate) fn who(&self, address: IpAddr) -> Option<MacAddr> {
        let leased = lock(&self.leased).get(&address).copied();
        leased.or_else(|| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(six) => self.met(six).or_else(|| mac_of(six)),
        })
    }
}
