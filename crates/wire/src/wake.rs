//! The magic packet that wakes a machine whose adapter listens for it (AMD's white paper on Magic Packet Technology, 1995).

use model::MacAddr;

/// The UDP port that it is sent to. Nobody listens there: the adapter looks into every frame.
pub const PORT: u16 = 9;

/// Times that the address stands in it.
const TIMES: usize = 16;
/// What it begins with.
const BEGINNING: [u8; 6] = [0xff; 6];
/// Bytes of it.
const SIZE: usize = 6 + 6 * TIMES;

/// The packet for this adapter: six bytes of ones, and the address sixteen times.
#[must_use]
pub fn magic(mac: MacAddr) -> [u8; SIZE] {
    let mut out = [0xff; SIZE];
    let (_, rest) = out.split_at_mut(BEGINNING.len());
    for part in rest.chunks_exact_mut(6) {
        part.copy_from_slice(&mac.0);
    }
    out
}

/// Whom a frame wakes: the first packet in it, wherever that begins, as adapters look for it.
#[must_use]
pub fn wakes(frame: &[u8]) -> Option<MacAddr> {
    frame.windows(SIZE).find_map(|window| {
        let rest = window.strip_prefix(&BEGINNING)?;
        let mac: [u8; 6] = rest.first_chunk().copied()?;
        rest.chunks_exact(6).all(|part| part == mac).then_some(MacAddr(mac))
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_machine_is_woken_by_its_own_packet_wherever_that_stands() {
        let mac = MacAddr([2, 0, 0, 0, 0, 7]);
        let packet = magic(mac);
        assert_eq!(packet.len(), 102);
        assert!(packet.starts_with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 2]));
        let frame: Vec<u8> = [&[0xff; 9][..], &packet, &[1; 5]].concat();
        assert_eq!((wakes(&packet), wakes(&frame)), (Some(mac), Some(mac)));
        for at in 0..packet.len() {
            let mut other = packet;
            other[at] ^= 1;
            assert_eq!(wakes(&other), None, "{at}");
        }
        assert_eq!(wakes(&packet[1..]), None);
    }
}
