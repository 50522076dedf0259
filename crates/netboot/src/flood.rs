//! A limit a machine, so that one that asks without end costs nobody else.

use model::MacAddr;

/// Messages a machine may send at once. A boot takes six to ten: firmware, loader and system each ask anew.
const AT_ONCE: u32 = 40;
/// Milliseconds after which one more is allowed.
const ONE_MORE_MS: u64 = 100;
/// Machines remembered. Two that share a place forget each other, which only makes the limit milder.
const PLACES: usize = 4096;

/// Whose messages are counted: a machine's by its Ethernet address, or whoever has this name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    /// Of a machine.
    pub(crate) const fn of_machine(mac: MacAddr) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// Of one that is known by a name alone, such as a DUID (FNV-1a; never that of a machine).
    pub(crate) fn of_name(name: &[u8]) -> Self {
        let mix = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1 << 63)
    }

    /// Its place.
    fn spread(self) -> usize {
        let bits = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.ilog2());
        usize::try_from(bits).unwrap_or_default()
    }
}

/// What each machine has left.
#[derive(Debug)]
pub(crate) struct Flood {
    places: Vec<Place>,
    dropped: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    whose: Key,
    left: u32,
    /// When `left` was right.
    at: u64,
    dropped: u32,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
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
    pub(crate) fn judge(&mut self, whose: Key, now: u64) -> Verdict {
        let Some(place) = self.places.get_mut(whose.spread()) else { return Verdict::Pass };
        if place.whose != whose {
            *place = Place { whose, left: AT_ONCE, at: now, dropped: 0 };
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOISY: Key = Key::of_machine(MacAddr([2, 0, 0, 0, 0, 1]));

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
            let other = Key::of_machine(MacAddr([6, 0, 0, 9, high, low]));
            assert_eq!(flood.judge(other, at), Verdict::Pass);
        }
    }

    #[test]
    fn a_name_is_counted_like_a_machine_and_is_none() {
        let mut flood = Flood::default();
        let name = Key::of_name(b"\0\x02\0\0\x7e\xd9");
        let passed = (0..1000_u64).filter(|_| flood.judge(name, 7) == Verdict::Pass).count();
        assert_eq!(passed, usize::try_from(AT_ONCE).unwrap());
        assert_ne!(Key::of_name(&[0; 6]), Key::of_machine(MacAddr([0; 6])));
        assert_ne!(Key::of_name(b"a"), Key::of_name(b"b"));
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
