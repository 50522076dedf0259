//! Leases of IPv6 addresses, as the ledger keeps them.

use std::net::Ipv6Addr;

use model::MacAddr;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::dhcp6::Duid;

use super::{Inner, Ledger, LedgerError, Row};

/// An IPv6 address that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease6 {
    /// To whom.
    pub holder: Holder,
    /// What it holds.
    pub address: Ipv6Addr,
    /// The machine's reserved name; may be empty.
    pub host_name: String,
    /// For how many seconds from the acknowledgement.
    pub seconds: u32,
}

/// Who holds an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// A machine of the board.
    Machine(MacAddr),
    /// Anybody else.
    Client {
        /// Its identifier.
        #[serde(serialize_with = "write_duid", deserialize_with = "read_duid")]
        duid: Duid,
        /// Its number for the association.
        iaid: u32,
        /// Its Ethernet address, where that could be told.
        mac: Option<MacAddr>,
    },
}

impl Holder {
    /// The Ethernet address, where it is known.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr> {
        match self {
            Self::Machine(mac) => Some(*mac),
            Self::Client { mac, .. } => *mac,
        }
    }
}

fn write_duid<S: Serializer>(duid: &Duid, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(duid)
}

fn read_duid<'de, D: Deserializer<'de>>(from: D) -> Result<Duid, D::Error> {
    let text = String::deserialize(from)?;
    Duid::from_hex(&text).ok_or_else(|| D::Error::custom("not the hexadecimal digits of an identifier"))
}

impl Inner {
    pub(super) fn give6(&mut self, lease: Lease6) {
        // One holder has one address: the new one frees the old.
        if let Some(old) = self.held6.insert(lease.holder.clone(), lease.address)
            && old != lease.address
        {
            self.leases6.remove(&old);
        }
        let (holder, address) = (lease.holder.clone(), lease.address);
        if let Some(before) = self.leases6.insert(address, lease)
            && before.holder != holder
            && self.held6.get(&before.holder) == Some(&address)
        {
            self.held6.remove(&before.holder);
        }
    }

    pub(super) fn take6(&mut self, address: Ipv6Addr) {
        if let Some(lease) = self.leases6.remove(&address)
            && self.held6.get(&lease.holder) == Some(&address)
        {
            self.held6.remove(&lease.holder);
        }
    }
}

impl Ledger {
    /// All leases of IPv6 addresses, by address.
    #[must_use]
    pub fn leases6(&self) -> Vec<Lease6> {
        self.inner().leases6.values().cloned().collect()
    }

    /// Writes leases; when this returns they may be acknowledged. Those that stand already are not written again; how
    /// many were.
    ///
    /// # Errors
    /// [`LedgerError::Log`]: none of them must be acknowledged.
    pub fn write6(&self, leases: Vec<Lease6>) -> Result<usize, LedgerError> {
        let mut inner = self.inner();
        let fresh: Vec<Lease6> =
            leases.into_iter().filter(|lease| inner.leases6.get(&lease.address) != Some(lease)).collect();
        if fresh.is_empty() {
            return Ok(0);
        }
        let rows: Vec<Row<'_>> = fresh.iter().map(Row::Lease6).collect();
        inner.append(&rows)?;
        let written = fresh.len();
        fresh.into_iter().for_each(|lease| inner.give6(lease));
        drop(inner);
        self.unsynced.notify_one();
        Ok(written)
    }

    /// Writes that an address is free again.
    ///
    /// # Errors
    /// [`LedgerError::Log`]: after a restart it counts as taken.
    pub fn free6(&self, address: Ipv6Addr) -> Result<(), LedgerError> {
        let mut inner = self.inner();
        if !inner.leases6.contains_key(&address) {
            return Ok(());
        }
        inner.append(&[Row::Freed6 { address }])?;
        inner.take6(address);
        drop(inner);
        self.unsynced.notify_one();
        Ok(())
    }
}
