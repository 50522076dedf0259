//! Secrets come back as they were put, and only so.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use model::Secret;
use pki::vault::{Vault, VaultError};
use zeroize::Zeroizing;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("labinator-vault-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn secret(text: &str) -> Secret<Zeroizing<Vec<u8>>> {
    Secret::new(Zeroizing::new(text.as_bytes().to_vec()))
}

fn read(vault: &Vault, name: &str) -> Option<String> {
    let found = vault.get(name).unwrap()?;
    Some(String::from_utf8(found.reveal().to_vec()).unwrap())
}

#[test]
fn a_secret_comes_back_after_the_vault_was_opened_again_and_is_not_readable_beside_it() {
    let folder = Folder::new("again");
    let vault = Vault::open(&folder.0).unwrap();
    assert_eq!(read(&vault, "run-1"), None);
    vault.put("run-1", &secret("certs: KEY")).unwrap();
    vault.put("run-1", &secret("certs: ANOTHER KEY")).unwrap();
    vault.put("run-2", &secret("")).unwrap();
    drop(vault);
    let vault = Vault::open(&folder.0).unwrap();
    assert_eq!(vault.names().unwrap(), ["run-1", "run-2"]);
    assert_eq!(read(&vault, "run-1").as_deref(), Some("certs: ANOTHER KEY"));
    assert_eq!(read(&vault, "run-2").as_deref(), Some(""));
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(3).any(|three| three == b"KEY"), "{} shows it", path.display());
    }
    assert_eq!(folder.0.metadata().unwrap().permissions().mode() & 0o077, 0);
    vault.forget("run-1").unwrap();
    vault.forget("run-1").unwrap();
    assert_eq!(read(&vault, "run-1"), None);
}

#[test]
fn every_changed_byte_and_every_swapped_file_is_noticed() {
    let folder = Folder::new("changed");
    let vault = Vault::open(&folder.0).unwrap();
    vault.put("run-1", &secret("one")).unwrap();
    let path = folder.0.join("run-1.sealed");
    let whole = std::fs::read(&path).unwrap();
    let broken = |vault: &Vault, name: &str| matches!(vault.get(name), Err(VaultError::Broken { .. }));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(broken(&vault, "run-1"), "byte {at}");
        std::fs::write(&path, whole.get(..at).unwrap()).unwrap();
        assert!(broken(&vault, "run-1"), "cut at {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    std::fs::copy(&path, folder.0.join("run-2.sealed")).unwrap();
    assert!(broken(&vault, "run-2"), "the secret of another name");
    std::fs::write(folder.0.join("key"), [7; 32]).unwrap();
    assert!(broken(&Vault::open(&folder.0).unwrap(), "run-1"), "another key");
    std::fs::write(folder.0.join("key"), [7; 31]).unwrap();
    assert!(matches!(Vault::open(&folder.0), Err(VaultError::Broken { .. })), "half a key");
}

#[test]
fn of_two_that_make_a_secret_one_is_kept() {
    let folder = Folder::new("two");
    let (one, other) = (Vault::open(&folder.0).unwrap(), Vault::open(&folder.0).unwrap());
    assert!(one.put_new("run-1", &secret("one")).unwrap());
    assert!(!other.put_new("run-1", &secret("other")).unwrap());
    assert_eq!(read(&other, "run-1").as_deref(), Some("one"));
    let files = std::fs::read_dir(&folder.0).unwrap().count();
    assert_eq!(files, 2, "key and secret, and nothing left beside");
}

#[test]
fn a_half_written_file_is_not_in_the_way() {
    let folder = Folder::new("half");
    let vault = Vault::open(&folder.0).unwrap();
    std::fs::write(folder.0.join(".run-1.sealed.new"), b"labinator sea").unwrap();
    assert_eq!(read(&vault, "run-1"), None);
    vault.put("run-1", &secret("one")).unwrap();
    assert_eq!(read(&vault, "run-1").as_deref(), Some("one"));
}

#[test]
fn a_name_cannot_leave_the_folder() {
    let folder = Folder::new("names");
    let vault = Vault::open(&folder.0).unwrap();
    for name in ["", "../key", "a/b", "key.sealed", "ä"] {
        assert!(matches!(vault.get(name), Err(VaultError::Name(_))), "{name}");
        assert!(matches!(vault.put(name, &secret("x")), Err(VaultError::Name(_))), "{name}");
    }
}
