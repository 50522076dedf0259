//! How it stands with a device, whoever owns it: new, well, lost and asked ever more rarely, or locked and asked no more.

use std::time::Duration;

use model::DeviceSight;

use super::device::{Cure, DeviceError};

/// Pause before a device that was lost is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a device stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// Not asked yet.
    #[default]
    New,
    /// It answers.
    Well,
    /// It does not; asked again after a pause.
    Lost {
        /// Why, in a stable word.
        code: &'static str,
        /// How long it is left alone.
        pause: Duration,
    },
    /// It does not know us.
    Locked {
        /// Why, for a person.
        why: String,
    },
}

impl Standing {
    /// It answered; true where that is news.
    pub(crate) fn rises(&mut self) -> bool {
        std::mem::replace(self, Self::Well) != Self::Well
    }

    /// It did not, and what there is to tell of that; nothing where it was told already. One that is locked stays so.
    pub(crate) fn falls(&mut self, error: DeviceError) -> Option<DeviceSight> {
        let DeviceError { code, why, cure } = error;
        let (before, pause) = match self {
            Self::New | Self::Well => (None, FIRST_PAUSE),
            Self::Lost { code, pause } => (Some(*code), pause.saturating_mul(2).min(LONGEST_PAUSE)),
            Self::Locked { .. } => return None,
        };
        let locked = cure == Cure::Locked;
        *self = if locked { Self::Locked { why: why.clone() } } else { Self::Lost { code, pause } };
        (before != Some(code) || locked).then(|| DeviceSight::Lost { code: code.to_owned(), why })
    }

    /// How long it is left alone; nothing where it is asked no more.
    pub(crate) const fn pause(&self) -> Option<Duration> {
        match self {
            Self::New | Self::Well => Some(Duration::ZERO),
            Self::Lost { pause, .. } => Some(*pause),
            Self::Locked { .. } => None,
        }
    }

    /// Why it is asked no more.
    pub(crate) fn locked(&self) -> Option<&str> {
        match self {
            Self::Locked { why } => Some(why),
            Self::New | Self::Well | Self::Lost { .. } => None,
        }
    }
}

/// The error of an exchange that did not end within its limit.
pub(crate) fn hangs(limit: Duration) -> DeviceError {
    let why =
        format!("it did not come to an end within {} s: it hangs, or the line to it does", limit.as_secs());
    DeviceError::doubt("hangs", why)
}

/// The one who listens to reports is gone, so there is nothing to drive for.
pub(crate) struct NobodyListens;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_and_pauses_grow_to_their_bound() {
        let mut standing = Standing::default();
        let lost = |code| DeviceError::lost(code, "why");
        assert!(standing.falls(lost("unreached")).is_some());
        let mut pauses = vec![standing.pause()];
        for _ in 0..6 {
            assert_eq!(standing.falls(lost("unreached")), None, "the same again");
            pauses.push(standing.pause());
        }
        let seconds = [1, 2, 4, 8, 16, 30, 30].map(|pause| Some(Duration::from_secs(pause)));
        assert_eq!(pauses, seconds);
        assert!(standing.falls(lost("silent")).is_some(), "another reason is news");
        assert!(standing.rises() && !standing.rises());
        assert!(standing.falls(lost("silent")).is_some());
        assert_eq!(standing.pause(), Some(FIRST_PAUSE));
    }

    #[test]
    fn one_that_is_locked_is_told_once_and_asked_no_more() {
        let mut standing = Standing::Lost { code: "credentials", pause: FIRST_PAUSE };
        assert!(standing.falls(DeviceError::locked("wrong")).is_some());
        assert_eq!((standing.locked(), standing.pause()), (Some("wrong"), None));
        assert_eq!(standing.falls(DeviceError::lost("unreached", "away")), None);
        assert_eq!(standing.locked(), Some("wrong"));
    }
}
