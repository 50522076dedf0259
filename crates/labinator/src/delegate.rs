//! The lab's key for its own loader: the core keeps it and names with it the key by which the counter answers loaders.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{AgentKey, LabName, Secret};
use netboot::LoaderTrust;
use pki::signing::{SigningError, SigningKey};
use pki::vault::Vault;
use wire::loader::{DELEGATION_PURPOSE, Delegation};
use zeroize::Zeroizing;

/// Folder of the key, in the state folder.
const FOLDER: &str = "loader";
/// Its name there.
const NAME: &str = "lab";
/// Name of the number of the last delegation.
const NUMBER: &str = "number";

/// The key, and whose it is.
#[derive(Debug)]
pub struct Delegate {
    key: SigningKey,
    vault: Vault,
    lab: LabName,
}

impl Delegate {
    /// The key of this state folder; made where there is none.
    ///
    /// # Errors
    /// It cannot be kept or read.
    pub fn kept(state: &Path, lab: LabName) -> Result<Self, SigningError> {
        let vault = Vault::open(&state.join(FOLDER))?;
        Ok(Self { key: SigningKey::of(&vault, NAME)?, vault, lab })
    }

    /// What loaders check with.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.public().bytes()
    }

    /// The word for a counter that has this key. Its number is greater than that of every word before, which loaders with a
    /// medium remember: kept before the word is given, and where what was kept was lost with its backup, by the clock.
    ///
    /// # Errors
    /// The number cannot be kept.
    pub fn word_for(&self, key: AgentKey) -> Result<LoaderTrust, SigningError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let number = self.number_after(clock)?;
        let delegation = Delegation { lab: self.lab.clone(), key: key.0, number }.text();
        let signature = self.key.sign(DELEGATION_PURPOSE, delegation.as_bytes()).to_string();
        Ok(LoaderTrust { lab_key: AgentKey(self.key.public().bytes()), delegation, signature })
    }

    /// The next number, by a clock that may go back.
    fn number_after(&self, clock: u64) -> Result<u64, SigningError> {
        let kept = self.vault.get(NUMBER)?;
        let kept =
            kept.and_then(|kept| kept.reveal().first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)));
        let number = kept.map_or(clock, |kept| clock.max(kept.saturating_add(1)));
        self.vault.put(NUMBER, &Secret::new(Zeroizing::new(number.to_be_bytes().to_vec())))?;
        Ok(number)
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
        let word = again.word_for(AgentKey([7; 32])).unwrap();
        let named = Delegation::read(word.delegation.as_bytes()).unwrap();
        assert_eq!((named.lab, named.key), (lab, [7; 32]));
        // As a loader checks it, without this room's code.
        let signature: Vec<u8> =
            (0..64).map(|at| u8::from_str_radix(&word.signature[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let text = signed_text(DELEGATION_PURPOSE, word.delegation.as_bytes());
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &word.lab_key.0);
        key.verify(&text, &signature).unwrap();
        assert_eq!(delegate.word_for(AgentKey([7; 32])).unwrap().lab_key, word.lab_key, "made once");
        drop(std::fs::remove_dir_all(&folder));
    }

    #[test]
    fn a_later_word_has_a_greater_number_whatever_the_clock_says() {
        let folder = std::env::temp_dir().join(format!("delegate-number-{}", std::process::id()));
        let open = || Delegate::kept(&folder, "kinds".parse().unwrap()).unwrap();
        let numbers = [1_000, 5_000, 0, 7].map(|clock| open().number_after(clock).unwrap());
        drop(std::fs::remove_dir_all(&folder));
        assert_eq!(numbers, [1_000, 5_000, 5_001, 5_002]);
    }
}
