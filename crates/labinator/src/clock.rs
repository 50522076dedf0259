//! The one place that reads clocks: lab time that never goes back, and the wall for people.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lifecycle::Lab;
use model::{LabTime, Moment, WallTime};
use tokio::time::Instant;

/// Time away that a wall clock is believed over a restart of the boss, in milliseconds: a year.
const BELIEVABLE: u64 = 366 * 24 * 3_600_000;

/// Tells the time of one core. Under tokio's paused time it stands still with everything else.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Lab time when this core began: where the journal ended.
    base: LabTime,
    began: Instant,
    /// `CLOCK_BOOTTIME` in milliseconds when this core began.
    boottime_ms: u64,
    /// Which start of the kernel that is counted from.
    kernel: Arc<str>,
    /// Set in tests: the wall clock at the beginning, instead of the system's.
    wall: Option<WallTime>,
}

impl Clock {
    /// A clock that goes on where the journal ended. Time that passed while no core ran counts: by the
    /// kernel's own clock if the boss was not restarted, whatever was done to the date meanwhile; else by
    /// the wall clock as far as it can be believed, forward and by a year at most.
    #[must_use]
    pub fn after(past: Option<&Lab>) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let kernel: Arc<str> = kernel.trim().into();
        let boottime_ms = netboot::boottime_ms();
        let base = past.map_or_else(LabTime::default, |lab| {
            let latest = lab.latest;
            let began = lab.core.as_ref().filter(|core| *core.kernel == *kernel);
            let same_kernel =
                began.map(|core| core.at.0.saturating_add(boottime_ms.saturating_sub(core.boottime_ms)));
            let by_date = || {
                let away = wall_now().0.saturating_sub(latest.wall.0);
                latest.since_start.0.saturating_add(if away < BELIEVABLE { away } else { 0 })
            };
            LabTime(same_kernel.unwrap_or_else(by_date).max(latest.since_start.0).saturating_add(1))
        });
        Self { base, began: Instant::now(), boottime_ms, kernel, wall: None }
    }

    /// Which start of the kernel this core runs in.
    #[must_use]
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// `CLOCK_BOOTTIME` when this core began, in milliseconds.
    #[must_use]
    pub const fn boottime_ms(&self) -> u64 {
        self.boottime_ms
    }

    /// A clock for tests: both clocks begin where they are told to.
    #[must_use]
    pub fn virtual_from(base: LabTime, wall: WallTime) -> Self {
        Self { base, began: Instant::now(), boottime_ms: 0, kernel: "".into(), wall: Some(wall) }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        let since = millis(self.began.elapsed());
        Moment {
            since_start: LabTime(self.base.0.saturating_add(since)),
            wall: self.wall.map_or_else(wall_now, |wall| WallTime(wall.0.saturating_add(since))),
        }
    }

    /// The moment of a `CLOCK_BOOTTIME` stamp another process took; never later than now, and never
    /// before this core began.
    #[must_use]
    pub fn moment_of(&self, boottime_ms: u64) -> Moment {
        let now = self.now();
        let at = self.base.0.saturating_add(boottime_ms.saturating_sub(self.boottime_ms));
        let at = LabTime(at.min(now.since_start.0));
        let ago = now.since_start.since(at);
        Moment { since_start: at, wall: WallTime(now.wall.0.saturating_sub(ago.0)) }
    }

    /// The instant at which lab time will be `at`.
    #[must_use]
    pub fn instant_of(&self, at: LabTime) -> Instant {
        self.began + std::time::Duration::from_millis(at.0.saturating_sub(self.base.0))
    }
}

/// The wall clock of this computer, right or wrong.
pub(crate) fn wall_now() -> WallTime {
    WallTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use model::{Event, Fact};

    use super::*;
    use crate::journal::Past;

    /// The past of a journal whose core began `ago` milliseconds before now, at lab time 1,000 and this date.
    fn after(kernel: &str, ago: u64, wall: u64) -> Clock {
        let at = Moment { since_start: LabTime(1_000), wall: WallTime(wall) };
        let fact = Fact::CoreStarted {
            version: "0".to_owned(),
            spec: Box::new(crate::demo::lab(1).unwrap()),
            kernel: kernel.to_owned(),
            boottime_ms: netboot::boottime_ms().saturating_sub(ago),
        };
        Clock::after(Past::of([Event { seq: 1, at, fact }]).lab.as_ref())
    }

    #[test]
    fn a_changed_date_does_not_move_lab_time_while_the_kernel_runs_on() {
        let own = Clock::after(None).kernel().to_owned();
        let month = 30 * 24 * 3_600_000;
        for wall in [wall_now().0 - month, wall_now().0 + month] {
            let now = after(&own, 500, wall).now().since_start.0;
            assert!((1_500..60_000).contains(&now), "{now}");
        }
    }

    #[test]
    fn over_a_restart_of_the_boss_the_date_tells_how_long_it_was_away() {
        let hour = 3_600_000;
        let now = after("another", 500, wall_now().0 - hour).now().since_start.0;
        assert!((hour + 1_000..hour + 60_000).contains(&now), "{now}");
        // A date that went back is no time at all.
        let now = after("another", 500, wall_now().0 + hour).now().since_start.0;
        assert!((1_001..60_000).contains(&now), "{now}");
    }
}
