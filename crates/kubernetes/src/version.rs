//! Which Kubernetes a Talos release runs.

use std::fmt;
use std::str::FromStr;

/// A release: major, minor and patch, as in `v1.33.2`; what follows a `-` or `+` is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let bare = bare.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = bare.split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), None, _) => Ok(Self { major, minor, patch: 0 }),
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self { major, minor, patch }),
            _ => Err(format!("`{text}` is not a version: it looks like 1.33.2")),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Talos's minor release, and the oldest and newest minor of Kubernetes 1 it runs
/// (`pkg/machinery/compatibility/talos1NN`).
const RANGES: &[(u16, u16, u16)] =
    &[(9, 27, 32), (10, 28, 33), (11, 29, 34), (12, 30, 35), (13, 31, 36), (14, 32, 37)];

/// Says whether this Talos runs this Kubernetes. A Talos newer than we know is believed to.
///
/// # Errors
/// A sentence with the range that runs.
pub fn runs_on(talos: Release, kubernetes: Release) -> Result<(), String> {
    let known = RANGES.iter().find(|range| (1, range.0) == (talos.major, talos.minor));
    let Some(&(minor, oldest, newest)) = known else {
        let first = RANGES.first().map_or(0, |range| range.0);
        if (talos.major, talos.minor) < (1, first) {
            return Err(format!("Talos {talos} is older than 1.{first}, the oldest that is known here"));
        }
        return Ok(());
    };
    if kubernetes.major == 1 && (oldest..=newest).contains(&kubernetes.minor) {
        return Ok(());
    }
    Err(format!("Talos 1.{minor} runs Kubernetes 1.{oldest} to 1.{newest}, not {kubernetes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(talos: &str, kubernetes: &str) -> Result<(), String> {
        runs_on(talos.parse().unwrap(), kubernetes.parse().unwrap())
    }

    #[test]
    fn a_pair_outside_the_range_is_refused_with_the_range() {
        assert_eq!(asked("v1.12.11", "1.35.4"), Ok(()));
        assert_eq!(asked("1.9", "1.27.0"), Ok(()));
        assert_eq!(asked("v1.14.0-rc.1", "v1.37.0-rc.0"), Ok(()));
        let no = asked("v1.12.0", "1.36.0").unwrap_err();
        assert_eq!(no, "Talos 1.12 runs Kubernetes 1.30 to 1.35, not 1.36.0");
        assert!(asked("1.12.0", "1.29.9").is_err());
        assert!(asked("1.8.0", "1.29.9").is_err());
        assert_eq!(asked("1.20.0", "1.45.0"), Ok(()));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "1", "v1.x", "1.2.3.4", "latest"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }
}
