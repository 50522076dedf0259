//! Runs on disk: one JSON object a line. A run is kept, and synced, before the next begins; what a broken write left is cut.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Run;

/// The history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A line in its middle is none of ours: nothing of it is cut.
    #[error("{}:{line}: this is no run of a burn-in: {why}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
}

impl HistoryError {
    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::File { .. } => "name another file with --history",
            Self::Line { .. } => "mend the line, or name another file with --history",
        }
    }
}

/// A file of runs.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: File,
}

impl History {
    /// Opens or makes a file, and gives back the runs in it.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn open(path: &Path) -> Result<(Self, Vec<Run>), HistoryError> {
        let failed = |why| HistoryError::File { path: path.to_owned(), why };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let lines = text.get(..whole).unwrap_or_default().lines().enumerate();
        let runs = lines
            .map(|(at, line)| {
                let wrong = |why: serde_json::Error| HistoryError::Line {
                    path: path.to_owned(),
                    line: at + 1,
                    why: why.to_string(),
                };
                serde_json::from_str(line).map_err(wrong)
            })
            .collect::<Result<Vec<Run>, _>>()?;
        // What follows the last whole line is a write that was broken off.
        let end = u64::try_from(whole).unwrap_or(u64::MAX);
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file }, runs))
    }

    /// Keeps a run.
    ///
    /// # Errors
    /// [`HistoryError::File`].
    pub fn keep(&mut self, run: &Run) -> Result<(), HistoryError> {
        let failed = |why| HistoryError::File { path: self.path.clone(), why };
        let mut line = serde_json::to_vec(run).map_err(|why| failed(why.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ended;
    use super::super::tally::tests::run;
    use super::*;

    fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("burn-in-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        folder.join("below").join("runs.jsonl")
    }

    #[test]
    fn what_was_kept_is_there_again_and_a_broken_write_costs_only_itself() {
        let path = place("kept");
        let runs = [run(1, Ended::Ready), run(2, Ended::Failed("why".to_owned()))];
        let (mut history, before) = History::open(&path).unwrap();
        assert_eq!(before, []);
        runs.iter().for_each(|run| history.keep(run).unwrap());
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for end in 0..=whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (mut history, before) = History::open(&path).unwrap();
            let kept = if end == whole.len() { 2 } else { usize::from(end >= first) };
            assert_eq!(before, &runs[..kept], "cut at {end}");
            history.keep(&runs[0]).unwrap();
            assert_eq!(History::open(&path).unwrap().1.len(), kept + 1, "cut at {end}");
        }
        std::fs::remove_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_left_as_it_is() {
        let path = place("other");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "[1]\nhello\n").unwrap();
        let error = History::open(&path).unwrap_err();
        assert!(error.to_string().contains(":1: this is no run of a burn-in"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[1]\nhello\n");
        std::fs::remove_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
    }
}
