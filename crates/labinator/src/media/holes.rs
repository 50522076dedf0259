//! A file in which what is zero is a hole: a medium is mostly empty.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Bytes that are left out at once.
const PIECE: usize = 4096;

/// The file.
#[derive(Debug)]
pub struct Holes(File);

impl Holes {
    /// An empty file, that will have so many bytes.
    ///
    /// # Errors
    /// The file system has no such large files.
    pub fn new(file: File, size: u64) -> io::Result<Self> {
        file.set_len(size)?;
        Ok(Self(file))
    }
}

impl Write for Holes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_empty = |piece: &[u8]| piece.iter().all(|byte| *byte == 0);
        let empty = bytes.chunks(PIECE).take_while(|piece| is_empty(piece)).map(<[u8]>::len).sum::<usize>();
        if empty > 0 {
            self.0.seek_relative(i64::try_from(empty).map_err(io::Error::other)?)?;
            return Ok(empty);
        }
        let full = bytes.chunks(PIECE).take_while(|piece| !is_empty(piece)).map(<[u8]>::len).sum::<usize>();
        self.0.write(bytes.get(..full).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Holes {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn zeros_take_no_room_and_are_read_all_the_same() {
        let path = std::env::temp_dir().join(format!("holes-{}", std::process::id()));
        let size = 3 << 20;
        let mut holes = Holes::new(File::create(&path).unwrap(), size).unwrap();
        let mut bytes = vec![0; 2 << 20];
        bytes[1 << 20] = 7;
        holes.write_all(&bytes).unwrap();
        let kept = std::fs::metadata(&path).unwrap();
        let read = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes.resize(3 << 20, 0);
        assert!(read == bytes && kept.blocks() * 512 < 1 << 20, "{} blocks", kept.blocks());
    }
}
