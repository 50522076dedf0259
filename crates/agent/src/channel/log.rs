//! A guest's console as QEMU writes it (`logfile=` of its character device): one file that only grows at its end, whose
//! old parts become holes. So a byte keeps its offset, and memory stays bounded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes of each console that can be read again. Whoever makes the holes leaves four times as many.
pub(super) const KEPT: u64 = 256 << 10;

/// What can be read of a console at one place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// These bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing yet.
    End,
    /// It is too old, or was never there.
    Lost,
}

/// Reads up to `most` bytes at `offset`.
pub(super) fn read(file: &File, offset: u64, most: usize) -> io::Result<Part> {
    let size = file.metadata()?.len();
    if offset > size || offset < oldest(size) {
        return Ok(Part::Lost);
    }
    let mut bytes = vec![0; most];
    let count = file.read_at(&mut bytes, offset)?;
    bytes.truncate(count);
    // Holes are made further back: what was read is whole unless the file has run away meanwhile.
    if offset < oldest(file.metadata()?.len().saturating_sub(KEPT)) {
        return Ok(Part::Lost);
    }
    Ok(if bytes.is_empty() { Part::End } else { Part::Bytes(bytes) })
}

/// Where a console of this size can be read from.
pub(super) const fn oldest(size: u64) -> u64 {
    size.saturating_sub(KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn bytes_of_a_console_keep_their_places_and_what_is_too_old_is_said_to_be_lost() {
        let path = std::env::temp_dir().join(format!("agent-console-log-{}", std::process::id()));
        let mut file = File::options().create(true).append(true).read(true).open(&path).unwrap();
        let line = |number: u64| format!("{number:015}\n");
        let all: String = (0..1 << 15).map(line).collect();
        file.write_all(all.as_bytes()).unwrap();
        let size = 16 << 15;
        let at = |offset| read(&file, offset, 16).unwrap();
        let oldest = size - KEPT;
        assert_eq!(at(oldest), Part::Bytes(line(oldest / 16).into_bytes()));
        assert_eq!(at(oldest - 1), Part::Lost);
        assert_eq!(at(size), Part::End);
        assert_eq!(at(size + 1), Part::Lost);
        std::fs::remove_file(&path).unwrap();
    }
}
