//! The on-disk form `v1` of the append log: a header line, then one line a record.
//!
//! ```text
//! labinator-log v1\n
//! 1c291ca3 {"any":"text without line breaks"}\n      CRC-32 of the text, a space, the text
//! ```

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

/// What stands behind the header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The records, in order.
    pub(crate) records: Vec<Vec<u8>>,
    /// Bytes from the first record's start that are good.
    pub(crate) good: usize,
}

/// A record is wrong and the bytes after it are not a torn tail. Holds its offset in the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) usize);

/// Reads the body. A torn tail is cut off: an unfinished last line, or a page of NULs and all behind it.
///
/// A sync covers every byte before it. So behind a page that never reached the disk nothing was ever synced,
/// and nothing that was promised is lost by cutting there.
pub(crate) fn scan(body: &[u8]) -> Result<Scan, Damage> {
    let mut records = Vec::new();
    let mut good = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let whole = line.strip_suffix(b"\n");
        match whole.and_then(read) {
            Some(record) => {
                records.push(record.to_vec());
                good += line.len();
            }
            None if whole.is_none() || line.contains(&0) => break,
            None => return Err(Damage(good)),
        }
    }
    Ok(Scan { records, good })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(records: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        records.iter().for_each(|record| write(&mut body, record.as_bytes()));
        body
    }

    #[test]
    fn every_cut_leaves_the_whole_records_before_it() {
        let whole = body(&["one", "two", ""]);
        for cut in 0..whole.len() {
            let scan = scan(&whole[..cut]).unwrap();
            assert_eq!(scan.records.len(), whole[..cut].iter().filter(|b| **b == b'\n').count());
        }
    }

    #[test]
    fn every_single_changed_byte_before_the_last_line_is_damage_or_a_cut_never_a_wrong_record() {
        let whole = body(&["one", "two", "three"]);
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 0x11;
            if let Ok(scan) = scan(&bad) {
                let good = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
                assert!(good.starts_with(&scan.records), "changed byte {at}: {:?}", scan.records);
                assert!(scan.records.len() < 3);
            }
        }
    }

    #[test]
    fn a_page_of_nuls_is_a_torn_tail_even_with_records_behind_it() {
        let mut bytes = body(&["one"]);
        let good = bytes.len();
        bytes.extend([0; 40]);
        bytes.extend(b"\n");
        bytes.extend(body(&["late"]));
        assert_eq!(scan(&bytes), Ok(Scan { records: vec![b"one".to_vec()], good }));
    }
}
