//! ARP (RFC 826), as far as it tells who has which address.

use core::net::Ipv4Addr;

use model::MacAddr;

use super::ethernet::Ethernet;

/// Ethernet type of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;

/// Who sent this ARP packet, and the IPv4 address it says it has. `None` for a probe (RFC 5227), which has none yet, and
/// for what contradicts its own frame.
#[must_use]
pub fn arp_sender(frame: &Ethernet<'_>) -> Option<(MacAddr, Ipv4Addr)> {
    if frame.ethertype != ETHERTYPE_ARP {
        return None;
    }
    // Ethernet, IPv4, lengths 6 and 4; then the operation, which does not matter.
    let rest = frame.body.strip_prefix(&[0, 1, 8, 0, 6, 4])?.get(2..)?;
    let (mac, rest) = rest.split_first_chunk::<6>()?;
    let (mac, address) = (MacAddr(*mac), Ipv4Addr::from(*rest.first_chunk::<4>()?));
    (mac == frame.from && !address.is_unspecified()).then_some((mac, address))
}
