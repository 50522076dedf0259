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
    /// Lease length in seconds.
    pub lease_seconds: u32,
    /// Addresses for machines without a reservation. Without a pool strangers get no answer.
    pub pool: Option<Pool>,
    /// Addresses that belong to one machine each. They always win.
    pub reservations: BTreeMap<MacAddr, Reservation>,
    /// Further options for every client, such as time servers; an option the server writes itself wins.
    pub extra: Options,
}

impl Config {
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
        address.to_bits() & mask == self.boss.to_bits() & mask
    }

    /// The directed broadcast address of the network.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.boss.to_bits() | !self.mask().to_bits())
    }

    /// True for an address of the pool that a client may ever get: not the server's, not the router's,
    /// not the first or last of the network.
    pub(super) fn pool_holds(&self, address: Ipv4Addr) -> bool {
        let network = Ipv4Addr::from(self.boss.to_bits() & self.mask().to_bits());
        let edge = self.prefix < 31 && (address == network || address == self.broadcast());
        self.pool.is_some_and(|pool| pool.first <= address && address <= pool.last)
            && address != self.boss
            && Some(address) != self.gateway
            && !edge
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

/// What a client is given to boot, decided by the caller from the kind of client and the boot table.
///
/// Each shape fits some clients only; the wrong one is left out of the reply, and
/// [`Reply::boots`](super::Reply::boots) tells. iPXE takes both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Boot {
    /// An address and nothing else.
    #[default]
    Nothing,
    /// A file over TFTP, for PXE firmware and iPXE.
    Tftp {
        /// The TFTP server.
        server: Ipv4Addr,
        /// Its path there, at most 255 bytes.
        file: String,
    },
    /// A file over HTTP, for UEFI's HTTP client and iPXE. The host must be a literal address.
    Http {
        /// The whole URL.
        url: String,
    },
}
