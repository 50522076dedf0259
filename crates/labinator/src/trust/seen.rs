//! The last time that the wall clock was seen, on disk: a boss without a battery clock notices that it begins anew.

use std::path::{Path, PathBuf};

use model::{Span, WallTime};
use store::{Disk, Files as _};

/// No clock is right that lies before this program was written: 2026-01-01.
pub const WRITTEN: WallTime = WallTime(1_767_225_600_000);
/// How often it is written: an idle lab spares its disk.
const HOURLY: Span = Span::secs(3_600);

#[derive(Debug)]
pub(super) struct Seen {
    path: PathBuf,
    kept: Option<WallTime>,
    /// So that a disk that is full is named once.
    said: bool,
}

impl Seen {
    /// What was seen last, if anything was. A file that is not whole is as none.
    pub(super) fn read(state: &Path) -> Self {
        let path = state.join("clock-seen");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let kept = text.trim().parse().ok().map(WallTime);
        Self { path, kept, said: false }
    }

    pub(super) const fn at(&self) -> Option<WallTime> {
        self.kept
    }

    /// The clock is believed and says this.
    pub(super) fn note(&mut self, now: WallTime) {
        if self.kept.is_none_or(|kept| now.0 >= kept.0.saturating_add(HOURLY.0)) {
            self.set(now);
        }
    }

    /// Writes it down, also when it lies before what was.
    pub(super) fn set(&mut self, now: WallTime) {
        match Disk.replace(&self.path, format!("{}\n", now.0).as_bytes()) {
            Ok(()) => (self.kept, self.said) = (Some(now), false),
            Err(why) if !self.said => {
                tracing::warn!("{}: {why}", self.path.display());
                self.said = true;
            }
            Err(_) => {}
        }
    }
}
