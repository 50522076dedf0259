//! `talos images`: what a registry for a place without the Internet must hold.

use clap::Args;
use serde::Serialize;
use talos::release::installer;

use super::VersionArgs;
use crate::cli::failure::Failure;
use crate::cli::out;

/// Which cluster's images.
#[derive(Debug, Clone, Args)]
pub struct ImagesArgs {
    #[command(flatten)]
    versions: VersionArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Images {
    talos: String,
    kubernetes: String,
    images: Vec<String>,
}

/// Prints the list, the installer last where Talos's own list leaves it out.
pub(super) fn list(args: &ImagesArgs) -> Result<(), Failure> {
    let (minor, talos, kubernetes) = args.versions.chosen()?;
    let mut images = minor.images(&talos, &kubernetes);
    let installer = installer(minor, &talos);
    if !images.contains(&installer) {
        images.push(installer);
    }
    if args.json {
        let all = Images { talos: talos.to_string(), kubernetes: kubernetes.to_string(), images };
        return out::json(&all, true);
    }
    out::print(&images.iter().map(|image| format!("{image}\n")).collect::<String>())
}
