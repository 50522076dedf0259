//! Templates: what lines have in common, found while they come, counted, and each with a share of the ring.
//!
//! ```text
//!  line ──shape──▶ number ──known──▶ template: one look-up, nothing is copied
//!                     │
//!                     └──new──▶ like a template, but for one word that many differ in? ──▶ that word becomes a star
//!                                 else a template of its own
//! ```

mod shape;

use std::collections::HashMap;

use shape::{Piece, pieces};

use crate::hash::{self, Seed};
use crate::rules::Rules;

/// Templates kept at once. When all are taken, the half that was silent longest is put together under number 0.
const MOST: usize = 4096;
/// Shapes known at once: several may belong to one template.
const SHAPES: usize = 1 << 14;
/// Templates that differ in one and the same word, before that word is a star.
const ALIKE: usize = 3;
/// Templates of one program and length that a new one is held against.
const HELD_AGAINST: usize = 64;

/// How many lines of one template go into the ring, and at what pace it gets room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Lines at once.
    pub burst: u32,
    /// Lines a second.
    pub rate: u32,
}

impl Quota {
    /// Every line is stored.
    pub const NONE: Self = Self { burst: u32::MAX, rate: u32::MAX };
}

impl Default for Quota {
    /// 2000 at once, 50 a second.
    fn default() -> Self {
        Self { burst: 2000, rate: 50 }
    }
}

/// What some lines have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its number, never used again; 0 is the rest.
    pub number: u32,
    /// Number of the program's name.
    pub program: u16,
    /// The words, with `*` for those that differ.
    pub pattern: Box<str>,
    /// Lines so far.
    pub count: u64,
    /// Those of them that the ring did not take.
    pub folded: u64,
    /// The worst severity so far.
    pub severity: u8,
    /// When the last one came, in milliseconds since 1970.
    pub last: u64,
    /// Rules that it is counted under, one bit each.
    pub rules: u64,
    /// Lines folded since that was last said in the ring.
    pub(crate) untold: u32,
    pub(crate) node: u16,
    credit: u32,
    /// The template that took this one in.
    within: Option<u16>,
}

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Where its template stands.
    pub(crate) slot: u16,
    /// False when the template's share is used up.
    pub(crate) stored: bool,
    /// Its number.
    pub(crate) number: u32,
    pub(crate) rules: u64,
}

/// All templates.
#[derive(Debug)]
pub(crate) struct Templates {
    seed: Seed,
    quota: Quota,
    /// Ascending by number.
    all: Vec<Template>,
    next: u32,
    /// Shapes: number and slot; slot 0 is free.
    shapes: Vec<(u64, u16)>,
    known: usize,
    /// Slots by program and number of pieces.
    alike: HashMap<(u16, usize), Vec<u16>>,
}

impl Templates {
    pub(crate) fn new(seed: Seed, quota: Quota) -> Self {
        let rest = Template {
            number: 0,
            program: 0,
            pattern: "*".into(),
            count: 0,
            folded: 0,
            severity: 7,
            last: 0,
            rules: 0,
            untold: 0,
            node: 0,
            credit: quota.burst,
            within: None,
        };
        Self {
            seed,
            quota,
            all: vec![rest],
            next: 1,
            shapes: vec![(0, 0); SHAPES],
            known: 0,
            alike: HashMap::new(),
        }
    }

    /// Counts a line.
    pub(crate) fn take(&mut self, line: Counted<'_>, rules: &Rules) -> Verdict {
        let start = hash::mix(self.seed.start(), u64::from(line.program));
        let shape = shape::number(start, line.text);
        let mask = SHAPES - 1;
        let mut at = usize::try_from(shape).unwrap_or_default() & mask;
        let slot = loop {
            match self.shapes.get(at) {
                Some((known, slot)) if *known == shape && *slot != 0 => break self.outermost(*slot),
                Some((_, 0)) | None => break self.learn(line, shape, rules),
                Some(_) => at = (at + 1) & mask,
            }
        };
        let quota = self.quota;
        let Some(template) = self.all.get_mut(usize::from(slot)) else {
            return Verdict { slot: 0, stored: true, number: 0, rules: 0 };
        };
        template.count += 1;
        template.severity = template.severity.min(line.severity);
        template.node = line.node;
        let stored = template.afford(quota, line.at);
        if !stored {
            template.folded += 1;
            template.untold = template.untold.saturating_add(1);
        }
        Verdict { slot, stored, number: template.number, rules: template.rules }
    }

    fn outermost(&self, slot: u16) -> u16 {
        let mut slot = slot;
        while let Some(within) = self.all.get(usize::from(slot)).and_then(|template| template.within) {
            slot = within;
        }
        slot
    }

    /// The slot of a shape that is new.
    fn learn(&mut self, line: Counted<'_>, shape: u64, rules: &Rules) -> u16 {
        if self.known >= SHAPES / 2 {
            self.shapes.fill((0, 0));
            self.known = 0;
        }
        let length = pieces(line.text).count();
        let key = (line.program, length);
        let beside = self.alike.get(&key).cloned().unwrap_or_default();
        let slot = match self.match_of(line.text, &beside) {
            Some(slot) => slot,
            None => match self.star_of(line.text, &beside) {
                Some((slot, place)) => self.widen(slot, place, (line, key), rules),
                None => self.begin((line, key), rules),
            },
        };
        let mask = SHAPES - 1;
        let mut at = usize::try_from(shape).unwrap_or_default() & mask;
        while self.shapes.get(at).is_some_and(|(_, slot)| *slot != 0) {
            at = (at + 1) & mask;
        }
        if let Some(place) = self.shapes.get_mut(at).filter(|_| slot != 0) {
            *place = (shape, slot);
            self.known += 1;
        }
        slot
    }

    fn match_of(&self, text: &[u8], beside: &[u16]) -> Option<u16> {
        let fits = |slot: &u16| {
            let template = self.all.get(usize::from(*slot));
            template.is_some_and(|template| differing(template.pattern.as_bytes(), text).next().is_none())
        };
        beside.iter().copied().find(fits)
    }

    /// A template and a piece of it that would fit if that piece was a star, as would enough others beside it.
    fn star_of(&self, text: &[u8], beside: &[u16]) -> Option<(u16, usize)> {
        let mut found: Vec<(usize, u16, usize)> = Vec::new();
        for slot in beside {
            let Some(template) = self.all.get(usize::from(*slot)) else { continue };
            let mut places = differing(template.pattern.as_bytes(), text);
            let (Some(Some(place)), None) = (places.next(), places.next()) else { continue };
            match found.iter_mut().find(|(at, ..)| *at == place) {
                Some((_, _, times)) => *times += 1,
                None => found.push((place, *slot, 1)),
            }
        }
        found.into_iter().find(|(_, _, times)| *times >= ALIKE).map(|(place, slot, _)| (slot, place))
    }

    /// Makes a piece of a template a star, and takes in the others that it fits then.
    fn widen(
        &mut self,
        slot: u16,
        place: usize,
        (line, key): (Counted<'_>, (u16, usize)),
        rules: &Rules,
    ) -> u16 {
        let Some(old) = self.all.get(usize::from(slot)) else { return 0 };
        let pattern = written(old.pattern.as_bytes(), Some(place));
        let mut beside = self.alike.remove(&key).unwrap_or_default();
        let (mut count, mut folded, mut untold) = (0, 0, 0_u32);
        beside.retain(|other| {
            let Some(template) = self.all.get_mut(usize::from(*other)).filter(|_| *other != slot) else {
                return true;
            };
            if differing(pattern.as_bytes(), template.pattern.as_bytes()).next().is_some() {
                return true;
            }
            template.within = Some(slot);
            count += std::mem::take(&mut template.count);
            folded += std::mem::take(&mut template.folded);
            untold = untold.saturating_add(std::mem::take(&mut template.untold));
            false
        });
        self.alike.insert(key, beside);
        if let Some(template) = self.all.get_mut(usize::from(slot)) {
            template.rules = rules.of(&pattern);
            template.pattern = pattern;
            template.count += count;
            template.folded += folded;
            template.untold = template.untold.saturating_add(untold);
            template.severity = template.severity.min(line.severity);
        }
        slot
    }

    fn begin(&mut self, (line, key): (Counted<'_>, (u16, usize)), rules: &Rules) -> u16 {
        if self.all.len() >= MOST {
            self.forget();
        }
        let Ok(slot) = u16::try_from(self.all.len()) else { return 0 };
        let pattern = written(line.text, None);
        self.all.push(Template {
            number: self.next,
            program: line.program,
            rules: rules.of(&pattern),
            pattern,
            count: 0,
            folded: 0,
            severity: line.severity,
            last: line.at,
            untold: 0,
            node: line.node,
            credit: self.quota.burst,
            within: None,
        });
        self.next = self.next.wrapping_add(1).max(1);
        let beside = self.alike.entry(key).or_default();
        if beside.len() >= HELD_AGAINST {
            beside.remove(0);
        }
        beside.push(slot);
        slot
    }

    /// Puts the half that was silent longest together. What they counted stays counted.
    fn forget(&mut self) {
        let mut lasts: Vec<u64> = self.all.iter().skip(1).map(|template| template.last).collect();
        let middle = lasts.len() / 2;
        let (_, limit, _) = lasts.select_nth_unstable(middle);
        let limit = *limit;
        let (mut count, mut folded, mut untold) = (0, 0, 0_u32);
        let mut gone = 0;
        self.all.retain(|template| {
            let stays = template.number == 0
                || (template.within.is_none() && (template.last > limit || gone >= middle));
            if !stays {
                gone += 1;
                count += template.count;
                folded += template.folded;
                untold = untold.saturating_add(template.untold);
            }
            stays
        });
        if let Some(rest) = self.all.first_mut() {
            rest.count += count;
            rest.folded += folded;
            rest.untold = rest.untold.saturating_add(untold);
        }
        self.shapes.fill((0, 0));
        self.known = 0;
        self.alike.clear();
        for (slot, template) in self.all.iter_mut().enumerate().skip(1) {
            template.within = None;
            let length = pieces(template.pattern.as_bytes()).count();
            if let Ok(slot) = u16::try_from(slot) {
                self.alike.entry((template.program, length)).or_default().push(slot);
            }
        }
    }

    /// Templates with lines that were folded and not said, which are said now.
    pub(crate) fn untold(&mut self) -> impl Iterator<Item = (&Template, u32)> {
        self.all.iter_mut().filter_map(|template| {
            let count = std::mem::take(&mut template.untold);
            (count > 0).then_some((&*template, count))
        })
    }

    #[cfg(test)]
    pub(crate) fn get(&self, number: u32) -> Option<&Template> {
        let at = self.all.partition_point(|template| template.number < number);
        self.all.get(at).filter(|template| template.number == number)
    }

    /// Those that count lines.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Template> {
        self.all.iter().filter(|template| template.count > 0)
    }
}

/// What of a line decides how it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'a> {
    pub(crate) program: u16,
    pub(crate) node: u16,
    pub(crate) severity: u8,
    pub(crate) at: u64,
    pub(crate) text: &'a [u8],
}

impl Template {
    /// Takes one line's room.
    fn afford(&mut self, quota: Quota, now: u64) -> bool {
        let waited = now.saturating_sub(self.last);
        // Whole lines only: a moment too short for one is not taken as passed.
        let earned = waited.saturating_mul(u64::from(quota.rate)) / 1000;
        if earned > 0 || self.credit == quota.burst {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.credit = self.credit.saturating_add(earned).min(quota.burst);
            self.last = self.last.max(now);
        }
        let Some(left) = self.credit.checked_sub(1) else { return false };
        if quota.burst != u32::MAX {
            self.credit = left;
        }
        true
    }
}

/// A shape as text, with one more star.
fn written(text: &[u8], star: Option<usize>) -> Box<str> {
    let mut out = Vec::new();
    for (place, piece) in pieces(text).enumerate() {
        match piece {
            _ if star == Some(place) => out.push(b'*'),
            Piece::Word(word) => out.extend_from_slice(word),
            Piece::Star => out.push(b'*'),
            Piece::Between(byte) => out.push(if byte.is_ascii_control() { b' ' } else { byte }),
        }
    }
    String::from_utf8_lossy(&out).into()
}

/// Where a line is not as a pattern wants it: the place, or nothing where no star would help.
fn differing<'a>(pattern: &'a [u8], text: &'a [u8]) -> impl Iterator<Item = Option<usize>> + 'a {
    let pairs = pieces(pattern).zip(pieces(text)).enumerate();
    pairs.filter_map(|(place, pair)| match pair {
        (Piece::Star, Piece::Word(_) | Piece::Star) => None,
        (Piece::Word(one), Piece::Word(other)) if one == other => None,
        (Piece::Between(one), Piece::Between(other)) if one == other => None,
        (Piece::Word(_), Piece::Word(_) | Piece::Star) => Some(Some(place)),
        (Piece::Between(_), _) | (_, Piece::Between(_)) => Some(None),
    })
}

#[cfg(test)]
mod tests;
