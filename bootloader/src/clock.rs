//! A clock that only goes forward: the processor's counter, measured against the firmware's own waiting; and sleep.
#![expect(unsafe_code, reason = "the processor's counter is read by an instruction, and an event is made")]

use core::time::Duration;

use uefi::boot::{self, EventType, TimerTrigger, Tpl};
use uefi::{Event, Result};

/// How long the counter is watched to learn its pace, and how often: a virtual machine that does not run meanwhile would
/// take its clock for slower than it is, and wait for minutes instead of seconds. The shortest time is the right one.
const WATCHED: Duration = Duration::from_micros(500);
const TIMES: u32 = 4;

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
        let watched = u64::try_from(WATCHED.as_micros()).unwrap_or(1);
        let look = |_| {
            let before = ticks();
            uefi::boot::stall(WATCHED);
            ticks().wrapping_sub(before)
        };
        let least = (0..TIMES).map(look).min().unwrap_or_default();
        Self { zero, pace: (least / watched).max(1) }
    }

    pub(crate) fn us(&self) -> u64 {
        ticks().wrapping_sub(self.zero) / self.pace
    }

    pub(crate) fn ms(&self) -> u64 {
        self.us() / 1_000
    }

    /// Microseconds of so many ticks.
    pub(crate) const fn us_of(&self, ticks: u64) -> u64 {
        ticks / self.pace
    }
}

/// Sleep in which firmware halts the processor: until the next tick of its timer, 10 ms in EDK2.
#[derive(Debug)]
pub(crate) struct Nap(Event);

impl Nap {
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: the event has no function that firmware could call.
        unsafe { boot::create_event(EventType::TIMER, Tpl::APPLICATION, None, None) }.map(Self)
    }

    pub(crate) fn take(&self) {
        let soon = TimerTrigger::Relative(Duration::from_millis(1));
        if boot::set_timer(&self.0, soon).is_ok() {
            // SAFETY: this is a second name of the event for as long as it is waited for.
            let event = unsafe { self.0.unsafe_clone() };
            drop(boot::wait_for_event(&[event]));
        }
    }
}

/// The processor's counter.
#[cfg(target_arch = "x86_64")]
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The processor's counter; the barrier keeps it from being read before what stands above.
#[cfg(target_arch = "aarch64")]
pub(crate) fn ticks() -> u64 {
    let count: u64;
    // SAFETY: every 64-bit Arm processor has the counter, firmware may read it, and it touches no memory.
    unsafe {
        core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags));
    }
    count
}
