//! Bad manners of an API server, on request.

/// One way to misbehave, and what a client must do to live with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Cuts every watch off in the middle, so many milliseconds after it began. Watch on from the last version.
    ResetsWatches(u64),
    /// Takes watches and sends nothing, not even bookmarks: a connection that a router forgot. Notice, and open another.
    SilentWatches,
    /// Sends no bookmarks. Do without.
    NoBookmarks,
    /// Answers each request so many milliseconds late. Limit the wait.
    Slow(u64),
    /// Answers so many requests with 429 and so many seconds to wait. Wait that long.
    Busy {
        /// Requests that are turned away.
        times: u32,
        /// Seconds in `Retry-After`.
        seconds: u32,
    },
    /// Every `continue` of a list has expired: 410. Begin the list again.
    ForgetsPages,
    /// Knows nobody's certificate any more: 401, as after a new authority. Take the new kubeconfig.
    KnowsNobody,
    /// Closes every connection and takes no new one. Keep the picture and try again.
    Away,
}

/// The manners that are in force.
#[derive(Debug, Clone, Default)]
pub(super) struct Manners(Vec<Manner>);

impl Manners {
    pub(super) fn set(&mut self, manners: Vec<Manner>) {
        self.0 = manners;
    }

    pub(super) fn has(&self, manner: Manner) -> bool {
        self.0.contains(&manner)
    }

    /// How long each answer is late, in milliseconds.
    pub(super) fn delay(&self) -> u64 {
        self.0
            .iter()
            .find_map(|m| if let Manner::Slow(ms) = m { Some(*ms) } else { None })
            .unwrap_or_default()
    }

    /// After how many milliseconds a watch is cut off.
    pub(super) fn cut(&self) -> Option<u64> {
        self.0.iter().find_map(|m| if let Manner::ResetsWatches(ms) = m { Some(*ms) } else { None })
    }

    /// Seconds to wait, when this request is turned away. Counts down.
    pub(super) fn turned_away(&mut self) -> Option<u32> {
        self.0.iter_mut().find_map(|manner| match manner {
            Manner::Busy { times, seconds } if *times > 0 => {
                *times -= 1;
                Some(*seconds)
            }
            _ => None,
        })
    }
}
