//! `talos schematic`: the image factory's name for an image, computed here.

use clap::Args;
use serde::Serialize;
use talos::schematic::Schematic;

use super::VersionArgs;
use crate::cli::failure::Failure;
use crate::cli::out;

/// What is built into the image.
#[derive(Debug, Clone, Args)]
pub struct SchematicArgs {
    /// Which Talos.
    #[command(flatten)]
    pub versions: VersionArgs,
    /// Official extension, such as siderolabs/intel-ucode; may be repeated, and the order counts
    #[arg(long, value_name = "NAME")]
    pub extension: Vec<String>,
    /// Kernel argument; may be repeated, and the order counts
    #[arg(long, value_name = "ARG")]
    pub kernel_arg: Vec<String>,
    /// Overlay for a single-board computer, such as siderolabs/sbc-raspberrypi,rpi_generic
    #[arg(long, value_name = "IMAGE,NAME", value_parser = overlay)]
    pub overlay: Option<(String, String)>,
    /// Enrol the well-known certificates for `SecureBoot` too
    #[arg(long)]
    pub well_known_certificates: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn overlay(text: &str) -> Result<(String, String), String> {
    let (image, name) = text.split_once(',').ok_or("write it as IMAGE,NAME")?;
    Ok((image.to_owned(), name.to_owned()))
}

#[derive(Serialize)]
struct Named {
    id: String,
    schematic: String,
    installer: String,
}

/// Prints the id, and the image that installs it.
pub(super) fn schematic(args: &SchematicArgs) -> Result<(), Failure> {
    let (minor, talos, _) = args.versions.chosen()?;
    let schematic = Schematic {
        overlay: args.overlay.clone(),
        kernel_args: args.kernel_arg.clone(),
        meta: Vec::new(),
        extensions: args.extension.clone(),
        well_known_certificates: args.well_known_certificates,
    };
    let named = Named {
        id: schematic.id(),
        schematic: schematic.to_yaml(),
        installer: schematic.installer(minor, &talos),
    };
    if args.json {
        return out::json(&named, true);
    }
    out::line(&named.id)?;
    out::line(&named.installer)
}
