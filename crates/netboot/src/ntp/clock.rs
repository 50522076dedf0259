//! What the boss's clock is worth: who keeps it, how wrong it may be, and whether it was set while we watched.

use std::time::{SystemTime, UNIX_EPOCH};

use model::NtpMode;
use rtime_clock::adjtime::{Timex, adjtimex};
use wire::ntp::{Clock, Leap, Short, Timestamp, UNSYNCHRONISED};

use crate::clock::boottime_ms;

/// The clock is not synchronised (`adjtimex(2)`: `STA_UNSYNC`).
const STA_UNSYNC: i32 = 0x0040;
/// The kernel's word for a clock that nobody keeps (`adjtimex(2)`: `TIME_ERROR`).
const TIME_ERROR: i32 = 5;
/// Stratum of a boss whose clock other servers keep. The kernel knows that they do and how wrong it may be, not how far
/// they are from a reference clock; public servers are 1 to 3.
const BELOW_OTHERS: u8 = 4;
/// Stratum of a boss that has only its own clock: any real server is preferred.
const ALONE: u8 = 10;
/// Names a clock that stands alone (RFC 5905 figure 12: `LOCL`).
const OWN: [u8; 4] = *b"LOCL";
/// Logarithm of the precision in seconds: about a microsecond.
const PRECISION: i8 = -20;
/// A change of the date against the time since the kernel started that no slewing explains, in milliseconds.
const STEP_MS: u64 = 500;
/// How fast a clock that nobody keeps goes wrong, in microseconds a second (RFC 5905: `PHI`).
const DRIFT: u64 = 15;
/// How wrong a date is at least that a person typed, in microseconds.
const BY_HAND_ERROR: u64 = 1_000_000;
/// No clock that is right is before this program: 2026-01-01.
const EARLIEST: u64 = 1_767_225_600;

/// Who keeps the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Other servers, by the kernel's account; how wrong it may be, in microseconds.
    Others {
        /// `maxerror` of `adjtimex(2)`.
        error_us: u64,
    },
    /// A person, or nobody the lab minds; how long ago it was set, in milliseconds.
    Itself {
        /// Milliseconds.
        since_ms: u64,
    },
    /// Nobody: it is not to be believed.
    Nobody,
}

/// The clock, looked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Seconds since 1970.
    pub seconds: u64,
    /// And nanoseconds.
    pub nanoseconds: u32,
    /// Milliseconds of `CLOCK_BOOTTIME`, at the same moment.
    pub boottime_ms: u64,
    /// What the kernel says of it: `Some(error)` in microseconds while other servers keep it.
    pub kept: Option<u64>,
}

impl Reading {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
            boottime_ms: boottime_ms(),
            kept: kernel(),
        }
    }

    /// As NTP writes it.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_unix(self.seconds, self.nanoseconds)
    }

    /// When the kernel would have started by this date, in milliseconds; it moves only when the date is set.
    fn began_ms(&self) -> u64 {
        let wall = self.seconds.saturating_mul(1000).saturating_add(u64::from(self.nanoseconds / 1_000_000));
        wall.saturating_sub(self.boottime_ms)
    }
}

/// Asks the kernel, whoever feeds it: timesyncd, chrony and ntpd all report there.
fn kernel() -> Option<u64> {
    let mut state = Timex::new();
    let told = adjtimex(&mut state).ok()?;
    let unkept = told == TIME_ERROR || state.0.status & STA_UNSYNC != 0;
    u64::try_from(state.0.maxerror).ok().filter(|_| !unkept)
}

/// Watches the clock between questions.
#[derive(Debug, Default)]
pub(super) struct Watch {
    began: Option<u64>,
    set: Option<u64>,
}

impl Watch {
    /// Who keeps the clock now, and by how many seconds it was set since the last look, where it was.
    pub(super) fn look(&mut self, reading: &Reading, mode: NtpMode) -> (Keeper, Option<i64>) {
        let began = reading.began_ms();
        let before = self.began.replace(began).unwrap_or(began);
        let stepped = before.abs_diff(began) >= STEP_MS;
        let seconds = stepped.then(|| {
            let by = i64::try_from(before.abs_diff(began) / 1000).unwrap_or(i64::MAX);
            if began < before { by.saturating_neg() } else { by }
        });
        if stepped {
            self.set = Some(reading.boottime_ms);
        }
        let sane = reading.seconds >= EARLIEST;
        let keeper = match (reading.kept, mode, self.set) {
            _ if !sane => Keeper::Nobody,
            (Some(error_us), _, _) => Keeper::Others { error_us },
            (None, _, Some(set)) => Keeper::Itself { since_ms: reading.boottime_ms.saturating_sub(set) },
            (None, NtpMode::Trust, None) => Keeper::Itself { since_ms: reading.boottime_ms },
            (None, NtpMode::Auto | NtpMode::Off, None) => Keeper::Nobody,
        };
        (keeper, seconds)
    }
}

/// What clients are told of such a clock.
#[must_use]
pub fn describe(keeper: Keeper, reading: &Reading) -> Clock {
    let (leap, stratum, reference, error_us) = match keeper {
        Keeper::Others { error_us } => (Leap::NONE, BELOW_OTHERS, [0; 4], error_us),
        Keeper::Itself { since_ms } => {
            let drift = (since_ms / 1000).saturating_mul(DRIFT);
            (Leap::NONE, ALONE, OWN, BY_HAND_ERROR.saturating_add(drift))
        }
        Keeper::Nobody => (Leap::UNKNOWN, UNSYNCHRONISED, *b"INIT", u64::MAX),
    };
    let known = keeper != Keeper::Nobody;
    Clock {
        leap,
        stratum,
        reference,
        reference_time: if known { reading.timestamp() } else { Timestamp(0) },
        precision: PRECISION,
        root_delay: Short(0),
        root_dispersion: Short::from_micros(error_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: u64 = EARLIEST + 30_000_000;

    fn reading(seconds: u64, boottime_ms: u64, kept: Option<u64>) -> Reading {
        Reading { seconds, nanoseconds: 0, boottime_ms, kept }
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_not_believed_until_a_person_sets_it() {
        let mut watch = Watch::default();
        let (keeper, stepped) = watch.look(&reading(LATER, 1_000, None), NtpMode::Auto);
        assert_eq!((keeper, stepped), (Keeper::Nobody, None));
        let told = describe(keeper, &reading(LATER, 1_000, None));
        assert_eq!((told.leap, told.stratum), (Leap::UNKNOWN, 16));
        let (keeper, stepped) = watch.look(&reading(LATER + 3601, 2_000, None), NtpMode::Auto);
        assert_eq!((keeper, stepped), (Keeper::Itself { since_ms: 0 }, Some(3600)));
        assert_eq!(describe(keeper, &reading(LATER + 3601, 2_000, None)).stratum, 10);
        let (keeper, stepped) = watch.look(&reading(LATER + 3611, 12_000, None), NtpMode::Auto);
        assert_eq!((keeper, stepped), (Keeper::Itself { since_ms: 10_000 }, None));
    }

    #[test]
    fn a_clock_that_others_keep_says_how_wrong_it_may_be() {
        let now = reading(LATER, 1_000, Some(250_000));
        let (keeper, _) = Watch::default().look(&now, NtpMode::Auto);
        let told = describe(keeper, &now);
        assert_eq!((told.stratum, told.root_dispersion), (4, Short(0x4000)));
    }

    #[test]
    fn a_date_before_this_program_is_not_believed_whoever_vouches() {
        let early = reading(EARLIEST - 1, 1_000, Some(10));
        assert_eq!(Watch::default().look(&early, NtpMode::Trust).0, Keeper::Nobody);
        let alone = reading(LATER, 1_000, None);
        assert_eq!(Watch::default().look(&alone, NtpMode::Trust).0, Keeper::Itself { since_ms: 1_000 });
    }

    #[test]
    fn the_kernel_can_be_asked_by_everybody() {
        let mut state = Timex::new();
        assert!(adjtimex(&mut state).is_ok());
    }
}
