//! When a leaf is served, when it is renewed, and what a service waits for: a judgment of values, without a clock, a disk
//! or a thread.
//!
//! ```text
//!   not_before                    renew_at = issued + 2/3 of its life - jitter          not_after
//! ──────┼──────────────────────────────┼──────────────────────────────────────────────────┼──────▶ wall clock
//!  waits│            serves            │       serves, and is renewed (tries as a ladder) │ waits, and is renewed
//! ```
//!
//! Validity goes by the wall clock alone and is compared anew at every question, so a clock that jumps and a boss that
//! slept need no timer to notice. Tries go by lab time, which never goes back, so a jump neither holds up a try nor sets
//! off a storm of them.

use model::{LabTime, Moment, Span, WallTime};

use crate::clock::{ClockFault, Floor};

/// How long a leaf is valid unless told.
pub const LIFETIME: Span = Span::secs(86_400);
/// How long before it was issued a leaf becomes valid: clients whose clocks are a little behind take it.
pub const BACKDATE: Span = Span::secs(3_600);
/// Pauses between tries that failed, in seconds; the last one goes on for ever. A service is well again within one of
/// them after the authority is.
const LADDER: [u64; 6] = [1, 2, 5, 10, 20, 40];
/// Longest pause between two tries, with its jitter: the promise "within a minute".
pub const LONGEST_PAUSE: Span = Span::secs(50);
/// A leaf that ended longer ago than this is not said to be renewed, but made anew; 400 days.
pub const RENEWED_AFTER_END: Span = Span::secs(400 * 86_400);

/// What is known of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Valid from.
    pub not_before: WallTime,
    /// Valid until, without this moment.
    pub not_after: WallTime,
    /// When it shall be renewed.
    pub renew_at: WallTime,
}

impl Validity {
    /// Of a leaf issued now for so long. `dice`, 0 to 255, brings the renewal forward by up to a twentieth of its life, so
    /// that services started at once are not renewed at once.
    #[must_use]
    pub const fn issued(now: WallTime, lifetime: Span, not_after: WallTime, dice: u8) -> Self {
        // An authority that ends earlier ends the leaf earlier.
        let life = not_after.0.saturating_sub(now.0);
        let life = if life < lifetime.0 { life } else { lifetime.0 };
        let jitter = life / 20 * dice as u64 / 255;
        Self {
            not_before: WallTime(now.0.saturating_sub(BACKDATE.0)),
            not_after,
            renew_at: WallTime(now.0.saturating_add(life / 3 * 2).saturating_sub(jitter)),
        }
    }

    /// Whether it is valid now.
    #[must_use]
    pub const fn holds(&self, now: WallTime) -> bool {
        self.not_before.0 <= now.0 && now.0 < self.not_after.0
    }
}

/// What a service waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// A wall clock that can be believed.
    Clock(ClockFault),
    /// The authority, which cannot issue: what it said.
    Authority(String),
    /// Its leaf, which is being made.
    Leaf,
}

impl Waiting {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Clock(fault) => fault.code(),
            Self::Authority(_) => "authority_away",
            Self::Leaf => "leaf_coming",
        }
    }
}

impl core::fmt::Display for Waiting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Clock(fault) => write!(f, "waiting for a right clock: {fault}"),
            Self::Authority(why) => write!(f, "waiting for the lab's authority: {why}"),
            Self::Leaf => f.write_str("waiting for its certificate"),
        }
    }
}

/// Why a leaf is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    First,
    /// Two thirds of its life are over.
    Due,
    /// It ended, so long ago; at most [`RENEWED_AFTER_END`].
    Ended(Span),
    /// It ended so long ago that it counts as none.
    LongEnded(Span),
    /// The clock went back before it.
    NotYet,
    /// It has to name something else, or somebody asked.
    Asked,
}

impl core::fmt::Display for Why {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::First => f.write_str("it had none"),
            Self::Due => f.write_str("two thirds of its life were over"),
            Self::Ended(ago) => write!(f, "it had ended {ago} ago"),
            Self::LongEnded(ago) => write!(f, "it had ended {ago} ago, which is no renewal any more"),
            Self::NotYet => f.write_str("the clock went back to before it was valid"),
            Self::Asked => f.write_str("it was asked for"),
        }
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Serve the leaf.
    Serve,
    /// Serve the leaf, and make another.
    ServeAndRenew(Why),
    /// Serve nothing, and make a leaf.
    Renew(Why),
    /// Serve nothing: it is waited for something.
    Wait(Waiting),
}

impl Verdict {
    /// Whether the leaf may be shown to a client.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Serve | Self::ServeAndRenew(_))
    }

    /// Why another leaf is wanted now, if one is.
    #[must_use]
    pub const fn renewal(&self) -> Option<Why> {
        match self {
            Self::ServeAndRenew(why) | Self::Renew(why) => Some(*why),
            Self::Serve | Self::Wait(_) => None,
        }
    }
}

/// What is remembered of tries that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tries {
    failed: usize,
    next: Option<LabTime>,
    said: String,
    asked: bool,
}

impl Tries {
    /// Judges one service.
    #[must_use]
    pub fn decide(&self, now: Moment, floor: &Floor, leaf: Option<&Validity>) -> Verdict {
        if let Err(fault) = floor.judge(now.wall) {
            return Verdict::Wait(Waiting::Clock(fault));
        }
        let held_up = self.next.is_some_and(|next| now.since_start < next);
        match (leaf, self.wanted(now.wall, leaf)) {
            (Some(leaf), None) if leaf.holds(now.wall) => Verdict::Serve,
            (Some(leaf), Some(_)) if held_up && leaf.holds(now.wall) => Verdict::Serve,
            (Some(leaf), Some(why)) if leaf.holds(now.wall) => Verdict::ServeAndRenew(why),
            (_, _) if held_up => Verdict::Wait(Waiting::Authority(self.said.clone())),
            (_, why) => Verdict::Renew(why.unwrap_or(Why::First)),
        }
    }

    fn wanted(&self, now: WallTime, leaf: Option<&Validity>) -> Option<Why> {
        let Some(leaf) = leaf else { return Some(Why::First) };
        let ended = Span(now.0.saturating_sub(leaf.not_after.0));
        if now < leaf.not_before {
            Some(Why::NotYet)
        } else if now >= leaf.not_after {
            Some(if ended > RENEWED_AFTER_END { Why::LongEnded(ended) } else { Why::Ended(ended) })
        } else if now >= leaf.renew_at {
            Some(Why::Due)
        } else {
            self.asked.then_some(Why::Asked)
        }
    }

    /// Somebody wants another leaf, or it has to name something else. What failed before is tried at once.
    pub fn ask(&mut self) {
        self.asked = true;
        self.next = None;
    }

    /// A try failed. `dice`, 0 to 255, spreads those of several services.
    pub fn failed(&mut self, now: Moment, said: String, dice: u8) {
        let pause = LADDER.get(self.failed).or(LADDER.last()).copied().unwrap_or_default() * 1000;
        let pause = pause + pause / 4 * u64::from(dice) / 255;
        self.failed = self.failed.saturating_add(1);
        self.next = Some(now.since_start.after(Span(pause)));
        self.said = said;
    }

    /// It worked.
    pub fn done(&mut self) {
        *self = Self::default();
    }

    /// What the last try that failed said.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        (self.failed > 0).then_some(self.said.as_str())
    }
}
