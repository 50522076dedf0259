//! What the server is told: addresses to give, and what a client boots.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use model::MacAddr;

use crate::dhcp::Options;

/// The server's network and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This server's own address on the network (option 54).
    pub boss: Ipv4Addr,
    /// Length of the network's prefix in bits.
    pub prefix: u8,
    /// Default router (option 3), if the lab has one.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers (option 6), best first.
    pub dns: Vec<Ipv4Addr>,
    /// Where firmware and iPXE send their log (option 7), if anywhere. iPXE 2.x keeps the firmware's lease and reads
    /// it there; systems are not told, because theirs is not a boot's log.
    pub log_server: Option<Ipv4Addr>,
    /// Lease length in seconds.
    pub lease_seconds: u32,
    /// Addresses for machines without a reservation. Without a pool strangers get no answer.
    pub pool: Option<Pool>,
    /// Addresses that belong to one machine each. They always win.
    pub reservations: BTreeMap<MacAddr, Reservation>,
    /// Further options for every client, such as time servers; an option the server writes itself wins.
    pub extra: Options,
    /// Further subnets, whose clients come through relays.
    pub relayed: Vec<Network>,
}

/// A subnet with what its clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of it.
    pub subnet: Ipv4Addr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Default router (option 3), if it has one.
    pub gateway: Option<Ipv4Addr>,
    /// Addresses for machines without a reservation.
    pub pool: Option<Pool>,
}

impl Network {
    /// The network mask.
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        let host_bits = 32 - u32::from(self.prefix.min(32));
        Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }

    /// True when the address is in this network.
    #[must_use]
    pub fn holds(&self, address: Ipv4Addr) -> bool {
        let mask = self.mask().to_bits();
        address.to_bits() & mask == self.subnet.to_bits() & mask
    }

    /// The directed broadcast address of the network.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.subnet.to_bits() | !self.mask().to_bits())
    }

    /// True for an address of the pool that a client may ever get: not the router's, not the first or last of the
    /// network.
    fn lends(&self, address: Ipv4Addr) -> bool {
        let network = Ipv4Addr::from(self.subnet.to_bits() & self.mask().to_bits());
        let edge = self.prefix < 31 && (address == network || address == self.broadcast());
        self.pool.is_some_and(|pool| pool.first <= address && address <= pool.last)
            && Some(address) != self.gateway
            && !edge
    }
}

impl Config {
    /// The network of the server's own interface.
    #[must_use]
    pub const fn home(&self) -> Network {
        Network { subnet: self.boss, prefix: self.prefix, gateway: self.gateway, pool: self.pool }
    }

    /// The network that this address is in.
    #[must_use]
    pub fn network_of(&self, address: Ipv4Addr) -> Option<Network> {
        let home = self.home();
        if home.holds(address) {
            return Some(home);
        }
        self.relayed.iter().find(|network| network.holds(address)).copied()
    }

    /// True for an address of the network's pool that a client may ever get.
    pub(super) fn pool_holds(&self, network: &Network, address: Ipv4Addr) -> bool {
        network.lends(address) && address != self.boss
    }

    /// What is reserved for a machine in this network.
    pub(super) fn reservation(&self, network: &Network, mac: MacAddr) -> Option<&Reservation> {
        self.reservations.get(&mac).filter(|reservation| network.holds(reservation.address))
    }

    pub(super) fn reserved_addresses(&self) -> BTreeMap<Ipv4Addr, MacAddr> {
        self.reservations.iter().map(|(mac, reservation)| (reservation.address, *mac)).collect()
    }
}

/// A range of addresses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// First address.
    pub first: Ipv4Addr,
    /// Last address.
    pub last: Ipv4Addr,
}

/// An address that belongs to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The address.
    pub address: Ipv4Addr,
    /// The name it is told (option 12).
    pub host_name: Option<String>,
}
