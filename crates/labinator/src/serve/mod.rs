//! The controller as processes: a supervisor that holds the sockets, the counter, and the core.
//!
//! ```text
//! labinator serve ── holds every listening socket, restarts what dies, thinks nothing
//!   ├─ counter: DHCP, TFTP, boot HTTP; no secrets, answers by the last boot table even alone
//!   └─ core: conductor, drivers, API and page
//! ```
//!
//! Killing or upgrading the core leaves the counter serving; killing the counter loses no packet that
//! waits in a socket, because the supervisor holds it open.

mod core;
mod counter;
mod handover;
mod images;
mod priority;
mod rights;
mod speakers;
mod supervisor;

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use model::LabSpec;
use netboot::BindError;
use serde::{Deserialize, Serialize};
use store::{Disk, Files as _};

pub use supervisor::{Running, Supervisor};

/// First argument of the two processes that `serve` starts; not for people.
pub const PART_ARGUMENT: &str = "inside";

/// Where a controller keeps and finds things.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Folders {
    /// Journal, ledger, token, shelf. Created when missing.
    pub state: PathBuf,
    /// Network boot programs, such as Debian's `/usr/lib/ipxe`.
    pub loaders: PathBuf,
    /// One folder per named image.
    pub images: PathBuf,
    /// The agent that machines are kept at, linked statically, where there is one.
    #[serde(default)]
    pub agent: Option<PathBuf>,
}

/// Everything that `serve` needs, checked.
#[derive(Debug)]
pub struct Setup {
    /// The lab.
    pub spec: LabSpec,
    /// Its folders.
    pub folders: Folders,
    /// Where the page listens, bound already.
    pub page: TcpListener,
    /// Where the command line finds this controller.
    pub socket: PathBuf,
}

/// Why a controller cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A boot port cannot be had.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// Another controller listens at the command line's socket.
    #[error("another controller runs here: it answers at {}", .0.display())]
    AlreadyRunning(PathBuf),
    /// The boot counter cannot run.
    #[error("boot counter: {0}")]
    Counter(#[from] netboot::RunError),
    /// The journal cannot be used.
    #[error("journal: {0}")]
    Journal(#[from] crate::journal::JournalError),
    /// The drivers cannot run.
    #[error("drivers: {0}")]
    Drivers(String),
    /// Anything of the system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ServeError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// What a person can do about it; empty when nothing can be said.
    #[must_use]
    pub fn advice(&self) -> &str {
        match self {
            Self::Bind(error) => error.advice(),
            Self::AlreadyRunning(_) => "stop it first, or set LABINATOR_SOCKET to another path for this one",
            Self::Journal(error) => error.advice(),
            Self::Counter(_) | Self::Drivers(_) => "",
            Self::Io { .. } => "",
        }
    }
}

/// What a part reads when it starts: written once by the supervisor.
#[derive(Debug, Serialize, Deserialize)]
struct Brief {
    spec: LabSpec,
    folders: Folders,
}

impl Brief {
    fn path(state: &Path) -> PathBuf {
        state.join("brief.json")
    }

    fn write(&self) -> Result<(), ServeError> {
        let path = Self::path(&self.folders.state);
        let text = serde_json::to_vec(self).map_err(|why| ServeError::io("the lab")(why.into()))?;
        Disk.replace(&path, &text).map_err(ServeError::io(path.display().to_string()))
    }

    fn read(state: &Path) -> Result<Self, ServeError> {
        let path = Self::path(state);
        let fault = |why: io::Error| ServeError::io(path.display().to_string())(why);
        let text = std::fs::read(&path).map_err(fault)?;
        serde_json::from_slice(&text).map_err(|why| fault(why.into()))
    }
}

/// The lab that the controller of a state folder runs, or ran last.
///
/// # Errors
/// No controller ever ran there.
pub(crate) fn lab_of(state: &Path) -> Result<LabSpec, ServeError> {
    Ok(Brief::read(state)?.spec)
}

/// Runs one of the two parts; `part` and `state` are what the supervisor wrote behind [`PART_ARGUMENT`].
///
/// # Errors
/// [`ServeError`]: the supervisor reads it from the part's standard error and starts it again.
pub fn run_part(part: &str, state: &Path) -> Result<(), ServeError> {
    let brief = Brief::read(state)?;
    match part {
        "counter" => counter::run(&brief.folders),
        "core" => core::run(brief),
        _ => Err(ServeError::io("this program's own arguments")(io::ErrorKind::InvalidInput.into())),
    }
}

/// The line to the supervisor, which a part gets as its standard input.
fn parent() -> Result<std::os::unix::net::UnixStream, ServeError> {
    use std::os::fd::AsFd as _;
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    stdin.map(Into::into).map_err(ServeError::io("the line to the supervisor"))
}

/// Returns when this part shall end: the supervisor is gone, or a signal came.
async fn ended(parent: std::os::unix::net::UnixStream) -> io::Result<()> {
    use tokio::io::AsyncReadExt as _;
    use tokio::signal::unix::{SignalKind, signal};
    parent.set_nonblocking(true)?;
    let mut parent = tokio::net::UnixStream::from_std(parent)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut byte = [0];
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        read = parent.read(&mut byte) => read.map(|_| ()),
    }
}
