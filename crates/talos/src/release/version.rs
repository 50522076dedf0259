//! Versions of Talos and Kubernetes (semver.org, without build metadata).

use core::fmt;

use super::Minor;

/// `1.13.9`, `1.14.0-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third; 0 where only two were given.
    pub patch: u32,
    /// What follows a `-`; empty for a release.
    pub candidate: String,
}

/// Why a version cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a version.
    #[error("`{0}` is no version such as v1.13.9")]
    Unreadable(String),
    /// A Talos that is not known here.
    #[error("Talos {0} is not known here: 1.9 to 1.14 are")]
    Talos(Version),
    /// A Kubernetes that this Talos does not run.
    #[error("Talos {talos} does not run Kubernetes {kubernetes}: it runs 1.{low} to 1.{high}")]
    Kubernetes {
        /// What was asked for.
        kubernetes: Version,
        /// The release.
        talos: Minor,
        /// The lowest minor that it runs.
        low: u32,
        /// The highest.
        high: u32,
    },
}

impl VersionError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "bad_version",
            Self::Talos(_) => "unknown_talos",
            Self::Kubernetes { .. } => "kubernetes_out_of_range",
        }
    }

    /// What the person who reads it can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "write three numbers, as the project's release page does",
            Self::Talos(_) => {
                "a newer Talos accepts configs that were made for an older one: name 1.14 at most"
            }
            Self::Kubernetes { .. } => "choose a Kubernetes of that range, or leave it out for the default",
        }
    }
}

impl Version {
    /// A version from the table of releases, which a test reads whole.
    pub(super) fn known(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self { major: 0, minor: 0, patch: 0, candidate: String::new() })
    }
}

impl fmt::Display for Version {
    /// Without a `v` in front.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.candidate.is_empty() { Ok(()) } else { write!(f, "-{}", self.candidate) }
    }
}

impl core::str::FromStr for Version {
    type Err = VersionError;

    /// Two or three numbers, with or without a `v` in front.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let bad = || VersionError::Unreadable(text.to_owned());
        let plain = text.strip_prefix('v').unwrap_or(text);
        let (numbers, candidate) = plain.split_once('-').unwrap_or((plain, ""));
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        if plain.ends_with('-') || !candidate.bytes().all(fits) {
            return Err(bad());
        }
        let number = |part: &str| {
            let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            part.parse().ok().filter(|_| plain).ok_or_else(bad)
        };
        let mut parts = numbers.split('.').map(number);
        let mut next = || parts.next();
        let (major, minor) = (next().ok_or_else(bad)??, next().ok_or_else(bad)??);
        let patch = next().transpose()?.unwrap_or(0);
        if next().is_some() {
            return Err(bad());
        }
        Ok(Self { major, minor, patch, candidate: candidate.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_written() {
        for (text, written) in [
            ("v1.13.9", "1.13.9"),
            ("1.14.0-rc.1", "1.14.0-rc.1"),
            ("1.9", "1.9.0"),
            ("v1.10.0-alpha.0", "1.10.0-alpha.0"),
        ] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), written);
        }
        for bad in
            ["", "v", "1", "1.", "1.2.3.4", "1.02.3", "1.2.x", "1.2.3-", "1.2.3-a b", "+1.2.3", "1.2.3+x"]
        {
            assert_eq!(bad.parse::<Version>(), Err(VersionError::Unreadable(bad.to_owned())));
        }
    }
}
