//! Who was killed for want of memory, by the kernel's log.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Longest log read at once, in bytes.
const LONGEST: usize = 4 << 20;
/// Records that the kernel had thrown away before they were read, skipped at once.
const SKIPPED: u32 = 1000;
/// Characters of a program's name; the kernel has 15.
const NAME: usize = 32;

/// `/dev/kmsg`, at the place where it was read last. `None` where this process may not read it.
#[derive(Debug)]
pub(super) struct KernelLog(Option<File>);

impl KernelLog {
    /// Opens it, from its beginning or from now on.
    pub(super) fn open(path: &Path, whole: bool) -> Self {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok();
        if !whole && file.as_mut().is_some_and(|file| file.seek(SeekFrom::End(0)).is_err()) {
            file = None;
        }
        Self(file)
    }

    /// The last program that was killed since the log was read last.
    pub(super) fn last_killed(&mut self) -> Option<String> {
        let file = self.0.as_mut()?;
        let (mut log, mut record, mut skipped) = (Vec::new(), [0; 8192], 0);
        // One read gives one record; the end is that the next one would have to be waited for.
        while log.len() < LONGEST {
            match file.read(&mut record) {
                Ok(0) => break,
                Ok(count) => log.extend_from_slice(record.get(..count).unwrap_or_default()),
                Err(why) if why.kind() == ErrorKind::BrokenPipe && skipped < SKIPPED => skipped += 1,
                Err(_) => break,
            }
        }
        killed(&String::from_utf8_lossy(&log))
    }
}

/// `Out of memory: Killed process 77 (qemu-system-x86) total-vm:..`, with `Memory cgroup out of memory` before it, or
/// (before 5.1) `Kill process 77 (qemu) score ..` (`mm/oom_kill.c`).
pub(super) fn killed(log: &str) -> Option<String> {
    let line = |line: &str| {
        let at = line.find("ut of memory: Kill")?;
        let (_, rest) = line.get(at..)?.split_once(" process ")?;
        let (id, rest) = rest.split_once(" (")?;
        let id: u32 = id.parse().ok()?;
        // A name may have brackets of its own.
        let closed = rest.split_once(") ").or_else(|| rest.split_once("),"));
        let name = closed.map_or_else(|| rest.trim_end_matches(')'), |(name, _)| name);
        let name: String = name.chars().take(NAME).collect();
        Some(format!("{name} ({id})"))
    };
    log.lines().rev().find_map(line)
}
