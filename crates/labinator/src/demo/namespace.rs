//! From the shell into namespaces of our own, and what happens there.
//!
//! The page's port is taken outside and handed through as standard input, so a browser of the host reaches
//! a server whose network is another one. Everything started inside dies with the first process inside,
//! whatever kills it: the kernel sees to that.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drivers::process::Program;
use model::LabSpec;

use super::{DemoError, DemoOptions, janitor, lab, needs, network};
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

/// Checks everything, takes the page's port, and becomes the demo. It returns only to say why not.
///
/// # Errors
/// [`DemoError`].
pub async fn outer(options: &DemoOptions) -> Result<Infallible, DemoError> {
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
    let unshare = UNSHARE.find()?;
    let error = Command::new(unshare)
        .args(words())
        .arg(own)
        .args([PART_ARGUMENT, INSIDE])
        .arg(&state)
        .env("LABINATOR_SOCKET", &options.socket)
        .stdin(page.map_or_else(Stdio::null, |listener| Stdio::from(std::os::fd::OwnedFd::from(listener))))
        .exec();
    Err(fail("unshare")(error))
}

/// The words of `unshare`. Root needs no user namespace; with one it would lose rights over its own files.
pub(super) fn words() -> Vec<&'static str> {
    let user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let others = ["--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
    user.iter().copied().chain(others).collect()
}

fn described(options: &DemoOptions) -> Result<LabSpec, DemoError> {
    lab(options.nodes).map_err(|e| DemoError::io("the demo's lab")(std::io::Error::other(e.to_string())))
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
        let taken = std::io::stdin().as_fd().try_clone_to_owned();
        TcpListener::from(taken.map_err(DemoError::io("the page's port"))?)
    };
    run(Inner { options, spec, page, state: state.to_owned() }).await
}
