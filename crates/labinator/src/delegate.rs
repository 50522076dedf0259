//! The lab's key for its own loader: the core keeps it and names with it the key by which the counter answers loaders.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{AgentKey, LabName};
use netboot::LoaderTrust;
use pki::signing::{SigningError, SigningKey};
use pki::vault::Vault;
use wire::loader::{DELEGATION_PURPOSE, Delegation};

/// Folder of the key, in the state folder.
const FOLDER: &str = "loader";
/// Its name there.
const NAME: &str = "lab";

/// The key, and whose it is.
#[derive(Debug)]
pub struct Delegate {
    key: SigningKey,
    lab: LabName,
}

impl Delegate {
    /// The key of this state folder; made where there is none.
    ///
    /// # Errors
    /// It cannot be kept or read.
    pub fn kept(state: &Path, lab: LabName) -> Result<Self, SigningError> {
        let vault = Vault::open(&state.join(FOLDER))?;
        Ok(Self { key: SigningKey::of(&vault, NAME)?, lab })
    }

    /// The word for a counter that has this key. Its number is the time in milliseconds, so that a later one is greater.
    #[must_use]
    pub fn word_for(&self, key: AgentKey) -> LoaderTrust {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let delegation = Delegation { lab: self.lab.clone(), key: key.0, number }.text();
        let signature = self.key.sign(DELEGATION_PURPOSE, delegation.as_bytes()).to_string();
        LoaderTrust { lab_key: AgentKey(self.key.public().bytes()), delegation, signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::loader::signed_text;

    #[test]
    fn a_counters_key_is_named_by_the_key_that_the_lab_keeps() {
        let folder = std::env::temp_dir().join(format!("delegate-{}", std::process::id()));
        let lab: LabName = "kinds".parse().unwrap();
        let delegate = Delegate::kept(&folder, lab.clone()).unwrap();
        let again = Delegate::kept(&folder, lab.clone()).unwrap();
        drop(std::fs::remove_dir_all(&folder));
        let word = again.word_for(AgentKey([7; 32]));
        let named = Delegation::read(word.delegation.as_bytes()).unwrap();
        assert_eq!((named.lab, named.key), (lab, [7; 32]));
        // As a loader checks it, without this room's code.
        let signature: Vec<u8> =
            (0..64).map(|at| u8::from_str_radix(&word.signature[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let text = signed_text(DELEGATION_PURPOSE, word.delegation.as_bytes());
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &word.lab_key.0);
        key.verify(&text, &signature).unwrap();
        assert_eq!(delegate.word_for(AgentKey([7; 32])).lab_key, word.lab_key, "made once");
    }
}
