//! A unified kernel image taken apart: kernel, initramfs and command line are sections of one EFI program (UAPI group,
//! "Unified Kernel Image").
//!
//! Offsets are those of Microsoft's "PE Format", sections "COFF File Header", "Optional Header" and "Section Table".

use core::fmt;

/// Bytes of one entry of the section table.
const ENTRY: usize = 40;
/// More sections than this has no program that firmware starts (EDK2 reads as many, `EFI_IMAGE_MAX_SECTIONS` aside).
const SECTIONS: u16 = 96;

/// What it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unified<'a> {
    /// The kernel.
    pub linux: &'a [u8],
    /// The initramfs, where there is one.
    pub initrd: Option<&'a [u8]>,
    /// Its own command line, empty where it has none.
    pub cmdline: &'a str,
}

/// Why it cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnifiedError {
    /// A section lies outside the file, or is cut off.
    Cut(&'static str),
    /// A section is there more than once.
    Twice(&'static str),
    /// Its table of sections cannot be read.
    Garbled,
    /// Its command line is no text.
    NoText,
}

impl fmt::Display for UnifiedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(name) => write!(f, "its section {name} is cut off"),
            Self::Twice(name) => write!(f, "it has the section {name} twice"),
            Self::Garbled => f.write_str("its table of sections cannot be read"),
            Self::NoText => f.write_str("its command line is no text"),
        }
    }
}

impl core::error::Error for UnifiedError {}

impl<'a> Unified<'a> {
    /// Takes a file apart; nothing for one that is no unified kernel image, such as a kernel that is an EFI program.
    ///
    /// # Errors
    /// [`UnifiedError`]: it is one, and not whole.
    pub fn read(file: &'a [u8]) -> Result<Option<Self>, UnifiedError> {
        let Some((table, count)) = table(file) else { return Ok(None) };
        let (mut linux, mut initrd, mut cmdline) = (None, None, None);
        for index in 0..usize::from(count) {
            let entry = table + index * ENTRY;
            let entry = file.get(entry..entry + ENTRY).ok_or(UnifiedError::Garbled)?;
            let (name, place) = match entry.first_chunk() {
                Some(b".linux\0\0") => (".linux", &mut linux),
                Some(b".initrd\0") => (".initrd", &mut initrd),
                Some(b".cmdline") => (".cmdline", &mut cmdline),
                Some(_) | None => continue,
            };
            if place.is_some() {
                return Err(UnifiedError::Twice(name));
            }
            *place = Some(content(file, entry).ok_or(UnifiedError::Cut(name))?);
        }
        let Some(linux) = linux else { return Ok(None) };
        let cmdline = core::str::from_utf8(cmdline.unwrap_or_default()).map_err(|_| UnifiedError::NoText)?;
        let cmdline = cmdline.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if cmdline.chars().any(char::is_control) {
            return Err(UnifiedError::NoText);
        }
        Ok(Some(Self { linux, initrd, cmdline }))
    }
}

/// Where the table of sections begins, and how many there are; nothing for what is no 64-bit EFI program.
fn table(file: &[u8]) -> Option<(usize, u16)> {
    if file.get(..2)? != b"MZ" {
        return None;
    }
    let signature = usize::try_from(u32_at(file, 0x3c)?).ok()?;
    let coff = signature.checked_add(4)?;
    if file.get(signature..coff)? != b"PE\0\0" {
        return None;
    }
    let count = u16_at(file, coff.checked_add(2)?).filter(|count| *count <= SECTIONS)?;
    let optional = coff.checked_add(20)?;
    let table = optional.checked_add(usize::from(u16_at(file, coff.checked_add(16)?)?))?;
    // Small numbers from here on: whoever adds to them cannot overflow.
    (u16_at(file, optional)? == 0x20b && table < file.len()).then_some((table, count))
}

/// What a section holds: as many bytes as it has in memory, which the file pads.
fn content<'a>(file: &'a [u8], entry: &[u8]) -> Option<&'a [u8]> {
    let [size, kept, from] = [8, 16, 20].map(|at| u32_at(entry, at).and_then(|n| usize::try_from(n).ok()));
    let (kept, from) = (kept?, from?);
    let size = size.filter(|size| *size > 0).unwrap_or(kept);
    if size > kept {
        return None;
    }
    file.get(from..from.checked_add(size)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}
