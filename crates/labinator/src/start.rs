//! The verbs that start something on this machine: the controller, the demo, an image, a replay.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use store::Disk;

use crate::cli::render::render_replay;
use crate::cli::{
    BuildArgs, DemoArgs, Failure, FetchArgs, Globals, ImageVerb, InsideArgs, ReplayArgs, ServeArgs, out,
    socket_path,
};
use crate::config;
use crate::demo::{self, DemoError, DemoOptions};
use crate::fetch;
use crate::image::{self, Built, ImageManifest, Live, LiveImage, NodeImage};
use crate::journal;
use crate::serve::{Folders, ServeError, Setup, Supervisor, run_part};

/// Where Debian's `ipxe` package puts its programs.
pub const LOADERS: &str = "/usr/lib/ipxe";

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Self::with_advice(error.to_string(), error.advice())
    }
}

/// The image that this version builds.
const NODE_IMAGE: &str = "node";

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
    let folders = Folders { state, loaders, images };
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
        nodes: args.nodes,
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

/// Builds and lists images.
///
/// # Errors
/// What is missing, with the command that helps.
pub async fn image(globals: &Globals, verb: ImageVerb) -> Result<(), Failure> {
    match verb {
        ImageVerb::Build(args) => {
            let built = build(args).await?;
            if globals.quiet { Ok(()) } else { tell_built(&built) }
        }
        ImageVerb::Fetch(args) => fetch(globals, args).await,
        ImageVerb::List { out, json } => list(&out.unwrap_or_else(images_folder), json),
    }
}

/// The release that live images are made of unless told otherwise.
const SUITE: &str = "bookworm";

async fn build(args: BuildArgs) -> Result<Built, Failure> {
    let BuildArgs { name, agent, talosd, out, kernel_deb, ssh_keys, suite, mirror } = args;
    let out = out.unwrap_or_else(images_folder);
    let plays = name == image::SIMULATED_TALOS;
    let kind = Live::named(&name);
    if name != NODE_IMAGE && !plays && kind.is_none() {
        let known = [NODE_IMAGE, image::SIMULATED_TALOS].into_iter().chain(Live::ALL.map(Live::name));
        let known: Vec<&str> = known.collect();
        let why = format!("no image `{name}` can be built; this version builds: {}", known.join(", "));
        return Err(Failure::Usage(why));
    }
    let misplaced = [
        (talosd.is_some() && !plays, "--talosd is for the image simulated-talos"),
        (kernel_deb.is_some() && kind.is_some(), "a live image has the kernel of its release: --suite"),
        (ssh_keys.is_some() && kind.is_none(), "--ssh-keys is for live images"),
        (suite.is_some() && kind.is_none(), "--suite is for live images"),
        (!mirror.is_empty() && kind.is_none(), "--mirror is for live images"),
    ];
    if let Some((_, why)) = misplaced.into_iter().find(|(wrong, _)| *wrong) {
        return Err(Failure::Usage(why.to_owned()));
    }
    let agent = agent.map_or_else(|| beside("agent", "--agent"), Ok)?;
    let built = if let Some(kind) = kind {
        let suite = suite.unwrap_or_else(|| SUITE.to_owned());
        let plan = LiveImage { live: kind, agent, keys: ssh_keys, suite, mirrors: mirror, out };
        image::build_live(&plan).await
    } else {
        let talosd = plays.then(|| talosd.map_or_else(|| beside("talosd", "--talosd"), Ok)).transpose()?;
        let cache = cache_folder().join("packages");
        image::build_node(&NodeImage { agent, talosd, out, kernel_deb, cache }).await
    };
    built.map_err(|why| Failure::failed(why.to_string()))
}

fn tell_built(built: &Built) -> Result<(), Failure> {
    let how = if built.fresh { "built" } else { "is current" };
    let packages = match built.manifest.packages.len() {
        0 => String::new(),
        count => format!(", {count} packages"),
    };
    out::line(&format!(
        "{} {how} (kernel {}{packages})",
        built.folder.display(),
        built.manifest.kernel_version
    ))?;
    built.manifest.files().try_for_each(|file| {
        out::line(&format!("  {:<14} {:>9} kB  sha256:{}", file.name, file.size / 1000, file.digest))
    })
}

/// Fetches a system of the catalogue, or lists the catalogue.
async fn fetch(globals: &Globals, args: FetchArgs) -> Result<(), Failure> {
    let Some(name) = args.name else {
        return fetch::systems().iter().try_for_each(|(name, about, version)| {
            let version = if version.is_empty() { "(name one)" } else { version };
            out::line(&format!("{name:<16} {version:<12} {about}"))
        });
    };
    let order = fetch::Order {
        name,
        version: args.version,
        arch: args.arch,
        schematic: args.schematic,
        mirror: args.mirror,
        from: args.from,
        unproven: args.unproven,
        out: args.out.unwrap_or_else(images_folder),
        lock: args.lock,
    };
    let look = out::Look::new(globals);
    let mut told = String::new();
    let shown = !look.quiet && look.paper == out::Paper::Terminal;
    let mut progress = |file: &str, moved: u64, size: Option<u64>| {
        let whole = size.map_or_else(String::new, |size| format!(" of {}", size / 1_000_000));
        let now = format!("{file}: {}{whole} MB", moved / 1_000_000);
        if shown && now != told {
            out::complain(&now);
            told = now;
        }
    };
    let fetched = fetch::fetch(&order, &mut progress)
        .await
        .map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?;
    if look.quiet {
        return Ok(());
    }
    let how = if fetched.pinned { "pinned in" } else { "as pinned in" };
    out::line(&format!("image {}, {how} {}", fetched.image, order.lock.display()))?;
    if fetched.unproven {
        out::line(
            "Nobody says what these files must be: what came now is pinned, and nothing else is taken later.",
        )?;
    }
    fetched.manifest.files().filter(|file| file.size > 0).try_for_each(|file| {
        out::line(&format!("  {:<40} {:>9} kB  sha256:{}", file.name, file.size / 1000, file.digest))
    })
}

fn list(folder: &Path, json: bool) -> Result<(), Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(Failure::failed(format!("{}: {why}", folder.display()))),
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let manifest = ImageManifest::read(&entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), manifest))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if json {
        return out::json(&found, true);
    }
    found.iter().try_for_each(|(name, manifest)| {
        let size: u64 = manifest.files().map(|file| file.size).sum();
        out::line(&format!("{name:<24} kernel {:<28} {:>9} kB", manifest.kernel_version, size / 1000))
    })
}

/// A program that was built beside this one.
fn beside(name: &str, option: &str) -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    beside.filter(|path| path.is_file()).ok_or_else(|| {
        Failure::with_advice(
            format!("there is no {name} beside this program"),
            format!("name it with {option} PATH"),
        )
    })
}

/// Where fetched packages are kept.
fn cache_folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .unwrap_or_else(std::env::temp_dir)
        .join("labinator")
}
