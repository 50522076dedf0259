//! `bundle`: manifests rendered once by the user's own `helm` or `kustomize`, and held to a digest from then on.
//!
//! ```text
//! bundle helm .. --output web.yaml ─▶ web.yaml, web.yaml.lock ─▶ `install: [web.yaml]`; `check` compares
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use drivers::process::{Program, run_whole};
use kubernetes::apply::{Bundle, Manifests, Rendered, Run};

use super::args::Globals;
use super::failure::Failure;
use super::out;
use crate::cluster::Lock;

/// For a chart with everything in it.
const RENDERING: Duration = Duration::from_secs(300);
/// Largest output, in bytes: what one manifest file may have.
const LARGEST: usize = 16 << 20;

/// How manifests are rendered.
#[derive(Debug, Clone, Subcommand)]
pub enum BundleVerb {
    /// Render a chart by `helm template`, with definitions and without hooks
    Helm(HelmArgs),
    /// Render a folder by `kustomize build`
    Kustomize(KustomizeArgs),
    /// Render again as it was rendered, in the folder where it was, and compare
    Verify {
        /// A file that `bundle` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Options of `bundle helm`.
#[derive(Debug, Clone, Args)]
pub struct HelmArgs {
    /// Name of the release
    #[arg(value_name = "RELEASE")]
    pub release: String,
    /// Folder or archive of the chart
    #[arg(value_name = "CHART")]
    pub chart: String,
    /// Namespace it is for
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Files of values, in order
    #[arg(long, value_name = "FILE")]
    pub values: Vec<String>,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Options of `bundle kustomize`.
#[derive(Debug, Clone, Args)]
pub struct KustomizeArgs {
    /// The folder
    #[arg(value_name = "FOLDER")]
    pub folder: String,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Starts the programs of this machine.
struct Here;

impl Run for Here {
    async fn run(&self, program: &str, arguments: &[String]) -> Result<Vec<u8>, String> {
        let program = match program {
            "helm" => Program::new("helm", "helm"),
            _ => Program::new("kustomize", "kustomize"),
        };
        run_whole(program, arguments, RENDERING, LARGEST).await.map_err(|why| why.to_string())
    }
}

/// Carries out `bundle`.
///
/// # Errors
/// The program is missing or fails, what it gives cannot be applied, or is another than it was.
pub async fn bundle(globals: &Globals, verb: BundleVerb) -> Result<(), Failure> {
    let (bundle, output) = match verb {
        BundleVerb::Helm(HelmArgs { release, chart, namespace, values, output }) => {
            (Bundle::Helm { release, chart, namespace, values }, output)
        }
        BundleVerb::Kustomize(KustomizeArgs { folder, output }) => (Bundle::Kustomize { folder }, output),
        BundleVerb::Verify { file } => return verify(globals, &file).await,
    };
    let lock = Lock::beside(&output);
    if output.exists() && !lock.exists() {
        let why = format!("{} is there, and no `bundle` wrote it", output.display());
        return Err(Failure::with_advice(why, "name another file, or move it away"));
    }
    let rendered = rendered(&bundle, None).await?;
    let name = output.display().to_string();
    let manifests = Manifests::read([(name.as_str(), rendered.yaml.as_slice())]).map_err(|refusals| {
        let lines: Vec<String> = refusals.iter().map(|why| format!("{why}\n  → {}", why.advice())).collect();
        Failure::failed(lines.join("\n"))
    })?;
    let written = Lock { version: 1, sha256: rendered.sha256.clone(), bundle };
    // The digest first: a file without its digest would pass for one that somebody wrote by hand.
    keep(&lock, written.text().as_bytes())?;
    keep(&output, &rendered.yaml)?;
    if globals.quiet {
        return Ok(());
    }
    out::line(&format!("{name}: {} objects, sha256 {}", manifests.all().len(), rendered.sha256))
}

/// Renders again and compares with what is written down, and the file with both.
async fn verify(globals: &Globals, file: &Path) -> Result<(), Failure> {
    let lock = Lock::beside(file);
    let text = std::fs::read_to_string(&lock)
        .map_err(|why| Failure::failed(format!("{}: {why}", lock.display())))?;
    let lock = Lock::read(&text).map_err(|why| Failure::failed(format!("{}: {why}", lock.display())))?;
    let content = std::fs::read(file).map_err(|why| Failure::failed(format!("{}: {why}", file.display())))?;
    lock.holds(&content)
        .map_err(|why| Failure::with_advice(format!("{}: {why}", file.display()), Lock::ADVICE))?;
    rendered(&lock.bundle, Some(&lock.sha256)).await?;
    if globals.quiet { Ok(()) } else { out::line(&format!("{}: rendered again the same", file.display())) }
}

async fn rendered(bundle: &Bundle, pinned: Option<&str>) -> Result<Rendered, Failure> {
    bundle.render(&Here, pinned).await.map_err(|why| Failure::with_advice(why.to_string(), why.advice()))
}

/// Writes a file whole, or leaves the one that was there.
fn keep(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    std::fs::write(&draft, content)
        .and_then(|()| std::fs::rename(&draft, path))
        .map_err(|why| Failure::failed(format!("{}: {why}", path.display())))
}
