//! The line to the boot counter: tables down, sightings up. It is found again when it was lost.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use drivers::channel::Channel;
use model::{AgentChannel, BootTable, Fact};
use netboot::link::{Hearing, Speaking, connect};
use netboot::{Down, Up};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::delegate::Delegate;
use crate::desk::{Desk, DeskError};
use crate::nudges::Nudges;

/// Pauses between two tries to reach the counter: quick at first, since it is started with the core.
const TRIES: [Duration; 5] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// Keeps the line to the counter of this state folder up until the desk closes. `orders` are said to it as
/// they come, and where agents reach this core; its key is named with the lab's, so that it may answer loaders. Agents on
/// `channel` are told to ask when they would be answered otherwise.
pub async fn run(
    state: PathBuf,
    (desk, channel): (Desk, Channel),
    (leads, delegate): (AgentChannel, Option<Delegate>),
    mut table: watch::Receiver<Arc<BootTable>>,
    mut orders: mpsc::Receiver<Down>,
) {
    let mut tried = 0;
    loop {
        match connect(&state).await {
            Ok((hearing, mut speaking)) => {
                tried = 0;
                if let Err(why) = speaking.tell(&Down::Channel(leads)).await {
                    tracing::warn!("the line to the boot counter broke: {why}");
                    continue;
                }
                if desk.tell(Fact::CounterSeen { up: true }).await.is_err() {
                    return;
                }
                if let Err(why) =
                    talk((hearing, speaking), (&desk, &channel), delegate.as_ref(), (&mut table, &mut orders))
                        .await
                {
                    tracing::warn!("the line to the boot counter broke: {why}");
                }
                if desk.tell(Fact::CounterSeen { up: false }).await.is_err() {
                    return;
                }
            }
            Err(why) => {
                if tried == TRIES.len() {
                    tracing::warn!("the boot counter does not answer: {why}; trying again");
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
    Io(#[from] io::Error),
    #[error("{0}")]
    Desk(#[from] DeskError),
    #[error("it was closed")]
    Closed,
}

async fn talk(
    (mut hearing, mut speaking): (Hearing, Speaking),
    (desk, channel): (&Desk, &Channel),
    delegate: Option<&Delegate>,
    (table, orders): (&mut watch::Receiver<Arc<BootTable>>, &mut mpsc::Receiver<Down>),
) -> Result<(), LinkError> {
    let mut told = Arc::clone(&table.borrow_and_update());
    speaking.publish(&told).await?;
    let mut nudges = Nudges::default();
    loop {
        tokio::select! {
            changed = table.changed() => {
                changed.map_err(|_| LinkError::Closed)?;
                let newer = Arc::clone(&table.borrow_and_update());
                match newer.change_from(&told) {
                    Some(change) => {
                        nudges.note(&told, &change);
                        speaking.amend(change).await?;
                    }
                    None => speaking.publish(&newer).await?,
                }
                told = newer;
            }
            Some(order) = orders.recv() => speaking.tell(&order).await?,
            said = hearing.next() => match said?.ok_or(LinkError::Closed)? {
                Up::Hello { version, table, loader_key } => {
                    tracing::debug!("boot counter {version} holds {}", match table {
                        Some(number) => format!("boot table {number}"),
                        None => "no boot table yet".to_owned(),
                    });
                    if let Some((delegate, key)) = delegate.zip(loader_key) {
                        match delegate.word_for(key) {
                            Ok(word) => speaking.tell(&Down::TrustLoader(word)).await?,
                            Err(why) => {
                                tracing::error!(code = why.code(), "no machine gets our own loader: {why}");
                            }
                        }
                    }
                }
                Up::Published { number, kept } => {
                    // In force it is either way.
                    nudges.in_force(number).iter().for_each(|node| channel.nudge(node));
                    if !kept {
                        tracing::warn!("the counter could not keep boot table {number}: a restarted one would answer by an older");
                    }
                }
                Up::Sighting(seen) => {
                    let fact = Fact::Sighted { mac: seen.mac, sight: seen.sight };
                    desk.tell_stamped(fact, seen.boottime_ms).await?;
                }
                Up::Notice(notice) => desk.tell(Fact::Noticed { notice }).await?,
            },
        }
    }
}
