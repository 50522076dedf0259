//! `images.lock`: what every fetched file was, so that it is the same tomorrow and on another machine.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use model::Digest;
use serde::{Deserialize, Serialize};

/// Form of the file; a reader refuses others.
const FORM: u32 = 1;

/// One pinned file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Where the distributor keeps it; a mirror does not change this.
    pub url: String,
    /// Size in bytes.
    pub size: u64,
    /// What is in it.
    pub sha256: Digest,
}

/// All pins of a lab, by image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    form: u32,
    /// Files by the name of the image and the file's own.
    pub images: BTreeMap<String, BTreeMap<String, Pin>>,
}

impl Default for Pins {
    fn default() -> Self {
        Self { form: FORM, images: BTreeMap::new() }
    }
}

impl Pins {
    /// Reads the file; one that is not there has no pins.
    ///
    /// # Errors
    /// It cannot be read, or is of another form.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(why) => return Err(why),
        };
        let pins: Self = serde_json::from_slice(&bytes)?;
        if pins.form != FORM {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("form {} instead of {FORM}", pins.form),
            ));
        }
        Ok(pins)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let part = path.with_extension("lock.part");
        let mut file = std::fs::File::create(&part)?;
        io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    }
}
