//! Processors that the loader is built for, and the names that its files have.

use core::fmt;

use crate::dhcp::Family;

/// A processor that the loader is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Processor {
    /// x86-64.
    X64,
    /// Arm, 64 bits.
    Arm64,
}

impl Processor {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X64, Self::Arm64];

    /// Name of its loader among the network boot programs.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::X64 => "labinator-x64.efi",
            Self::Arm64 => "labinator-arm64.efi",
        }
    }

    /// The processor whose loader has this name.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|processor| processor.file() == name)
    }

    /// The processor of firmware that says this of itself in DHCP.
    #[must_use]
    pub const fn of_family(family: Family) -> Option<Self> {
        match family {
            Family::EfiX64 => Some(Self::X64),
            Family::EfiArm64 => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Where its firmware looks on a medium that it knows nothing of (UEFI 2.10 section 3.5.1.1).
    #[must_use]
    pub const fn removable_path(self) -> &'static str {
        match self {
            Self::X64 => "EFI/BOOT/BOOTX64.EFI",
            Self::Arm64 => "EFI/BOOT/BOOTAA64.EFI",
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X64 => "x86-64",
            Self::Arm64 => "arm64",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_leads_back_to_its_processor() {
        for processor in Processor::ALL {
            assert_eq!(Processor::of_file(processor.file()), Some(processor));
        }
        assert_eq!(Processor::of_file("snponly.efi"), None);
    }
}
