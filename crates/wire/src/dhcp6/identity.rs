//! Identity associations (RFC 8415 sections 12, 21.4 and 21.6): what an address is given to.

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::code::{OptionCode, Status};
use super::options::Options;
use crate::cursor::Cursor;

/// An identity association for lasting addresses: one port of one client, by the client's own number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ia {
    /// The client's number for it.
    pub iaid: u32,
    /// Seconds after which it is renewed; 0 leaves it to the client.
    pub renew: u32,
    /// Seconds after which any server is asked; 0 leaves it to the client.
    pub rebind: u32,
    /// Its addresses.
    pub addresses: Vec<IaAddress>,
    /// How it went.
    pub status: Status,
}

/// An address of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IaAddress {
    /// The address.
    pub address: Ipv6Addr,
    /// Seconds it may be used for new connections.
    pub preferred: u32,
    /// Seconds it may be used at all; 0 takes it away.
    pub valid: u32,
}

impl Ia {
    /// One without addresses, as a client first asks with.
    #[must_use]
    pub const fn new(iaid: u32) -> Self {
        Self { iaid, renew: 0, rebind: 0, addresses: Vec::new(), status: Status::SUCCESS }
    }

    /// Reads the value of the option; `None` when it is too short or its inner options are damaged.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let (iaid, renew, rebind) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let inner = Options::read(cursor.rest(), 0).ok()?;
        let addresses = inner.all(OptionCode::IA_ADDRESS).filter_map(IaAddress::read).collect();
        Some(Self { iaid, renew, rebind, addresses, status: inner.status() })
    }

    /// The value of the option. `words` go with a status other than success.
    #[must_use]
    pub fn value(&self, words: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 + self.addresses.len() * 28);
        for number in [self.iaid, self.renew, self.rebind] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let mut inner = Options::new();
        for address in &self.addresses {
            inner.push(OptionCode::IA_ADDRESS, address.value());
        }
        if self.status != Status::SUCCESS {
            inner.push_status(self.status, words);
        }
        inner.write(&mut out);
        out
    }
}

impl IaAddress {
    fn read(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let address = Ipv6Addr::from(cursor.array::<16>()?);
        Some(Self { address, preferred: cursor.u32()?, valid: cursor.u32()? })
    }

    fn value(&self) -> Vec<u8> {
        let mut out = self.address.octets().to_vec();
        out.extend_from_slice(&self.preferred.to_be_bytes());
        out.extend_from_slice(&self.valid.to_be_bytes());
        out
    }
}
