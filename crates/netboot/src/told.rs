//! What was told of lately, so that what goes on is told once a minute and not with each packet.

use std::collections::HashMap;
use std::hash::Hash;

/// How long the same is not told again, in milliseconds.
const AGAIN_MS: u64 = 60_000;
/// How much is remembered. Beyond it all is forgotten, and some told twice.
const KEPT: usize = 4096;

/// When each was told of last.
#[derive(Debug)]
pub(crate) struct Told<K>(HashMap<K, u64>);

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Told<K> {
    /// True when this is to be told now, and from then on it is.
    pub(crate) fn is_news(&mut self, what: K, now: u64) -> bool {
        if self.0.get(&what).is_some_and(|last| now.saturating_sub(*last) < AGAIN_MS) {
            return false;
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(what, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_a_minute_and_another_at_once() {
        let mut told = Told::default();
        let mut news = |what, now| told.is_news(what, now);
        assert!(news('a', 5) && news('b', 6));
        assert!(!news('a', 59_999) && !news('a', 60_004));
        assert!(news('a', 60_005));
        assert!(!news('a', 60_006), "a minute counts from when it was told");
    }

    #[test]
    fn it_is_bounded() {
        let mut told = Told::default();
        for number in 0..3 * KEPT {
            assert!(told.is_news(number, 1));
        }
        assert!(told.0.len() <= KEPT);
    }
}
