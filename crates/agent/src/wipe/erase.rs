//! What a disk does to itself when it is told to: `NVMe` sanitize and format, and discards that leave nothing behind.
//!
//! ```text
//! ask what it offers ─▶ tell it ─▶ wait, however long ─▶ is it the same disk? ─▶ read back (engine)
//!                        │ tool missing, refused, failed: the next way     │ no answer: nobody knows, the wipe ends
//! ```

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::WipeMethod;

use super::disk::{Disk, Range};
use super::engine::Tell;
use super::nvme::{self, Controller, Erase, Namespace, Sanitizing};
use super::plan::around_label;
use super::tool::{Tools, Trouble};

/// For a question to a drive.
const ASK: Duration = Duration::from_secs(60);
/// For a format: user data of a large drive takes tens of minutes.
const FORMAT: Duration = Duration::from_secs(2 * 3600);
/// The same for `nvme`, which tells the kernel: in milliseconds.
const FORMAT_MS: &str = "--timeout=7200000";
/// For a discard of a whole disk, and for sanitizing.
const WHOLE: Duration = Duration::from_secs(6 * 3600);
/// Questions in a row that a drive that sanitizes may leave unanswered.
const DEAF: u32 = 60;
/// Parts of the whole that a sanitize log counts.
const PARTS: u64 = 1 << 16;

/// A disk that is to be wiped.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// It, open for nobody else.
    pub(super) disk: &'a Disk,
    /// The machine's file system.
    pub(super) root: &'a Path,
    /// Kernel name.
    pub(super) name: &'a str,
    /// What it is told by.
    pub(super) tools: &'a Tools,
}

/// A way in which a disk can destroy by itself all that is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Nvme(Erase),
    SecureDiscard,
}

impl Way {
    pub(super) const fn method(self) -> WipeMethod {
        match self {
            Self::Nvme(Erase::SanitizeBlocks | Erase::SanitizeKey) => WipeMethod::NvmeSanitize,
            Self::Nvme(Erase::FormatKey | Erase::FormatData) => WipeMethod::NvmeFormat,
            Self::SecureDiscard => WipeMethod::SecureDiscard,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nvme(Erase::SanitizeBlocks) => "NVMe sanitize (block erase)",
            Self::Nvme(Erase::SanitizeKey) => "NVMe sanitize (cryptographic erase)",
            Self::Nvme(Erase::FormatKey) => "NVMe format (cryptographic erase)",
            Self::Nvme(Erase::FormatData) => "NVMe format (user data erase)",
            Self::SecureDiscard => "secure discard of every block",
        })
    }
}

/// Why a way was not gone to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// The next one can be tried.
    Passed(String),
    /// The disk may still be at it, or is not the one it was.
    Lost(String),
}

impl Target<'_> {
    fn device(&self) -> PathBuf {
        self.root.join("dev").join(self.name)
    }

    /// Every way for a disk of its kind, the strongest first, and why it is passed over.
    pub(super) fn ways(&self) -> Vec<(Way, Option<String>)> {
        let mut ways = if self.name.starts_with("nvme") { self.nvme_ways() } else { Vec::new() };
        if self.discards() {
            ways.push((Way::SecureDiscard, None));
        }
        ways
    }

    fn nvme_ways(&self) -> Vec<(Way, Option<String>)> {
        let asked = self.ask("id-ctrl", &["-o", "json"]).map(|json| Controller::read(&json));
        let others = |drive: &Controller| self.others(drive);
        let offer = match asked {
            Ok(Some(drive)) => others(&drive).map(|others| drive.offer(&others)),
            Ok(None) => Err("`nvme id-ctrl` told nothing that can be read".to_owned()),
            Err(trouble) => Err(trouble.to_string()),
        };
        match offer {
            Ok(offer) => offer.map(|(erase, why)| (Way::Nvme(erase), why)).to_vec(),
            Err(why) => [Erase::SanitizeBlocks, Erase::FormatData]
                .map(|erase| (Way::Nvme(erase), Some(why.clone())))
                .to_vec(),
        }
    }

    /// Other namespaces of the drive: those that this machine sees, and where the drive keeps more, those.
    fn others(&self, drive: &Controller) -> Result<Vec<String>, String> {
        let stem = self.name.rsplit_once('n').map_or(self.name, |(stem, _)| stem);
        let sibling = |name: &String| {
            let number = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('n'));
            name != self.name && number.is_some_and(|number| number.parse::<u32>().is_ok())
        };
        let listed = fs::read_dir(self.root.join("sys/block")).into_iter().flatten().flatten();
        let mut others: Vec<String> =
            listed.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        others.retain(sibling);
        others.sort();
        if drive.keeps_namespaces() {
            let told =
                self.ask("list-ns", &["--all", "-o", "json"]).map_err(|trouble| trouble.to_string())?;
            let told = nvme::listed(&told).ok_or("`nvme list-ns` told nothing that can be read")?;
            let more = told.len().saturating_sub(others.len() + 1);
            others.extend((more > 0).then(|| format!("{more} namespaces that this machine does not see")));
        }
        Ok(others)
    }

    /// True where the device takes discards (`Documentation/ABI/stable/sysfs-block`).
    pub(super) fn discards(&self) -> bool {
        let file = self.root.join("sys/block").join(self.name).join("queue/discard_max_bytes");
        fs::read_to_string(file).is_ok_and(|most| most.trim().parse::<u64>().is_ok_and(|most| most > 0))
    }

    /// Lets it go one way, to its end.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn go(&self, way: Way, tell: Tell<'_>) -> Result<(), Stop> {
        tell(&way.to_string(), 0, 0);
        match way {
            Way::Nvme(Erase::SanitizeBlocks) => self.sanitize(way, "--sanact=2", tell),
            Way::Nvme(Erase::SanitizeKey) => self.sanitize(way, "--sanact=4", tell),
            Way::Nvme(Erase::FormatKey) => self.format(way, "--ses=2", tell),
            Way::Nvme(Erase::FormatData) => self.format(way, "--ses=1", tell),
            Way::SecureDiscard => self
                .tool("blkdiscard", &["--force", "--secure"], (WHOLE, &way.to_string()), tell)
                .map_err(stop),
        }?;
        match self.disk.size() {
            Ok(bytes) if bytes == self.disk.bytes => Ok(()),
            Ok(bytes) => {
                Err(Stop::Lost(format!("{way}: it has {bytes} bytes now, and had {}", self.disk.bytes)))
            }
            Err(why) => Err(Stop::Lost(format!("{way}: its size cannot be read any more: {why}"))),
        }
    }

    /// Discards everything but the label, without a promise of what is read afterwards.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn trim(&self, tell: Tell<'_>) -> Result<(), Stop> {
        let step = WipeMethod::Trim.to_string();
        for range in around_label(Range { at: 0, len: self.disk.bytes }) {
            let (at, len) = (format!("--offset={}", range.at), format!("--length={}", range.len));
            self.tool("blkdiscard", &["--force", &at, &len], (WHOLE, &step), tell).map_err(stop)?;
        }
        Ok(())
    }

    fn format(&self, way: Way, how: &str, tell: Tell<'_>) -> Result<(), Stop> {
        let form = self.ask("id-ns", &["-o", "json"]).map_err(|trouble| Stop::Passed(trouble.to_string()))?;
        let form = Namespace::read(&form)
            .ok_or_else(|| Stop::Passed("`nvme id-ns` told nothing that can be read".to_owned()))?;
        let layout = form.words();
        let mut words = vec!["format", "--force", how, FORMAT_MS];
        words.extend(layout.iter().map(String::as_str));
        // The kernel's own limit comes first.
        let limit = (FORMAT + ASK, way.to_string());
        self.tool("nvme", &words, (limit.0, &limit.1), tell).map_err(|trouble| match trouble {
            Trouble::Failed(why) => {
                Stop::Passed(format!("{why}; how much of the disk it reached is not known"))
            }
            other => stop(other),
        })
    }

    fn sanitize(&self, way: Way, how: &str, tell: Tell<'_>) -> Result<(), Stop> {
        // With `--ause` a drive that failed can be used again afterwards.
        self.tool("nvme", &["sanitize", how, "--ause"], (ASK, &way.to_string()), tell).map_err(stop)?;
        let began = std::time::Instant::now();
        let mut deaf = 0;
        while deaf < DEAF && began.elapsed() < WHOLE {
            let log = self.ask("sanitize-log", &["--raw-binary"]).ok();
            match log.as_deref().and_then(nvme::sanitizing) {
                Some(Sanitizing::Done) => return Ok(()),
                Some(Sanitizing::GoesOn(done)) => {
                    deaf = 0;
                    tell(&way.to_string(), u64::from(done), PARTS);
                }
                Some(Sanitizing::Failed) => {
                    // Until it is told so it answers nothing; when even that fails, reading back will tell.
                    drop(self.tool("nvme", &["sanitize", "--sanact=1"], (ASK, "giving sanitizing up"), tell));
                    let why = "the drive says that it failed; how much of the disk it reached is not known";
                    return Err(Stop::Passed(why.to_owned()));
                }
                Some(Sanitizing::Never) | None => deaf += 1,
            }
            std::thread::park_timeout(self.tools.pause);
        }
        Err(Stop::Lost(format!("{way}: the drive does not say that it is done; it may still be at it")))
    }

    /// A question to the drive.
    fn ask(&self, what: &str, words: &[&str]) -> Result<Vec<u8>, Trouble> {
        let device = self.device();
        let device = device.to_string_lossy();
        self.tools.run("nvme", &[&[what, &device], words].concat(), ASK, &|_| {})
    }

    /// Something that may take its time.
    fn tool(
        &self,
        name: &str,
        words: &[&str],
        (limit, step): (Duration, &str),
        tell: Tell<'_>,
    ) -> Result<(), Trouble> {
        let device = self.device();
        let device = device.to_string_lossy();
        let tick = |running: Duration| tell(&format!("{step}, for {} s", running.as_secs()), 0, 0);
        self.tools.run(name, &[words, &[&*device]].concat(), limit, &tick).map(drop)
    }
}

fn stop(trouble: Trouble) -> Stop {
    match trouble {
        Trouble::Missing(why) | Trouble::Failed(why) => Stop::Passed(why),
        Trouble::Lost(why) => Stop::Lost(format!("{why}: the disk may still be at it")),
    }
}
