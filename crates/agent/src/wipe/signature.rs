//! Where partition tables, file systems and their like write who they are.
//!
//! From the on-disk formats themselves: UEFI 2.10 section 5.3 (GPT), `ext4` and `xfs` in the kernel's documentation,
//! the LUKS2 specification section 2.1, `md(4)`, LVM's `label.h`, and `libblkid`'s list for the rest.

use super::disk::{BLOCK, Disk, Range};

/// Where a signature lives, within a disk or a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// So many bytes from the start.
    Start(u64),
    /// So many bytes before the end.
    End(u64),
    /// 64 KiB before the last whole 64 KiB (md 0.90).
    OldRaid,
    /// 8 KiB before the end, on a boundary of 4 KiB (md 1.0).
    EndRaid,
}

/// What is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signature {
    name: &'static str,
    at: At,
    magic: &'static [u8],
}

const fn sign(name: &'static str, at: At, magic: &'static [u8]) -> Signature {
    Signature { name, at, magic }
}

const MD: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
const LUKS_COPY: &[u8] = b"SKUL\xba\xbe";

/// All that are looked for.
const KNOWN: &[Signature] = &[
    sign("GPT", At::Start(512), b"EFI PART"),
    sign("GPT", At::Start(4096), b"EFI PART"),
    sign("GPT backup", At::End(512), b"EFI PART"),
    sign("GPT backup", At::End(4096), b"EFI PART"),
    sign("boot sector", At::Start(510), &[0x55, 0xaa]),
    sign("NTFS", At::Start(3), b"NTFS    "),
    sign("BitLocker", At::Start(3), b"-FVE-FS-"),
    sign("FAT", At::Start(54), b"FAT"),
    sign("FAT", At::Start(82), b"FAT32"),
    sign("exFAT", At::Start(3), b"EXFAT   "),
    sign("ext4", At::Start(1080), &[0x53, 0xef]),
    sign("F2FS", At::Start(1024), &[0x10, 0x20, 0xf5, 0xf2]),
    sign("EROFS", At::Start(1024), &[0xe2, 0xe1, 0xf5, 0xe0]),
    sign("XFS", At::Start(0), b"XFSB"),
    sign("squashfs", At::Start(0), b"hsqs"),
    sign("APFS", At::Start(32), b"NXSB"),
    sign("btrfs", At::Start((64 << 10) + 64), b"_BHRfS_M"),
    sign("btrfs mirror", At::Start((64 << 20) + 64), b"_BHRfS_M"),
    sign("btrfs mirror", At::Start((256 << 30) + 64), b"_BHRfS_M"),
    sign("ISO 9660", At::Start(32769), b"CD001"),
    sign("LUKS", At::Start(0), b"LUKS\xba\xbe"),
    sign("LUKS2 copy", At::Start(0x4000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x8000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x1_0000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x2_0000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x4_0000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x8_0000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x10_0000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x20_0000), LUKS_COPY),
    sign("LUKS2 copy", At::Start(0x40_0000), LUKS_COPY),
    sign("LVM", At::Start(0), b"LABELONE"),
    sign("LVM", At::Start(512), b"LABELONE"),
    sign("LVM", At::Start(1024), b"LABELONE"),
    sign("LVM", At::Start(1536), b"LABELONE"),
    sign("md 1.1", At::Start(0), MD),
    sign("md 1.2", At::Start(4096), MD),
    sign("md 1.0", At::EndRaid, MD),
    sign("md 0.90", At::OldRaid, MD),
    sign("Intel RAID", At::End(1024), b"Intel Raid ISM Cfg Sig."),
    sign("DDF RAID", At::End(512), &[0xde, 0x11, 0xde, 0x11]),
    sign("swap", At::Start(4096 - 10), b"SWAPSPACE2"),
    sign("swap", At::Start(8192 - 10), b"SWAPSPACE2"),
    sign("swap", At::Start(16_384 - 10), b"SWAPSPACE2"),
    sign("swap", At::Start(65_536 - 10), b"SWAPSPACE2"),
    sign("bcache", At::Start(4096 + 24), &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca]),
    sign("Ceph BlueStore", At::Start(0), b"bluestore block device"),
    sign("ZFS", At::Start(128 << 10), &[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]),
    sign("ZFS", At::Start(384 << 10), &[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0]),
    sign("VMFS", At::Start(1 << 20), &[0x0d, 0xd0, 0x01, 0xc0]),
];

/// A signature that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Whose.
    pub(super) name: &'static str,
    /// Byte of the disk.
    pub(super) at: u64,
}

impl Signature {
    /// Its byte of the disk, in this part of it.
    fn place(&self, part: Range) -> Option<u64> {
        let length = u64::try_from(self.magic.len()).ok()?;
        let offset = match self.at {
            At::Start(at) => at,
            At::End(before) => part.len.checked_sub(before)?,
            At::OldRaid => (part.len / (64 << 10) * (64 << 10)).checked_sub(64 << 10)?,
            At::EndRaid => part.len.checked_sub(8 << 10)? / BLOCK * BLOCK,
        };
        (offset + length <= part.len).then_some(part.at + offset)
    }
}

/// Blocks of this part of a disk that hold signatures, whether any is there or not.
pub(super) fn places(part: Range) -> Vec<Range> {
    let of = |signature: &Signature| {
        let at = signature.place(part)? / BLOCK * BLOCK;
        Some(Range { at, len: BLOCK.min(part.end().saturating_sub(at)) })
    };
    let mut places: Vec<Range> = KNOWN.iter().filter_map(of).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// How many places are looked at in this part.
pub(super) fn count(part: Range) -> usize {
    KNOWN.iter().filter(|signature| signature.place(part).is_some()).count()
}

/// The first signature that is in this part of the disk.
///
/// # Errors
/// The byte that could not be read, and why.
pub(super) fn first(disk: &Disk, part: Range) -> Result<Option<Found>, (u64, std::io::Error)> {
    for signature in KNOWN {
        let Some(at) = signature.place(part) else { continue };
        let length = u64::try_from(signature.magic.len()).unwrap_or(0);
        let read = disk.read(at, length).map_err(|why| (at, why))?;
        if read == signature.magic {
            return Ok(Some(Found { name: signature.name, at }));
        }
    }
    Ok(None)
}
