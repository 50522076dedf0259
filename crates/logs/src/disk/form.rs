//! How records lie in a segment.
//!
//! ```text
//! labinator logs 1\n          what it is
//! EPOCH\n                     of whose numbers the records are
//! check, length, body         u32, u16: little-endian; again and again
//!        body: number (u64), length of node's name, of program's (u8 each), the names, the record as in the ring
//! ```
//!
//! Whoever is killed while it writes leaves one record torn, the last: its check is wrong, and nothing follows it.

use crate::hash;
use crate::ring::Record;

const MARK: &[u8] = b"labinator logs 1\n";
/// Bytes before a body.
const HEAD: usize = 6;
/// Longest name written, in bytes.
const LONGEST_NAME: usize = 255;

/// A record with its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    pub(crate) number: u64,
    pub(crate) node: &'a str,
    pub(crate) program: &'a str,
    pub(crate) record: Record<'a>,
}

/// One piece of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Record(Kept<'a>),
    /// What follows was not written to its end.
    Torn,
}

/// What a segment begins with.
pub(super) fn begin(epoch: &str) -> Vec<u8> {
    [MARK, epoch.as_bytes(), b"\n"].concat()
}

fn check(body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = hash::done(hash::add(0, body)).to_le_bytes();
    [a, b, c, d]
}

fn named(name: &str) -> &[u8] {
    name.as_bytes().get(..LONGEST_NAME).unwrap_or(name.as_bytes())
}

impl Kept<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (node, program) = (named(self.node), named(self.program));
        let mut body = Vec::with_capacity(64 + self.record.text.len());
        body.extend_from_slice(&self.number.to_le_bytes());
        for name in [node, program] {
            body.push(u8::try_from(name.len()).unwrap_or_default());
        }
        body.extend_from_slice(node);
        body.extend_from_slice(program);
        self.record.write(&mut body);
        out.extend_from_slice(&check(&body));
        out.extend_from_slice(&u16::try_from(body.len()).unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&body);
    }
}

/// The epoch of a segment and its pieces; `None` when it is none.
pub(super) fn read(bytes: &[u8]) -> Option<(&str, impl Iterator<Item = Piece<'_>>)> {
    let rest = bytes.strip_prefix(MARK)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (epoch, rest) = rest.split_at_checked(end)?;
    let mut rest = rest.get(1..)?;
    let pieces = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match one(rest) {
            Some((kept, after)) => {
                rest = after;
                Some(Piece::Record(kept))
            }
            None => {
                rest = &[];
                Some(Piece::Torn)
            }
        }
    });
    Some((std::str::from_utf8(epoch).ok()?, pieces))
}

fn one(bytes: &[u8]) -> Option<(Kept<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    let [c0, c1, c2, c3, l0, l1] = *head;
    let (body, after) = rest.split_at_checked(usize::from(u16::from_le_bytes([l0, l1])))?;
    if check(body) != [c0, c1, c2, c3] {
        return None;
    }
    let (number, body) = body.split_first_chunk::<8>()?;
    let ([node, program], body) = body.split_first_chunk::<2>()?;
    let (node, body) = body.split_at_checked(usize::from(*node))?;
    let (program, body) = body.split_at_checked(usize::from(*program))?;
    let (record, _) = Record::read(body)?;
    let node = std::str::from_utf8(node).unwrap_or("others");
    let program = std::str::from_utf8(program).unwrap_or_default();
    Some((Kept { number: u64::from_le_bytes(*number), node, program, record }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Kind;

    fn kept(number: u64, text: &[u8]) -> Kept<'_> {
        let record = Record {
            kind: Kind::Line,
            severity: 4,
            source: 0,
            node: 3,
            program: 2,
            boot: 7,
            template: 9,
            count: 1,
            at: 1_795_672_496_000,
            text,
        };
        Kept { number, node: "node3", program: "app", record }
    }

    #[test]
    fn a_segment_cut_anywhere_gives_what_is_whole_and_says_that_it_is_torn() {
        let texts: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![b'a' + n; usize::from(n) * 40]).collect();
        let mut bytes = begin("e1");
        let mut ends = vec![bytes.len()];
        for (number, text) in (1..).zip(&texts) {
            kept(number, text).write(&mut bytes);
            ends.push(bytes.len());
        }
        for cut in ends[0]..=bytes.len() {
            let (epoch, pieces) = read(&bytes[..cut]).unwrap();
            assert_eq!(epoch, "e1");
            let pieces: Vec<Piece<'_>> = pieces.collect();
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            for (number, (piece, text)) in (1..).zip(pieces.iter().zip(&texts)).take(whole) {
                assert_eq!(*piece, Piece::Record(kept(number, text)));
            }
            let torn = !ends.contains(&cut);
            assert_eq!(
                (pieces.len(), pieces.last() == Some(&Piece::Torn)),
                (whole + usize::from(torn), torn)
            );
        }
        // A block of zeros, as a power cut leaves it.
        bytes.extend_from_slice(&[0; 512]);
        assert_eq!(read(&bytes).unwrap().1.last(), Some(Piece::Torn));
        assert!(read(b"something else\n").is_none());
    }
}
