//! An initramfs archive (cpio, "newc") that depends on nothing but its entries: no times, no owners, no
//! inode numbers of the machine it was built on.
//!
//! The form is described in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeMap;

use super::kernel::Module;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

/// An archive being put together.
#[derive(Debug, Clone, Default)]
pub(super) struct Archive {
    /// By path without a leading slash; the order of a map is the order of the archive, and a folder
    /// sorts before what is in it.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    mode: u32,
    device: (u32, u32),
    content: Vec<u8>,
}

impl Archive {
    /// An empty archive.
    #[must_use]
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// What the kernel unpacks first: the agent as `/init`, its modules and their list in loading order, and the nodes
    /// it needs before it has mounted `/dev`.
    pub(super) fn early(agent: Vec<u8>, modules: Vec<Module>) -> Self {
        let mut archive = Self::new();
        for folder in ["dev", "proc", "sys"] {
            archive.folder(folder);
        }
        archive.device("dev/console", 5, 1);
        archive.device("dev/null", 1, 3);
        archive.program("init", agent);
        let mut list = String::new();
        for module in modules {
            let path = format!("lib/modules/{}.ko", module.name);
            list.push_str(&format!("/{path}\n"));
            archive.file(&path, module.object);
        }
        archive.file("etc/labinator/modules", list.into_bytes());
        archive
    }

    /// Adds a folder, with those above it.
    pub(super) fn folder(&mut self, path: &str) {
        self.above(path);
        self.put(path, FOLDER, (0, 0), Vec::new());
    }

    /// Adds a file that is read.
    pub(super) fn file(&mut self, path: &str, content: Vec<u8>) {
        self.above(path);
        self.put(path, FILE, (0, 0), content);
    }

    /// Adds a file that is run.
    pub(super) fn program(&mut self, path: &str, content: Vec<u8>) {
        self.above(path);
        self.put(path, PROGRAM, (0, 0), content);
    }

    /// Adds a character device. Being only bytes here, it needs no right to make one.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.above(path);
        self.put(path, DEVICE, (major, minor), Vec::new());
    }

    fn above(&mut self, path: &str) {
        let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        for folder in slashes.into_iter().filter_map(|at| path.get(..at)) {
            if !self.entries.contains_key(folder) {
                self.put(folder, FOLDER, (0, 0), Vec::new());
            }
        }
    }

    fn put(&mut self, path: &str, mode: u32, device: (u32, u32), content: Vec<u8>) {
        self.entries.insert(path.to_owned(), Entry { mode, device, content });
    }

    /// The archive's bytes. `None` when a file is larger than the form can say (4 GiB).
    #[must_use]
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            write(&mut out, number, path, entry)?;
        }
        let end = Entry { mode: 0, device: (0, 0), content: Vec::new() };
        write(&mut out, 0, "TRAILER!!!", &end)?;
        Some(out)
    }
}

fn write(out: &mut Vec<u8>, number: u32, path: &str, entry: &Entry) -> Option<()> {
    let size = u32::try_from(entry.content.len()).ok()?;
    let name_size = u32::try_from(path.len() + 1).ok()?;
    let links = if entry.mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let (major, minor) = entry.device;
    // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    let fields = [number, entry.mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
    out.extend_from_slice(b"070701");
    out.extend(fields.iter().flat_map(|field| format!("{field:08X}").into_bytes()));
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(&entry.content);
    pad(out);
    Some(())
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_adding_changes_nothing() {
        let mut one = Archive::new();
        one.program("init", b"agent".to_vec());
        one.file("lib/modules/a.ko", vec![1, 2, 3]);
        one.device("dev/console", 5, 1);
        let mut two = Archive::new();
        two.device("dev/console", 5, 1);
        two.file("lib/modules/a.ko", vec![1, 2, 3]);
        two.program("init", b"agent".to_vec());
        assert_eq!(one.bytes(), two.bytes());
    }

    #[test]
    fn a_folder_stands_before_what_is_in_it() {
        let mut archive = Archive::new();
        archive.file("etc/labinator/modules", Vec::new());
        let paths: Vec<_> = archive.entries.keys().map(String::as_str).collect();
        assert_eq!(paths, ["etc", "etc/labinator", "etc/labinator/modules"]);
    }

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let mut archive = Archive::new();
        archive.file("ab", b"xyz".to_vec());
        let bytes = archive.bytes().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let zeros = "00000000";
        let fields = ["00000001", "000081A4", zeros, zeros, "00000001", zeros, "00000003"];
        let head = format!("070701{}{}00000003{zeros}", fields.concat(), zeros.repeat(4));
        assert!(text.starts_with(&format!("{head}ab\0\0\0\0xyz\x00070701")));
        assert!(text.contains("TRAILER!!!"));
        assert_eq!(bytes.len() % 4, 0);
    }
}
