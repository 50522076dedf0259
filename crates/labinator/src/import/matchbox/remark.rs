//! What an import has to say besides its result: what was lost, and what is to be done or known.

use serde::Serialize;

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// The file it is about and the place in it, from matchbox's folder.
    pub place: String,
    /// What is so.
    pub what: String,
    /// What helps; may be empty.
    pub help: String,
    /// True when the lab does not do what matchbox did.
    pub lost: bool,
}

/// Remarks in the order in which they were made, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Remarks(Vec<Remark>);

impl Remarks {
    /// Something that could not be carried over.
    pub(super) fn lost(&mut self, place: &str, what: impl Into<String>, help: impl Into<String>) {
        self.add(Remark { place: place.to_owned(), what: what.into(), help: help.into(), lost: true });
    }

    /// Something to do or to know; nothing is lost by it.
    pub(super) fn note(&mut self, place: &str, what: impl Into<String>, help: impl Into<String>) {
        self.add(Remark { place: place.to_owned(), what: what.into(), help: help.into(), lost: false });
    }

    pub(super) fn add(&mut self, remark: Remark) {
        if !self.0.contains(&remark) {
            self.0.push(remark);
        }
    }

    /// All of them.
    pub(super) fn all(self) -> Vec<Remark> {
        self.0
    }
}
