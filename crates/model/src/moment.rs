//! Two clocks, always handed in together: one for limits, one for certificates and people.

use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Milliseconds on the lab's own clock. It never goes back, is not moved when somebody sets the date,
/// and goes on where it stood when the controller is started again. All limits use it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct LabTime(pub u64);

impl LabTime {
    /// This time plus `span`.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

impl fmt::Display for Span {
    /// `9.1 s` below two minutes, `2 min 51 s` above.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 120_000 {
            return write!(f, "{}.{} s", self.0 / 1000, self.0 % 1000 / 100);
        }
        let seconds = self.0 / 1000;
        if seconds < 7200 {
            return write!(f, "{} min {} s", seconds / 60, seconds % 60);
        }
        write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z as the boss's wall clock has it, right or wrong.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Year, month and day in the Gregorian calendar, in Zulu time. Years are counted from March, so that the leap day is
    /// the last of its year.
    #[must_use]
    pub const fn civil(self) -> (u64, u64, u64) {
        // 719,468 days from 0000-03-01 to 1970-01-01; 146,097 in each 400 years.
        let days = self.0 / 86_400_000 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let (month, later) = if from_march < 10 { (from_march + 3, 0) } else { (from_march - 9, 1) };
        (era * 400 + year_of_era + later, month, day)
    }
}

impl fmt::Display for WallTime {
    /// `2026-11-27 20:24:05 UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        let seconds = self.0 / 1000;
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// When something happened, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// For limits and durations.
    pub since_start: LabTime,
    /// For people and certificates.
    pub wall: WallTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_a_person_would_say_it() {
        assert_eq!(std::format!("{}", Span(9_140)), "9.1 s");
        assert_eq!(std::format!("{}", Span(171_000)), "2 min 51 s");
        assert_eq!(std::format!("{}", Span::secs(7_500)), "2 h 5 min");
    }

    #[test]
    fn a_wall_time_reads_as_the_calendar_has_it() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_795_672_800, "2026-11-26 06:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(std::format!("{}", WallTime(seconds * 1000)), expected);
        }
    }

    #[test]
    fn time_that_lies_ahead_is_no_time_ago() {
        assert_eq!(LabTime(5).since(LabTime(9)), Span(0));
    }
}
