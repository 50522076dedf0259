//! A node's disk: one value, whole or not at all, whenever the power is cut.
//!
//! ```text
//! 0                     half                    end      slot: "SIMTALOS" generation(8) length(8) CRC-32(4) value
//! ├─ slot of even ──────┼─ slot of odd ─────────┤        numbers are little-endian; the CRC covers all behind it and
//! └─ generations        └─ generations                   the two numbers before it
//! ```
//!
//! A write goes to the slot of the older generation and is synced; a torn one has no right CRC, and the other counts.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"SIMTALOS";
/// Bytes before the value.
const HEAD: usize = 28;
/// What a disk's sectors are never larger than; slots begin at a multiple.
const ALIGNED: u64 = 4096;
/// Largest value, whatever the disk has room for.
const LARGEST: u64 = 64 << 20;

/// A disk that belongs to a node.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    file: File,
    /// Bytes of one slot.
    slot: u64,
    /// The last that was written; 0 for none.
    generation: u64,
}

impl Disk {
    /// Opens a disk, or a file that stands for one, with the value it holds, if it holds one.
    ///
    /// # Errors
    /// It cannot be read or written, or has room for nothing.
    pub fn open(path: &Path) -> io::Result<(Self, Option<Vec<u8>>)> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let slot = size / 2 / ALIGNED * ALIGNED;
        if slot == 0 {
            return Err(io::Error::other(format!("a disk of {size} bytes is too small")));
        }
        let mut disk = Self { path: path.to_owned(), file, slot, generation: 0 };
        let mut newest = None;
        for odd in [0, 1] {
            if let Some((generation, value)) = disk.read(odd)?
                && generation > disk.generation
            {
                disk.generation = generation;
                newest = Some(value);
            }
        }
        Ok((disk, newest))
    }

    /// The first of these that holds a value.
    #[must_use]
    pub fn find(paths: &[PathBuf]) -> Option<(Self, Vec<u8>)> {
        // What cannot be opened is not ours.
        let opened = paths.iter().filter_map(|path| Self::open(path).ok());
        opened.into_iter().find_map(|(disk, value)| Some((disk, value?)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&mut self, odd: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut head = [0; HEAD];
        self.file.seek(SeekFrom::Start(odd * self.slot))?;
        self.file.read_exact(&mut head)?;
        let [m0, m1, m2, m3, m4, m5, m6, m7, numbers @ ..] = head;
        let [g0, g1, g2, g3, g4, g5, g6, g7, l0, l1, l2, l3, l4, l5, l6, l7, crc @ ..] = numbers;
        let generation = u64::from_le_bytes([g0, g1, g2, g3, g4, g5, g6, g7]);
        let length = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let ours = [m0, m1, m2, m3, m4, m5, m6, m7] == *MAGIC && generation % 2 == odd;
        let Some(length) = usize::try_from(length).ok().filter(|_| ours && length <= self.room()) else {
            return Ok(None);
        };
        let mut value = vec![0; length];
        self.file.read_exact(&mut value)?;
        Ok((sum(generation, &value) == u32::from_le_bytes(crc)).then_some((generation, value)))
    }

    fn room(&self) -> u64 {
        (self.slot - ALIGNED).min(LARGEST)
    }

    /// Puts a value in the place of the one it holds. It is on the disk when this returns.
    ///
    /// # Errors
    /// It is too large, or the disk is broken; then it holds the one before.
    pub fn write(&mut self, value: &[u8]) -> io::Result<()> {
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        if length > self.room() {
            let room = self.room();
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{}: {length} bytes do not fit into {room}", self.path.display()),
            ));
        }
        let generation = self.generation + 1;
        let mut bytes = Vec::with_capacity(HEAD + value.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&generation.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&sum(generation, value).to_le_bytes());
        bytes.extend_from_slice(value);
        self.file.seek(SeekFrom::Start(generation % 2 * self.slot))?;
        self.file.write_all(&bytes)?;
        self.file.sync_all()?;
        self.generation = generation;
        Ok(())
    }

    /// Holds nothing from now on.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn wipe(&mut self) -> io::Result<()> {
        for odd in [0, 1] {
            self.file.seek(SeekFrom::Start(odd * self.slot))?;
            self.file.write_all(&[0; HEAD])?;
        }
        self.file.sync_all()?;
        self.generation = 0;
        Ok(())
    }
}

fn sum(generation: u64, value: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&generation.to_le_bytes());
    sum.update(&u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
    sum.update(value);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Blank(PathBuf);

    impl Blank {
        fn new(name: &str, size: u64) -> Self {
            let path = std::env::temp_dir().join(format!("labinator-disk-{name}-{}", std::process::id()));
            File::create(&path).unwrap().set_len(size).unwrap();
            Self(path)
        }

        fn holds(&self) -> Option<Vec<u8>> {
            Disk::open(&self.0).unwrap().1
        }
    }

    impl Drop for Blank {
        fn drop(&mut self) {
            drop(std::fs::remove_file(&self.0));
        }
    }

    #[test]
    fn the_last_value_is_found_again_and_a_wiped_disk_holds_none() {
        let blank = Blank::new("last", 1 << 20);
        assert_eq!(blank.holds(), None);
        let (mut disk, _) = Disk::open(&blank.0).unwrap();
        for value in [b"one".as_slice(), b"two", b"three"] {
            disk.write(value).unwrap();
            assert_eq!(blank.holds().unwrap(), value);
        }
        let found = Disk::find(&[PathBuf::from("/nowhere"), blank.0.clone()]).unwrap();
        assert_eq!((found.0.path(), found.1.as_slice()), (blank.0.as_path(), b"three".as_slice()));
        disk.wipe().unwrap();
        assert_eq!(blank.holds(), None);
    }

    #[test]
    fn a_write_that_was_cut_off_anywhere_leaves_the_value_before() {
        let blank = Blank::new("torn", 64 << 10);
        let (mut disk, _) = Disk::open(&blank.0).unwrap();
        disk.write(b"before").unwrap();
        let old = std::fs::read(&blank.0).unwrap();
        disk.write(b"afterwards").unwrap();
        let new = std::fs::read(&blank.0).unwrap();
        let differ: Vec<usize> = (0..new.len()).filter(|at| old[*at] != new[*at]).collect();
        for cut in &differ {
            let torn: Vec<u8> = (0..new.len()).map(|at| if at < *cut { new[at] } else { old[at] }).collect();
            std::fs::write(&blank.0, torn).unwrap();
            assert_eq!(blank.holds().unwrap(), b"before", "cut at byte {cut}");
        }
        std::fs::write(&blank.0, &new).unwrap();
        assert_eq!(blank.holds().unwrap(), b"afterwards");
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_the_one_before_stays() {
        let blank = Blank::new("full", 32 << 10);
        let (mut disk, _) = Disk::open(&blank.0).unwrap();
        disk.write(&[1; 12 << 10]).unwrap();
        let why = disk.write(&[2; 13 << 10]).unwrap_err();
        assert!(why.to_string().contains("13312 bytes do not fit into 12288"), "{why}");
        assert_eq!(blank.holds().unwrap(), [1; 12 << 10]);
        let small = Blank::new("small", 4096);
        assert!(Disk::open(&small.0).unwrap_err().to_string().contains("too small"));
    }
}
