//! Whether the wall clock can be believed: what it says is held against when this program was written and what was seen
//! on disk the last time.
//!
//! ```text
//!      wrong: behind           believed                         wrong: ahead
//! ───────────────────┼─────────┼──────────────────────────────┼────────────▶ wall clock
//!        floor - SLACK        floor                     seen + AWAY
//!                   floor = the later of when this program was written and when the clock was seen last
//! ```

use core::fmt;

use model::{Span, WallTime};

/// How far the clock may go back without being called wrong: a day, which covers local time taken for UTC, drift, and an
/// NTP server's correction. Leaves are made anew when it does.
pub const SLACK: Span = Span::secs(86_400);
/// How long a lab may be off and its clock still be believed: three years. Beyond that a person is asked.
pub const AWAY: Span = Span::secs(3 * 366 * 86_400);

/// What the wall clock is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// When this program was written.
    pub written: WallTime,
    /// What the clock said when it was seen last, if it ever was.
    pub seen: Option<WallTime>,
}

/// Why the wall clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFault {
    /// It lies before this program was written.
    BeforeWritten,
    /// It lies before a time that was seen already.
    BeforeSeen {
        /// By how much.
        by: Span,
    },
    /// It lies further ahead than a lab is ever off.
    FarAhead {
        /// By how much after it was seen last.
        by: Span,
    },
}

impl Floor {
    /// Judges what the clock says.
    ///
    /// # Errors
    /// It is not believed.
    pub fn judge(&self, now: WallTime) -> Result<(), ClockFault> {
        if now.0.saturating_add(SLACK.0) < self.written.0 {
            return Err(ClockFault::BeforeWritten);
        }
        let Some(seen) = self.seen else { return Ok(()) };
        if now.0.saturating_add(SLACK.0) < seen.0 {
            return Err(ClockFault::BeforeSeen { by: Span(seen.0.saturating_sub(now.0)) });
        }
        let away = Span(now.0.saturating_sub(seen.0));
        if away > AWAY { Err(ClockFault::FarAhead { by: away }) } else { Ok(()) }
    }
}

impl ClockFault {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BeforeWritten => "clock_before_program",
            Self::BeforeSeen { .. } => "clock_behind",
            Self::FarAhead { .. } => "clock_ahead",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::BeforeWritten => "plug the uplink in, or set it: `date -s '2026-01-31 12:00'`",
            Self::BeforeSeen { .. } | Self::FarAhead { .. } => {
                "set the clock; if it is right after all: `labinator cert renew --trust-clock`"
            }
        }
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = |span: &Span| span.0 / 86_400_000;
        match self {
            Self::BeforeWritten => f.write_str("the clock lies before this program was written"),
            Self::BeforeSeen { by } => {
                write!(f, "the clock lies {} days before what it said already", days(by))
            }
            Self::FarAhead { by } => {
                write!(
                    f,
                    "the clock lies {} days after it was seen last, and no lab is off so long",
                    days(by)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn a_clock_is_believed_between_a_day_back_and_three_years_ahead() {
        let floor = Floor { written: WallTime(1000 * DAY), seen: Some(WallTime(2000 * DAY)) };
        for (now, code) in [
            (0, Some("clock_before_program")),
            (999 * DAY - 1, Some("clock_before_program")),
            (1998 * DAY, Some("clock_behind")),
            (1999 * DAY, None),
            (2400 * DAY, None),
            (2000 * DAY + AWAY.0, None),
            (2000 * DAY + AWAY.0 + 1, Some("clock_ahead")),
        ] {
            assert_eq!(floor.judge(WallTime(now)).err().map(|fault| fault.code()), code, "{now}");
        }
        let fresh = Floor { seen: None, ..floor };
        assert_eq!(fresh.judge(WallTime(90_000 * DAY)), Ok(()), "nothing is known yet");
    }
}
