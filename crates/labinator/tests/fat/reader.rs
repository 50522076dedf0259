//! Reads a FAT volume by the specification alone, and refuses what it finds wrong: written apart from the writer, so that
//! both would have to be wrong in the same way.
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

use std::collections::BTreeMap;

/// A volume's files by path; `None` for a folder.
pub(crate) type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// What was found.
#[derive(Debug)]
pub(crate) struct Read {
    /// Bits of a table's entry, by the number of clusters.
    pub(crate) bits: u32,
    /// Label of the boot sector and of the root.
    pub(crate) labels: (String, Option<String>),
    pub(crate) tree: Tree,
    /// Short names, by path.
    pub(crate) shorts: BTreeMap<String, String>,
    /// Clusters of all files and folders.
    used: Vec<u32>,
}

struct Disk<'a> {
    bytes: &'a [u8],
    bits: u32,
    table: usize,
    data: usize,
    cluster: usize,
    clusters: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned()
}

/// Reads all of it: a volume of `all` bytes, of which those behind `bytes` are zero.
pub(crate) fn read(bytes: &[u8], all: u64) -> Read {
    assert_eq!(bytes[510..512], [0x55, 0xaa]);
    let (sector, per) = (u16_at(bytes, 11), u32::from(bytes[13]));
    assert!(sector == 512 && per.is_power_of_two());
    let (reserved, tables, root) = (u16_at(bytes, 14), u32::from(bytes[16]), u16_at(bytes, 17));
    let either = |small: u32, large: u32| if small == 0 { large } else { small };
    let total = either(u16_at(bytes, 19), u32_at(bytes, 32));
    let table = either(u16_at(bytes, 22), u32_at(bytes, 36));
    assert_eq!(u64::from(total) * 512, all);
    let before = reserved + tables * table + root * 32 / sector;
    let clusters = (total - before) / per;
    let bits = match clusters {
        0..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    let named = if bits == 32 { 71 } else { 43 };
    assert_eq!(text(&bytes[named + 11..named + 19]), format!("FAT{bits}"));
    let disk = Disk {
        bytes,
        bits,
        table: size(reserved * sector),
        data: size(before * sector),
        cluster: size(per * sector),
        clusters,
    };
    let one = size(table * sector);
    assert_eq!(bytes[disk.table..disk.table + one], bytes[disk.table + one..disk.table + 2 * one]);
    assert_eq!(disk.next(0) & 0xff, 0xf8);
    let entries = if bits == 32 {
        disk.chain(u32_at(bytes, 44)).0
    } else {
        let at = disk.table + 2 * one;
        bytes[at..at + size(root) * 32].to_vec()
    };
    let boot = text(&bytes[named..named + 11]);
    let used = if bits == 32 { disk.chain(u32_at(bytes, 44)).1 } else { Vec::new() };
    let mut found = Read { bits, labels: (boot, None), tree: Tree::new(), shorts: BTreeMap::new(), used };
    disk.folder(&entries, "", (0, None), &mut found);
    let mut used = std::mem::take(&mut found.used);
    used.sort_unstable();
    let all = used.len();
    used.dedup();
    assert_eq!(used.len(), all, "a cluster belongs to two files");
    let free = (2..clusters + 2).filter(|cluster| disk.next(*cluster) == 0).count();
    assert_eq!(free + all, size(clusters), "clusters that are neither free nor a file's");
    if bits == 32 {
        assert_eq!(size(u32_at(bytes, 512 + 488)), free);
        assert_eq!(bytes[..1536], bytes[6 * 512..9 * 512], "the copy of the boot sectors");
    }
    found
}

impl Disk<'_> {
    fn next(&self, cluster: u32) -> u32 {
        let at = size(cluster) * size(self.bits) / 8 + self.table;
        match self.bits {
            12 => {
                let both = u16_at(self.bytes, at);
                if cluster.is_multiple_of(2) { both & 0xfff } else { both >> 4 }
            }
            16 => u16_at(self.bytes, at),
            _ => u32_at(self.bytes, at) & 0x0fff_ffff,
        }
    }

    /// Content and clusters of a chain.
    fn chain(&self, first: u32) -> (Vec<u8>, Vec<u32>) {
        let end = match self.bits {
            12 => 0xff8,
            16 => 0xfff8,
            _ => 0x0fff_fff8,
        };
        let (mut content, mut used, mut here) = (Vec::new(), Vec::new(), first);
        while here < end {
            assert!((2..self.clusters + 2).contains(&here) && !used.contains(&here), "cluster {here}");
            let at = self.data + size(here - 2) * self.cluster;
            let end = (at + self.cluster).min(self.bytes.len());
            content.extend_from_slice(&self.bytes[at..end]);
            content.resize(content.len().next_multiple_of(self.cluster), 0);
            used.push(here);
            here = self.next(here);
        }
        (content, used)
    }

    fn folder(&self, entries: &[u8], path: &str, (number, above): (u32, Option<u32>), found: &mut Read) {
        let mut long: Vec<(u8, u8, Vec<u16>)> = Vec::new();
        let mut short_names = Vec::new();
        for (place, entry) in entries.chunks(32).enumerate() {
            let first = u16_at(entry, 26) | u16_at(entry, 20) << 16;
            match (entry[0], entry[11]) {
                (0, _) => {
                    assert!(entries[place * 32..].iter().all(|byte| *byte == 0), "entries behind the end");
                    break;
                }
                (b'.', 0x10) => {
                    let expected = if place == 0 { Some(number) } else { above };
                    assert!(place < 2 && Some(first) == expected, "{path}: {first} is not {expected:?}");
                }
                (_, 0x0f) => {
                    let letters = [1..11, 14..26, 28..32].into_iter().flat_map(|part| entry[part].chunks(2));
                    let letters = letters.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
                    assert_eq!((entry[12], u16_at(entry, 26)), (0, 0));
                    long.push((entry[0], entry[13], letters));
                }
                (_, 0x08) => {
                    assert!(path.is_empty() && place == 0 && first == 0);
                    found.labels.1 = Some(text(&entry[..11]));
                }
                (_, attribute) => {
                    let short = text(&entry[..8]) + "." + &text(&entry[8..11]);
                    let short = short.trim_end_matches('.').to_owned();
                    let name =
                        long_name(&std::mem::take(&mut long), &entry[..11]).unwrap_or_else(|| short.clone());
                    assert!(!short_names.contains(&short), "{path}: {short} twice");
                    short_names.push(short.clone());
                    let whole = if path.is_empty() { name } else { format!("{path}/{name}") };
                    found.shorts.insert(whole.clone(), short);
                    let (content, clusters) =
                        if first == 0 { (Vec::new(), Vec::new()) } else { self.chain(first) };
                    found.used.extend(&clusters);
                    if attribute == 0x10 {
                        assert_eq!(u32_at(entry, 28), 0);
                        found.tree.insert(whole.clone(), None);
                        self.folder(&content, &whole, (first, Some(number)), found);
                    } else {
                        assert_eq!(attribute, 0x20);
                        let length = size(u32_at(entry, 28));
                        assert_eq!(clusters.len(), length.div_ceil(self.cluster));
                        assert!(
                            content[length..].iter().all(|byte| *byte == 0),
                            "{whole}: rests of something else"
                        );
                        found.tree.insert(whole, Some(content[..length].to_vec()));
                    }
                }
            }
        }
        assert!(long.is_empty(), "{path}: a long name of nothing");
    }
}

/// The long name whose entries stand before this short one.
fn long_name(parts: &[(u8, u8, Vec<u16>)], short: &[u8]) -> Option<String> {
    let sum = short.iter().fold(0_u8, |sum, byte| ((sum & 1) << 7 | sum >> 1).wrapping_add(*byte));
    let mut letters = Vec::new();
    for (number, (order, their, part)) in (1_u8..).zip(parts.iter().rev()) {
        let last = if usize::from(number) == parts.len() { 0x40 } else { 0 };
        assert_eq!((*order, *their), (number | last, sum));
        letters.extend(part);
    }
    let end = letters.iter().position(|letter| *letter == 0).unwrap_or(letters.len());
    assert!(letters.iter().skip(end + 1).all(|letter| *letter == 0xffff));
    letters.truncate(end);
    (!parts.is_empty()).then(|| String::from_utf16(&letters).unwrap())
}
