//! Heads of packets as a capture file that tcpdump, tshark and Wireshark read.
//!
//! The classic form (draft-ietf-opsawg-pcap): a header of 24 bytes, then 16 bytes before each packet.

use super::ring::Head;

/// Microseconds, in this machine's byte order.
const MAGIC: u32 = 0xa1b2_c3d4;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u32 = 1;
/// Longest packet a reader has to expect.
const LONGEST: u32 = 65_535;

/// The file; how many packets it has.
pub(super) fn write<'a>(heads: impl Iterator<Item = &'a Head>) -> (Vec<u8>, u32) {
    let mut file = Vec::with_capacity(16 << 10);
    for word in [MAGIC, u32::from_ne_bytes(version()), 0, 0, LONGEST, ETHERNET] {
        file.extend_from_slice(&word.to_ne_bytes());
    }
    let mut count = 0;
    for head in heads {
        let kept = u32::try_from(head.bytes.len()).unwrap_or(LONGEST);
        // Seconds have 32 bits in this form, which last until 2106.
        let seconds = u32::try_from(head.at / 1_000_000).unwrap_or(u32::MAX);
        let fraction = u32::try_from(head.at % 1_000_000).unwrap_or_default();
        for word in [seconds, fraction, kept, head.whole.max(kept)] {
            file.extend_from_slice(&word.to_ne_bytes());
        }
        file.extend_from_slice(&head.bytes);
        count += 1;
    }
    (file, count)
}

/// Major 2, minor 4, each of 16 bits.
fn version() -> [u8; 4] {
    let ([a, b], [c, d]) = (2_u16.to_ne_bytes(), 4_u16.to_ne_bytes());
    [a, b, c, d]
}
