//! The one place that reads clocks: lab time that never goes back, and the wall for people.

use std::time::{SystemTime, UNIX_EPOCH};

use model::{LabTime, Moment, WallTime};
use tokio::time::Instant;

/// Tells the time of one core. Under tokio's paused time it stands still with everything else.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Lab time when this core began: where the journal ended.
    base: LabTime,
    began: Instant,
    /// `CLOCK_BOOTTIME` in milliseconds when this core began.
    boottime_ms: u64,
    /// Set in tests: the wall clock at the beginning, instead of the system's.
    wall: Option<WallTime>,
}

impl Clock {
    /// A clock that goes on after `last`, the moment of the journal's last event. Time that passed while
    /// no core ran counts as far as the wall clock can be believed: forward, and by a year at most.
    #[must_use]
    pub fn after(last: Option<Moment>) -> Self {
        let wall = wall_now();
        let base = last.map_or_else(LabTime::default, |last| {
            let away = wall.0.saturating_sub(last.wall.0);
            let believable = away < 366 * 24 * 3_600_000;
            LabTime(last.since_start.0.saturating_add(if believable { away } else { 0 }).saturating_add(1))
        });
        Self { base, began: Instant::now(), boottime_ms: netboot::boottime_ms(), wall: None }
    }

    /// A clock for tests: both clocks begin where they are told to.
    #[must_use]
    pub fn virtual_from(base: LabTime, wall: WallTime) -> Self {
        Self { base, began: Instant::now(), boottime_ms: 0, wall: Some(wall) }
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

fn wall_now() -> WallTime {
    WallTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
