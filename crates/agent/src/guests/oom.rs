//! Whether the kernel killed a process for its memory: its own log says so.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

/// Longest record of the kernel's log (`CONSOLE_EXT_LOG_MAX` in its `printk` code).
const RECORD: usize = 8192;

/// The line in which the kernel says that it killed this process for its memory.
pub(super) fn killed(pid: i32) -> Option<String> {
    let mut log = File::options().read(true).custom_flags(nonblocking()).open("/dev/kmsg").ok()?;
    let mut buffer = [0; RECORD];
    let mut last = None;
    loop {
        match log.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                let record = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
                // Process ids come again: the newest line is the one that is meant.
                last = find(&record, pid).or(last);
            }
            // Records were overwritten while it was read (EPIPE); it goes on with the oldest that is left.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(_) => break,
        }
    }
    last
}

fn nonblocking() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default()
}

/// A record of `/dev/kmsg` is `priority,number,microseconds,flags;text`.
fn find(record: &str, pid: i32) -> Option<String> {
    let text = record.split_once(';').map_or(record, |(_, text)| text);
    let line = text.lines().next()?;
    let killed = line.split_once("ut of memory").and_then(|(_, rest)| rest.split_once("Killed process "));
    let number = killed.map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
    (number == Some(pid.to_string().as_str())).then(|| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_for_memory_is_known_by_its_process_id() {
        let record = "3,1203,98765432,-;Out of memory: Killed process 4711 (qemu-system-x86) total-vm:2400000kB, \
                      anon-rss:2100000kB, file-rss:0kB, shmem-rss:4kB, UID:0 pgtables:4400kB oom_score_adj:500\n";
        assert!(
            find(record, 4711).unwrap().starts_with("Out of memory: Killed process 4711 (qemu-system-x86)")
        );
        assert_eq!(find(record, 471), None);
        let group = "3,1,2,-;Memory cgroup out of memory: Killed process 12 (qemu-system-x86) total-vm:1kB";
        assert!(find(group, 12).is_some());
        assert_eq!(find("6,1,2,-;Killed process 12 (x)", 12), None);
        assert_eq!(find("", 12), None);
    }
}
