//! Something that an unauthenticated sender said.

/// What somebody at an address said about himself, without proof. It may be shown and may shorten a wait; it never
/// satisfies one. There is no way from here to a proof: who wants one asks the node over a connection with certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint<T>(T);

impl<T> Hint<T> {
    pub(super) const fn new(said: T) -> Self {
        Self(said)
    }

    /// What was said.
    #[must_use]
    pub const fn said(&self) -> &T {
        &self.0
    }
}
