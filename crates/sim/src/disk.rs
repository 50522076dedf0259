//! The disk of a simulated machine: what is written on it, what it is known by, and whether it forgets what it says it
//! forgot.

use std::collections::BTreeMap;

use model::{Digest, DiskLabel, LabelState};
use sha2::{Digest as _, Sha256};

/// Size of the disk.
const BYTES: u64 = 256_060_514_304;
const MODEL: &str = "Simulated SSD";
/// What lies there before a wipe, by the byte where it begins: both GPT headers (UEFI specification 2.10 section 5.3.2)
/// and an ext4 superblock in the first partition (Linux `Documentation/filesystems/ext4/super.rst`).
const CONTENT: [(u64, &[u8]); 3] =
    [(512, b"EFI PART"), (1_048_576 + 1080, &[0x53, 0xef]), (BYTES - 512, b"EFI PART")];

/// A disk that may go from one machine to another.
#[derive(Debug, Clone)]
pub struct Disk {
    serial: String,
    label: Option<DiskLabel>,
    /// What can be read, by the byte where it begins. Everything else is zeros.
    content: BTreeMap<u64, Vec<u8>>,
    /// It says that it writes, and does not.
    keeps: bool,
}

impl Disk {
    /// A disk of another system, in nobody's records.
    #[must_use]
    pub fn new(serial: &str) -> Self {
        let content = CONTENT.iter().map(|(at, bytes)| (*at, bytes.to_vec())).collect();
        Self { serial: serial.to_owned(), label: None, content, keeps: false }
    }

    /// The same with what an earlier wipe wrote on it.
    #[must_use]
    pub fn labelled(self, label: DiskLabel) -> Self {
        Self { label: Some(label), ..self }
    }

    /// The same, worn out: it says that it wrote, and everything is as it was (what a controller does that ran out of
    /// good blocks and does not say so).
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { keeps: true, ..self }
    }

    /// What a lab wrote on it.
    #[must_use]
    pub const fn label(&self) -> Option<&DiskLabel> {
        self.label.as_ref()
    }

    /// True when something of a system is found on it.
    #[must_use]
    pub fn holds_something(&self) -> bool {
        self.content.values().any(|bytes| bytes.iter().any(|byte| *byte != 0))
    }

    /// What orders name it by: SHA-256 of serial, model and size, each on a line.
    pub(crate) fn digest(&self) -> Digest {
        Digest(Sha256::digest(format!("{}\n{MODEL}\n{BYTES}\n", self.serial)).into())
    }

    /// What its machine's agent reports of it.
    pub(crate) fn reported(&self) -> model::Disk {
        model::Disk {
            name: "sda".to_owned(),
            model: MODEL.to_owned(),
            serial: self.serial.clone(),
            bytes: BYTES,
            digest: Some(self.digest()),
            label: self.label.clone(),
            used: None,
        }
    }

    /// Writes a label.
    pub(crate) fn mark(&mut self, label: DiskLabel) {
        if !self.keeps {
            self.label = Some(label);
        }
    }

    /// Writes zeros over every place where something could be known by.
    pub(crate) fn overwrite(&mut self) {
        if !self.keeps {
            self.content.values_mut().for_each(|bytes| bytes.fill(0));
        }
    }

    /// Reads those places back; the first that is not empty.
    pub(crate) fn left(&self) -> Option<(u64, &[u8])> {
        let left = self.content.iter().find(|(_, bytes)| bytes.iter().any(|byte| *byte != 0));
        left.map(|(at, bytes)| (*at, bytes.as_slice()))
    }

    /// Places that are read back.
    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.content.len()).unwrap_or(u32::MAX)
    }

    /// True when its label says that this wipe was read back.
    pub(crate) fn is_wiped_by(&self, number: u32) -> bool {
        self.label.as_ref().is_some_and(|label| label.number == number && label.state == LabelState::Wiped)
    }
}
