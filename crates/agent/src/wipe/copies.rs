//! Copies that file systems keep of their superblocks: with one of these left, the rest can be found again.

use super::disk::{BLOCK, Disk, Range};

/// Copies that are followed; a volume of 16 TiB has fewer.
const MOST: u64 = 4096;

/// Blocks of this part of a disk in which a file system that is there now keeps copies of its superblock.
pub(super) fn of(disk: &Disk, part: Range) -> Vec<Range> {
    let mut copies = ext(disk, part).unwrap_or_default();
    copies.extend(xfs(disk, part).unwrap_or_default());
    copies.retain(|copy| copy.end() <= part.end());
    copies
}

fn little(bytes: &[u8], at: usize) -> Option<u64> {
    let field: [u8; 4] = bytes.get(at..)?.get(..4)?.try_into().ok()?;
    Some(u32::from_le_bytes(field).into())
}

fn big(bytes: &[u8], at: usize) -> Option<u64> {
    let field: [u8; 4] = bytes.get(at..)?.get(..4)?.try_into().ok()?;
    Some(u32::from_be_bytes(field).into())
}

/// ext2 to ext4: copies in groups 1 and the powers of 3, 5 and 7, or in all of them (`sparse_super`, kernel
/// documentation `filesystems/ext4/blockgroup.rst`).
fn ext(disk: &Disk, part: Range) -> Option<Vec<Range>> {
    let head = disk.read(part.at.checked_add(1024)?, 1024).ok()?;
    if head.get(56..58)? != [0x53, 0xef] {
        return None;
    }
    let (blocks, first) = (little(&head, 4)?, little(&head, 20)?);
    let (shift, group) = (little(&head, 24)?, little(&head, 32)?);
    let block = 1024_u64.checked_shl(u32::try_from(shift).ok().filter(|shift| *shift <= 6)?)?;
    if group == 0 {
        return None;
    }
    let sparse = little(&head, 100)? & 1 == 1;
    let is_power = |mut n: u64, of: u64| {
        while n > 1 && n.is_multiple_of(of) {
            n /= of;
        }
        n == 1
    };
    let has = |n: &u64| !sparse || [3, 5, 7].into_iter().any(|of| is_power(*n, of));
    let groups = (1..=blocks / group).filter(has).take(usize::try_from(MOST).ok()?);
    Some(
        groups
            .filter_map(|n| spot(part, n.checked_mul(group)?.checked_add(first)?.checked_mul(block)?))
            .collect(),
    )
}

/// XFS: the superblock opens every allocation group.
fn xfs(disk: &Disk, part: Range) -> Option<Vec<Range>> {
    let head = disk.read(part.at, 512).ok()?;
    if head.get(..4)? != b"XFSB" {
        return None;
    }
    let (block, blocks, groups) = (big(&head, 4)?, big(&head, 84)?, big(&head, 88)?);
    let each = block.checked_mul(blocks)?;
    Some((1..groups.min(MOST)).filter_map(|n| spot(part, n.checked_mul(each)?)).collect())
}

/// The block of the disk that holds this byte of a part.
fn spot(part: Range, offset: u64) -> Option<Range> {
    let at = part.at.checked_add(offset)? / BLOCK * BLOCK;
    Some(Range { at, len: BLOCK })
}
