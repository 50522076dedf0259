//! The watchdog: a machine whose agent hangs starts again by itself.
//!
//! The image loads the kernel's own (`softdog`) where the machine has none. Both start again after 60 s of silence unless
//! the driver was told otherwise (`Documentation/watchdog/watchdog-api.rst`).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use tokio::time::{interval, sleep};

use crate::console::Console;

const DEVICE: &str = "/dev/watchdog";
/// Six times in the 60 s of the usual limit, and twice in the shortest that hardware has (some 20 s).
const BEAT: Duration = Duration::from_secs(10);
/// How often it is looked for while its driver is not loaded.
const LOOK: Duration = Duration::from_secs(1);

/// Arms the watchdog as soon as there is one, and keeps it quiet for as long as this runtime turns.
pub(super) async fn keep(console: &Console) {
    let mut device = loop {
        match OpenOptions::new().write(true).open(DEVICE) {
            Ok(device) => break device,
            Err(why) if why.kind() == ErrorKind::NotFound => sleep(LOOK).await,
            Err(why) => {
                console.say(&format!("{DEVICE}: {why}; a machine that hangs stays so"));
                return std::future::pending().await;
            }
        }
    };
    let mut beat = interval(BEAT);
    // It is armed by being opened, and never closed in earnest: the magic letter V is not written.
    loop {
        beat.tick().await;
        drop(device.write_all(b"\0"));
    }
}
