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
    fn time_that_lies_ahead_is_no_time_ago() {
        assert_eq!(LabTime(5).since(LabTime(9)), Span(0));
    }
}
