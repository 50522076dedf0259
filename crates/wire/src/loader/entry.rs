//! Boot entries of UEFI firmware, as they stand in its variables (UEFI 2.10 sections 3.1.1 to 3.1.3 and 10.3): what
//! `Boot####` holds, and the order in which `BootOrder` has them tried.
//!
//! ```text
//! Boot0003   attributes │ length of paths │ name, UTF-16, 0 │ device path: HD(part,GUID)/File(\EFI\…) │ data
//! BootOrder  0003 0000 0001                                  numbers of two bytes, first tried first
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::gpt::Guid;

/// The GUID of variables that belong to the firmware's boot manager (UEFI 2.10 section 3.3).
pub const GLOBAL: Guid =
    Guid::of(0x8be4_df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
/// Bytes of an entry that are read; firmware keeps a variable to some kilobytes.
pub const LONGEST_ENTRY: usize = 64 << 10;
/// Folder of our loader on a system partition.
pub const FOLDER: &str = "EFI/LABINATOR";
/// What our entries are called in menus of firmware.
pub const NAME: &str = "Labinator";

/// `LOAD_OPTION_ACTIVE`: the boot manager tries it.
const ACTIVE: u32 = 1;
/// Types of device path nodes (UEFI 2.10 sections 10.3.5.1, 10.3.5.4 and 10.3.1).
const HARD_DRIVE: [u8; 2] = [4, 1];
const FILE_PATH: [u8; 2] = [4, 4];
const END: [u8; 2] = [0x7f, 0xff];
/// Bytes of a node's head, and of a whole node for a partition.
const NODE: usize = 4;
const HARD_DRIVE_SIZE: usize = 42;
/// A GUID partition table, and a signature that is a GUID.
const GPT: [u8; 2] = [2, 2];

/// Why bytes are no boot entry or boot order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryError {
    /// It ends before all is said that it begins to say.
    Short,
    /// Its name does not end, or is no UTF-16.
    Name,
    /// A node of its device path has an impossible length.
    Node,
    /// It is longer than [`LONGEST_ENTRY`].
    Long,
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "it is cut short",
            Self::Name => "its name is no UTF-16 that ends",
            Self::Node => "its device path has a node of an impossible length",
            Self::Long => "it is too long",
        })
    }
}

impl core::error::Error for EntryError {}

/// A boot entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEntry {
    /// `LOAD_OPTION_*` bits.
    pub attributes: u32,
    /// What menus call it.
    pub name: String,
    /// Its device paths as they lie in memory, ends included.
    pub paths: Vec<u8>,
    /// What the program is given.
    pub data: Vec<u8>,
}

/// A partition, as a device path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardDrive {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its first block, in blocks of the disk.
    pub first: u64,
    /// How many blocks it has.
    pub blocks: u64,
    /// Which one it is.
    pub id: Guid,
}

impl BootEntry {
    /// Starts a program from a partition by the short form of a path, which holds wherever the disk hangs (UEFI 2.10
    /// section 3.1.2). `file` is written with `/`.
    #[must_use]
    pub fn of_file(name: &str, drive: &HardDrive, file: &str) -> Self {
        let mut paths = Vec::new();
        let mut body = Vec::with_capacity(HARD_DRIVE_SIZE);
        body.extend(drive.number.to_le_bytes());
        body.extend(drive.first.to_le_bytes());
        body.extend(drive.blocks.to_le_bytes());
        body.extend(drive.id.0);
        body.extend(GPT);
        node(&mut paths, HARD_DRIVE, &body);
        let turned = core::iter::once('\\').chain(file.chars().map(|c| if c == '/' { '\\' } else { c }));
        let text: String = turned.collect();
        node(&mut paths, FILE_PATH, &wide(&text));
        node(&mut paths, END, &[]);
        Self { attributes: ACTIVE, name: name.into(), paths, data: Vec::new() }
    }

    /// Reads the content of a `Boot####` variable.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn read(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > LONGEST_ENTRY {
            return Err(EntryError::Long);
        }
        let (attributes, rest) = bytes.split_first_chunk().ok_or(EntryError::Short)?;
        let (length, rest) = rest.split_first_chunk().ok_or(EntryError::Short)?;
        let letters = rest.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
        let count = letters.clone().position(|letter| letter == 0).ok_or(EntryError::Name)?;
        let name = char::decode_utf16(letters.take(count)).collect::<Result<String, _>>();
        let rest = rest.get((count + 1) * 2..).unwrap_or_default();
        let length = usize::from(u16::from_le_bytes(*length));
        let (paths, data) = rest.split_at_checked(length).ok_or(EntryError::Short)?;
        let entry = Self {
            attributes: u32::from_le_bytes(*attributes),
            name: name.map_err(|_| EntryError::Name)?,
            paths: paths.to_vec(),
            data: data.to_vec(),
        };
        let fault = entry.nodes().find_map(Result::err);
        fault.map_or(Ok(entry), Err)
    }

    /// The content of its variable.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.attributes.to_le_bytes().to_vec();
        bytes.extend(u16::try_from(self.paths.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend(wide(&self.name));
        bytes.extend(&self.paths);
        bytes.extend(&self.data);
        bytes
    }

    /// True where the boot manager tries it when its turn comes.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.attributes & ACTIVE != 0
    }

    /// The partition of a GPT that it names first, if it names one.
    #[must_use]
    pub fn drive(&self) -> Option<HardDrive> {
        let body = self.nodes().flatten().find(|(kind, _)| *kind == HARD_DRIVE)?.1;
        let (number, rest) = body.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (blocks, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        (rest == GPT).then_some(HardDrive {
            number: u32::from_le_bytes(*number),
            first: u64::from_le_bytes(*first),
            blocks: u64::from_le_bytes(*blocks),
            id: Guid(*id),
        })
    }

    /// The file that it names first, written with `/` and without one before it.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let body = self.nodes().flatten().find(|(kind, _)| *kind == FILE_PATH)?.1;
        let letters = body.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
        let text = char::decode_utf16(letters.take_while(|letter| *letter != 0));
        let text: String = text.map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Some(text.replace('\\', "/").trim_start_matches('/').into())
    }

    /// True for one of ours: it starts a file of our folder, whatever it is called.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let file = self.file().unwrap_or_default();
        let (folder, rest) = file.split_at_checked(FOLDER.len()).unwrap_or_default();
        folder.eq_ignore_ascii_case(FOLDER) && rest.starts_with('/')
    }

    /// The nodes of its paths, with what is in each; an error ends them.
    fn nodes(&self) -> impl Iterator<Item = Result<([u8; 2], &[u8]), EntryError>> {
        let mut rest = self.paths.as_slice();
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let read = split(rest);
            rest = read.map(|(_, after)| after).unwrap_or_default();
            Some(read.map(|(node, _)| node))
        })
    }
}

type Split<'a> = (([u8; 2], &'a [u8]), &'a [u8]);

fn split(rest: &[u8]) -> Result<Split<'_>, EntryError> {
    let (head, _) = rest.split_first_chunk::<NODE>().ok_or(EntryError::Node)?;
    let [kind, more, low, high] = *head;
    let length = usize::from(u16::from_le_bytes([low, high]));
    let (node, after) = rest.split_at_checked(length).ok_or(EntryError::Node)?;
    let body = node.get(NODE..).ok_or(EntryError::Node)?;
    Ok((([kind, more], body), after))
}

fn node(to: &mut Vec<u8>, kind: [u8; 2], body: &[u8]) {
    to.extend(kind);
    to.extend(u16::try_from(NODE + body.len()).unwrap_or(u16::MAX).to_le_bytes());
    to.extend(body);
}

/// UTF-16 with a 0 behind it.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain(core::iter::once(0)).flat_map(u16::to_le_bytes).collect()
}

/// Which entries the boot manager tries, first to last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootOrder(pub Vec<u16>);

impl BootOrder {
    /// Reads the content of `BootOrder`.
    ///
    /// # Errors
    /// [`EntryError::Short`]: half a number is left over.
    pub fn read(bytes: &[u8]) -> Result<Self, EntryError> {
        let (numbers, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(EntryError::Short);
        }
        Ok(Self(numbers.iter().map(|number| u16::from_le_bytes(*number)).collect()))
    }

    /// The content of its variable.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().copied().flat_map(u16::to_le_bytes).collect()
    }

    /// The same without these entries; the others keep their places among each other.
    #[must_use]
    pub fn without(&self, entries: &[u16]) -> Self {
        Self(self.0.iter().copied().filter(|number| !entries.contains(number)).collect())
    }

    /// The same with this entry before all others.
    #[must_use]
    pub fn led_by(&self, entry: u16) -> Self {
        let rest = self.without(&[entry]);
        Self(core::iter::once(entry).chain(rest.0).collect())
    }
}

/// The number of a variable's name `Boot####`, which firmware writes in capital hexadecimal digits.
#[must_use]
pub fn number_of(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot").filter(|digits| digits.len() == 4)?;
    let are_capital = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    are_capital.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The name of an entry's variable.
#[must_use]
pub fn name_of(number: u16) -> String {
    alloc::format!("Boot{number:04X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together by hand from the specification's tables.
    const SEEN: &[u8] = b"\x01\0\0\0\x5c\0L\0a\0b\0i\0n\0a\0t\0o\0r\0\0\0\
        \x04\x01\x2a\0\x01\0\0\0\0\x08\0\0\0\0\0\0\0\x20\x01\0\0\0\0\0\
        \x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00\x02\x02\
        \x04\x04\x2e\0\\\0E\0F\0I\0\\\0L\0A\0B\0I\0N\0A\0T\0O\0R\0\\\0a\0.\0e\0f\0i\0\0\0\x7f\xff\x04\0";

    fn drive() -> HardDrive {
        let id =
            [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0];
        HardDrive { number: 1, first: 2048, blocks: 73_728, id: Guid(id) }
    }

    #[test]
    fn an_entry_is_the_bytes_of_the_specification() {
        let made = BootEntry::of_file(NAME, &drive(), "EFI/LABINATOR/a.efi");
        assert_eq!(made.bytes(), SEEN);
        let read = BootEntry::read(SEEN).unwrap();
        assert_eq!((read.drive(), read.file().as_deref()), (Some(drive()), Some("EFI/LABINATOR/a.efi")));
        assert!(read.is_active() && read.is_ours() && read == made);
    }

    #[test]
    fn ours_are_known_by_their_folder_alone() {
        let of = |file: &str| BootEntry::of_file("Renamed", &drive(), file).is_ours();
        assert!(of("EFI/LABINATOR/x.efi") && of("efi/labinator/x.efi"));
        assert!(!of("EFI/LABINATORS/x.efi") && !of("EFI/debian/shimx64.efi") && !of("EFI/LABINATOR"));
        let over_network = BootEntry { paths: vec![0x7f, 0xff, 4, 0], ..BootEntry::read(SEEN).unwrap() };
        assert!(!over_network.is_ours() && over_network.drive().is_none());
    }

    #[test]
    fn what_is_cut_short_or_lies_about_a_length_is_refused() {
        assert_eq!(BootEntry::read(&SEEN[..5]), Err(EntryError::Short));
        assert_eq!(BootEntry::read(&SEEN[..20]), Err(EntryError::Name));
        assert_eq!(BootEntry::read(&SEEN[..SEEN.len() - 1]), Err(EntryError::Short));
        for length in [0, 3, 200] {
            let mut bytes = SEEN.to_vec();
            bytes[28] = length;
            assert_eq!(BootEntry::read(&bytes), Err(EntryError::Node), "a node of {length} bytes");
        }
        assert_eq!(BootOrder::read(&[1, 0, 2]), Err(EntryError::Short));
    }

    #[test]
    fn the_order_leaves_others_where_they_were() {
        let order = BootOrder::read(&[3, 0, 1, 0, 0, 0x10]).unwrap();
        assert_eq!(order.0, [3, 1, 0x1000]);
        assert_eq!(order.led_by(1).0, [1, 3, 0x1000]);
        assert_eq!(order.led_by(9).without(&[9]), order);
        assert_eq!(order.bytes(), [3, 0, 1, 0, 0, 0x10]);
        assert_eq!((number_of("Boot00AF"), number_of("Boot00af")), (Some(0xaf), None));
        assert_eq!((number_of("BootOrder"), number_of("Boot+0A1")), (None, None));
        assert_eq!(name_of(0xaf), "Boot00AF");
    }
}
