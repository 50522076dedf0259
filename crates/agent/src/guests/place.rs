//! Where guests run, and through what.

use std::fs;
use std::path::PathBuf;

use super::{Buried, virsh};

/// Where guests live on a live image: in memory, as everything of it.
const ROOT: &str = "/run/labinator/guests";
/// The bridge that is made there.
const BRIDGE: &str = "br0";
/// Written by the image builder: what guests are started through.
const THROUGH: &str = "/etc/labinator/guests";

/// Where guests run.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) root: PathBuf,
    pub(super) bridge: String,
    /// Whether the bridge is made over the port that reaches the boss.
    pub(super) make_bridge: bool,
    /// Another amount of memory than the machine's own, in MiB.
    pub(super) memory: Option<u32>,
    pub(super) host_boot: String,
    /// The libvirt that starts guests, by its URI; none where this agent starts QEMU itself.
    pub(super) libvirt: Option<String>,
    pub(super) buried: Buried,
}

impl Place {
    /// On a live image.
    pub(crate) fn live(host_boot: &str, buried: Buried) -> Self {
        Self {
            root: ROOT.into(),
            bridge: BRIDGE.to_owned(),
            make_bridge: true,
            memory: None,
            host_boot: host_boot.to_owned(),
            libvirt: fs::read_to_string(THROUGH).ok().and_then(|text| through(text.trim()).ok()).flatten(),
            buried,
        }
    }
}

/// What guests are started through, as `--through` and the file [`THROUGH`] say it: `qemu`, `libvirt`, or the URI of a
/// libvirt. Gives that URI.
pub(super) fn through(word: &str) -> Result<Option<String>, ()> {
    match word {
        "qemu" => Ok(None),
        "libvirt" => Ok(Some(virsh::SYSTEM.to_owned())),
        uri if uri.contains("://") => Ok(Some(uri.to_owned())),
        _ => Err(()),
    }
}
