//! `talos validate`: every mistake of a machine config at once, before a node is asked to take it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use talos::mistake::Mistake;
use talos::release::Minor;
use talos::validate::{Asked, Mode, check};

use super::patch::read;
use crate::cli::failure::Failure;
use crate::cli::out;

/// Which config, and for which node.
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// The machine config, `-` for standard input
    pub file: PathBuf,
    /// On what the node runs
    #[arg(long, short, value_enum, default_value_t)]
    pub mode: ModeName,
    /// The node's Talos [default: refuse only what no Talos from 1.9 to 1.14 takes]
    #[arg(long, value_name = "VERSION")]
    pub talos_version: Option<Minor>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// On what a node runs.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum ModeName {
    /// A machine, also a virtual one, that installs itself
    #[default]
    Metal,
    /// A machine of a provider
    Cloud,
    /// A container
    Container,
}

/// What `--json` prints. Version 1: later ones only add fields.
#[derive(Serialize)]
struct Report {
    version: u32,
    valid: bool,
    mistakes: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    /// Line of the file from 1; nothing where what is wrong was never written.
    line: Option<u32>,
    column: Option<u32>,
    document: Option<String>,
    field: String,
    message: String,
    advice: String,
}

impl Entry {
    fn of(mistake: &Mistake) -> Self {
        let placed = mistake.place.line > 0;
        Self {
            code: mistake.code(),
            line: placed.then_some(mistake.place.line),
            column: placed.then_some(mistake.place.column),
            document: mistake.document.as_ref().map(ToString::to_string),
            field: mistake.path.to_string(),
            message: mistake.fault.to_string(),
            advice: mistake.advice(),
        }
    }
}

/// Prints what is wrong; exit code 1 if something is.
pub(super) fn validate(args: &ValidateArgs) -> Result<(), Failure> {
    let mode = match args.mode {
        ModeName::Metal => Mode::Metal,
        ModeName::Cloud => Mode::Cloud,
        ModeName::Container => Mode::Container,
    };
    let mistakes = check(&read(&args.file)?, Asked { mode, release: args.talos_version });
    if args.json {
        let entries = mistakes.iter().map(Entry::of).collect();
        out::json(&Report { version: 1, valid: mistakes.is_empty(), mistakes: entries }, true)?;
    } else if mistakes.is_empty() {
        out::line(&format!("{} is valid", args.file.display()))?;
    } else {
        for mistake in &mistakes {
            out::complain(&format!("{}: {mistake}\n  help: {}", args.file.display(), mistake.advice()));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::Said(1)) }
}
