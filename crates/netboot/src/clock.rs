//! The clock of sightings: `CLOCK_BOOTTIME`, which goes on in sleep and is the same in every process.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the kernel started.
#[must_use]
pub fn boottime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let part = |value: i64, per: u64| u64::try_from(value).unwrap_or_default().saturating_mul(per);
    part(now.tv_sec, 1000) + part(now.tv_nsec, 1) / 1_000_000
}
