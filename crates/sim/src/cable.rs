//! How good the cable and the switch are: loss, delay, copies and cuts, each way for itself, by the seed.

use crate::dice::Dice;

/// One direction of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lane {
    /// Shortest time a frame takes, in milliseconds.
    pub fastest_ms: u64,
    /// Longest time a frame takes. Frames overtake one another when it is above the shortest.
    pub slowest_ms: u64,
    /// Frames lost, in a thousand.
    pub loss_per_mille: u16,
    /// Frames that arrive twice, in a thousand; the second copy takes its own time.
    pub twice_per_mille: u16,
    /// Frames held up, in a thousand, and so overtaken by those behind them.
    pub late_per_mille: u16,
    /// How long those are held up, in milliseconds.
    pub late_ms: u64,
    /// Frames cut short anywhere, in a thousand, as a faulty switch with cut-through does.
    pub cut_per_mille: u16,
}

/// Both directions, the same for every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cable {
    /// From a machine to the server.
    pub to_server: Lane,
    /// From the server to a machine.
    pub to_machines: Lane,
}

impl Cable {
    /// A cable that is the same both ways.
    #[must_use]
    pub const fn alike(lane: Lane) -> Self {
        Self { to_server: lane, to_machines: lane }
    }
}

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From a machine to the server.
    ToServer,
    /// From the server to the machine at this place.
    ToMachine(usize),
}

/// What became of a frame: the copies that arrive, at most two; none when it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fate {
    copies: [Copied; 2],
    count: usize,
}

/// A copy of a frame that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Milliseconds on the way.
    pub after_ms: u64,
    /// Bytes that are left of it.
    pub length: usize,
}

impl Fate {
    /// The copies that arrive.
    #[must_use]
    pub fn copies(&self) -> &[Copied] {
        self.copies.get(..self.count).unwrap_or_default()
    }
}

/// A frame that was put on the cable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// When, in milliseconds.
    pub at: u64,
    /// Which way.
    pub way: Way,
    /// The frame as it was sent.
    pub frame: Vec<u8>,
    /// What became of it.
    pub fate: Fate,
}

impl Lane {
    /// Draws what becomes of a frame of this length.
    pub(crate) fn fate(self, length: usize, dice: &mut Dice) -> Fate {
        if dice.happens(self.loss_per_mille) {
            return Fate::default();
        }
        let first = self.copy(length, dice);
        if !dice.happens(self.twice_per_mille) {
            return Fate { copies: [first, Copied::default()], count: 1 };
        }
        Fate { copies: [first, self.copy(length, dice)], count: 2 }
    }

    fn copy(self, length: usize, dice: &mut Dice) -> Copied {
        let mut after_ms = if self.slowest_ms > self.fastest_ms {
            dice.between(self.fastest_ms, self.slowest_ms)
        } else {
            self.fastest_ms
        };
        if dice.happens(self.late_per_mille) {
            after_ms += self.late_ms;
        }
        let mut copied = Copied { after_ms, length };
        if dice.happens(self.cut_per_mille) {
            let most = u64::try_from(length).unwrap_or(u64::MAX).saturating_sub(1);
            copied.length = usize::try_from(dice.between(0, most)).unwrap_or(length);
        }
        copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_lane_draws_nothing_and_changes_nothing() {
        let (mut dice, mut fresh) = (Dice::new(1), Dice::new(1));
        let fate = Lane::default().fate(60, &mut dice);
        assert_eq!(fate.copies(), [Copied { after_ms: 0, length: 60 }]);
        assert_eq!(dice.next(), fresh.next(), "no chance was used up");
    }

    #[test]
    fn each_fault_happens_as_often_as_was_said() {
        let count = |lane: Lane, is: &dyn Fn(&Fate) -> bool| {
            let mut dice = Dice::new(7);
            (0..10_000).filter(|_| is(&lane.fate(100, &mut dice))).count()
        };
        let good = Lane::default();
        let near = |found: usize| assert!((800..1200).contains(&found), "{found}");
        near(count(Lane { loss_per_mille: 100, ..good }, &|f| f.copies().is_empty()));
        near(count(Lane { twice_per_mille: 100, ..good }, &|f| f.copies().len() == 2));
        near(count(Lane { late_per_mille: 100, late_ms: 50, ..good }, &|f| f.copies()[0].after_ms == 50));
        near(count(Lane { cut_per_mille: 100, ..good }, &|f| f.copies()[0].length < 100));
    }
}
