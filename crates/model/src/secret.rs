//! A value that cannot be printed, serialised or compared by accident.

use core::fmt;

/// Holds something secret. There is no `Serialize`, no `Display`, and `Debug` shows nothing;
/// whoever needs the value says so by name.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Takes a value in.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Hands the value out. Every call of this is a place to look at when secrets leak.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
