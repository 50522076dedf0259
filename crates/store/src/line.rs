//! The on-disk form `v1` of the append log: a header line, then one line a record.
//!
//! ```text
//! labinator-log v1\n
//! 1c291ca3 {"any":"text without line breaks"}\n      CRC-32 of the text, a space, the text
//! ```

use std::io;

/// First line of every log. The form is frozen: a change gets another number.
pub(crate) const HEADER: &[u8] = b"labinator-log v1\n";

/// Appends the line of one record to `line`.
pub(crate) fn write(line: &mut Vec<u8>, record: &[u8]) {
    line.extend_from_slice(format!("{:08x} ", crc32fast::hash(record)).as_bytes());
    line.extend_from_slice(record);
    line.push(b'\n');
}

/// Why the bytes of a record cannot stand in a log.
pub(crate) fn forbidden(record: &[u8]) -> bool {
    // A line break would end the record; a NUL is what a page that never reached the disk is full of.
    record.iter().any(|byte| matches!(byte, b'\n' | 0))
}

/// The record of a line without its line break, when the sum is right.
fn read(line: &[u8]) -> Option<&[u8]> {
    let (sum, rest) = line.split_at_checked(8)?;
    let record = rest.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (sum == crc32fast::hash(record)).then_some(record)
}

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// A record is wrong and the bytes after it are not a torn tail; or the reader stopped.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    /// The line that begins at this byte.
    Damage(u64),
    /// What the system said.
    Io(io::Error),
    /// Whoever took the records did not want this one.
    Taker(E),
}

/// Bytes of a torn line that are shown to whoever takes the records.
const TORN: usize = 64;

/// Where the good lines end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The byte behind the last of them.
    pub(crate) good: u64,
    /// How what follows begins: nothing, or the first bytes of a torn tail.
    pub(crate) torn: Vec<u8>,
}

impl End {
    fn at(good: u64, rest: &[u8]) -> Self {
        Self { good, torn: rest.iter().take(TORN).copied().collect() }
    }
}

/// Reads lines from byte `from` on and hands each record out with the byte its line begins at. Returns where the good
/// lines end. A torn tail is left out: an unfinished last line, or a page of NULs and all behind it.
///
/// A sync covers every byte before it. So behind a page that never reached the disk nothing was ever synced,
/// and nothing that was promised is lost by cutting there.
pub(crate) fn scan<E>(
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    from: u64,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<End, Stop<E>> {
    let (mut piece, mut buffer) = (vec![0; PIECE], Vec::new());
    // Where in the file the buffer begins, and how many bytes of it hold no end of a line.
    let (mut at, mut searched) = (from, 0);
    loop {
        let count = read(&mut piece, at + u64_of(buffer.len())).map_err(Stop::Io)?;
        buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
        if count == 0 {
            return Ok(End::at(at, &buffer)); // What is left is an unfinished line.
        }
        let mut begin = 0;
        while let Some(end) = end_of_line(&buffer, begin.max(searched)) {
            let line = buffer.get(begin..end).unwrap_or_default();
            let offset = at + u64_of(begin);
            match self::read(line) {
                _ if buffer.get(end) == Some(&0) => {
                    return Ok(End::at(offset, buffer.get(begin..).unwrap_or_default()));
                }
                Some(record) => take(offset, record).map_err(Stop::Taker)?,
                None => return Err(Stop::Damage(offset)),
            }
            begin = end + 1;
        }
        buffer.drain(..begin);
        at += u64_of(begin);
        searched = buffer.len();
    }
}

/// The next line break or NUL from `from` on.
fn end_of_line(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter().position(|byte| matches!(byte, b'\n' | 0)).map(|at| from + at)
}

/// A length as the file layer counts.
pub(crate) fn u64_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(records: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        records.iter().for_each(|record| write(&mut body, record.as_bytes()));
        body
    }

    /// The records of a file that is read so many bytes at a time, and where the good ones end.
    fn read_in(pieces: usize, file: &[u8]) -> Result<(Vec<String>, u64), u64> {
        let mut records = Vec::new();
        let read = |bytes: &mut [u8], offset: u64| {
            let rest = &file[usize::try_from(offset).unwrap()..];
            let count = rest.len().min(bytes.len()).min(pieces);
            bytes[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        };
        let take = |offset: u64, record: &[u8]| {
            let line = &file[usize::try_from(offset).unwrap() + 9..];
            assert!(line.starts_with(record), "it begins elsewhere");
            records.push(String::from_utf8(record.to_vec()).unwrap());
            Ok::<(), ()>(())
        };
        match scan(read, 0, take) {
            Ok(End { good, torn }) => {
                let rest = &file[usize::try_from(good).unwrap()..];
                assert!(rest.starts_with(&torn) && (rest.is_empty() || !torn.is_empty()), "{torn:?}");
                Ok((records, good))
            }
            Err(Stop::Damage(offset)) => Err(offset),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn scanned(file: &[u8]) -> Result<(Vec<String>, u64), u64> {
        let whole = read_in(usize::MAX, file);
        for pieces in [1, 7] {
            assert_eq!(read_in(pieces, file), whole, "{pieces} bytes at a time");
        }
        whole
    }

    #[test]
    fn every_cut_leaves_the_whole_records_before_it() {
        let whole = body(&["one", "two", ""]);
        for cut in 0..whole.len() {
            let (records, _) = scanned(&whole[..cut]).unwrap();
            assert_eq!(records.len(), whole[..cut].iter().filter(|b| **b == b'\n').count());
        }
    }

    #[test]
    fn every_single_changed_byte_before_the_last_line_is_damage_or_a_cut_never_a_wrong_record() {
        let good = ["one", "two", "three"];
        let whole = body(&good);
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x11;
            if let Ok((records, _)) = scanned(&bad) {
                assert!(
                    good.starts_with(&records.iter().map(String::as_str).collect::<Vec<_>>()),
                    "{at}: {records:?}"
                );
                assert!(records.len() < 3);
            }
        }
    }

    #[test]
    fn a_page_of_nuls_is_a_torn_tail_even_with_records_behind_it() {
        let mut bytes = body(&["one"]);
        let good = u64_of(bytes.len());
        bytes.extend([0; 40]);
        bytes.extend(b"\n");
        bytes.extend(body(&["late"]));
        assert_eq!(scanned(&bytes), Ok((vec!["one".to_owned()], good)));
    }

    #[test]
    fn damage_is_named_by_the_byte_its_line_begins_at() {
        let mut bytes = body(&["one", "two", "three"]);
        let second = body(&["one"]).len();
        bytes[second + 9] = b'T';
        assert_eq!(scanned(&bytes), Err(u64_of(second)));
    }

    #[test]
    fn a_record_of_many_pieces_is_read_whole() {
        let long = "long ".repeat(PIECE);
        let file = body(&["one", &long, "two"]);
        let (records, good) = read_in(usize::MAX, &file).unwrap();
        assert_eq!((records.len(), records[1] == long, good), (3, true, u64_of(file.len())));
    }
}
