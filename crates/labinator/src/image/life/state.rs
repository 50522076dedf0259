//! Which generation of an image is what, and how that may change. Pure.
//!
//! ```text
//!            offer            well started often enough, or by hand
//! (built) ─────────▶ candidate ─────────▶ good ─────────▶ last good ─────▶ (removed)
//!                        │  did not start        by hand │
//!                        └─────────────▶ refused ◀────────┘ roll back
//! ```

use std::collections::BTreeSet;

use model::{NodeName, WallTime};
use serde::{Deserialize, Serialize};

/// Form of the file; a reader refuses others.
pub(super) const FORM: u32 = 1;

/// The generations of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generations {
    /// Form of this file; 1.
    pub(super) form: u32,
    /// Number of the next one. No number is used twice.
    pub next: u32,
    /// What machines boot.
    pub good: u32,
    /// What they booted before; kept for the day the good one turns out not to be.
    pub last_good: Option<u32>,
    /// What one machine tries.
    pub candidate: Option<Candidate>,
    /// What was tried last and did not stay; kept to be looked at, until the next is refused.
    pub refused: Option<Refused>,
}

/// A generation that one machine tries before all have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which.
    pub generation: u32,
    /// Since when.
    pub since: WallTime,
    /// Good starts after which all have it.
    pub after: u32,
    /// Which machine; the first of each scenario when none is named.
    pub node: Option<NodeName>,
    /// Good starts so far.
    pub starts: u32,
}

/// A generation that did not stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub generation: u32,
    /// When it was refused.
    pub at: WallTime,
    /// Why, for a person.
    pub because: String,
}

impl Generations {
    /// Those of an image whose first generation is this.
    pub(super) const fn first(good: u32) -> Self {
        let next = good.saturating_add(1);
        Self { form: FORM, next, good, last_good: None, candidate: None, refused: None }
    }

    /// A new generation is to be tried. One that was being tried is given up for it.
    pub fn offer(&mut self, candidate: Candidate) {
        if let Some(old) = self.candidate.take() {
            let because = format!("generation {} took its place", candidate.generation);
            self.refuse(old.generation, because, candidate.since);
        }
        self.next = self.next.max(candidate.generation.saturating_add(1));
        self.candidate = Some(candidate);
    }

    /// A new generation is used from now on, as its owner says. False when it was already.
    pub fn adopt(&mut self, generation: u32) -> bool {
        self.next = self.next.max(generation.saturating_add(1));
        if self.candidate.as_ref().is_some_and(|candidate| candidate.generation == generation) {
            self.candidate = None;
        }
        if self.good == generation {
            return false;
        }
        self.last_good = Some(self.good);
        self.good = generation;
        true
    }

    /// The candidate is good. `None` when nothing is tried.
    pub fn promote(&mut self) -> Option<u32> {
        let candidate = self.candidate.take()?;
        self.adopt(candidate.generation);
        Some(candidate.generation)
    }

    /// Goes back: from the candidate to the good one; where nothing is tried, from the good one to the one before it.
    /// The generation that was given up, or `None` when there is nothing to go back to.
    pub fn roll_back(&mut self, because: &str, at: WallTime) -> Option<u32> {
        let given_up = match self.candidate.take() {
            Some(candidate) => candidate.generation,
            None => std::mem::replace(&mut self.good, self.last_good.take()?),
        };
        self.refuse(given_up, because.to_owned(), at);
        Some(given_up)
    }

    fn refuse(&mut self, generation: u32, because: String, at: WallTime) {
        self.refused = Some(Refused { generation, at, because });
    }

    /// The generations whose files are kept.
    #[must_use]
    pub fn kept(&self) -> BTreeSet<u32> {
        let tried = self.candidate.as_ref().map(|candidate| candidate.generation);
        let refused = self.refused.as_ref().map(|refused| refused.generation);
        [Some(self.good), self.last_good, tried, refused].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(generation: u32) -> Candidate {
        Candidate { generation, since: WallTime(1), after: 3, node: None, starts: 0 }
    }

    fn kept(all: &Generations) -> Vec<u32> {
        all.kept().into_iter().collect()
    }

    #[test]
    fn a_promoted_candidate_leaves_the_last_good_one_and_no_older() {
        let mut all = Generations::first(1);
        all.offer(candidate(2));
        assert_eq!((all.good, kept(&all)), (1, vec![1, 2]));
        assert_eq!(all.promote(), Some(2));
        all.offer(candidate(3));
        assert_eq!(all.promote(), Some(3));
        assert_eq!((all.good, all.last_good, kept(&all)), (3, Some(2), vec![2, 3]));
        assert_eq!(all.promote(), None);
    }

    #[test]
    fn a_refused_candidate_changes_nothing_in_use() {
        let mut all = Generations::first(1);
        all.offer(candidate(2));
        all.promote();
        all.offer(candidate(3));
        assert_eq!(all.roll_back("it did not start", WallTime(9)), Some(3));
        assert_eq!((all.good, all.last_good, kept(&all)), (2, Some(1), vec![1, 2, 3]));
        // The next number is a new one, whatever became of the last.
        assert_eq!(all.next, 4);
    }

    #[test]
    fn going_back_once_more_goes_to_the_last_good_one_and_ends_there() {
        let mut all = Generations::first(1);
        all.offer(candidate(2));
        all.promote();
        assert_eq!(all.roll_back("by hand", WallTime(9)), Some(2));
        assert_eq!((all.good, all.last_good), (1, None));
        assert_eq!(all.roll_back("by hand", WallTime(9)), None);
        assert_eq!(all.good, 1);
    }

    #[test]
    fn a_newer_candidate_takes_the_place_of_an_older() {
        let mut all = Generations::first(1);
        all.offer(candidate(2));
        all.offer(candidate(3));
        assert_eq!((all.good, all.candidate.map(|tried| tried.generation)), (1, Some(3)));
        let refused = all.refused.unwrap();
        assert_eq!((refused.generation, refused.because.as_str()), (2, "generation 3 took its place"));
    }
}
