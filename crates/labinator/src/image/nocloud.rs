//! A volume by which a machine finds its config: cloud-init's data source `NoCloud`, as Talos reads it.
//!
//! What Talos's platform `nocloud` takes, v1.9.6 to v1.14.0-rc.1: a file system whose label is `cidata` or `CIDATA`, in the
//! boot sector up to 1.11 and in the root directory from 1.12; on it `user-data`, the config; `network-config`, of which
//! version 2 is understood; and `meta-data`, which is looked at only where there is a `network-config`.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::fat::{FatError, Settings, Volume};

/// What Talos looks for.
pub const LABEL: &str = "CIDATA";
/// The smallest volume that is made, in bytes. Talos up to 1.11 looks for ISO 9660 first, in the second 32 KiB, and gives a
/// smaller device up.
const SMALLEST: u64 = 1 << 20;

/// What stands on such a volume.
pub struct Nocloud {
    /// The machine's config; it holds keys.
    pub user_data: Zeroizing<String>,
    /// Which machine it is.
    pub meta_data: String,
    /// Its addresses, where somebody states them.
    pub network_config: Option<String>,
}

impl fmt::Debug for Nocloud {
    /// Says no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nocloud").field("meta_data", &self.meta_data).finish_non_exhaustive()
    }
}

impl Nocloud {
    /// The volume, as the bytes of a disk without partitions. What it holds decides every byte.
    ///
    /// # Errors
    /// [`FatError`]: it holds more than a FAT volume can.
    pub fn volume(&self) -> Result<Zeroizing<Vec<u8>>, FatError> {
        let mut all: Vec<(&str, &[u8])> =
            vec![("user-data", self.user_data.as_bytes()), ("meta-data", self.meta_data.as_bytes())];
        all.extend(self.network_config.as_ref().map(|text| ("network-config", text.as_bytes())));
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let content: u64 = all.iter().map(|(_, bytes)| length(bytes)).sum();
        let mut digest = Sha256::new();
        all.iter().for_each(|(_, bytes)| digest.update(bytes));
        let serial =
            digest.finalize().iter().take(4).fold(0, |serial: u32, byte| serial << 8 | u32::from(*byte));
        let size = content.saturating_mul(2).next_multiple_of(SMALLEST).max(SMALLEST);
        let mut volume = Volume::new(Settings { size, label: Some(LABEL.to_owned()), serial, time: 0 })?;
        for (name, bytes) in all {
            volume.file(name, length(bytes), bytes)?;
        }
        // Whole from the start: memory that grows leaves copies of the keys behind.
        let mut out = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
        volume.write(&mut *out)?;
        Ok(out)
    }
}
