//! From the shell into namespaces of our own, and what happens there.
//!
//! The page's port is taken outside and handed through as standard input, so a browser of the host reaches
//! a server whose network is another one. Everything started inside dies with the first process inside,
//! whatever kills it: the kernel sees to that.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use drivers::process::Program;
use model::{LabSpec, NameError};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, getpid, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::{DemoError, DemoOptions, cluster, hypervisor, janitor, lab, needs, network};
use crate::serve::PART_ARGUMENT;

/// Second argument of the process inside the namespaces, after [`PART_ARGUMENT`].
pub const INSIDE: &str = "demo";
/// Second argument of the process that sweeps up.
pub const JANITOR: &str = "janitor";

pub(super) const UNSHARE: Program = Program::new("unshare", "util-linux");
const FIRST_PORT: u16 = 8080;
const LAST_PORT: u16 = 8180;
/// The options, in the state folder.
const OPTIONS: &str = "demo.json";
/// Number of the inherited line to the one who attends, in the environment of the process inside.
const LINE: &str = "LABINATOR_DEMO_LINE";

/// How long the demo may take to end by itself once it is told to.
const DRAIN: Duration = Duration::from_secs(10);

/// Checks everything, takes the page's port, starts the demo and stays with it: SIGTERM, SIGINT and SIGHUP
/// end it, and so does the death of this process, however it comes. Gives back the demo's exit code; 0
/// when it was told to end.
///
/// # Errors
/// [`DemoError`] before the demo runs.
pub async fn attend(options: &DemoOptions) -> Result<u8, DemoError> {
    let fail = |what: &str| DemoError::io(what.to_owned());
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [terminate, interrupt, hangup] = signals;
    let mut terminate = terminate.map_err(fail("signals"))?;
    let mut interrupt = interrupt.map_err(fail("signals"))?;
    let mut hangup = hangup.map_err(fail("signals"))?;
    // This process alone holds the writing end; the demo ends when it is closed.
    let (reading, line) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| fail("the line")(e.into()))?;
    let command = prepare(options, &reading).await?;
    let mut demo = tokio::process::Command::from(command).spawn().map_err(fail("unshare"))?;
    drop(reading);
    tokio::select! {
        status = demo.wait() => {
            let code = status.map_err(fail("unshare"))?.code();
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    drop(line);
    if timeout(DRAIN, demo.wait()).await.is_err() {
        // Its namespaces die with it.
        demo.kill().await.map_err(fail("unshare"))?;
    }
    Ok(0)
}

/// Everything before the demo runs: checks, port, state folder, janitor. Gives back how to start it.
async fn prepare(options: &DemoOptions, line: &OwnedFd) -> Result<Command, DemoError> {
    let spec = described(options)?;
    let lines = needs::missing(options, &spec).await;
    if !lines.is_empty() {
        return Err(DemoError::Missing(lines));
    }
    let page = page(options.headless)?;
    let state = state_folder()?;
    let fail = |what: &str| DemoError::io(what.to_owned());
    let text = serde_json::to_vec_pretty(options).map_err(|e| fail("the options")(e.into()))?;
    fs::write(state.join(OPTIONS), text).map_err(fail("the state folder"))?;
    let own = std::env::current_exe().map_err(fail("this program's own path"))?;
    if !options.keep {
        janitor::spawn(&own, &state, &options.socket)?;
    }
    let mut command = Command::new(UNSHARE.find()?);
    command.args(words()).arg(own).args([PART_ARGUMENT, INSIDE]).arg(&state);
    command.env("LABINATOR_SOCKET", &options.socket);
    command.stdin(page.map_or_else(Stdio::null, |listener| Stdio::from(OwnedFd::from(listener))));
    // After the janitor, who must not hold it.
    fcntl_setfd(line, FdFlags::empty()).map_err(|e| fail("the line")(e.into()))?;
    command.env(LINE, line.as_raw_fd().to_string());
    Ok(command)
}

/// The words of `unshare`. Root needs no user namespace; with one it would lose rights over its own files.
pub(super) fn words() -> Vec<&'static str> {
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let others = ["--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
    user.iter().copied().chain(others).collect()
}

fn described(options: &DemoOptions) -> Result<LabSpec, DemoError> {
    let wrong = |e: NameError| DemoError::io("the demo's lab")(io::Error::other(e.to_string()));
    let mut spec = lab(options.nodes).map_err(wrong)?;
    if options.scenario.as_ref().is_some_and(|name| name.as_str() == hypervisor::VIRTUAL) {
        hypervisor::with_guests(&mut spec).map_err(wrong)?;
    }
    if let Some(assets) = &options.assets {
        cluster::with_genuine_talos(&mut spec, assets);
    }
    Ok(spec)
}

fn page(headless: bool) -> Result<Option<TcpListener>, DemoError> {
    if headless {
        return Ok(None);
    }
    let free = (FIRST_PORT..=LAST_PORT).find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    free.map(Some).ok_or(DemoError::NoPort { first: FIRST_PORT, last: LAST_PORT })
}

/// A new folder that only this user can read: a token will lie in it. Its path is short, because sockets
/// will lie in it too.
fn state_folder() -> Result<PathBuf, DemoError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = std::env::temp_dir().join(format!("labinator-demo-{}", std::process::id()));
    if path.exists() {
        // Left by a demo that was told to keep it, or whose janitor was killed too.
        fs::remove_dir_all(&path).map_err(DemoError::io(path.display().to_string()))?;
    }
    fs::DirBuilder::new().mode(0o700).create(&path).map_err(DemoError::io(path.display().to_string()))?;
    Ok(path)
}

/// What the demo inside the namespaces starts with.
#[derive(Debug)]
pub struct Inner {
    /// What was asked for.
    pub options: DemoOptions,
    /// The lab.
    pub spec: LabSpec,
    /// Where the page listens: a port of the host, or one nobody reaches when headless.
    pub page: TcpListener,
    /// The state folder; it is swept when everything is dead, unless it shall be kept.
    pub state: PathBuf,
}

/// First thing inside: makes the segment, then hands everything to `run`.
///
/// The calling process is process 1 of its PID namespace and inherits orphans; it must bury them.
///
/// # Errors
/// [`DemoError`] before `run`; then what `run` says.
pub async fn inside<T, E, F>(state: &Path, run: impl FnOnce(Inner) -> F) -> Result<T, E>
where
    E: From<DemoError>,
    F: Future<Output = Result<T, E>>,
{
    let path = state.join(OPTIONS);
    let fail = || DemoError::io(path.display().to_string());
    let text = fs::read(&path).map_err(fail())?;
    let options: DemoOptions = serde_json::from_slice(&text).map_err(|e| fail()(e.into()))?;
    let spec = described(&options)?;
    network::raise(&spec, state).await?;
    let page = if options.headless {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoError::io("a port for the page"))?
    } else {
        let taken = io::stdin().as_fd().try_clone_to_owned();
        TcpListener::from(taken.map_err(DemoError::io("the page's port"))?)
    };
    let inner = Inner { options, spec, page, state: state.to_owned() };
    match std::env::var(LINE) {
        Ok(number) => {
            let line = line(&number).map_err(DemoError::io("the line to the one who attends"))?;
            tokio::select! {
                outcome = run(inner) => outcome,
                error = left(line) => Err(error.into()),
            }
        }
        Err(_) => run(inner).await,
    }
}

/// The reading end that was inherited under this number. Opening it through `/proc` needs no trust in the
/// number: one that is no pipe is an error.
fn line(number: &str) -> io::Result<pipe::Receiver> {
    let number: u32 = number.parse().map_err(io::Error::other)?;
    pipe::OpenOptions::new().open_receiver(format!("/proc/self/fd/{number}"))
}

/// Waits until the one who attends lets go, then has this process end as by `kill`. Returns when it did not.
async fn left(mut line: pipe::Receiver) -> DemoError {
    // Nothing is ever written, so whatever this returns means the end.
    let mut byte = [0];
    let read = line.read(&mut byte).await;
    tracing::debug!(?read, "told to end");
    if let Err(error) = kill_process(getpid(), Signal::TERM) {
        return DemoError::io("ending")(error.into());
    }
    sleep(DRAIN).await;
    DemoError::io("ending")(io::ErrorKind::TimedOut.into())
}
