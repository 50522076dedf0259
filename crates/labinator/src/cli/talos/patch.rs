//! `talos patch`: a machine config with patches applied, as the node would get it.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use talos::load::load;
use talos::mistake::Mistake;
use talos::patch::{Patch, PatchError, Source, apply};
use talos::release::Minor;

use crate::cli::failure::Failure;
use crate::cli::out;

/// Which config and which patches.
#[derive(Debug, Clone, Args)]
pub struct PatchArgs {
    /// The machine config, `-` for standard input
    pub file: PathBuf,
    /// A patch: `@FILE`, FILE, or the patch itself; may be repeated, applied in order
    #[arg(long, short, value_name = "PATCH", required = true)]
    pub patch: Vec<String>,
    /// Write here instead of to standard output; the file may be the config itself
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Refuse what this Talos does not know [default: what no Talos from 1.9 to 1.14 knows]
    #[arg(long, value_name = "VERSION")]
    pub talos_version: Option<Minor>,
}

/// Prints or writes the patched config.
pub(super) fn patch(args: &PatchArgs) -> Result<(), Failure> {
    let text = read(&args.file)?;
    let config = load(&text, args.talos_version)
        .into_result()
        .map_err(|mistakes| refused(&args.file.display().to_string(), &mistakes))?;
    let mut patches = Vec::new();
    for argument in &args.patch {
        let source = Source::of(argument);
        let name = match &source {
            Source::File(path) => path.display().to_string(),
            Source::Inline(_) => "the patch".to_owned(),
        };
        let patch = source.read().and_then(|text| Patch::parse(&text, args.talos_version));
        patches.push((name.clone(), patch.map_err(|why| of_patch(&name, &why))?));
    }
    let mut patched = config;
    for (name, patch) in patches {
        patched = apply(&patched, &[patch], args.talos_version).map_err(|why| of_patch(&name, &why))?;
    }
    match &args.output {
        None => out::print(&patched.to_yaml()),
        Some(path) => write(path, &patched.to_yaml()),
    }
}

/// Reads a config.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|why| {
        Failure::with_advice(format!("{}: {why}", path.display()), "name a machine config that can be read")
    })
}

/// Every mistake of a config in one failure.
pub(super) fn refused(name: &str, mistakes: &[Mistake]) -> Failure {
    let lines: Vec<String> = mistakes.iter().map(|m| format!("{name}: {m}\n    {}", m.advice())).collect();
    Failure::failed(lines.join("\n"))
}

fn of_patch(name: &str, why: &PatchError) -> Failure {
    match why {
        PatchError::Mistakes(mistakes) => refused(name, mistakes),
        PatchError::File { .. } => Failure::with_advice(why.to_string(), why.advice()),
        _ => Failure::with_advice(format!("{name}: {why}"), why.advice()),
    }
}

/// Whole or not at all, and for nobody else's eyes: a config holds keys.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |why: std::io::Error| {
        Failure::with_advice(
            format!("{}: {why}", path.display()),
            "name a file in a folder that can be written",
        )
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let whole = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    whole().map_err(|why| {
        drop(std::fs::remove_file(&beside));
        failed(why)
    })
}
