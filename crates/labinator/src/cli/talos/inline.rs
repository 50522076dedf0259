//! `talos inline`: documents without secrets as a kernel argument.

use std::path::PathBuf;

use clap::Args;
use talos::inline::{ARGUMENT, encode};
use talos::release::Minor;

use super::patch::read;
use crate::cli::failure::Failure;
use crate::cli::out;

/// Which documents.
#[derive(Debug, Clone, Args)]
pub struct InlineArgs {
    /// Files with documents, `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The Talos that will read them [default: refuse only what no Talos from 1.9 to 1.14 knows]
    #[arg(long, value_name = "VERSION")]
    pub talos_version: Option<Minor>,
}

/// Prints the argument.
pub(super) fn inline(args: &InlineArgs) -> Result<(), Failure> {
    let mut all = Vec::new();
    for path in &args.files {
        let text = read(path)?;
        let failed = |why: talos::inline::InlineError| {
            Failure::with_advice(format!("{}: {why}", path.display()), why.advice())
        };
        // Each by itself first: a mistake has a line of its own file then.
        encode(&text, args.talos_version, 0).map_err(failed)?;
        all.push(text);
    }
    let joined = encode(&all.join("\n---\n"), args.talos_version, 0);
    let value = joined.map_err(|why| Failure::with_advice(why.to_string(), why.advice()))?;
    out::line(&format!("{ARGUMENT}={value}"))
}
