//! Limits of the kernel that a bench needs higher, given back when it is over.

use std::fs;
use std::path::PathBuf;

use crate::workspace::Outcome;

/// Limits that were raised, and what they were.
#[derive(Debug, Default)]
pub(super) struct Raised(Vec<(PathBuf, String)>);

impl Raised {
    /// Raises one, unless it is high enough.
    ///
    /// # Errors
    /// It holds no number, or may not be written.
    pub(super) fn at_least(&mut self, path: PathBuf, wanted: u32) -> Outcome<()> {
        let old = fs::read_to_string(&path)?;
        if old.trim().parse::<u32>()? < wanted {
            fs::write(&path, wanted.to_string())
                .map_err(|why| format!("{} cannot be raised: {why}", path.display()))?;
            self.0.push((path, old));
        }
        Ok(())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        for (path, old) in self.0.iter().rev() {
            drop(fs::write(path, old));
        }
    }
}
