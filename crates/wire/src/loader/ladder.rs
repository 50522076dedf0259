//! The ladder: what is started, when what would be better is not there.
//!
//! ```text
//! HTTP boot ─▶ PXE ─▶ cached wanted image ─▶ last good image ─▶ rescue
//! ```
//! The first two are how the loader came and how files come; a controller that says what it wants and cannot send it is
//! served from the cache. An image from the cache is started only after it was hashed.

use super::ask::Medium;

/// What is started, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The wanted image, fetched; the firmware's HTTP client started the loader.
    Http,
    /// The wanted image, fetched; the firmware's PXE client started the loader, or a medium did.
    Network,
    /// The wanted image, from the cache.
    Wanted,
    /// The image that started well last, from the cache: nobody says what is wanted.
    LastGood,
    /// Nothing of the lab: the firmware's next boot entry, and what a person does about it.
    Rescue,
}

/// What is known when it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What the loader was started from.
    pub medium: Medium,
    /// An answer that may be followed says to boot.
    pub answered: bool,
    /// The controller sends files. False once one did not come, or was not what the answer says.
    pub sends: bool,
    /// The cache has the wanted image, and it was hashed.
    pub has_wanted: bool,
    /// The cache has an image that started well, and it was hashed.
    pub has_good: bool,
    /// The time in which an answer is waited for is over.
    pub late: bool,
}

/// What is started now; nothing while an answer may still come.
#[must_use]
pub const fn rung(seen: &Seen) -> Option<Rung> {
    // What is there already and right need not be fetched.
    if seen.answered && seen.has_wanted {
        return Some(Rung::Wanted);
    }
    if seen.answered && seen.sends {
        return Some(match seen.medium {
            Medium::Http => Rung::Http,
            Medium::Pxe | Medium::Local => Rung::Network,
        });
    }
    if !seen.late {
        return None;
    }
    if seen.has_good { Some(Rung::LastGood) } else { Some(Rung::Rescue) }
}
