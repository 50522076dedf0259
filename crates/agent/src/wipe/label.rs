//! The label: whose disk this is, in the last 4 KiB before its first mebibyte.
//!
//! A GPT of 128 entries ends at 17 KiB (33 KiB with sectors of 4 KiB), and whatever makes partitions today lets the first
//! begin at 1 MiB. So the label stays where a system is installed, and goes where the disk is used without partitions:
//! then the disk is nobody's, which is what it looks like.
//!
//! ```text
//! LABINATOR DISK LABEL 1\n  JSON\n  SHA-256 of the disk's digest and the JSON, in hexadecimal\n  zeros
//! ```

use std::io;

use model::{Digest, DiskLabel};

use super::disk::{BLOCK, Disk, Range};

const MAGIC: &str = "LABINATOR DISK LABEL 1\n";

/// Where it lies. Every disk that is wiped is larger.
pub(super) const PLACE: Range = Range { at: (1 << 20) - BLOCK, len: BLOCK };

/// A sum that holds on this disk alone: a copied disk is not labelled.
fn sum(disk: Digest, json: &str) -> String {
    store::Digest::of(&[&disk.0, json.as_bytes()].concat()).to_string()
}

/// What is written, as it lies on the disk.
pub(super) fn block(label: &DiskLabel, disk: Digest) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(label).map_err(io::Error::other)?;
    let mut block = format!("{MAGIC}{json}\n{}\n", sum(disk, &json)).into_bytes();
    // Names are short, so it always fits.
    block.resize(usize::try_from(BLOCK).unwrap_or(block.len()), 0);
    Ok(block)
}

/// What a block says; `None` where it is no label, or another disk's.
pub(super) fn read(block: &[u8], disk: Digest) -> Option<DiskLabel> {
    let text = block.split(|byte| *byte == 0).next()?;
    let rest = std::str::from_utf8(text).ok()?.strip_prefix(MAGIC)?;
    let (json, rest) = rest.split_once('\n')?;
    if rest.strip_suffix('\n')? != sum(disk, json) {
        return None;
    }
    serde_json::from_str(json).ok()
}

/// Writes it and brings it to the device.
pub(super) fn write(disk: &Disk, label: &DiskLabel, digest: Digest) -> io::Result<()> {
    disk.write(PLACE.at, &block(label, digest)?)?;
    disk.settle()
}
