//! The line to the core: a Unix socket in the state folder, one JSON object a line, both ways.
//!
//! The counter listens, a core comes when it likes. A newer core takes the place of the older one; without any, the
//! counter serves on and keeps what it sees.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{BootTable, TableChange};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::{Zeroize as _, Zeroizing};

use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::sights::{Down, Up};

/// Longest line in bytes; a boot table of a thousand machines has up to a megabyte.
const LONGEST: u64 = 64 << 20;

/// Room for a line that is kept for the next one.
const LINE_KEPT: usize = 256 << 10;

/// Where the line of a counter with this state folder is.
#[must_use]
pub fn path(state: &Path) -> PathBuf {
    state.join("counter.sock")
}

/// Opens the line, taking the place of one that a dead counter left.
///
/// # Errors
/// As the system says.
pub fn listen(state: &Path) -> io::Result<UnixListener> {
    let path = path(state);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves cores. Goes on until dropped.
pub async fn run(counter: Arc<Counter>, listener: UnixListener) {
    let mut core = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                core.shutdown().await;
                let counter = Arc::clone(&counter);
                core.spawn(async move {
                    let ended = serve(&counter, stream).await;
                    tracing::debug!(
                        "the core's line ended: {}",
                        ended.err().map_or_else(String::new, |e| e.to_string())
                    );
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a core: {error}");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

async fn serve(counter: &Arc<Counter>, stream: UnixStream) -> io::Result<()> {
    let (from_core, mut to_core) = stream.into_split();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = Up::Hello { version, table: counter.table_number(), loader_key: counter.own.key() };
    write(&mut to_core, &[hello]).await?;
    // None of it is in a journal.
    counter.voices.repeat(&counter.sights, boottime_ms());
    let (replies, mut waiting) = mpsc::channel(4);
    let ended = tokio::select! {
        ended = listen_to(counter, from_core, replies) => ended,
        ended = tell(counter, &mut to_core, &mut waiting) => ended,
    };
    counter.agents.lead(None);
    ended
}

async fn listen_to(
    counter: &Arc<Counter>,
    from_core: OwnedReadHalf,
    replies: mpsc::Sender<Up>,
) -> io::Result<()> {
    let mut lines = BufReader::new(from_core);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut lines).take(LONGEST).read_until(b'\n', &mut line).await?;
        if count == 0 {
            return Ok(());
        }
        let (number, kept) = match serde_json::from_slice(&line)? {
            Down::Publish(table) => {
                let (number, holder) = (table.number, Arc::clone(counter));
                let publishing = tokio::task::spawn_blocking(move || holder.publish(table));
                (number, publishing.await.map_err(io::Error::other)?)
            }
            // A few lines behind the others: done before a thread were found.
            Down::Amend(change) => {
                let (after, number) = (change.after, change.number);
                let unfit =
                    || io::Error::other(format!("a change of boot table {after}, which is not in force"));
                (number, counter.amend(change).ok_or_else(unfit)?)
            }
            Down::SavePackets { mac, boot, file } => {
                let holder = Arc::clone(counter);
                let saved = tokio::task::spawn_blocking(move || holder.save_packets(mac, boot, &file)).await;
                if let Err(error) = saved.map_err(io::Error::other).flatten() {
                    tracing::warn!(%mac, "the heads of its packets could not be saved: {error}");
                }
                continue;
            }
            Down::OfferConfig(offer) => {
                counter.offer(offer);
                line.zeroize();
                continue;
            }
            Down::WithdrawConfig { node } => {
                counter.withdraw(&node);
                continue;
            }
            Down::TrustLoader(trust) => {
                counter.trust_loader(trust);
                continue;
            }
            Down::Channel(channel) => {
                counter.agents.lead(Some(channel));
                continue;
            }
            Down::ForgetPackets { mac } => {
                counter.heads.forget(mac);
                continue;
            }
        };
        if line.capacity() > LINE_KEPT {
            line = Vec::new();
        }
        if let Err(error) = &kept {
            tracing::error!("boot table {number} is in force but could not be written: {error}");
        }
        let reply = Up::Published { number, kept: kept.is_ok() };
        replies.send(reply).await.map_err(io::Error::other)?;
    }
}

async fn tell(
    counter: &Counter,
    to_core: &mut OwnedWriteHalf,
    replies: &mut mpsc::Receiver<Up>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            () = counter.sights.ready() => {
                let batch = Batch { counter, lines: counter.sights.take() };
                write(to_core, &batch.lines).await?;
                batch.delivered();
            }
            Some(reply) = replies.recv() => write(to_core, &[reply]).await?,
        }
    }
}

/// Lines on their way: given back if the line breaks, or is cut, before all of them are written.
struct Batch<'a> {
    counter: &'a Counter,
    lines: Vec<Up>,
}

impl Batch<'_> {
    fn delivered(mut self) {
        self.lines.clear();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.lines.is_empty() {
            self.counter.sights.give_back(std::mem::take(&mut self.lines));
        }
    }
}

async fn write(to: &mut OwnedWriteHalf, lines: &[Up]) -> io::Result<()> {
    let mut text = Vec::with_capacity(lines.len() * 128);
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    to.write_all(&text).await
}

/// The core's end of the line, reading half.
#[derive(Debug)]
pub struct Hearing {
    lines: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
}

/// The core's end of the line, writing half.
#[derive(Debug)]
pub struct Speaking(OwnedWriteHalf);

/// Comes to the counter with this state folder.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` while no counter runs there.
pub async fn connect(state: &Path) -> io::Result<(Hearing, Speaking)> {
    let (from, to) = UnixStream::connect(path(state)).await?.into_split();
    Ok((Hearing { lines: BufReader::new(from), line: Vec::new() }, Speaking(to)))
}

impl Hearing {
    /// The next line; `None` when the counter ended or another core took the line. Safe to cancel: what was read of
    /// a line is kept for the next call.
    ///
    /// # Errors
    /// As the system says; `InvalidData` when the counter speaks another version's words.
    pub async fn next(&mut self) -> io::Result<Option<Up>> {
        self.lines.read_until(b'\n', &mut self.line).await?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let up = serde_json::from_slice(&self.line);
        self.line.clear();
        Ok(Some(up?))
    }
}

impl Speaking {
    /// Publishes a boot table; [`Up::Published`] tells when it is in force.
    ///
    /// # Errors
    /// As the system says.
    pub async fn publish(&mut self, table: &BootTable) -> io::Result<()> {
        self.tell(&Down::Publish(table.clone())).await
    }

    /// Publishes what is new in a boot table since the last one on this line; [`Up::Published`] tells when it is in
    /// force. A counter that holds another table closes the line, and the next one begins with a whole table.
    ///
    /// # Errors
    /// As the system says.
    pub async fn amend(&mut self, change: TableChange) -> io::Result<()> {
        self.tell(&Down::Amend(change)).await
    }

    /// Says one line.
    ///
    /// # Errors
    /// As the system says.
    pub async fn tell(&mut self, down: &Down) -> io::Result<()> {
        // It may hold a config.
        let mut line = Zeroizing::new(serde_json::to_vec(down)?);
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}
