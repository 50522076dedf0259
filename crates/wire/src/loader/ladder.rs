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

/// What the controller is to this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// An answer that may be followed may still come, or the files that it names.
    Awaited,
    /// It says to boot, and sends files.
    Sends,
    /// It says to boot; a file did not come, or was not what the answer says, and the time for another try is over.
    CannotSend,
    /// It said nothing that may be followed, and the time for it is over.
    Gone,
}

/// What is known when it is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What the loader was started from.
    pub medium: Medium,
    /// What the controller is to this boot.
    pub controller: Controller,
    /// The cache has the image that the answer names, and it was hashed.
    pub has_wanted: bool,
    /// The cache has an image that started well, and it was hashed.
    pub has_good: bool,
}

/// What is started now; nothing while something better may still come.
#[must_use]
pub const fn rung(seen: &Seen) -> Option<Rung> {
    match seen.controller {
        // What is there already and right need not be fetched.
        Controller::Sends | Controller::CannotSend if seen.has_wanted => Some(Rung::Wanted),
        Controller::Sends => Some(match seen.medium {
            Medium::Http => Rung::Http,
            Medium::Pxe | Medium::Local | Medium::Image => Rung::Network,
        }),
        Controller::Awaited => None,
        Controller::CannotSend | Controller::Gone if seen.has_good => Some(Rung::LastGood),
        Controller::CannotSend | Controller::Gone => Some(Rung::Rescue),
    }
}
