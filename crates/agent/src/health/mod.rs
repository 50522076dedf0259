//! What this machine's kernel tells of its health, read from `/proc` and `/sys`.
//!
//! | from | file |
//! |---|---|
//! | tables of `/proc`: softnet, UDP, pressure, killed programs | `tables.rs` |
//! | who was killed, from the kernel's log | `log.rs` |
//! | network ports: link, interrupts, steering | `nics.rs`; speed and offloads by `ethtool.rs` |
//! | temperatures | `warmth.rs` |
//! | disks, by `smartctl` | `disks.rs` |
//!
//! Nothing here fails: what a kernel does not tell is absent.

mod disks;
mod ethtool;
mod log;
mod nics;
pub mod tables;
mod warmth;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Health, OomKills, UdpErrors};

use self::disks::Disks;
use self::log::KernelLog;
pub use self::nics::irqs_of;

/// Health goes with a heartbeat at least so often.
const TELL_EVERY: Duration = Duration::from_secs(15);
/// A file of `/proc` or `/sys` is read up to so many bytes.
const LONGEST: u64 = 4 << 20;

/// Looks at one machine.
#[derive(Debug)]
pub struct Eye {
    root: PathBuf,
    log: KernelLog,
    disks: Disks,
    victim: Option<String>,
    told: Option<(Instant, Health)>,
}

impl Eye {
    /// An eye for the machine whose file system starts at `root` (`/` outside tests).
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let killed = oom_kills(root);
        Self {
            root: root.to_owned(),
            // Who was killed before is in the log that is there; else only what comes counts.
            log: KernelLog::open(&root.join("dev/kmsg"), killed > 0),
            disks: Disks::new(root),
            victim: None,
            told: None,
        }
    }

    /// All of it, now.
    pub fn look(&mut self) -> Health {
        let quick = self.quick();
        self.whole(quick)
    }

    /// What goes with this heartbeat: all of it every fifteen seconds, and as soon as a counter grew that should stand
    /// still; else nothing. What is looked at each time is a few small tables.
    pub fn news(&mut self, now: Instant) -> Option<Health> {
        let quick = self.quick();
        let old = self
            .told
            .as_ref()
            .filter(|(at, old)| now.saturating_duration_since(*at) < TELL_EVERY && !has_grown(old, &quick));
        if old.is_some() {
            return None;
        }
        let health = self.whole(quick);
        self.told = Some((now, health.clone()));
        Some(health)
    }

    /// The counters.
    fn quick(&mut self) -> Health {
        let table = |path| text(&self.root.join(path));
        let (errors, buffer_errors) = tables::udp(&table("proc/net/snmp")).unwrap_or_default();
        Health {
            softnet: tables::softnet_summary(&tables::softnet(&table("proc/net/softnet_stat"))),
            udp: UdpErrors { errors, buffer_errors },
            oom: OomKills { count: oom_kills(&self.root), victim: None },
            ..Health::default()
        }
    }

    fn whole(&mut self, quick: Health) -> Health {
        if quick.oom.count > 0 {
            self.victim = self.log.last_killed().or_else(|| self.victim.take());
        }
        self.disks.refresh(Instant::now());
        Health {
            pressure: tables::pressure(&self.root),
            oom: OomKills { victim: self.victim.clone(), ..quick.oom },
            nics: nics::read(&self.root),
            sensors: warmth::read(&self.root),
            disks: self.disks.told(),
            ..quick
        }
        .bounded()
    }
}

fn oom_kills(root: &Path) -> u64 {
    tables::named(&text(&root.join("proc/vmstat")), "oom_kill").unwrap_or(0)
}

/// True when something was lost since.
fn has_grown(old: &Health, new: &Health) -> bool {
    new.softnet.dropped > old.softnet.dropped
        || new.udp.buffer_errors > old.udp.buffer_errors
        || new.oom.count > old.oom.count
}

/// A file's text, whatever bytes are in it; empty where it cannot be read.
pub(crate) fn text(path: &Path) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // What was read before an error counts: some drivers fail in the middle.
    let read = fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    if read.is_err() {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn word(folder: &Path, name: &str) -> String {
    text(&folder.join(name)).trim().to_owned()
}

/// The entries of a folder, sorted by name.
#[must_use]
pub fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests;
