//! The one place that starts programs: with a limit, with what they said, and with the package they come from.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// What is kept of a program's output and of its complaints, each. The rest is read and dropped.
const KEPT: usize = 256 * 1024;

/// A program of the system and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Name, looked up in `PATH`; system folders are searched too, which a plain user's `PATH` lacks.
    pub name: &'static str,
    /// Debian package it comes from.
    pub package: &'static str,
}

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// It is not installed.
    #[error("`{}` is missing: apt-get install -y {}", .0.name, .0.package)]
    Missing(Program),
    /// It could not be started.
    #[error("`{program}` cannot be started: {source}")]
    Start {
        /// Its name.
        program: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// It ran longer than allowed and was killed.
    #[error("`{program}` did not finish in {} s and was stopped", .limit.as_secs())]
    Late {
        /// Its name.
        program: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// It wrote more than is taken.
    #[error("`{program}` wrote more than {most} bytes")]
    TooMuch {
        /// Its name.
        program: &'static str,
        /// How many bytes are taken.
        most: usize,
    },
    /// It ended badly.
    #[error("`{line}` failed ({status}): {complaint}")]
    Failed {
        /// The command line.
        line: String,
        /// How it ended.
        status: String,
        /// The last lines of what it wrote to standard error.
        complaint: String,
    },
}

impl ProcessError {
    /// Stable word for logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "program-missing",
            Self::Start { .. } => "program-start",
            Self::Late { .. } => "program-late",
            Self::TooMuch { .. } => "program-too-much",
            Self::Failed { .. } => "program-failed",
        }
    }
}

impl Program {
    /// A program and its package.
    #[must_use]
    pub const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package }
    }

    /// Where it lies.
    ///
    /// # Errors
    /// [`ProcessError::Missing`].
    pub fn find(self) -> Result<PathBuf, ProcessError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/bin".into(), "/bin".into()])
            .map(|folder| folder.join(self.name))
            .find(|path| path.is_file())
            .ok_or(ProcessError::Missing(self))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// Starts a program, waits for its end and gives back what it wrote to standard output.
/// It gets no standard input and the C locale, and is killed when this future is dropped.
///
/// # Errors
/// [`ProcessError`].
pub async fn run_once(
    program: Program,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    limit: Duration,
) -> Result<Vec<u8>, ProcessError> {
    run(program, arguments, limit, KEPT).await
}

/// The same for output that is worth something only when it is whole.
///
/// # Errors
/// [`ProcessError`]; more than `most` bytes are [`ProcessError::TooMuch`].
pub async fn run_whole(
    program: Program,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    limit: Duration,
    most: usize,
) -> Result<Vec<u8>, ProcessError> {
    let output = run(program, arguments, limit, most.saturating_add(1)).await?;
    if output.len() > most {
        return Err(ProcessError::TooMuch { program: program.name, most });
    }
    Ok(output)
}

async fn run(
    program: Program,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    limit: Duration,
    kept: usize,
) -> Result<Vec<u8>, ProcessError> {
    let start = |source| ProcessError::Start { program: program.name, source };
    let arguments: Vec<OsString> = arguments.into_iter().map(|word| word.as_ref().to_owned()).collect();
    let mut child = Command::new(program.find()?)
        .args(&arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let (output, complaint) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(child.wait(), read_some(output, kept), read_some(complaint, KEPT)) };
    let (status, output, complaint) =
        timeout(limit, all).await.map_err(|_| ProcessError::Late { program: program.name, limit })?;
    let status = status.map_err(start)?;
    if status.success() {
        return Ok(output);
    }
    let line = std::iter::once(OsStr::new(program.name)).chain(arguments.iter().map(OsString::as_os_str));
    let line: Vec<_> = line.map(OsStr::to_string_lossy).collect();
    Err(ProcessError::Failed {
        line: line.join(" "),
        status: status.to_string(),
        complaint: last_lines(&complaint, 4),
    })
}

/// Starts a program that the owner of the lab chose, by its own path or one in `PATH`, and gives back what it wrote to
/// standard output. No shell looks at its arguments; it is killed when this future is dropped.
///
/// # Errors
/// For a person: it cannot be started, or ended badly, with the last lines of what it wrote to standard error.
pub async fn run_chosen(words: &[String]) -> Result<Vec<u8>, String> {
    let [program, arguments @ ..] = words else { return Err("no program is named".to_owned()) };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|why| format!("`{program}` cannot be started: {why}"))?;
    let (output, complaint) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(child.wait(), read_some(output, KEPT), read_some(complaint, KEPT)) };
    let (status, output, complaint) = all.await;
    let status = status.map_err(|why| format!("`{program}` cannot be waited for: {why}"))?;
    match status.success() {
        true => Ok(output),
        false => Err(format!("`{}` ended with {status}: {}", words.join(" "), last_lines(&complaint, 4))),
    }
}

/// How a program that is watched came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// The judge had seen enough, and the program was stopped.
    Enough,
    /// It ended by itself before that, with these last lines on standard error.
    Ended(String),
    /// The time was up, and it was stopped.
    Late,
}

/// Starts a program and shows its standard output to a judge as it grows, until the judge has seen enough, the program
/// ends, or the time is up; it does not outlive this. Of much output the last 256 KiB are shown.
///
/// # Errors
/// It is missing or cannot be started.
pub async fn run_until(
    program: Program,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    limit: Duration,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> Result<(Watched, Vec<u8>), ProcessError> {
    let start = |source| ProcessError::Start { program: program.name, source };
    let mut child = Command::new(program.find()?)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let complaint = tokio::spawn(read_some(child.stderr.take(), KEPT));
    let mut shown = Vec::new();
    let output = child.stdout.take();
    let watch = async {
        let Some(mut output) = output else { return false };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            shown.extend_from_slice(buffer.get(..count).unwrap_or_default());
            shown.drain(..shown.len().saturating_sub(KEPT));
            if enough(&shown) {
                return true;
            }
        }
        false
    };
    let seen = timeout(limit, watch).await;
    // One that has ended already is no trouble.
    drop(child.kill().await);
    let how = match seen {
        Ok(true) => Watched::Enough,
        Ok(false) => Watched::Ended(last_lines(&complaint.await.unwrap_or_default(), 4)),
        Err(_) => Watched::Late,
    };
    Ok((how, shown))
}

/// Reads to the end and keeps the first bytes: a program must never hang on a full pipe.
async fn read_some(from: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = most.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    kept
}

fn last_lines(text: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    lines.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Program = Program::new("sh", "dash");

    #[tokio::test]
    async fn a_program_is_watched_until_enough_was_seen_it_ends_or_its_time_is_up() {
        let run = |script: &'static str, limit, word: &'static [u8]| {
            let enough = move |shown: &[u8]| shown.windows(word.len()).any(|part| part == word);
            run_until(SHELL, ["-c", script], Duration::from_millis(limit), enough)
        };
        let (how, shown) = run("echo one; echo two; exec cat /dev/zero >&2", 60_000, b"two").await.unwrap();
        assert_eq!((how, shown.as_slice()), (Watched::Enough, b"one\ntwo\n".as_slice()));
        let (how, _) = run("echo one; echo why >&2", 60_000, b"two").await.unwrap();
        assert_eq!(how, Watched::Ended("why".to_owned()));
        let (how, shown) = run("echo one; exec tail -f /dev/null", 300, b"two").await.unwrap();
        assert_eq!((how, shown.as_slice()), (Watched::Late, b"one\n".as_slice()));
    }

    #[tokio::test]
    async fn what_a_program_writes_comes_back() {
        let output = run_once(SHELL, ["-c", "echo $LC_ALL"], Duration::from_secs(10)).await.unwrap();
        assert_eq!(output, b"C\n");
    }

    #[tokio::test]
    async fn a_failure_carries_the_last_complaint() {
        let script = "echo one >&2; echo two >&2; exit 3";
        let error = run_once(SHELL, ["-c", script], Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(error.code(), "program-failed");
        assert!(error.to_string().ends_with("(exit status: 3): one · two"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_runs_on_is_stopped() {
        let error = run_once(SHELL, ["-c", "exec sleep 600"], Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.code(), "program-late");
    }

    #[tokio::test]
    async fn more_output_than_is_kept_does_not_stop_a_program() {
        let script = "head -c 1000000 /dev/zero";
        let output = run_once(SHELL, ["-c", script], Duration::from_secs(10)).await.unwrap();
        assert_eq!(output.len(), KEPT);
        let limit = Duration::from_secs(10);
        let whole = run_whole(SHELL, ["-c", script], limit, 1_000_000).await.unwrap();
        assert_eq!(whole.len(), 1_000_000);
        let error = run_whole(SHELL, ["-c", script], limit, 999_999).await.unwrap_err();
        assert_eq!(error.code(), "program-too-much");
    }

    #[tokio::test]
    async fn a_missing_program_names_its_package() {
        let missing = Program::new("no-such-program", "some-package");
        let error = run_once(missing, [""; 0], Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` is missing: apt-get install -y some-package");
    }
}
