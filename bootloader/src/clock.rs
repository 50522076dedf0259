//! A clock that only goes forward: the processor's counter, measured against the firmware's own waiting.
#![expect(unsafe_code, reason = "the processor's counter is read by an instruction")]

use core::time::Duration;

/// How long the counter is watched to learn its pace.
const WATCHED: Duration = Duration::from_millis(2);

/// Milliseconds and microseconds since the loader began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    zero: u64,
    /// Ticks in a microsecond.
    pace: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let zero = ticks();
        uefi::boot::stall(WATCHED);
        let watched = u64::try_from(WATCHED.as_micros()).unwrap_or(1);
        Self { zero, pace: (ticks().wrapping_sub(zero) / watched).max(1) }
    }

    pub(crate) fn us(&self) -> u64 {
        ticks().wrapping_sub(self.zero) / self.pace
    }

    pub(crate) fn ms(&self) -> u64 {
        self.us() / 1_000
    }
}

/// The processor's counter.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}
