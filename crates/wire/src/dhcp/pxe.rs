//! What PXE and iPXE add to DHCP: architectures, the machine's UUID, encapsulated options.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use model::MachineUuid;

use super::code::OptionCode;
use super::options::{Options, until_nul};
use crate::cursor::Cursor;

/// A client architecture (option 93; IANA "Processor Architecture Types", RFC 4578 and RFC 5970).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(pub u16);

impl Architecture {
    /// x86 BIOS.
    pub const BIOS: Self = Self(0x00);
    /// x86 UEFI, 32 bits.
    pub const EFI_IA32: Self = Self(0x06);
    /// x86-64 UEFI, as the RFC's text has it and EDK2 sends it.
    pub const EFI_BC: Self = Self(0x07);
    /// x86-64 UEFI, as older firmware reads the same table.
    pub const EFI_X64: Self = Self(0x09);
    /// Arm UEFI, 64 bits.
    pub const EFI_ARM64: Self = Self(0x0b);
    /// x86 UEFI over HTTP, 32 bits.
    pub const HTTP_IA32: Self = Self(0x0f);
    /// x86-64 UEFI over HTTP.
    pub const HTTP_X64: Self = Self(0x10);
    /// Arm UEFI over HTTP, 64 bits.
    pub const HTTP_ARM64: Self = Self(0x13);

    /// True for x86-64 UEFI over TFTP.
    #[must_use]
    pub const fn is_efi_x64(self) -> bool {
        matches!(self, Self::EFI_BC | Self::EFI_X64)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0x00 => "x86 BIOS",
            0x06 => "x86 UEFI",
            0x07 | 0x09 => "x86-64 UEFI",
            0x0a => "Arm UEFI",
            0x0b => "Arm64 UEFI",
            0x0f => "x86 UEFI HTTP",
            0x10 => "x86-64 UEFI HTTP",
            0x12 => "Arm UEFI HTTP",
            0x13 => "Arm64 UEFI HTTP",
            0x14 => "x86 BIOS HTTP",
            0x15 => "Arm U-Boot",
            0x16 => "Arm64 U-Boot",
            0x1b => "RISC-V 64 UEFI",
            0x1c => "RISC-V 64 UEFI HTTP",
            0x29 => "Raspberry Pi",
            other => return write!(f, "architecture {other:#04x}"),
        };
        f.pad(name)
    }
}

/// Options inside an option (43 and 175): code, length, value, with the same PAD and END. Reading stops
/// at the first one that is cut short, because vendors get these wrong and the message is still good.
#[derive(Debug, Clone)]
pub struct Suboptions<'a>(Cursor<'a>);

impl<'a> Suboptions<'a> {
    /// Reads the value of an option.
    #[must_use]
    pub const fn new(value: &'a [u8]) -> Self {
        Self(Cursor::new(value))
    }

    /// The first one with this code.
    #[must_use]
    pub fn find_code(mut self, code: u8) -> Option<&'a [u8]> {
        self.find_map(|(c, value)| (c == code).then_some(value))
    }
}

impl<'a> Iterator for Suboptions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match OptionCode(self.0.u8()?) {
                OptionCode::PAD => {}
                OptionCode::END => return None,
                OptionCode(code) => {
                    let length = self.0.u8()?;
                    return Some((code, self.0.take(usize::from(length))?));
                }
            }
        }
    }
}

impl Options {
    /// Option 93: every architecture the client can start, best first (RFC 4578 section 2.1).
    #[must_use]
    pub fn architectures(&self) -> Vec<Architecture> {
        let bytes = self.get(OptionCode::ARCHITECTURES).unwrap_or_default();
        bytes.as_chunks::<2>().0.iter().map(|a| Architecture(u16::from_be_bytes(*a))).collect()
    }

    /// Option 77 as classes. RFC 3004 wants a list of counted strings; iPXE and most users write plain
    /// text, so what is no exact list is one class.
    #[must_use]
    pub fn user_classes(&self) -> Vec<&[u8]> {
        let Some(whole) = self.get(OptionCode::USER_CLASS).filter(|v| !v.is_empty()) else {
            return Vec::new();
        };
        let mut cursor = Cursor::new(whole);
        let mut classes = Vec::new();
        while let Some(length) = cursor.u8() {
            match cursor.take(usize::from(length)) {
                Some(class) if !class.is_empty() => classes.push(class),
                _ => return alloc::vec![until_nul(whole)],
            }
        }
        classes
    }

    /// Option 97 (RFC 4578 section 2.3): type 0 and 16 bytes. All zeros or all ones is what boards
    /// without an identity send, and counts as none.
    #[must_use]
    pub fn machine_uuid(&self) -> Option<MachineUuid> {
        let (kind, rest) = self.get(OptionCode::MACHINE_UUID)?.split_first()?;
        let bytes: [u8; 16] = *rest.first_chunk()?;
        let blank = bytes == [0; 16] || bytes == [0xff; 16];
        (*kind == 0 && !blank).then(|| MachineUuid::from_wire(bytes))
    }

    /// Option 175, if the client is iPXE and sends it.
    #[must_use]
    pub fn ipxe(&self) -> Option<IpxeFacts> {
        self.get(OptionCode::IPXE).map(IpxeFacts::read)
    }
}

/// What iPXE tells about itself (option 175; numbers from iPXE's `dhcp.h`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpxeFacts {
    /// Sub-option 235: `1.21.1`; empty when it does not say.
    pub version: String,
    /// Sub-option 177: bus type, vendor and device of its network card, as it wrote them.
    pub bus: Option<(u8, u16, u16)>,
    /// Codes of the features it was built with (iPXE's `features.h`): 19 HTTP, 20 HTTPS, 21 TFTP, 36 EFI.
    pub features: Vec<u8>,
}

impl IpxeFacts {
    fn read(value: &[u8]) -> Self {
        let mut facts = Self::default();
        for (code, value) in Suboptions::new(value) {
            match (code, value) {
                (235, [major, minor, patch, ..]) => {
                    facts.version = alloc::format!("{major}.{minor}.{patch}");
                }
                (177, [kind, a, b, c, d, ..]) => {
                    facts.bus = Some((*kind, u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
                }
                (16..=79, [1, ..]) => facts.features.push(code),
                _ => {}
            }
        }
        facts
    }

    /// True when it was built with HTTP.
    #[must_use]
    pub fn has_http(&self) -> bool {
        self.features.contains(&19)
    }
}

/// Text of an option for people: what is not printable ASCII becomes `?`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let clean = bytes.iter().map(|b| if matches!(b, b' '..=b'~') { char::from(*b) } else { '?' });
    clean.collect::<String>().trim().to_owned()
}
