//! Chance that can be repeated: `SplitMix64`, so that a seed names a whole history.

/// A stream of numbers from a seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = high.saturating_sub(low).saturating_add(1);
        low.saturating_add(self.next() % span)
    }

    /// A number of 32 bits.
    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap_or_default()
    }

    /// A UDP port from the range clients use.
    pub(crate) fn port(&mut self) -> u16 {
        u16::try_from(self.between(49_152, 65_534)).unwrap_or(49_152)
    }

    /// True so many times in a thousand. Draws only when there is something to decide, so that a
    /// machine without bad manners has the same history whatever manners exist.
    pub(crate) fn happens(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.between(1, 1000) <= u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_says_the_same() {
        let (mut a, mut b) = (Dice::new(7), Dice::new(7));
        assert!((0..100).all(|_| a.next() == b.next()));
        assert_ne!(Dice::new(7).next(), Dice::new(8).next());
    }

    #[test]
    fn a_draw_stays_within_its_ends() {
        let mut dice = Dice::new(1);
        assert!((0..1000).map(|_| dice.between(3, 5)).all(|n| (3..=5).contains(&n)));
        assert!((0..1000).all(|_| !dice.happens(0)));
        assert!((0..1000).all(|_| dice.happens(1000)));
    }
}
