//! How far a node's clock is off, by the fastest of its lines.
//!
//! A line arrives when it was written, plus the node's error, plus its way. The way is never negative and mostly short,
//! so the least difference within some minutes is the error, and a line that waited in a queue is put back to when it was
//! written.

/// How long a least difference counts, in milliseconds: two windows, the one that runs and the one before.
const WINDOW: u64 = 5 * 60 * 1000;

/// What is known of one node's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Skew {
    since: u64,
    now: Option<i64>,
    before: Option<i64>,
}

impl Skew {
    /// The boss's time at which a line was written that says `stamp` and came at `came`.
    pub(crate) fn corrected(&mut self, stamp: u64, came: u64) -> u64 {
        let (Ok(written), Ok(arrived)) = (i64::try_from(stamp), i64::try_from(came)) else { return came };
        let difference = arrived.saturating_sub(written);
        if came.saturating_sub(self.since) >= WINDOW {
            (self.since, self.before, self.now) = (came, self.now, None);
        }
        let least = self.now.map_or(difference, |least| least.min(difference));
        self.now = Some(least);
        let least = self.before.map_or(least, |before| before.min(least));
        // The least of differences: never later than it came.
        u64::try_from(written.saturating_add(least)).unwrap_or(came)
    }

    /// How many milliseconds the node's clock is behind the boss's; negative when it is ahead.
    pub(crate) fn behind(&self) -> Option<i64> {
        match (self.now, self.before) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_waited_is_put_back_to_when_it_was_written() {
        let mut skew = Skew::default();
        let start = 1_795_672_496_000;
        // An hour ahead, and 2 ms on the way.
        assert_eq!(skew.corrected(start + 3_600_000, start + 2), start + 2);
        // Written 10 s later, and a minute in a queue.
        assert_eq!(skew.corrected(start + 3_610_000, start + 70_000), start + 10_002);
        assert_eq!(skew.behind(), Some(-3_599_998));
        // The clock is set right: within two windows it is known.
        let mut came = start;
        for minute in 2..13 {
            came = start + minute * 60_000;
            skew.corrected(came - 1, came);
        }
        assert_eq!((skew.corrected(came - 1, came), skew.behind()), (came, Some(1)));
    }

    #[test]
    fn no_line_comes_from_the_future() {
        let mut skew = Skew::default();
        for (stamp, came) in [(u64::MAX, 5), (0, 7), (1 << 50, 9), (3, 1 << 50)] {
            assert!(skew.corrected(stamp, came) <= came);
        }
    }
}
