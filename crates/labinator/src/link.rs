//! The line to the boot counter: tables down, sightings up. It is found again when it was lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{BootTable, Fact};
use netboot::{Down, Up};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::desk::{Desk, DeskError};

/// Pauses between two tries to reach the counter: quick at first, since it is started with the core.
const TRIES: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// Keeps the line up until the desk closes.
pub async fn run(socket: PathBuf, desk: Desk, mut table: watch::Receiver<Arc<BootTable>>) {
    let mut tried = 0;
    loop {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                tried = 0;
                if desk.tell(Fact::CounterSeen { up: true }).await.is_err() {
                    return;
                }
                if let Err(why) = talk(stream, &desk, &mut table).await {
                    tracing::warn!("the line to the boot counter broke: {why}");
                }
                if desk.tell(Fact::CounterSeen { up: false }).await.is_err() {
                    return;
                }
            }
            Err(why) => {
                if tried == TRIES.len() {
                    tracing::warn!("{}: {why}; trying again", socket.display());
                }
                tried += 1;
            }
        }
        sleep(TRIES.get(tried).copied().unwrap_or(Duration::from_secs(1))).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a line that is not understood: {0}")]
    Form(#[from] serde_json::Error),
    #[error("{0}")]
    Desk(#[from] DeskError),
    #[error("it was closed")]
    Closed,
}

async fn talk(
    stream: UnixStream,
    desk: &Desk,
    table: &mut watch::Receiver<Arc<BootTable>>,
) -> Result<(), LinkError> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let first = Arc::clone(&table.borrow_and_update());
    publish(&mut write, &first).await?;
    loop {
        tokio::select! {
            changed = table.changed() => {
                changed.map_err(|_| LinkError::Closed)?;
                let newer = Arc::clone(&table.borrow_and_update());
                publish(&mut write, &newer).await?;
            }
            line = lines.next_line() => {
                let line = line?.ok_or(LinkError::Closed)?;
                match serde_json::from_str(&line)? {
                    Up::Hello { version, table } => {
                        tracing::info!("boot counter {version} holds table {table:?}");
                    }
                    Up::Published { kept: true, .. } => {}
                    Up::Published { number, kept: false } => {
                        tracing::warn!("the counter could not keep table {number}: a restarted one would answer by an older");
                    }
                    Up::Sighting(seen) => {
                        let fact = Fact::Sighted { mac: seen.mac, sight: seen.sight };
                        desk.tell_stamped(fact, seen.boottime_ms).await?;
                    }
                    Up::Notice(notice) => desk.tell(Fact::Noticed { notice }).await?,
                }
            }
        }
    }
}

async fn publish(write: &mut OwnedWriteHalf, table: &Arc<BootTable>) -> Result<(), LinkError> {
    let mut line = serde_json::to_vec(&Down::Publish((**table).clone()))?;
    line.push(b'\n');
    write.write_all(&line).await?;
    Ok(())
}
