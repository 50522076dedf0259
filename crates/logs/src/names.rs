//! Names as small numbers: nodes and programs, each kept once.

use crate::hash::Seed;

/// Slots for each name that may be kept: at most half of them are taken.
const SLOTS_EACH: usize = 2;

/// Names of one kind, numbered as they come. Number 0 stands for all that came when the table was full.
#[derive(Debug)]
pub(crate) struct Names {
    seed: Seed,
    names: Vec<Box<str>>,
    /// Numbers of names by their hash; 0 is free.
    slots: Vec<u16>,
    most: usize,
}

impl Names {
    /// A table of at most `most` names; `others` is shown for the rest.
    pub(crate) fn new(seed: Seed, most: u16, others: &str) -> Self {
        let most = usize::from(most).max(2);
        let slots = vec![0; (most * SLOTS_EACH).next_power_of_two()];
        Self { seed, names: vec![others.into()], slots, most }
    }

    /// The number of a name.
    pub(crate) fn number(&mut self, name: &[u8]) -> u16 {
        let mask = self.slots.len() - 1;
        let mut at = usize::try_from(self.seed.of(name)).unwrap_or_default() & mask;
        loop {
            let number = self.slots.get(at).copied().unwrap_or_default();
            if number == 0 {
                return self.learn(name, at);
            }
            if self.names.get(usize::from(number)).is_some_and(|known| known.as_bytes() == name) {
                return number;
            }
            at = (at + 1) & mask;
        }
    }

    fn learn(&mut self, name: &[u8], at: usize) -> u16 {
        // A name that is no text would be another one when it is looked up again.
        let Ok(text) = std::str::from_utf8(name) else { return 0 };
        let Some(number) = u16::try_from(self.names.len()).ok().filter(|_| self.names.len() < self.most)
        else {
            return 0;
        };
        let Some(slot) = self.slots.get_mut(at) else { return 0 };
        *slot = number;
        self.names.push(text.into());
        number
    }

    /// The number of a name that is known.
    pub(crate) fn known(&self, name: &str) -> Option<u16> {
        self.names.iter().position(|known| **known == *name).and_then(|at| u16::try_from(at).ok())
    }

    pub(crate) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", |name| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_a_full_table_says_others() {
        let mut names = Names::new(Seed::fresh(), 100, "others");
        let first: Vec<u16> = (0..99).map(|n| names.number(format!("n{n}").as_bytes())).collect();
        let again: Vec<u16> = (0..99).map(|n| names.number(format!("n{n}").as_bytes())).collect();
        assert_eq!(first, again);
        assert_eq!(first, (1..=99).collect::<Vec<u16>>());
        assert_eq!((names.number(b"one more"), names.name(0)), (0, "others"));
        assert_eq!(names.number(b"\xff"), 0);
        assert_eq!(names.known("n7"), Some(8));
    }
}
