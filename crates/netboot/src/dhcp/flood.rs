//! A limit a machine, so that one that asks without end costs nobody else.

use model::MacAddr;

/// Messages a machine may send at once. A boot takes six to ten: firmware, loader and system each ask anew.
const AT_ONCE: u32 = 40;
/// Milliseconds after which one more is allowed.
const ONE_MORE_MS: u64 = 100;
/// Machines remembered. Two that share a place forget each other, which only makes the limit milder.
const PLACES: usize = 4096;

/// What each machine has left.
#[derive(Debug)]
pub(super) struct Flood {
    places: Vec<Place>,
    dropped: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    mac: MacAddr,
    left: u32,
    /// When `left` was right.
    at: u64,
    dropped: u32,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answer it.
    Pass,
    /// Leave it unread.
    Drop,
    /// Leave it unread and tell: it is so many this machine sent in vain.
    Tell(u32),
}

impl Default for Flood {
    fn default() -> Self {
        Self { places: vec![Place::default(); PLACES], dropped: 0 }
    }
}

impl Flood {
    /// Counts a message.
    pub(super) fn judge(&mut self, mac: MacAddr, now: u64) -> Verdict {
        let [.., c, d, e, f] = mac.0;
        let spread = u32::from_be_bytes([c, d, e, f]).wrapping_mul(0x9e37_79b1) >> 20;
        let Some(place) = self.places.get_mut(usize::try_from(spread).unwrap_or_default()) else {
            return Verdict::Pass;
        };
        if place.mac != mac {
            *place = Place { mac, left: AT_ONCE, at: now, dropped: 0 };
        }
        let more = now.saturating_sub(place.at) / ONE_MORE_MS;
        if more > 0 {
            place.left = place.left.saturating_add(u32::try_from(more).unwrap_or(AT_ONCE)).min(AT_ONCE);
            place.at = if place.left == AT_ONCE { now } else { place.at + more * ONE_MORE_MS };
        }
        if let Some(left) = place.left.checked_sub(1) {
            place.left = left;
            return Verdict::Pass;
        }
        self.dropped = self.dropped.saturating_add(1);
        place.dropped = place.dropped.saturating_add(1);
        // At the first and at each thousandfold: enough to see whether it goes on.
        if place.dropped == 1 || place.dropped % 1000 == 0 {
            Verdict::Tell(place.dropped)
        } else {
            Verdict::Drop
        }
    }
}

/// Whose message this is, before it is read: `chaddr` of an Ethernet client (RFC 2131 figure 1).
pub(super) fn sender(bytes: &[u8]) -> Option<MacAddr> {
    match bytes {
        [1, 1, 6, ..] => bytes.get(28..34)?.try_into().ok().map(MacAddr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISY: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    #[test]
    fn a_machine_that_asks_a_thousand_times_a_second_is_answered_ten_times() {
        let mut flood = Flood::default();
        let passed = (0..10_000_u64).filter(|now| flood.judge(NOISY, 1_000 + now) == Verdict::Pass).count();
        assert!((130..=145).contains(&passed), "{passed} of ten seconds");
    }

    #[test]
    fn a_thousand_others_do_not_notice() {
        let mut flood = Flood::default();
        for at in 0..1_000_u64 {
            flood.judge(NOISY, at);
            let [high, low] = u16::try_from(at).unwrap().to_be_bytes();
            assert_eq!(flood.judge(MacAddr([6, 0, 0, 9, high, low]), at), Verdict::Pass);
        }
    }

    #[test]
    fn after_a_silence_it_is_heard_again_and_the_first_drop_is_told() {
        let mut flood = Flood::default();
        let all: Vec<_> = (0..60).map(|_| flood.judge(NOISY, 5)).collect();
        let told = all.iter().position(|verdict| matches!(verdict, Verdict::Tell(1)));
        assert_eq!(told, Some(usize::try_from(AT_ONCE).unwrap()));
        assert_eq!(all.last(), Some(&Verdict::Drop));
        assert_eq!(flood.judge(NOISY, 5 + ONE_MORE_MS), Verdict::Pass);
    }
}
