//! The serial console of a guest: QEMU writes it to a file from its first byte on; here its head is given back to the
//! disk, and what it says about an end is found.
//!
//! The file is a ring by holes: it grows at its end, bytes are counted from the guest's first one, and only the last
//! [`KEPT`] take room. Nothing is lost while no agent runs.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes of a console that are kept.
pub(super) const KEPT: u64 = 1 << 20;
/// Holes are made of this size at least: each is a call, and file systems free whole pages only.
const STEP: u64 = 256 << 10;
/// Read at once when it is searched; a console that says more between two looks is searched at its end.
const SEARCHED: u64 = 64 << 10;
/// Carried from one look to the next, so that a line that was cut is found.
const CARRIED: usize = 512;

/// What a console says about how a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Nothing,
    Panic,
}

/// `SeaBIOS` (`src/boot.c`), OVMF (`PlatformBootManagerLib`), Linux (`kernel/panic.c`).
const SIGNS: [(&str, Sign); 3] = [
    ("No bootable device", Sign::Nothing),
    ("No bootable option or device was found", Sign::Nothing),
    ("Kernel panic - not syncing", Sign::Panic),
];

/// A guest's console.
#[derive(Debug)]
pub(super) struct Serial {
    path: PathBuf,
    /// Up to here it was searched.
    at: u64,
    /// Up to here it was given back.
    freed: u64,
    carry: Vec<u8>,
    /// The line in which firmware says that it found nothing to boot, since the last reset.
    pub(super) nothing: Option<String>,
    /// The line of a kernel's panic, since the start.
    pub(super) panic: Option<String>,
}

impl Serial {
    /// The console in this file, from its present end on.
    pub(super) fn at_end(path: PathBuf) -> Self {
        let at = path.metadata().map_or(0, |about| about.len());
        Self { path, at, freed: 0, carry: Vec::new(), nothing: None, panic: None }
    }

    /// Looks at what is new, and gives back what is too much.
    ///
    /// # Errors
    /// When the file cannot be read; the guest does not depend on it.
    pub(super) fn look(&mut self) -> io::Result<()> {
        let file = File::options().read(true).write(true).open(&self.path)?;
        let size = file.metadata()?.size();
        let from = self.at.max(size.saturating_sub(SEARCHED));
        if from > self.at {
            self.carry.clear();
        }
        let mut new = vec![0; usize::try_from(size.saturating_sub(from)).unwrap_or_default()];
        file.read_exact_at(&mut new, from)?;
        self.at = size;
        self.search(&new);
        let head = size.saturating_sub(KEPT);
        if head.saturating_sub(self.freed) >= STEP {
            fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, head)?;
            self.freed = head;
        }
        Ok(())
    }

    fn search(&mut self, new: &[u8]) {
        if new.is_empty() {
            return;
        }
        self.carry.extend_from_slice(new);
        for (words, sign) in SIGNS {
            let found = find(&self.carry, words.as_bytes());
            let line = found.and_then(|at| self.carry.get(at..)).map(line);
            match (sign, line) {
                (Sign::Nothing, Some(line)) => self.nothing = Some(line),
                (Sign::Panic, Some(line)) => {
                    self.panic.get_or_insert(line);
                }
                (_, None) => {}
            }
        }
        let cut = self.carry.len().saturating_sub(CARRIED);
        self.carry.drain(..cut);
    }

    /// A machine that begins again has found nothing yet.
    pub(super) fn reset(&mut self) {
        self.nothing = None;
        self.carry.clear();
    }
}

fn find(bytes: &[u8], words: &[u8]) -> Option<usize> {
    bytes.windows(words.len()).position(|window| window == words)
}

/// The rest of a line, without what is not for reading.
fn line(rest: &[u8]) -> String {
    let end = rest.iter().take(200).take_while(|byte| !matches!(byte, b'\r' | b'\n' | 0x1b)).count();
    let text = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("agent-serial-{name}-{}", std::process::id()));
        File::create(&path).unwrap();
        path
    }

    #[test]
    fn only_the_last_mebibyte_takes_room_and_places_stay_what_they_were() {
        let path = file("ring");
        let mut writer = File::options().append(true).open(&path).unwrap();
        let mut serial = Serial::at_end(path.clone());
        let mebibyte = vec![b'x'; 1 << 20];
        for _ in 0..8 {
            writer.write_all(&mebibyte).unwrap();
            writer.write_all(b"end\n").unwrap();
            serial.look().unwrap();
        }
        let about = path.metadata().unwrap();
        assert_eq!(about.len(), 8 * ((1 << 20) + 4));
        assert!(about.blocks() * 512 <= KEPT + STEP, "{} bytes take room", about.blocks() * 512);
        let mut last = [0; 5];
        File::open(&path).unwrap().read_exact_at(&mut last, about.len() - 5).unwrap();
        assert_eq!(&last, b"xend\n");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn signs_are_found_in_whatever_pieces_they_come_and_the_past_is_not_searched() {
        let path = file("signs");
        let mut writer = File::options().append(true).open(&path).unwrap();
        writer.write_all(b"Kernel panic - not syncing: of the last run\r\n").unwrap();
        let mut serial = Serial::at_end(path.clone());
        for piece in ["boot\r\nNo boota", "ble device.  Retry", "ing in 10 seconds.\x1b[0m\r\n"] {
            writer.write_all(piece.as_bytes()).unwrap();
            serial.look().unwrap();
        }
        assert_eq!(serial.nothing.as_deref(), Some("No bootable device.  Retrying in 10 seconds."));
        assert_eq!(serial.panic, None);
        serial.reset();
        writer.write_all(b"[ 1.0] Kernel panic - not syncing: VFS: no root\r\nmore").unwrap();
        serial.look().unwrap();
        assert_eq!(serial.panic.as_deref(), Some("Kernel panic - not syncing: VFS: no root"));
        assert_eq!(serial.nothing, None);
        std::fs::remove_file(path).unwrap();
    }
}
