//! How a medium of ours starts a machine with a BIOS, where our loader cannot run: by GRUB, which reaches no network card
//! there, and iPXE, which writes no disk.
//!
//! ```text
//! BIOS ─▶ GRUB ─ not tried just now ─▶ notes the try ─▶ iPXE ─▶ controller's script ─▶ kernel … our agent takes the
//!          │                                             └─ nobody: restarts the machine        note back
//!          └─ tried just now: takes the note back ─▶ cache, every file by its SHA-256
//! ```
//! The note is the clock's ten minutes in which the try began. A machine that comes back within them, and whose note
//! nobody took back, reached nobody. One that comes back later ran something meanwhile, which need not have been ours:
//! neither Talos nor a system on a disk takes a note back.

mod env;
mod fat;
mod grub;
mod ipxe;

pub use env::{Env, EnvError, SIZE as ENV_SIZE};
pub use fat::{Fat, File};
pub use grub::{Cached, CachedFile, cache_config, config, sums};
pub use ipxe::{LONGEST_PATIENCE, script};

/// Folder of GRUB's files on the system partition.
pub const FOLDER: &str = "GRUB";
/// Where GRUB keeps what it remembers, there.
pub const ENV: &str = "GRUBENV";
/// What it remembers: when the network was tried.
pub const TRIED: &str = "tried";
/// Name of the volume of the system partition.
pub const LABEL: &str = "LABINATOR";
/// Name of its partition.
pub const SYSTEM_NAME: &str = "Labinator loader";
