//! What a rendered manifest file was rendered from, and its digest, written beside it: `web.yaml.lock` for `web.yaml`.

use std::path::{Path, PathBuf};

use kubernetes::apply::Bundle;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The file beside a rendered one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lock {
    /// Of this form: 1.
    pub(crate) version: u32,
    /// SHA-256 of what was rendered, in hexadecimal.
    pub(crate) sha256: String,
    /// From what.
    pub(crate) bundle: Bundle,
}

impl Lock {
    /// What to do about a file that is another than it was.
    pub(crate) const ADVICE: &str = "render it again with `labinator bundle`; or, if it is to be edited by hand from now on, \
                                     remove the lock file";

    /// Where it is.
    pub(crate) fn beside(rendered: &Path) -> PathBuf {
        let mut path = rendered.as_os_str().to_owned();
        path.push(".lock");
        path.into()
    }

    /// As it is written.
    pub(crate) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads one.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let lock: Self =
            serde_json::from_str(text).map_err(|why| format!("no lock file of `bundle`: {why}"))?;
        if lock.version == 1 { Ok(lock) } else { Err(format!("form {} is of a later version", lock.version)) }
    }

    /// Compares the rendered file with its digest.
    pub(crate) fn holds(&self, content: &[u8]) -> Result<(), String> {
        let found: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(&self.sha256) {
            return Ok(());
        }
        Err(format!("it has sha256 {found}, and {} was rendered", self.sha256))
    }
}
