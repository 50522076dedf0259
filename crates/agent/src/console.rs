//! What a person at the screen reads: one line a step, on every console the kernel knows.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// The machine's consoles.
#[derive(Debug, Clone)]
pub(crate) struct Console(Arc<Vec<File>>);

impl Console {
    /// Opens every active console. `/dev/console` alone would be the last one of the kernel line only,
    /// and a person may stand before the other.
    pub(crate) fn open() -> Self {
        let names = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
        let mut files: Vec<File> = names.split_ascii_whitespace().filter_map(open_tty).collect();
        if files.is_empty() {
            files.extend(open_tty("console"));
        }
        Self(Arc::new(files))
    }

    /// The terminal of whoever started this process.
    pub(crate) fn stderr() -> Self {
        let stream = std::io::stderr().as_fd().try_clone_to_owned();
        Self(Arc::new(stream.map(File::from).into_iter().collect()))
    }

    /// One that nobody reads.
    #[cfg(test)]
    pub(crate) fn nobody() -> Self {
        Self(Arc::default())
    }

    /// Writes one line, with the seconds since the kernel started.
    pub(crate) fn say(&self, line: &str) {
        let stamp = uptime_ms() / 10;
        let text = format!("labinator {:>4}.{:02}  {line}\r\n", stamp / 100, stamp % 100);
        for mut file in self.0.iter() {
            // A console that cannot be written has no reader; there is nobody else to tell.
            drop(file.write_all(text.as_bytes()));
        }
    }
}

fn open_tty(name: &str) -> Option<File> {
    OpenOptions::new().write(true).open(format!("/dev/{name}")).ok()
}

/// Milliseconds since the kernel started, from `/proc/uptime` (hundredths of a second).
pub(crate) fn uptime_ms() -> u64 {
    fs::read_to_string("/proc/uptime").ok().and_then(|text| parse_uptime(&text)).unwrap_or_default()
}

fn parse_uptime(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_ascii_whitespace().next()?.split_once('.')?;
    let hundredths: u64 = rest.get(..2)?.parse().ok()?;
    Some(seconds.parse::<u64>().ok()? * 1000 + hundredths * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_read_in_milliseconds() {
        assert_eq!(parse_uptime("12.34 5.60\n"), Some(12_340));
        assert_eq!(parse_uptime("nonsense"), None);
    }
}
