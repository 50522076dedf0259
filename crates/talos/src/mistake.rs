//! What can be wrong with a config before it is pushed: every mistake says where, what was expected and what to do.

use std::fmt;

use crate::load::DocumentId;
use crate::release::Minor;
use crate::yaml::{Path, Place, YamlError};

/// One mistake of a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The document; nothing when it was not read that far.
    pub document: Option<DocumentId>,
    /// The field; the root for what concerns a whole document.
    pub path: Path,
    /// Where in the text; line 0 when what is wrong was never written.
    pub place: Place,
    /// What is wrong.
    pub fault: Fault,
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    /// `line 4, HostnameConfig, hostname: ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.line > 0 {
            write!(f, "line {}", self.place.line)?;
        }
        if let Some(document) = &self.document {
            write!(f, "{}{document}", if self.place.line > 0 { ", " } else { "" })?;
        }
        if !self.path.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        write!(f, ": {}", self.fault)
    }
}

impl Mistake {
    /// A name for programs, stable over releases.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        self.fault.advice()
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text cannot be read.
    #[error("{}", .0.problem)]
    Yaml(YamlError),
    /// A document that has no keys.
    #[error("a document is a mapping, this is {found}")]
    NotADocument {
        /// What it is.
        found: &'static str,
    },
    /// No document at all.
    #[error("there is no document in it")]
    Empty,
    /// A document that says neither `kind` nor `machine` or `cluster`.
    #[error("this document has no `kind`, and neither `machine` nor `cluster`")]
    KindMissing,
    /// An `apiVersion` other than the only one there is.
    #[error("`apiVersion` must be `v1alpha1`, this is `{found}`")]
    ApiVersion {
        /// What was typed.
        found: String,
    },
    /// A kind of no release.
    #[error("Talos has no kind `{kind}`")]
    KindUnknown {
        /// What was typed.
        kind: String,
        /// A kind that looks like it.
        near: Option<&'static str>,
    },
    /// A kind that came later.
    #[error("Talos {release} does not know `{kind}`, which came with {since}")]
    KindTooNew {
        /// The kind.
        kind: &'static str,
        /// The release that brought it.
        since: Minor,
        /// The node's.
        release: Minor,
    },
    /// A key of no release.
    #[error("Talos has no key `{key}` here")]
    KeyUnknown {
        /// What was typed.
        key: String,
        /// A key that looks like it.
        near: Option<&'static str>,
    },
    /// A key that came later.
    #[error("Talos {release} does not know `{key}`, which came with {since}")]
    KeyTooNew {
        /// The key.
        key: &'static str,
        /// The release that brought it.
        since: Minor,
        /// The node's.
        release: Minor,
    },
    /// A key that is gone.
    #[error("Talos {release} no longer knows `{key}`; the last that did was {until}")]
    KeyGone {
        /// The key.
        key: &'static str,
        /// The last release that knew it.
        until: Minor,
        /// The node's.
        release: Minor,
    },
    /// Another type of value.
    #[error("{expected} was expected, this is {found}")]
    Type {
        /// What belongs here.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// One id twice.
    #[error("this document is here a second time; the first begins in line {first}")]
    DocumentTwice {
        /// The first's line.
        first: u32,
    },
    /// `$patch` in a config.
    #[error("`$patch` belongs into a patch, this is a config")]
    PatchInConfig,
    /// What must be there and is not.
    #[error("{what} is missing: {reason}")]
    Missing {
        /// The field.
        what: &'static str,
        /// Why it must be there.
        reason: &'static str,
    },
    /// What must not be there.
    #[error("{what} must not be here: {reason}")]
    Forbidden {
        /// The field.
        what: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Two that exclude each other.
    #[error("this cannot stand beside {other}: {reason}")]
    Conflict {
        /// The other.
        other: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A value out of its range.
    #[error("`{found}` is not {expected}")]
    Value {
        /// What was typed.
        found: String,
        /// What belongs here.
        expected: String,
    },
    /// A Kubernetes that this Talos does not run.
    #[error("Talos {release} runs Kubernetes 1.{least} to 1.{most}, this is {found}")]
    Kubernetes {
        /// What was typed.
        found: String,
        /// The node's release.
        release: Minor,
        /// Oldest minor.
        least: u32,
        /// Newest minor.
        most: u32,
    },
}

impl Fault {
    /// A name for programs, stable over releases.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Yaml(error) => error.code(),
            Self::NotADocument { .. } => "document-not-a-mapping",
            Self::Empty => "config-empty",
            Self::KindMissing => "kind-missing",
            Self::ApiVersion { .. } => "api-version",
            Self::KindUnknown { .. } => "kind-unknown",
            Self::KindTooNew { .. } => "kind-too-new",
            Self::KeyUnknown { .. } => "key-unknown",
            Self::KeyTooNew { .. } => "key-too-new",
            Self::KeyGone { .. } => "key-gone",
            Self::Type { .. } => "type",
            Self::DocumentTwice { .. } => "document-twice",
            Self::PatchInConfig => "patch-in-config",
            Self::Missing { .. } => "missing",
            Self::Forbidden { .. } => "forbidden",
            Self::Conflict { .. } => "conflict",
            Self::Value { .. } => "value",
            Self::Kubernetes { .. } => "kubernetes-version",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Yaml(error) => error.advice(),
            Self::NotADocument { .. } => {
                "begin it with `machine:`, or with `apiVersion: v1alpha1` and a `kind`".to_owned()
            }
            Self::Empty => "make one with `labinator talos gen`".to_owned(),
            Self::KindMissing => "add `apiVersion: v1alpha1` and `kind: ...`".to_owned(),
            Self::ApiVersion { .. } => "write `apiVersion: v1alpha1`".to_owned(),
            Self::KindUnknown { near, .. } | Self::KeyUnknown { near, .. } => match near {
                Some(near) => format!("is `{near}` meant?"),
                None => "remove it: a node refuses the whole config for one unknown word".to_owned(),
            },
            Self::KindTooNew { .. } | Self::KeyTooNew { .. } => {
                "leave it out, or run the newer Talos on this machine".to_owned()
            }
            Self::KeyGone { .. } => "remove it".to_owned(),
            Self::Type { expected, .. } => format!("write {expected}"),
            Self::DocumentTwice { .. } => "merge both into one, or give them different names".to_owned(),
            Self::PatchInConfig => "apply the patch with `labinator talos patch` first".to_owned(),
            Self::Missing { what, .. } => format!("add {what}"),
            Self::Forbidden { what, .. } => format!("remove {what}"),
            Self::Conflict { other, .. } => format!("keep either this or {other}"),
            Self::Value { expected, .. } => format!("write {expected}"),
            Self::Kubernetes { least, most, .. } => {
                format!("take an image of Kubernetes 1.{least} to 1.{most}, or another Talos")
            }
        }
    }
}

/// The known word that looks like what was typed: at most two letters differ, or only its case.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| (distance(&typed.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 2 && *distance < word.len())
        .min()
        .map(|(_, word)| word)
}

/// Letters to add, remove or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for ((y, pair), left) in b.iter().zip(row.windows(2)).zip(1..) {
            let (Some(diagonal), Some(above)) = (pair.first(), pair.get(1)) else { continue };
            let before: usize = next.get(left - 1_usize).copied().unwrap_or_default();
            let change = diagonal.saturating_add(usize::from(*y != x));
            next.push(change.min(above.saturating_add(1)).min(before.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
