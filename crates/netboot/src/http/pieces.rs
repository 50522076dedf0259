//! Pieces of the shelf that readers share: machines which boot together fetch the same image, so most of what one needs was
//! just read for another. A piece that nobody comes after is not kept, and its buffer is used again while it is warm.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use store::Digest;
use store::shelf::Content;

/// Most bytes read at once.
const LARGEST: usize = 256 << 10;
/// Fewest bytes read at once.
const SMALLEST: usize = 8 << 10;
/// Bytes that all readers together may hold in pieces, and as many again are kept for those who come next.
const TOGETHER: usize = 8 << 20;
/// Buffers kept for the next piece. A fresh one costs more than reading into it: the system clears its pages first.
const SPARE: usize = 4;

/// The pieces at hand, and who reads.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    state: Mutex<State>,
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct State {
    /// By content and first byte; they may overlap.
    kept: BTreeMap<(Digest, u64), Bytes>,
    /// What is kept, the oldest first, and how many bytes.
    order: VecDeque<(Digest, u64)>,
    sum: usize,
    /// Content, next byte and number of each reader.
    at: BTreeSet<(Digest, u64, u64)>,
    /// Number of the next reader.
    serial: u64,
}

impl State {
    /// Bytes of a piece: large where few read, so that each call does much; small where thousands do, since each holds
    /// its piece until its peer has taken it. A power of two, so that readers come to the same borders.
    fn size(&self) -> usize {
        let share = TOGETHER / self.at.len().max(1);
        let size = share.clamp(SMALLEST, LARGEST);
        1 << size.ilog2()
    }

    fn kept(&self, of: Digest, at: u64) -> Option<Bytes> {
        let ((_, first), bytes) = self.kept.range((of, 0)..=(of, at)).next_back()?;
        let skipped = usize::try_from(at - first).ok()?;
        (skipped < bytes.len()).then(|| bytes.slice(skipped..))
    }

    /// True when somebody else will come here while the piece is still kept.
    fn is_awaited(&self, by: u64, of: Digest, at: u64) -> bool {
        let near = at.saturating_sub(u64::try_from(TOGETHER).unwrap_or(u64::MAX));
        self.at.range((of, near, 0)..=(of, at, u64::MAX)).any(|(_, _, other)| *other != by)
    }

    fn keep(&mut self, of: Digest, at: u64, bytes: Bytes) {
        while self.sum + bytes.len() > TOGETHER {
            let Some(oldest) = self.order.pop_front() else { break };
            self.sum -= self.kept.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
        self.sum += bytes.len();
        // Two readers may have read the same piece at the same time.
        match self.kept.insert((of, at), bytes) {
            Some(old) => self.sum -= old.len(),
            None => self.order.push_back((of, at)),
        }
    }
}

impl Pieces {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffer(&self, size: usize) -> Vec<u8> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|buffer| buffer.capacity() == size);
        spare.pop().unwrap_or_else(|| Vec::with_capacity(size))
    }
}

/// A buffer that goes back to where it came from when nobody needs its bytes any more.
struct Buffer {
    bytes: Vec<u8>,
    home: Arc<Pieces>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut spare = self.home.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(bytes);
        }
    }
}

/// One reader of a content; those behind it count on it, and it counts for the size of pieces, while it lives.
#[derive(Debug)]
pub(super) struct Reading {
    content: Content,
    pieces: Arc<Pieces>,
    serial: u64,
    /// Where it was last.
    at: u64,
}

impl Reading {
    pub(super) fn begin(content: Content, pieces: &Arc<Pieces>) -> Self {
        let mut state = pieces.state();
        let serial = state.serial;
        state.serial += 1;
        state.at.insert((content.digest(), 0, serial));
        drop(state);
        Self { content, pieces: Arc::clone(pieces), serial, at: 0 }
    }

    /// Bytes from `at` on: at least one, at most `most`.
    ///
    /// # Errors
    /// As the system says; `UnexpectedEof` if the content ends here, shorter than it was when it was opened.
    pub(super) fn piece(&mut self, at: u64, most: u64) -> io::Result<Bytes> {
        let of = self.content.digest();
        let (size, kept, awaited) = {
            let mut state = self.pieces.state();
            state.at.remove(&(of, self.at, self.serial));
            state.at.insert((of, at, self.serial));
            (state.size(), state.kept(of, at), state.is_awaited(self.serial, of, at))
        };
        self.at = at;
        if let Some(mut bytes) = kept {
            bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX).min(size));
            return Ok(bytes);
        }
        let step = u64::try_from(size).unwrap_or(u64::MAX);
        let border = (at / step + 1) * step;
        let end = border.min(self.content.size()).min(at.saturating_add(most));
        let bytes = self.read(at, end, size)?;
        if awaited {
            self.pieces.state().keep(of, at, bytes.clone());
        }
        Ok(bytes)
    }

    fn read(&self, at: u64, end: u64, size: usize) -> io::Result<Bytes> {
        let most = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        // The system fills all of a buffer: a few bytes get a small one.
        let bytes = if most < size / 2 { Vec::with_capacity(most) } else { self.pieces.buffer(size) };
        let mut buffer = Buffer { bytes, home: Arc::clone(&self.pieces) };
        if rustix::io::pread(&self.content, spare_capacity(&mut buffer.bytes), at)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.bytes.truncate(most);
        Ok(Bytes::from_owner(buffer))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.pieces.state().at.remove(&(self.content.digest(), self.at, self.serial));
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use store::shelf::Shelf;

    use super::*;

    /// Removed with its content.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("labinator-pieces-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    /// A shelf with one content of so many bytes, each telling its place.
    fn content(folder: &Path, size: usize) -> (Content, Vec<u8>) {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + at / 251).to_le_bytes()[0]).collect();
        let shelf = Shelf::new(folder);
        let digest = shelf.put(bytes.as_slice()).unwrap();
        (shelf.open(digest).unwrap(), bytes)
    }

    fn length(bytes: &Bytes) -> u64 {
        u64::try_from(bytes.len()).unwrap_or(u64::MAX)
    }

    fn read(reading: &mut Reading, mut at: u64, end: u64) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while at < end {
            let piece = reading.piece(at, end - at).unwrap();
            at += length(&piece);
            pieces.push(piece);
        }
        pieces
    }

    #[test]
    fn a_second_reader_gets_the_pieces_of_the_first_wherever_it_begins() {
        let folder = Folder::new("shared");
        let (first, bytes) = content(&folder.0, 3 * LARGEST + 1000);
        let pieces = Arc::new(Pieces::default());
        let second = Shelf::new(&folder.0).open(first.digest()).unwrap();
        let (mut first, mut second) = (Reading::begin(first, &pieces), Reading::begin(second, &pieces));
        let size = length(&Bytes::copy_from_slice(&bytes));
        let whole = read(&mut first, 0, size);
        assert_eq!(whole.concat(), bytes);
        let again = read(&mut second, 0, size);
        let places =
            |list: &[Bytes]| list.iter().map(|piece| (piece.as_ptr(), piece.len())).collect::<Vec<_>>();
        assert_eq!(places(&again), places(&whole), "the same memory");
        for (from, to) in [(5, 9), (100, size), (size - 1, size), (LARGEST as u64 - 3, LARGEST as u64 + 3)] {
            let part = read(&mut second, from, to).concat();
            assert_eq!(
                part,
                bytes[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()],
                "{from}..{to}"
            );
        }
        assert_eq!(pieces.state().kept.len(), 4, "nothing was read again");
    }

    #[test]
    fn what_is_kept_is_bounded_and_pieces_get_smaller_with_each_reader() {
        let folder = Folder::new("bounded");
        let (first, bytes) = content(&folder.0, 3 * TOGETHER);
        let pieces = Arc::new(Pieces::default());
        let open = || Shelf::new(&folder.0).open(first.digest()).unwrap();
        let (mut reading, behind) = (Reading::begin(open(), &pieces), Reading::begin(open(), &pieces));
        assert_eq!(read(&mut reading, 0, length(&Bytes::copy_from_slice(&bytes))).concat(), bytes);
        let kept: usize = pieces.state().kept.values().map(Bytes::len).sum();
        assert_eq!((kept, pieces.state().sum), (TOGETHER, TOGETHER));
        drop(behind);
        pieces.state().kept.clear();
        drop(read(&mut reading, 0, length(&Bytes::copy_from_slice(&bytes))));
        assert!(pieces.state().kept.is_empty(), "nobody comes after");
        assert!(pieces.spare.lock().unwrap().len() <= SPARE);
        let mut crowd = Vec::new();
        let mut last = LARGEST;
        while crowd.len() < 1100 {
            let size = reading.piece(0, u64::MAX).unwrap().len();
            assert!(
                size <= last && size >= SMALLEST && size * (crowd.len() + 1) <= TOGETHER.max(SMALLEST * 1100)
            );
            last = size;
            crowd.push(Reading::begin(open(), &pieces));
        }
        assert_eq!(last, SMALLEST);
        crowd.clear();
        assert_eq!(pieces.state().size(), LARGEST, "those who leave are not counted");
    }

    #[test]
    fn a_content_that_lost_its_end_is_an_error_and_not_a_shorter_file() {
        let folder = Folder::new("short");
        let (content, _) = content(&folder.0, 5000);
        let path = folder.0.join(content.digest().to_string());
        let pieces = Arc::new(Pieces::default());
        let mut reading = Reading::begin(content, &pieces);
        std::fs::File::options().write(true).open(path).unwrap().set_len(1000).unwrap();
        assert_eq!(reading.piece(0, 5000).unwrap().len(), 1000);
        assert_eq!(reading.piece(1000, 4000).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
