//! What the counter may do: its sockets were handed to it and its files are open, so no right of root's is left to it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

/// What is kept where the state folder is somebody else's: to write there all the same (capabilities(7)).
const FOREIGN_FILES: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// Gives every right away that the counter has no use for, for good. Rights belong to a thread: to be called while there
/// is only one. The user stays who it is, because the state folder is that user's.
pub(super) fn of_counter(state: &Path) -> io::Result<()> {
    let had = capabilities(None)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: had.permitted & FOREIGN_FILES,
        inheritable: CapabilitySet::empty(),
    };
    if let Err(why) = clear_ambient_capability_set() {
        // A kernel without ambient rights (before 4.3) has none to take away.
        tracing::debug!("rights for other programs: {why}");
    }
    set_no_new_privs(true)?;
    set_capabilities(None, none)?;
    let own = [state.to_owned(), state.join("shelf")].iter().all(|folder| is_ours(folder));
    let kept = if own { CapabilitySet::empty() } else { none.permitted };
    if !kept.is_empty() {
        tracing::info!(
            "the boot counter keeps the right to files of others: {} is not its user's",
            state.display()
        );
    }
    Ok(set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, ..none })?)
}

/// True for a folder that this user can use by itself, and for one that is yet to be made in such a one.
fn is_ours(folder: &Path) -> bool {
    match fs::metadata(folder) {
        Ok(seen) => seen.uid() == geteuid().as_raw(),
        Err(why) => why.kind() == io::ErrorKind::NotFound,
    }
}
