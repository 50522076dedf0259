//! The watchdog: a machine whose agent hangs starts again by itself.
//!
//! The kernel's own (`softdog`) stands in where the machine has none. Both start again after 60 s of silence unless the
//! driver was told otherwise (`Documentation/watchdog/watchdog-api.rst`).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::interval;

use super::MODPROBE;
use crate::console::Console;

const DEVICE: &str = "/dev/watchdog";
/// Six times in the 60 s of the usual limit, and twice in the shortest that hardware has (some 20 s).
const BEAT: Duration = Duration::from_secs(10);

/// Arms the watchdog and keeps it quiet for as long as this runtime turns.
pub(crate) async fn keep(console: &Console) {
    if !Path::new(DEVICE).exists() {
        // `soft_panic` is off: a kernel that panics starts again by `panic=` anyway.
        drop(Command::new(MODPROBE).args(["-q", "softdog"]).status());
    }
    match OpenOptions::new().write(true).open(DEVICE) {
        Ok(mut device) => {
            let mut beat = interval(BEAT);
            // It is armed by being opened, and never closed in earnest: the magic letter V is not written.
            loop {
                beat.tick().await;
                drop(device.write_all(b"\0"));
            }
        }
        Err(why) => {
            console.say(&format!("{DEVICE}: {why}; a machine that hangs stays so"));
            std::future::pending::<()>().await;
        }
    }
}
