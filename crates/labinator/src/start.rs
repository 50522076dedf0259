//! The verbs that start something on this machine: the controller, the demo, a replay.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use store::Disk;
use wire::loader::Processor;

use crate::cli::render::render_replay;
use crate::cli::{DemoArgs, Failure, Globals, InsideArgs, ReplayArgs, ServeArgs, out, socket_path};
use crate::config;
use crate::demo::{self, DemoError, DemoOptions};
use crate::journal;
use crate::serve::{Folders, ServeError, Setup, Supervisor, run_part};

/// Where Debian's `ipxe` package puts its programs.
pub const LOADERS: &str = "/usr/lib/ipxe";

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::with_advice(error.to_string(), error.advice())
    }
}

/// The folder of journal and ledger when nobody names one.
#[must_use]
pub fn state_folder() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/labinator");
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("labinator")
}

/// The folder of boot images when nobody names one: `LABINATOR_IMAGES`, else below the state folder.
#[must_use]
pub fn images_folder() -> PathBuf {
    std::env::var_os("LABINATOR_IMAGES").map_or_else(|| state_folder().join("images"), PathBuf::from)
}

/// The folder of network boot programs when nobody names one: `LABINATOR_LOADERS`, else where Debian puts them.
#[must_use]
pub fn loaders_folder() -> PathBuf {
    std::env::var_os("LABINATOR_LOADERS").map_or_else(|| PathBuf::from(LOADERS), PathBuf::from)
}

/// Where fetched packages are kept.
#[must_use]
pub fn cache_folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("labinator")
}

/// The agent that was installed with this program.
#[must_use]
pub fn agent_beside() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join("agent");
    beside.is_file().then_some(beside)
}

/// The folder of our own UEFI loaders that were installed with this program.
#[must_use]
pub fn loaders_beside() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_owned())
}

/// Where our own UEFI loader for a processor lies: in this folder of loaders, else beside this program.
#[must_use]
pub fn own_loader(loaders: &Path, processor: Processor) -> PathBuf {
    let named = loaders.join(processor.file());
    let beside =
        || loaders_beside().map(|folder| folder.join(processor.file())).filter(|path| path.is_file());
    if named.is_file() { named } else { beside().unwrap_or(named) }
}

/// Runs the controller of a lab file until it is told to end.
///
/// # Errors
/// Mistakes in the lab file are a wrong usage; a port or folder that cannot be had is a failure.
pub async fn serve(globals: &Globals, args: ServeArgs) -> Result<(), Failure> {
    let spec = config::load(&args.lab).map_err(|mistakes| Failure::Usage(mistakes.to_string()))?;
    let state = args.state.unwrap_or_else(state_folder);
    let images = args.images.unwrap_or_else(images_folder);
    let page = TcpListener::bind(args.listen).map_err(|why| {
        Failure::with_advice(format!("{}: {why}", args.listen), "name another with --listen")
    })?;
    let loaders = args.loaders.unwrap_or_else(loaders_folder);
    let agent = args.agent.or_else(agent_beside);
    let folders = Folders { state, loaders, images, agent };
    let lab = spec.lab.clone();
    let supervisor = Supervisor::bind(Setup { spec, folders, page, socket: socket_path() })?;
    let running = supervisor.start()?;
    if !globals.quiet {
        out::line(&format!("lab   {lab}\npage  {}", running.link()))?;
    }
    running.run(std::future::pending::<()>()).await?;
    Ok(())
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Runs a whole lab on this machine until it ends or is told to.
///
/// # Errors
/// What is missing, a line each.
pub async fn demo(globals: &Globals, args: DemoArgs) -> Result<(), Failure> {
    let look = out::Look::new(globals);
    let manner = match (args.json, look.quiet, look.paper) {
        (true, _, _) => demo::Manner::Json,
        (false, true, _) => demo::Manner::Silent,
        (false, false, out::Paper::Terminal) => demo::Manner::Table { width: look.width },
        (false, false, out::Paper::Pipe) => demo::Manner::Lines,
    };
    let options = DemoOptions {
        nodes: args.nodes.unwrap_or_else(|| demo::nodes_of(args.scenario.as_ref())),
        scenario: args.scenario,
        until_ready: args.until_ready,
        headless: args.headless,
        manner,
        keep: args.keep,
        images: args.images.unwrap_or_else(images_folder),
        // Read by a process that need not work in the same folder.
        assets: args.assets.map(|folder| std::path::absolute(&folder).unwrap_or(folder)),
        loaders: PathBuf::from(LOADERS),
        socket: socket_path(),
    };
    match demo::attend(&options).await? {
        0 => Ok(()),
        // What went wrong was said inside.
        code => Err(Failure::Said(code)),
    }
}

/// Runs a part that this program starts itself.
///
/// # Errors
/// What the part says.
pub fn part(args: &InsideArgs) -> Result<(), Failure> {
    let mut told = args.told.iter().map(PathBuf::from);
    let state = told.next().ok_or_else(|| Failure::Usage("no state folder".to_owned()))?;
    match args.part.as_str() {
        demo::JANITOR => {
            let socket = told.next().ok_or_else(|| Failure::Usage("no socket".to_owned()))?;
            demo::sweep(&state, &socket).map_err(|why| Failure::failed(why.to_string()))
        }
        demo::INSIDE => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|why| Failure::failed(why.to_string()))?;
            runtime.block_on(demo::inside(&state, demo::run))
        }
        part => Ok(run_part(part, &state)?),
    }
}

/// Tells again what a journal recorded.
///
/// # Errors
/// The journal cannot be read.
pub fn replay(globals: &Globals, args: &ReplayArgs) -> Result<(), Failure> {
    let path = if args.journal.is_dir() { args.journal.join("journal") } else { args.journal.clone() };
    if !path.is_file() {
        return Err(Failure::failed(format!("{}: there is no journal", path.display())));
    }
    let told = journal::read(&Disk, &path)
        .map_err(|error| Failure::with_advice(error.to_string(), error.advice()))?;
    if args.json {
        return told.events.iter().try_for_each(|event| out::json(event, false));
    }
    let screen = out::Look::new(globals);
    out::print(&render_replay(&told, screen.width, screen.color))
}
