//! Why a journal cannot be used, and what a person can do about it.

use store::log::LogError;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The log under it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record is whole, but not what this version expects there.
    #[error("{path}, the record at byte {offset}: {source}")]
    Form {
        /// The journal's file.
        path: String,
        /// Bytes from the start of the file to the start of its line.
        offset: u64,
        /// What the reader expected.
        source: serde_json::Error,
    },
    /// The checkpoint it begins with has a form of a later release.
    #[error(
        "{path}, the record at byte {offset}: a checkpoint of form {form}, and this version reads form {known}"
    )]
    Later {
        /// The journal's file.
        path: String,
        /// Where the checkpoint begins.
        offset: u64,
        /// The number of its form.
        form: u32,
        /// The number of the form that is read.
        known: u32,
    },
    /// The checkpoint it begins with breaks off. It was on the medium before it took its place, so this is damage.
    #[error("{path}: the checkpoint breaks off at byte {offset}; {missing} records of it are missing")]
    Short {
        /// The journal's file.
        path: String,
        /// Where the next record of it should begin.
        offset: u64,
        /// How many are missing.
        missing: u64,
    },
    /// An event cannot be written as JSON.
    #[error("an event cannot be written: {0}")]
    Unwritable(serde_json::Error),
}

impl JournalError {
    /// Stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Form { .. } => "journal-form",
            Self::Later { .. } => "journal-later",
            Self::Short { .. } => "journal-short",
            Self::Unwritable(_) => "journal-unwritable",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Log(error) => error.advice(),
            Self::Form { .. } | Self::Later { .. } => {
                "use the release that wrote the journal, or move the file away to start anew"
            }
            Self::Short { .. } => "restore the file from a backup, or move it away to start anew",
            Self::Unwritable(_) => "report this as a fault of the program",
        }
    }
}
