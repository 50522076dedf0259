//! A whole lab on this machine, in a network of its own, without root where the kernel allows it.
//!
//! ```text
//! labinator demo (outer): checks, takes the page's port, stays with unshare, which becomes
//!   └─ labinator inside demo (process 1 of its namespaces): bridge and taps, then the controller
//!        ├─ counter, core
//!        └─ one QEMU per node
//! labinator inside janitor: waits until all of the above are dead, however they died, and sweeps up
//! ```

mod cluster;
mod hypervisor;
mod janitor;
mod lab;
mod namespace;
mod needs;
mod network;
mod progress;
mod run;
mod screen;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use drivers::process::ProcessError;
use model::ScenarioName;
use serde::{Deserialize, Serialize};

pub use cluster::{PHYSICAL, with_genuine_talos};
pub use hypervisor::VIRTUAL;
pub use janitor::sweep;
pub use lab::{IMAGE, SCENARIO, lab};
pub use namespace::{INSIDE, Inner, JANITOR, attend, inside};
pub use needs::missing;
pub use network::raise;
pub use progress::{Verdict, banner, rows, verdict};
pub use run::run;
pub use screen::{Manner, Screen};

/// What the demo is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub struct DemoOptions {
    /// How many nodes; 1 to 24.
    pub nodes: u8,
    /// What to start; [`SCENARIO`] unless told.
    pub scenario: Option<ScenarioName>,
    /// End as soon as the lab is ready or failed.
    pub until_ready: bool,
    /// No page on the host.
    pub headless: bool,
    /// How progress is told.
    pub manner: Manner,
    /// Leave the state folder behind.
    pub keep: bool,
    /// Folder of images.
    pub images: PathBuf,
    /// Folder with kernel and initramfs of genuine Talos; simulated Talos without it.
    pub assets: Option<PathBuf>,
    /// Folder of network boot programs.
    pub loaders: PathBuf,
    /// Where the command line of the host finds the controller.
    pub socket: PathBuf,
}

/// How many nodes a scenario has unless told.
#[must_use]
pub fn nodes_of(scenario: Option<&ScenarioName>) -> u8 {
    if scenario.is_some_and(|name| name.as_str() == VIRTUAL) { hypervisor::NODES } else { lab::NODES }
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// Things are missing; one line each.
    #[error("{}", .0.join("\n"))]
    Missing(Vec<String>),
    /// No port from 8080 on is free.
    #[error("no port from {first} to {last} is free on 127.0.0.1")]
    NoPort {
        /// The first that was tried.
        first: u16,
        /// The last that was tried.
        last: u16,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProcessError),
    /// Anything of the system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl DemoError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Stable word for logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "demo-missing",
            Self::NoPort { .. } => "demo-port",
            Self::Program(error) => error.code(),
            Self::Io { .. } => "demo-io",
        }
    }
}
