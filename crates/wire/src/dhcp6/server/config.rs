//! What the server is told: addresses to give, and what a client boots.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use model::MacAddr;

use crate::dhcp6::{Duid, Options};

/// The server's link and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This server's own address on the link.
    pub boss: Ipv6Addr,
    /// Length of the link's prefix in bits.
    pub prefix: u8,
    /// Name servers (option 23), best first.
    pub dns: Vec<Ipv6Addr>,
    /// Lease length in seconds.
    pub lease_seconds: u32,
    /// Addresses for machines without a reservation. Without a pool strangers get no answer.
    pub pool: Option<Pool>,
    /// Addresses that belong to one machine each. They always win.
    pub reservations: BTreeMap<MacAddr, Reservation>,
    /// Further options for every client; one the server writes itself wins.
    pub extra: Options,
}

impl Config {
    /// This server's identifier.
    #[must_use]
    pub fn duid(&self) -> Duid {
        Duid::of_server(self.boss)
    }

    /// True when the address is in this link's prefix.
    #[must_use]
    pub fn holds(&self, address: Ipv6Addr) -> bool {
        let host_bits = 128 - u32::from(self.prefix.min(128));
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        address.to_bits() & mask == self.boss.to_bits() & mask
    }

    pub(super) fn pool_holds(&self, address: Ipv6Addr) -> bool {
        self.pool.is_some_and(|pool| pool.first <= address && address <= pool.last)
            && self.holds(address)
            && address != self.boss
    }

    pub(super) fn reserved_addresses(&self) -> BTreeMap<Ipv6Addr, MacAddr> {
        self.reservations.iter().map(|(mac, reservation)| (reservation.address, *mac)).collect()
    }
}

/// A range of addresses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// First address.
    pub first: Ipv6Addr,
    /// Last address.
    pub last: Ipv6Addr,
}

/// An address that belongs to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The address.
    pub address: Ipv6Addr,
    /// The name it is told (option 39).
    pub host_name: Option<String>,
}

/// What a client is given to boot, decided by the caller from the kind of client and the boot table.
///
/// The server leaves out what the client cannot read; [`Reply::boots`](super::Reply::boots) tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Boot {
    /// An address and nothing else.
    #[default]
    Nothing,
    /// A URL with a literal address: `tftp://` for PXE firmware, `http://` for UEFI's HTTP client and our agent,
    /// either for iPXE.
    Url(String),
}
