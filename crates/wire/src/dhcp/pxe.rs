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

/// What runs on an architecture: one loader serves all of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// x86 BIOS.
    Bios,
    /// x86 UEFI, 32 bits.
    EfiIa32,
    /// x86-64 UEFI.
    EfiX64,
    /// Arm UEFI, 32 bits.
    EfiArm32,
    /// Arm UEFI, 64 bits.
    EfiArm64,
    /// RISC-V UEFI, 64 bits.
    EfiRiscv64,
    /// `LoongArch` UEFI, 64 bits.
    EfiLoong64,
    /// U-Boot, which fetches what it wants by itself.
    UBoot,
    /// The boot loader of a Raspberry Pi.
    RaspberryPi,
}

/// How an architecture fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Tftp,
    Http,
}

/// One line of IANA's registry: number, family where this house knows one, carrier, name.
type Line = (u16, Option<Family>, Over, &'static str);

/// The registry as of 2025, with the numbers that it calls deprecated. 9 and 0x11 are byte code there and x86-64 in the
/// field ([`Quirk::CallsX64ByteCode`](super::quirks::Quirk::CallsX64ByteCode)).
const REGISTRY: &[Line] = &[
    (0x00, Some(Family::Bios), Over::Tftp, "x86 BIOS"),
    (0x01, None, Over::Tftp, "NEC PC-98"),
    (0x02, None, Over::Tftp, "Itanium"),
    (0x03, None, Over::Tftp, "DEC Alpha"),
    (0x04, None, Over::Tftp, "Arc x86"),
    (0x05, None, Over::Tftp, "Intel Lean Client"),
    (0x06, Some(Family::EfiIa32), Over::Tftp, "x86 UEFI"),
    (0x07, Some(Family::EfiX64), Over::Tftp, "x86-64 UEFI"),
    (0x08, None, Over::Tftp, "XScale UEFI"),
    (0x09, Some(Family::EfiX64), Over::Tftp, "x86-64 UEFI"),
    (0x0a, Some(Family::EfiArm32), Over::Tftp, "Arm UEFI"),
    (0x0b, Some(Family::EfiArm64), Over::Tftp, "Arm64 UEFI"),
    (0x0c, None, Over::Tftp, "PowerPC Open Firmware"),
    (0x0d, None, Over::Tftp, "PowerPC ePAPR"),
    (0x0e, None, Over::Tftp, "POWER OPAL"),
    (0x0f, Some(Family::EfiIa32), Over::Http, "x86 UEFI HTTP"),
    (0x10, Some(Family::EfiX64), Over::Http, "x86-64 UEFI HTTP"),
    (0x11, Some(Family::EfiX64), Over::Http, "x86-64 UEFI HTTP"),
    (0x12, Some(Family::EfiArm32), Over::Http, "Arm UEFI HTTP"),
    (0x13, Some(Family::EfiArm64), Over::Http, "Arm64 UEFI HTTP"),
    (0x14, Some(Family::Bios), Over::Http, "x86 BIOS HTTP"),
    (0x15, Some(Family::UBoot), Over::Tftp, "Arm U-Boot"),
    (0x16, Some(Family::UBoot), Over::Tftp, "Arm64 U-Boot"),
    (0x17, Some(Family::UBoot), Over::Http, "Arm U-Boot HTTP"),
    (0x18, Some(Family::UBoot), Over::Http, "Arm64 U-Boot HTTP"),
    (0x19, None, Over::Tftp, "RISC-V 32 UEFI"),
    (0x1a, None, Over::Http, "RISC-V 32 UEFI HTTP"),
    (0x1b, Some(Family::EfiRiscv64), Over::Tftp, "RISC-V 64 UEFI"),
    (0x1c, Some(Family::EfiRiscv64), Over::Http, "RISC-V 64 UEFI HTTP"),
    (0x1d, None, Over::Tftp, "RISC-V 128 UEFI"),
    (0x1e, None, Over::Http, "RISC-V 128 UEFI HTTP"),
    (0x1f, None, Over::Tftp, "s390 basic"),
    (0x20, None, Over::Tftp, "s390 extended"),
    (0x21, None, Over::Tftp, "MIPS 32 UEFI"),
    (0x22, None, Over::Tftp, "MIPS 64 UEFI"),
    (0x23, None, Over::Tftp, "Sunway 32 UEFI"),
    (0x24, None, Over::Tftp, "Sunway 64 UEFI"),
    (0x25, None, Over::Tftp, "LoongArch 32 UEFI"),
    (0x26, None, Over::Http, "LoongArch 32 UEFI HTTP"),
    (0x27, Some(Family::EfiLoong64), Over::Tftp, "LoongArch 64 UEFI"),
    (0x28, Some(Family::EfiLoong64), Over::Http, "LoongArch 64 UEFI HTTP"),
    (0x29, Some(Family::RaspberryPi), Over::Tftp, "Raspberry Pi"),
];

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

    fn line(self) -> Option<&'static Line> {
        REGISTRY.iter().find(|(number, ..)| *number == self.0)
    }

    /// The family, where this house knows what it boots.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        self.line().and_then(|(_, family, ..)| *family)
    }

    /// True for one that fetches over HTTP.
    #[must_use]
    pub fn is_http(self) -> bool {
        self.line().is_some_and(|(_, _, over, _)| *over == Over::Http)
    }

    /// From the five digits of a class such as `PXEClient:Arch:00007:UNDI:003001` (PXE 2.1 table 2-1).
    #[must_use]
    pub fn of_class(class: &[u8]) -> Option<Self> {
        let digits = class.split(|byte| *byte == b':').skip_while(|word| *word != b"Arch").nth(1)?;
        (digits.len() == 5).then(|| core::str::from_utf8(digits).ok()?.parse().ok().map(Self))?
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            Some((.., name)) => f.pad(name),
            None => write!(f, "architecture {:#04x}", self.0),
        }
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

    /// The architecture to boot: the first of option 93 that this house knows, else the one the class names, else
    /// the first of all.
    #[must_use]
    pub fn architecture(&self) -> Option<Architecture> {
        let all = self.architectures();
        let known = all.iter().copied().find(|a| a.family().is_some());
        let class = || Architecture::of_class(self.get(OptionCode::VENDOR_CLASS).unwrap_or_default());
        known.or_else(|| if all.is_empty() { class() } else { None }).or_else(|| all.first().copied())
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

    /// Names of its features, as iPXE itself shows them; numbers nobody knows are left out.
    pub fn feature_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.features.iter().filter_map(|code| crate::ipxe::feature_name(*code))
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
