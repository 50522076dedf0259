//! What changed between two generations: packages that came, went, or have another version.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::manifest::Package;

/// A package that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added {
        /// Its name.
        package: String,
        /// Its version.
        version: String,
    },
    /// It is no longer there.
    Removed {
        /// Its name.
        package: String,
        /// The version that was there.
        version: String,
    },
    /// It has a later version.
    Upgraded {
        /// Its name.
        package: String,
        /// The version that was there.
        from: String,
        /// The version that is.
        to: String,
    },
    /// It has an earlier version.
    Downgraded {
        /// Its name.
        package: String,
        /// The version that was there.
        from: String,
        /// The version that is.
        to: String,
    },
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added { package, version } => write!(f, "added      {package} {version}"),
            Self::Removed { package, version } => write!(f, "removed    {package} {version}"),
            Self::Upgraded { package, from, to } => write!(f, "upgraded   {package} {from} → {to}"),
            Self::Downgraded { package, from, to } => write!(f, "downgraded {package} {from} → {to}"),
        }
    }
}

/// What changed, by name.
#[must_use]
pub fn changes(before: &[Package], after: &[Package]) -> Vec<Change> {
    let by_name = |all: &[Package]| -> BTreeMap<String, String> {
        all.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
    };
    let (before, mut after) = (by_name(before), by_name(after));
    let mut all = Vec::new();
    for (package, from) in before {
        match after.remove(&package) {
            None => all.push((package.clone(), Change::Removed { package, version: from })),
            Some(to) => match compare(&from, &to) {
                Ordering::Less => all.push((package.clone(), Change::Upgraded { package, from, to })),
                Ordering::Greater => all.push((package.clone(), Change::Downgraded { package, from, to })),
                Ordering::Equal => {}
            },
        }
    }
    let added =
        after.into_iter().map(|(package, version)| (package.clone(), Change::Added { package, version }));
    all.extend(added);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.into_iter().map(|(_, change)| change).collect()
}

/// Which of two versions is later, by the rules of deb-version(7).
#[must_use]
fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::of(a), Parts::of(b));
    a.epoch
        .cmp(&b.epoch)
        .then_with(|| part(a.upstream, b.upstream))
        .then_with(|| part(a.revision, b.revision))
}

struct Parts<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.parse().unwrap_or(0), upstream, revision }
    }
}

/// Words and numbers in turn; words by letters before everything else, with `~` before the end.
fn part(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (word_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (word_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let words = word(word_a, word_b);
        let (number_a, rest_a) = split(rest_a, |c| c.is_ascii_digit());
        let (number_b, rest_b) = split(rest_b, |c| c.is_ascii_digit());
        let order = words.then_with(|| number(number_a, number_b));
        if order != Ordering::Equal || (rest_a.is_empty() && rest_b.is_empty()) {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

fn split(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !of(c)).unwrap_or(text.len()))
}

fn word(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => (0, '~'),
        None => (1, ' '),
        Some(c) if c.is_ascii_alphabetic() => (2, c),
        Some(c) => (3, c),
    };
    let (mut a, mut b) = (a.chars(), b.chars());
    loop {
        let (left, right) = (a.next(), b.next());
        let order = rank(left).cmp(&rank(right));
        if order != Ordering::Equal || left.is_none() {
            return order;
        }
    }
}

/// Numbers of any length.
fn number(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        // Each pair was asked of `dpkg --compare-versions`.
        for (earlier, later) in [
            ("1.0", "1.1"),
            ("1.9", "1.10"),
            ("1.0~rc1", "1.0"),
            ("1.0", "1.0+deb12u1"),
            ("1.0-1", "1.0-2"),
            ("1.0-1", "1.0-1+b1"),
            ("2.0", "1:1.0"),
            ("1.0a", "1.0b"),
            ("1.0a", "1.0+"),
            ("1.0~~", "1.0~"),
            ("6.1.148-1", "6.1.153-1"),
            ("1.0.5-2", "1.0.5.1-1"),
            ("09", "10"),
        ] {
            assert_eq!(compare(earlier, later), Ordering::Less, "{earlier} {later}");
            assert_eq!(compare(later, earlier), Ordering::Greater, "{later} {earlier}");
        }
        for (one, other) in [("1.0", "1.0"), ("0:1.0", "1.0"), ("1.01", "1.1"), ("1.0-0", "1.0")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }

    #[test]
    fn every_change_is_told_once_and_what_stayed_is_not() {
        let packages = |all: &[(&str, &str)]| -> Vec<Package> {
            all.iter().map(|(n, v)| Package { name: (*n).to_owned(), version: (*v).to_owned() }).collect()
        };
        let before = packages(&[("bash", "5.2-1"), ("curl", "8"), ("ipxe", "1.21"), ("zlib", "1")]);
        let after = packages(&[("bash", "5.2-2"), ("acl", "2"), ("ipxe", "1.20"), ("zlib", "1")]);
        let told: Vec<String> = changes(&before, &after).iter().map(ToString::to_string).collect();
        let expected = [
            "added      acl 2",
            "upgraded   bash 5.2-1 → 5.2-2",
            "removed    curl 8",
            "downgraded ipxe 1.21 → 1.20",
        ];
        assert_eq!(told, expected);
    }
}
