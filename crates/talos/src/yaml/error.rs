//! What can be wrong with a text before anybody asks what it means.

use super::parse::{BYTES_LIMIT, DEPTH_LIMIT, VALUES_LIMIT};
use super::place::Place;

/// A text that is not YAML, or not YAML that a config can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct YamlError {
    /// Where.
    pub at: Place,
    /// What.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The grammar is broken; what the parser says.
    #[error("this is not YAML: {0}")]
    NotYaml(String),
    /// A key stands twice in one mapping.
    #[error("the key `{key}` is here a second time; the first is in {first}")]
    KeyTwice {
        /// The key.
        key: String,
        /// Where it stands first.
        first: Place,
    },
    /// A key is no word.
    #[error("a key must be a word, this is {found}")]
    KeyNotText {
        /// What was found.
        found: &'static str,
    },
    /// `*name` without `&name` before it.
    #[error("this alias leads nowhere")]
    AliasUnknown,
    /// An alias inside what it stands for.
    #[error("this alias contains itself")]
    AliasOfItself,
    /// `<<` with something that has no keys.
    #[error("`<<` merges mappings, this is {found}")]
    MergeOf {
        /// What was found.
        found: &'static str,
    },
    /// A tag that says nothing to a config, or is not true.
    #[error("the tag `{tag}` does not fit here")]
    Tag {
        /// As it was typed.
        tag: String,
    },
    /// More than one document where one is read.
    #[error("a second document begins here, one was expected")]
    SecondDocument,
    /// Too long.
    #[error("{bytes} bytes are more than a config has")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Nested too deeply.
    #[error("this is nested deeper than {DEPTH_LIMIT} levels")]
    TooDeep,
    /// Too many values.
    #[error("these are more than {VALUES_LIMIT} values")]
    TooMany,
}

impl Problem {
    pub(crate) const fn at(self, at: Place) -> YamlError {
        YamlError { at, problem: self }
    }
}

impl YamlError {
    /// A name for programs, stable over releases.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.problem {
            Problem::NotYaml(_) => "yaml-broken",
            Problem::KeyTwice { .. } => "yaml-key-twice",
            Problem::KeyNotText { .. } => "yaml-key-not-text",
            Problem::AliasUnknown => "yaml-alias-unknown",
            Problem::AliasOfItself => "yaml-alias-of-itself",
            Problem::MergeOf { .. } => "yaml-merge",
            Problem::Tag { .. } => "yaml-tag",
            Problem::SecondDocument => "yaml-second-document",
            Problem::TooLarge { .. } => "yaml-too-large",
            Problem::TooDeep => "yaml-too-deep",
            Problem::TooMany => "yaml-too-many",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.problem {
            Problem::NotYaml(_) => {
                "indent with spaces, never tabs, and quote text that has a `: ` or begins with a sign"
                    .to_owned()
            }
            Problem::KeyTwice { .. } => "put what belongs together below one of them".to_owned(),
            Problem::KeyNotText { .. } => "quote it if it is meant as a word".to_owned(),
            Problem::AliasUnknown => {
                "write `&name` before the value it stands for, in the same document".to_owned()
            }
            Problem::AliasOfItself => "repeat the part that is meant".to_owned(),
            Problem::MergeOf { .. } => "name an anchor of a mapping, or a list of them".to_owned(),
            Problem::Tag { .. } => "leave it out; quote the value if it is text".to_owned(),
            Problem::SecondDocument => "remove the `---` and what follows".to_owned(),
            Problem::TooLarge { .. } => format!("at most {BYTES_LIMIT} bytes are read"),
            Problem::TooDeep => "flatten it".to_owned(),
            Problem::TooMany => "an alias counts as all that it stands for".to_owned(),
        }
    }
}
