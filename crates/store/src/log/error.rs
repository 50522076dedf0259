//! Why a log cannot be opened or written, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::line::{HEADER, Stop, u64_of};

/// Why a log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused. The log is as before.
    #[error("{}: {source}", path.display())]
    Io {
        /// The log's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the log open.
    #[error("{}: another process writes this log", path.display())]
    Busy {
        /// The log's file.
        path: PathBuf,
    },
    /// A record inside the log is wrong. Nothing was changed on disk.
    #[error("{}: the record at byte {offset} is damaged, and records follow it", path.display())]
    Damaged {
        /// The log's file.
        path: PathBuf,
        /// Bytes from the start of the file to the start of the wrong line.
        offset: u64,
    },
    /// The file is not a log, or its form is from a later release.
    #[error("{}: not a log of form v1", path.display())]
    Foreign {
        /// The log's file.
        path: PathBuf,
    },
    /// A new file is taking the place of the log's: nothing can be appended until [`Log::finish_swap`](super::Log::finish_swap).
    #[error("{}: a new file is taking its place", path.display())]
    Swapping {
        /// The log's file.
        path: PathBuf,
    },
    /// The record holds a line break or a NUL, which the form cannot carry.
    #[error("a record holds a line break or a NUL byte")]
    Unwritable,
    /// Too much waits to be synced: the disk has been failing.
    #[error("{}: {waiting} bytes wait for a disk that does not take them", path.display())]
    Stuck {
        /// The log's file.
        path: PathBuf,
        /// Bytes written and not synced.
        waiting: usize,
    },
}

impl LogError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } if self.is_full() => "log-disk-full",
            Self::Io { .. } => "log-io",
            Self::Busy { .. } => "log-busy",
            Self::Damaged { .. } => "log-damaged",
            Self::Foreign { .. } => "log-foreign",
            Self::Swapping { .. } => "log-swapping",
            Self::Unwritable => "log-record-unwritable",
            Self::Stuck { .. } => "log-stuck",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Io { .. } if self.is_full() => "make room on the disk that holds the state folder",
            Self::Io { .. } => "look at the disk and the rights of the state folder",
            Self::Busy { .. } => "stop the other labinator that uses this state folder",
            Self::Damaged { .. } => "restore the file from a backup, or move it away to start without it",
            Self::Foreign { .. } => "use the release that wrote the file, or move the file away",
            Self::Swapping { .. } | Self::Unwritable => "report this as a fault of the program",
            Self::Stuck { .. } => "look at the disk: writes do not arrive",
        }
    }

    /// True when the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> LogError {
    match source.kind() {
        io::ErrorKind::ResourceBusy => LogError::Busy { path: path.to_owned() },
        _ => LogError::Io { path: path.to_owned(), source },
    }
}

/// What stopped the reading of the log at `path`, as whoever took its records says it.
pub(super) fn stopped<E: From<LogError>>(path: &Path, stop: Stop<E>) -> E {
    match stop {
        Stop::Damage(offset) => LogError::Damaged { path: path.to_owned(), offset }.into(),
        Stop::Io(source) => io_error(path, source).into(),
        Stop::Taker(error) => error,
    }
}

/// Where the first record begins.
pub(super) fn first_record() -> u64 {
    u64_of(HEADER.len())
}
