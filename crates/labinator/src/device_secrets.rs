//! Secrets of devices: passwords and tokens that the lab file names and never holds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use drivers::power::Reveal;
use model::{Secret, SecretRef};
use pki::vault::{Sealed, Vault, VaultError};
use zeroize::Zeroizing;

/// Folder of the sealed store below the state folder.
const FOLDER: &str = "secrets";
/// Before the name of a device's secret in the store, which holds those of clusters, too.
const BEFORE: &str = "device-";
/// Largest file that is read, in bytes: a password or a token, not a disk.
pub(crate) const LARGEST: u64 = 64 * 1024;

/// What reads the secrets of this state folder. Each is read when it is asked for, so one that is put there later is
/// found.
pub(crate) fn reveal(state: &Path) -> Reveal {
    let folder = state.join(FOLDER);
    Arc::new(move |wanted| match wanted {
        SecretRef::Kept(name) => kept(&folder, name),
        SecretRef::File(path) => file(Path::new(path)),
    })
}

/// Keeps a secret for devices.
///
/// # Errors
/// For a person.
pub(crate) fn keep(state: &Path, name: &str, secret: Vec<u8>) -> Result<(), String> {
    let vault = Vault::open(&state.join(FOLDER)).map_err(|why| why.to_string())?;
    let sealed: Sealed = Secret::new(Zeroizing::new(secret));
    vault.put(&format!("{BEFORE}{name}"), &sealed).map_err(|why| match why {
        // As it was typed.
        VaultError::Name(_) => VaultError::Name(name.to_owned()).to_string(),
        why => why.to_string(),
    })
}

/// Names of the secrets that are kept for devices, in order.
///
/// # Errors
/// For a person.
pub(crate) fn names(state: &Path) -> Result<Vec<String>, String> {
    let vault = Vault::open(&state.join(FOLDER)).map_err(|why| why.to_string())?;
    let names = vault.names().map_err(|why| why.to_string())?;
    Ok(names.iter().filter_map(|name| name.strip_prefix(BEFORE)).map(str::to_owned).collect())
}

/// Forgets a secret for devices; false where there is none of this name.
///
/// # Errors
/// For a person; it may still be there.
pub(crate) fn forget(state: &Path, name: &str) -> Result<bool, String> {
    let is_kept = names(state)?.iter().any(|kept| kept == name);
    let vault = Vault::open(&state.join(FOLDER)).map_err(|why| why.to_string())?;
    vault.forget(&format!("{BEFORE}{name}")).map_err(|why| why.to_string())?;
    Ok(is_kept)
}

fn kept(folder: &Path, name: &str) -> Result<Secret<Vec<u8>>, String> {
    let vault = Vault::open(folder).map_err(|why| why.to_string())?;
    let found = vault.get(&format!("{BEFORE}{name}")).map_err(|why| why.to_string())?;
    let found =
        found.ok_or_else(|| format!("no secret `{name}` is kept: `labinator secret set {name} < FILE`"))?;
    Ok(Secret::new(without_end(found.reveal())))
}

fn file(path: &Path) -> Result<Secret<Vec<u8>>, String> {
    let shown = path.display();
    let about = fs::metadata(path).map_err(|why| format!("{shown}: {why}"))?;
    if about.mode() & 0o077 != 0 {
        return Err(format!("{shown} can be read by others: chmod 600 {shown}"));
    }
    if about.len() > LARGEST {
        return Err(format!("{shown} is larger than {LARGEST} bytes, which is no password"));
    }
    let text = Zeroizing::new(fs::read(path).map_err(|why| format!("{shown}: {why}"))?);
    Ok(Secret::new(without_end(&text)))
}

/// Without the line end that editors and `echo` leave.
fn without_end(text: &[u8]) -> Vec<u8> {
    text.trim_ascii_end().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::SecretRef;

    #[test]
    fn a_secret_is_read_as_it_was_kept_named_and_forgotten() {
        let state = std::env::temp_dir().join(format!("device-secrets-{}", std::process::id()));
        drop(fs::remove_dir_all(&state));
        let wanted = SecretRef::Kept("plug".to_owned());
        let missing = reveal(&state)(&wanted).unwrap_err();
        assert!(missing.contains("`labinator secret set plug < FILE`"), "{missing}");
        keep(&state, "plug", b"admin:one".to_vec()).unwrap();
        keep(&state, "bmc", b"root:two\n".to_vec()).unwrap();
        // Those of clusters lie in the same store, and are nobody's here.
        let vault = Vault::open(&state.join(FOLDER)).unwrap();
        vault.put("cluster-1", &Secret::new(Zeroizing::new(b"x".to_vec()))).unwrap();
        assert_eq!(names(&state).unwrap(), ["bmc", "plug"]);
        assert_eq!(reveal(&state)(&wanted).unwrap().reveal(), b"admin:one");
        assert_eq!(reveal(&state)(&SecretRef::Kept("bmc".to_owned())).unwrap().reveal(), b"root:two");
        let refused = keep(&state, "two words", b"x".to_vec()).unwrap_err();
        assert!(refused.starts_with("`two words` is no name for a secret"), "{refused}");
        assert_eq!((forget(&state, "plug"), forget(&state, "plug")), (Ok(true), Ok(false)));
        assert!(reveal(&state)(&wanted).is_err());
        drop(fs::remove_dir_all(&state));
    }
}
