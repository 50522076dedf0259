//! Names in a directory: long ones in UTF-16, and beside each the short one that DOS, firmware and checksums go by.
//!
//! Microsoft, "FAT File System Specification" (fatgen103), "Long Directory Entries" and "The Basis-Name Generation
//! Algorithm".

use std::collections::BTreeSet;

/// Bytes of a directory entry.
pub(super) const ENTRY: usize = 32;
/// Letters of a long name that one entry holds.
const LETTERS: usize = 13;
/// UTF-16 units of the longest name.
const LONGEST: usize = 255;
/// Marks the first entry on the disk, which holds the end of the name.
const LAST: u8 = 0x40;
/// Read-only, hidden, system and label at once: what no old program looks at.
const LONG: u8 = 0x0f;
/// Beside letters and digits, what a short name may have.
const SIGNS: &[u8] = b"$%'-_@~`!(){}^#&";

/// A name of eight and three bytes, padded with spaces.
pub(super) type Short = [u8; 11];

/// Why a name cannot stand in a directory.
pub(super) fn wrong(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("a name has at least one letter")
    } else if name == "." || name == ".." {
        Some("it means a folder itself or the one above")
    } else if name.ends_with(['.', ' ']) {
        Some("a dot or space at its end would be cut off")
    } else if name.contains(|letter: char| letter.is_control() || "\"*:<>?\\|".contains(letter)) {
        Some("control characters and any of \" * : < > ? \\ | cannot be in it")
    } else if name.encode_utf16().count() > LONGEST {
        Some("255 letters are the most")
    } else {
        None
    }
}

/// What two names have in common that are the same but for their case.
pub(super) fn folded(name: &str) -> String {
    let upper = |letter: char| {
        let mut upper = letter.to_uppercase();
        // FAT has one letter for one: it does not know that `ß` is two in capitals.
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(letter)
    };
    name.chars().map(upper).collect()
}

/// A label as it stands on the disk.
pub(super) fn label(text: &str) -> Option<Short> {
    let right =
        |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ' || is_sign(*byte);
    let bytes = text.as_bytes();
    let sound = !bytes.is_empty() && !text.starts_with(' ') && bytes.iter().all(right);
    (sound && bytes.len() <= 11).then(|| padded(bytes, b""))
}

const fn is_sign(byte: u8) -> bool {
    let mut at = SIGNS;
    while let Some((sign, rest)) = at.split_first() {
        if *sign == byte {
            return true;
        }
        at = rest;
    }
    false
}

/// The short names of a folder, in the order of `names`: those that fit as they are first, so that none of them is taken
/// by a name that had to be cut.
pub(super) fn shorts<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Short> {
    let mut taken: BTreeSet<Short> = names.clone().filter_map(fitting).collect();
    names.map(|name| fitting(name).unwrap_or_else(|| cut(name, &mut taken))).collect()
}

/// A name that needs no tail.
fn fitting(name: &str) -> Option<Short> {
    let upper = name.to_ascii_uppercase();
    let (stem, ending) = upper.split_once('.').unwrap_or((&upper, ""));
    let right = |part: &str, most: usize| {
        part.len() <= most && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
    };
    let dotted = upper.contains('.') && ending.is_empty();
    (!stem.is_empty() && !dotted && right(stem, 8) && right(ending, 3))
        .then(|| padded(stem.as_bytes(), ending.as_bytes()))
}

/// What a name's first letters are, with the first number behind them that nobody has.
fn cut(name: &str, taken: &mut BTreeSet<Short>) -> Short {
    let kept = |part: &str| -> Vec<u8> {
        let upper = part.chars().filter(|letter| !matches!(letter, ' ' | '.'));
        upper.map(|letter| u8::try_from(letter.to_ascii_uppercase()).unwrap_or(b'_')).map(clean).collect()
    };
    let inner = name.trim_start_matches(['.', ' ']);
    let ending = inner.rsplit_once('.').map(|(_, ending)| kept(ending)).unwrap_or_default();
    let stem = kept(inner.split('.').next().unwrap_or_default());
    let mut number = 1_u32;
    loop {
        let tail = format!("~{number}");
        let room = 8_usize.saturating_sub(tail.len());
        let stem: Vec<u8> = stem.iter().copied().take(room).chain(tail.bytes()).collect();
        let short = padded(&stem, &ending);
        if taken.insert(short) {
            return short;
        }
        number += 1;
    }
}

const fn clean(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() || is_sign(byte) { byte } else { b'_' }
}

fn padded(stem: &[u8], ending: &[u8]) -> Short {
    let mut short = [b' '; 11];
    // A label is one word of eleven bytes; a name has at most eight before its ending.
    let places = short.iter_mut().zip(stem);
    places.for_each(|(place, byte)| *place = *byte);
    short.iter_mut().skip(8).zip(ending).for_each(|(place, byte)| *place = *byte);
    short
}

/// `README.TXT` of a short name.
pub(super) fn shown(short: &Short) -> String {
    let (stem, ending) = short.split_at(8);
    let text = |part: &[u8]| String::from_utf8_lossy(part).trim_end().to_owned();
    let (stem, ending) = (text(stem), text(ending));
    if ending.is_empty() { stem } else { format!("{stem}.{ending}") }
}

/// How many entries a name takes: itself, and those of its long form where it has one.
pub(super) fn entries(name: &str, short: &Short) -> usize {
    if shown(short) == name { 1 } else { 1 + name.encode_utf16().count().div_ceil(LETTERS) }
}

/// The entries of a long name, as they stand on the disk before the short one: its end first.
pub(super) fn long(name: &str, short: &Short) -> Vec<u8> {
    if shown(short) == name {
        return Vec::new();
    }
    let letters: Vec<u16> = name.encode_utf16().collect();
    let count = letters.len().div_ceil(LETTERS);
    let sum = checksum(short);
    let mut out = Vec::with_capacity(count * ENTRY);
    for (number, piece) in (1_u8..).zip(letters.chunks(LETTERS)).collect::<Vec<_>>().into_iter().rev() {
        let last = if usize::from(number) == count { LAST } else { 0 };
        // The end of the name is a zero, unless it fills its entry; behind it nothing is all ones.
        let ended = piece.iter().copied().chain([0]).chain(std::iter::repeat(0xffff)).take(LETTERS);
        let bytes: Vec<u8> = ended.flat_map(u16::to_le_bytes).collect();
        let (first, rest) = bytes.split_at(10);
        let (second, third) = rest.split_at(12);
        out.push(number | last);
        out.extend_from_slice(first);
        out.extend_from_slice(&[LONG, 0, sum]);
        out.extend_from_slice(second);
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(third);
    }
    out
}

/// Ties a long name to its short one: what an old program renames loses its long name.
pub(super) fn checksum(short: &Short) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(names: &[&str]) -> Vec<String> {
        shorts(names.iter().copied()).iter().map(shown).collect()
    }

    #[test]
    fn short_names_are_those_of_the_specification() {
        let cases = [
            ("README.TXT", "README.TXT"),
            ("readme.txt", "README.TXT"),
            ("user-data", "USER-D~1"),
            ("network-config", "NETWOR~1"),
            ("The quick brown.fox", "THEQUI~1.FOX"),
            ("a.tar.gz", "A~1.GZ"),
            (".profile", "PROFIL~1"),
            ("a+b.c", "A_B~1.C"),
            ("grün", "GR_N~1"),
            ("Бар.ини", "___~1.___"),
            ("index.html", "INDEX~1.HTM"),
            ("+", "_~1"),
        ];
        for (name, short) in cases {
            assert_eq!(shortened(&[name]), [short], "{name}");
        }
    }

    #[test]
    fn a_tail_never_takes_a_name_that_fits_and_grows_when_it_must() {
        assert_eq!(shortened(&["long-name-1", "LONG-N~1"]), ["LONG-N~2", "LONG-N~1"]);
        let many: Vec<String> = (0..12).map(|number| format!("long-name-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(shortened(&many)[8..11], ["LONG-N~9", "LONG-~10", "LONG-~11"]);
    }

    #[test]
    fn a_long_name_is_ended_by_a_zero_unless_it_fills_its_entry() {
        let entry = |name: &str| long(name, &shorts(std::iter::once(name))[0]);
        let short = entry("user-data");
        assert_eq!((short.len(), short[0], short[11]), (32, 0x41, 0x0f));
        assert_eq!(short[18..26], [b't', 0, b'a', 0, 0, 0, 0xff, 0xff], "the end of the name");
        assert_eq!(short[28..32], [0xff; 4], "behind it");
        let full = entry("thirteen.full");
        assert_eq!((full.len(), full[0], full[30]), (32, 0x41, b'l'));
        let two = entry("fourteen.fulls");
        assert_eq!((two.len(), two[0], two[32]), (64, 0x42, 0x01));
    }

    #[test]
    fn a_checksum_is_turned_by_every_byte() {
        // `README.TXT`, calculated by hand from the specification's loop.
        let by_hand = b"README  TXT".iter().fold(0_u32, |sum, byte| {
            let turned = if sum & 1 == 1 { 0x80 } else { 0 } + (sum >> 1);
            (turned + u32::from(*byte)) & 0xff
        });
        assert_eq!(u32::from(checksum(b"README  TXT")), by_hand);
        assert_ne!(checksum(b"README  TXT"), checksum(b"RAEDME  TXT"));
    }

    #[test]
    fn labels_are_capitals() {
        assert_eq!(label("CIDATA").as_ref(), Some(b"CIDATA     "));
        assert_eq!(label("ELEVEN BYTE").as_ref(), Some(b"ELEVEN BYTE"));
        for wrong in ["", " X", "cidata", "TWELVE BYTES", "A.B", "Ä"] {
            assert_eq!(label(wrong), None, "{wrong}");
        }
    }
}
