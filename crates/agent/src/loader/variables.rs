//! Variables of the firmware's boot manager, as efivarfs shows them: a file each, four bytes of attributes before the
//! content (Linux, Documentation/filesystems/efivarfs.rst).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use wire::loader::entry::{BootEntry, BootOrder, GLOBAL, name_of, number_of};

/// Kept without power, and seen by the boot manager and by systems (UEFI 2.10 section 8.2): what `Boot####` and
/// `BootOrder` must be (section 3.3).
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
const ORDER: &str = "BootOrder";
const NEXT: &str = "BootNext";

/// What the boot manager knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Boot {
    /// Its entries; those that cannot be read are left out.
    pub(super) entries: BTreeMap<u16, BootEntry>,
    /// Numbers that are taken, by entries that cannot be read, too.
    pub(super) taken: Vec<u16>,
    pub(super) order: BootOrder,
    /// What is started once, before the order counts again.
    pub(super) next: Option<u16>,
}

impl Boot {
    /// Entries that start a loader of ours.
    pub(super) fn ours(&self) -> Vec<u16> {
        self.entries.iter().filter(|(_, entry)| entry.is_ours()).map(|(number, _)| *number).collect()
    }

    /// The lowest number that nothing has.
    pub(super) fn free(&self) -> Option<u16> {
        (0..=u16::MAX).find(|number| !self.taken.contains(number))
    }
}

/// The folder of variables.
#[derive(Debug, Clone)]
pub(super) struct Variables(PathBuf);

impl Variables {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}-{GLOBAL}"))
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn read(&self) -> Result<Boot, String> {
        let told = |why: io::Error| format!("{}: {why}", self.0.display());
        let mut boot = Boot::default();
        for file in fs::read_dir(&self.0).map_err(told)? {
            let name = file.map_err(told)?.file_name();
            let guid = format!("-{GLOBAL}");
            let Some(number) = name.to_str().and_then(|name| number_of(name.strip_suffix(&guid)?)) else {
                continue;
            };
            boot.taken.push(number);
            let content = self.content(&name_of(number)).map_err(told)?;
            // What a person or maker wrote there is theirs, also where it cannot be read.
            let entry = content.and_then(|bytes| BootEntry::read(&bytes).ok());
            boot.entries.extend(entry.map(|entry| (number, entry)));
        }
        let order = self.content(ORDER).map_err(told)?.unwrap_or_default();
        boot.order = BootOrder::read(&order).map_err(|why| format!("{ORDER} of the firmware: {why}"))?;
        let next = self.content(NEXT).map_err(told)?.unwrap_or_default();
        boot.next = next.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        Ok(boot)
    }

    fn content(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(bytes.get(ATTRIBUTES.len()..).map(<[u8]>::to_vec)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn put(&self, number: u16, entry: &BootEntry) -> Result<(), String> {
        self.write(&name_of(number), &entry.bytes())
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn remove(&self, number: u16) -> Result<(), String> {
        self.delete(&name_of(number))
    }

    /// Forgets what is started once.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn no_next(&self) -> Result<(), String> {
        self.delete(NEXT)
    }

    /// Sets the order; an empty one is none.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn set_order(&self, order: &BootOrder) -> Result<(), String> {
        match order.0.is_empty() {
            true => self.delete(ORDER),
            false => self.write(ORDER, &order.bytes()),
        }
    }

    /// In one write: firmware takes a variable whole or not at all (UEFI 2.10 section 8.2, `SetVariable`).
    fn write(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let path = self.path(name);
        let whole = [ATTRIBUTES.as_slice(), content].concat();
        // There a write replaces the content, and to truncate it is a question to the firmware; files of a test are files.
        let open = || File::options().write(true).create(true).truncate(cfg!(test)).open(&path);
        open().and_then(|mut file| file.write_all(&whole)).map_err(|why| {
            let hint = match why.kind() {
                io::ErrorKind::StorageFull => {
                    ": the firmware has no room for variables; remove boot entries in its menu"
                }
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                    ": this firmware, or a setting of it, keeps variables as they are"
                }
                _ => "",
            };
            format!("{name} of the firmware cannot be written: {why}{hint}")
        })
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        match fs::remove_file(self.path(name)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                Err(format!("{name} of the firmware cannot be removed: {why}"))
            }
            _ => Ok(()),
        }
    }
}
