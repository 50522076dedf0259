//! Heads of packets of failed starts: when the counter is to save them or to forget them, and the files there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use api::{Capture, Captures};
use model::{Event, Fact, Rung, Snapshot};
use netboot::{Down, is_capture_name};
use tokio::sync::mpsc;

use crate::publisher::Publisher;

/// Orders that may wait for the line to the counter; while it is away, the packets are lost with it anyway.
pub const ORDERS_WAITING: usize = 256;
/// Events looked at in one go.
const PAGE: usize = 1000;

/// Tells the counter what to do with the packets of each start that ended. Goes on until the line is gone.
pub async fn watch(publisher: Arc<Publisher>, orders: mpsc::Sender<Down>) {
    let mut news = publisher.news();
    let mut known = publisher.latest().through;
    while news.changed().await.is_ok() {
        loop {
            let picture = publisher.latest();
            let (events, _) = publisher.events(known, PAGE);
            let Some(last) = events.last() else { break };
            known = last.seq;
            for order in events.iter().filter_map(|event| order(event, &picture)) {
                match orders.try_send(order) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        tracing::debug!("the boot counter is away: packets of a start are not saved");
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                }
            }
        }
    }
}

/// What an event means for the packets of its machine.
fn order(event: &Event, picture: &Snapshot) -> Option<Down> {
    let (node, failed) = match &event.fact {
        Fact::Faulted { node, .. } => (node, true),
        Fact::Entered { node, rung: Rung::Ready } => (node, false),
        _ => return None,
    };
    let machine = picture.machines.iter().find(|machine| machine.node == *node)?;
    let mac = machine.mac;
    if !failed {
        return Some(Down::ForgetPackets { mac });
    }
    let boot = machine.boot.as_ref().map_or(0, |boot| boot.number);
    let file = format!("{node}-{}-{boot}.pcap", picture.lab.run);
    Some(Down::SavePackets { mac, boot, file })
}

/// The capture files of a controller.
#[derive(Debug, Clone)]
pub struct Failures(Arc<PathBuf>);

impl Failures {
    /// Those below this state folder.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self(Arc::new(netboot::failures(state)))
    }

    /// All there are, newest first. A folder that cannot be read has none.
    #[must_use]
    pub fn list(&self) -> Captures {
        let entries = fs::read_dir(&*self.0).into_iter().flatten().flatten();
        let mut files: Vec<Capture> = entries
            .filter_map(|entry| {
                let file = entry.file_name().into_string().ok().filter(|name| is_capture_name(name))?;
                let about = entry.metadata().ok()?;
                Some(Capture { file, bytes: about.len(), saved_ms: since_1970(about.modified().ok()?) })
            })
            .collect();
        files.sort_by(|a, b| (b.saved_ms, &a.file).cmp(&(a.saved_ms, &b.file)));
        Captures { folder: self.0.display().to_string(), files }
    }

    /// The content of one; `None` when there is none of this name.
    #[must_use]
    pub fn read(&self, file: &str) -> Option<Vec<u8>> {
        is_capture_name(file).then(|| fs::read(self.0.join(file)).ok()).flatten()
    }
}

fn since_1970(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
